//! The command as its users meet it: the binary, its output, its exit codes.

#![forbid(unsafe_code)]

mod anchors;
mod commands;
mod demo;
mod evidence;
mod faults;
mod git;
mod import;
mod keyset;
mod output;
mod publish;
mod repair;
mod schemas;
mod support;
mod tampering;
mod trust;
mod verify;
