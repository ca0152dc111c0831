//! Event types of a crate that knows nothing of who else is in the program.

#![forbid(unsafe_code)]

use factlog::Event;
use serde::{Deserialize, Serialize};

/// An order, as the shop sees it.
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(kind = "order.placed")]
pub struct Placed {
    /// What was ordered.
    pub article: String,
}
