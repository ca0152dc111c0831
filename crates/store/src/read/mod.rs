//! Reading: what is durable, without ever blocking the writer.

mod ancestry;
mod case;
mod events;
mod merged;
mod proofs;
mod query;
mod reader;
mod scan;
mod shared;
mod streams;
mod times;
pub(crate) mod view;

pub use ancestry::{Ancestry, AncestryEnd};
pub use case::CaseQuery;
pub use events::Events;
pub(crate) use proofs::MAX_GAP;
pub(crate) use query::Item;
pub use query::Query;
pub use reader::{Reader, Stats, StorageBytes, StreamHead};
pub(crate) use scan::Scan;
pub(crate) use shared::Shared;
pub use streams::{StreamInfo, Streams};
