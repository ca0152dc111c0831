//! Every kind of tampering is found, and named.

mod adopt;
mod agent;
mod ancestry;
mod anchors;
mod attacks;
mod bytes;
mod chain;
mod corpus;
mod evidence;
mod keys;
mod lab;
mod newer;
mod since;
mod stubs;
#[path = "../support/mod.rs"]
mod support;
mod tails;
mod threads;
mod wire;
mod witnessed;
mod words;
