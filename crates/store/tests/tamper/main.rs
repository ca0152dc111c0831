//! Every kind of tampering is found, and named.

mod agent;
mod ancestry;
mod anchors;
mod attacks;
mod bytes;
mod corpus;
mod evidence;
mod keys;
mod lab;
mod stubs;
#[path = "../support/mod.rs"]
mod support;
mod tails;
mod threads;
mod wire;
mod witnessed;
mod words;
