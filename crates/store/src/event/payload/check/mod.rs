//! Watches a value on its way into a codec and refuses what the codec would not give back.
//!
//! [`checked`] hands the codec's serializer to the value inside a `Checked`, which passes every
//! call on after looking at it. What the codecs lose, and what becomes of it here:
//!
//! | value | JSON | MessagePack | CBOR |
//! |---|---|---|---|
//! | NaN, infinities | null: refused | kept | kept |
//! | `Some(x)` where `x` is written as null | `None`: refused | `None`: refused | `None`: refused |
//! | `()` | null | nil | an empty list, also for a `Value::Null`: refused |
//! | lists, maps and variants nested over 100 deep | reading fails: refused | refused | refused |
//! | a key twice in one map or struct | reading fails or loses one: refused | refused | refused |
//! | more or fewer items than announced | broken bytes: refused | refused | refused |
//! | keys other than text, numbers, booleans and unit variants | refused by the codec | kept | kept |

mod compound;
mod serializer;

use std::{
    cell::{Cell, RefCell},
    fmt::{Display, Write},
};

use serde::{Serialize, ser::Error};

use super::MAX_DEPTH;
use serializer::Watched;

/// What one codec can't carry.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// The encoding's name, for people.
    pub(super) name: &'static str,
    /// Floats that are not finite are lost.
    pub(super) only_finite: bool,
    /// What becomes of `()`.
    pub(super) unit: Unit,
    /// A unit struct is written as null.
    pub(super) unit_struct_is_null: bool,
    /// Keys that are numbers are written as text.
    pub(super) text_keys: bool,
}

/// What a codec makes of `()`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Null,
    Lost,
}

/// Serializes with the serializer that `start` is called with; the error is a sentence.
pub(super) fn checked<T, E>(
    rules: Rules,
    value: &T,
    serialize: impl FnOnce(Watched<'_, T>) -> Result<(), E>,
) -> Result<(), String>
where
    T: Serialize + ?Sized,
    E: Display,
{
    let watch = Watch::new(rules);
    let result = serialize(Watched {
        value,
        watch: &watch,
        place: Place::default(),
    });
    let why = watch.why.take();
    match (why, result) {
        // Also if someone on the way has swallowed the error.
        (Some(why), _) => Err(why),
        (None, Err(error)) => Err(watch.at_path(&error)),
        (None, Ok(())) => Ok(()),
    }
}

/// What is known on the way through one value.
pub(super) struct Watch {
    rules: Rules,
    depth: Cell<usize>,
    path: RefCell<Vec<Step>>,
    why: RefCell<Option<String>>,
    /// The hash of the key just written, if it was a simple one.
    key: Cell<Option<u64>>,
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Index(usize),
    Entry(usize),
}

/// Where a value stands, as far as it matters.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Directly in `Some`, where null would read as `None`.
    in_some: bool,
    /// The key of a map.
    key: bool,
}

impl Watch {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            depth: Cell::new(0),
            path: RefCell::default(),
            why: RefCell::default(),
            key: Cell::new(None),
        }
    }

    fn refuse<E: Error>(&self, why: impl Display) -> E {
        let why = self.at_path(&why);
        let error = E::custom(&why);
        self.why.borrow_mut().get_or_insert(why);
        error
    }

    /// The sentence, led by where in the value it happened. Never shows the value itself.
    fn at_path(&self, why: &dyn Display) -> String {
        let mut text = String::new();
        for step in self.path.borrow().iter() {
            let _ = match step {
                Step::Field(name) if text.is_empty() => write!(text, "{name}"),
                Step::Field(name) => write!(text, ".{name}"),
                Step::Index(index) => write!(text, "[{index}]"),
                Step::Entry(index) => write!(text, "{{entry {index}}}"),
            };
        }
        if text.is_empty() {
            why.to_string()
        } else {
            format!("{text}: {why}")
        }
    }

    fn enter<E: Error>(&self, levels: usize) -> Result<(), E> {
        let depth = self.depth.get() + levels;
        if depth > MAX_DEPTH {
            return Err(self.refuse(format_args!("it is nested over {MAX_DEPTH} levels deep")));
        }
        self.depth.set(depth);
        Ok(())
    }

    fn leave(&self, levels: usize) {
        self.depth.set(self.depth.get().saturating_sub(levels));
    }

    /// Runs a step into the value. After an error the path stays, to tell where it was.
    fn step<R, E>(&self, step: Step, run: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        self.path.borrow_mut().push(step);
        let result = run()?;
        self.path.borrow_mut().pop();
        Ok(result)
    }
}
