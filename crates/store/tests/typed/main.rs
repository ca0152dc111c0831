//! Typed events, decisions upon them, and consumers.
//!
//! All event types of one program are known to each other, so each module has kinds of its own.

#![forbid(unsafe_code)]

mod cursor;
mod dcb;
mod decide;
mod events;
mod upcasts;
