//! Typed events: Rust types that are stored as events and read back, also when their shape has changed
//! since.
//!
//! `#[derive(Event)]` makes a struct an event, or each variant of an enum:
//!
//! ```
//! use factlog::{Event, Journal, Query, typed::{Typed, TypedEvent}};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
//! enum Account {
//!     #[event(kind = "wallet.opened")]
//!     Opened { #[event(tag)] owner: String },
//!     #[event(kind = "wallet.deposited")]
//!     Deposited { cents: u64 },
//! }
//!
//! let journal = Journal::in_memory()?;
//! let opened = Account::Opened { owner: "ada".to_owned() };
//! journal.append(journal.event("bank", "wallet-7", &opened)?)?;
//! let stored = journal.reader().read(Query::all().tag("owner:ada")).next().unwrap()?;
//! assert_eq!(Account::read(&stored)?, Typed::Known(opened));
//! # Ok::<(), factlog::Error>(())
//! ```
//!
//! # Attributes
//!
//! On a struct, or on each variant of an enum:
//!
//! | | |
//! |---|---|
//! | `kind = "account.opened"` | the event's kind; must be given, since a name that changes with the code would lose what is stored |
//! | `version = 2` | the version of the payload's shape; 1 if not given |
//! | `upcast(1 = function)` | how the payload of version 1 becomes one of version 2: `fn(Value) -> Result<Value, String>`; one step for each version below the current one |
//!
//! On a field: `tag` makes a tag `field:value` of it by its `Display`, `tag = "name"` one `name:value`;
//! of an `Option`, a `Vec` or a set, one for each item.
//!
//! A variant's payload is its fields, in serde's terms: the kind takes the place of serde's tag.

mod cursor;
mod decide;
mod event;
mod registry;
mod snapshot;
pub mod testing;
mod value;
mod variant;

#[doc(hidden)]
pub use inventory;

pub use cursor::Cursor;
pub use decide::{DecideError, Decided, Decider, Decision, Loaded};
#[doc(hidden)]
pub use event::no_such_type;
pub use event::{EventType, Typed, TypedEvent, Upcast};
pub(crate) use registry::problems;
pub use registry::{RegistryProblem, verify_registry};
pub use snapshot::{Snapshot, Snapshots};
pub use value::Value;
#[doc(hidden)]
pub use variant::{Content, Variant};
