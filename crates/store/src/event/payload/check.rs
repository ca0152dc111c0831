//! Watches a value on its way into a codec and refuses what the codec would not give back.
//!
//! [`checked`] hands the codec's serializer to the value inside a [`Checked`], which passes every
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

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Display, Write},
    hash::{DefaultHasher, Hasher},
};

use serde::{Serialize, Serializer, ser::Error};

use super::MAX_DEPTH;
use compound::Compound;

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

/// A value that is watched when it is serialized.
pub(super) struct Watched<'w, T: ?Sized> {
    value: &'w T,
    watch: &'w Watch,
    place: Place,
}

impl<T: Serialize + ?Sized> Serialize for Watched<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Checked {
            inner,
            watch: self.watch,
            place: self.place,
        })
    }
}

/// A serializer around the codec's.
pub(super) struct Checked<'w, S> {
    inner: S,
    watch: &'w Watch,
    place: Place,
}

impl<'w, S: Serializer> Checked<'w, S> {
    fn watched<'v, T: ?Sized>(&self, value: &'v T, place: Place) -> Watched<'v, T>
    where
        'w: 'v,
    {
        Watched {
            value,
            watch: self.watch,
            place,
        }
    }

    /// Something that the codec writes as null comes.
    fn null(&self, what: &str) -> Result<(), S::Error> {
        if self.place.in_some {
            let name = self.watch.rules.name;
            return Err(self
                .watch
                .refuse(format_args!("{name} can't tell Some({what}) from None")));
        }
        Ok(())
    }

    fn float(&self, finite: bool) -> Result<(), S::Error> {
        if self.watch.rules.only_finite && !finite {
            let name = self.watch.rules.name;
            return Err(self
                .watch
                .refuse(format_args!("{name} has no NaN and no infinity")));
        }
        Ok(())
    }

    /// Notes a key, so that the map it stands in can tell whether it stands there twice.
    fn key(&self, kind: u8, bytes: &[u8]) {
        if self.place.key {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(kind);
            hasher.write(bytes);
            self.watch.key.set(Some(hasher.finish()));
        }
    }

    /// The same for one that is text in JSON, and of its own kind elsewhere.
    fn key_as_text(&self, key: impl Display) {
        if self.place.key {
            let kind = if self.watch.rules.text_keys {
                TEXT
            } else {
                NUMBER
            };
            let mut text = KeyText { bytes: [0; 40], len: 0 };
            let _ = write!(text, "{key}");
            self.key(kind, text.as_bytes());
        }
    }
}

/// Kinds of keys that can't be equal to each other.
const TEXT: u8 = 0;
const NUMBER: u8 = 1;
const BYTES: u8 = 2;

/// Room for any number of 128 bits in decimal.
struct KeyText {
    bytes: [u8; 40],
    len: usize,
}

impl KeyText {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Write for KeyText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.key_as_text(value);
            self.inner.$method(value)
        }
    )*};
}

impl<'w, S: Serializer> Serializer for Checked<'w, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'w, S::SerializeSeq>;
    type SerializeTuple = Compound<'w, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'w, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'w, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'w, S::SerializeMap>;
    type SerializeStruct = Compound<'w, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'w, S::SerializeStructVariant>;

    numbers! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.float(value.is_finite())?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.float(value.is_finite())?;
        self.inner.serialize_f64(value)
    }

    fn serialize_char(self, value: char) -> Result<S::Ok, S::Error> {
        self.key(TEXT, value.encode_utf8(&mut [0; 4]).as_bytes());
        self.inner.serialize_char(value)
    }

    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        self.key(TEXT, value.as_bytes());
        self.inner.serialize_str(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.key(BYTES, value);
        self.inner.serialize_bytes(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.null("None")?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.watched(
            value,
            Place {
                in_some: true,
                ..self.place
            },
        );
        self.inner.serialize_some(&value)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        if self.watch.rules.unit == Unit::Lost {
            let name = self.watch.rules.name;
            return Err(self
                .watch
                .refuse(format_args!("{name} can't tell () from an empty list")));
        }
        self.null("()")?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        if self.watch.rules.unit_struct_is_null {
            self.null(name)?;
        }
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.key(TEXT, variant.as_bytes());
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        // Codecs write what is inside, so what matters for this place matters for that.
        let value = self.watched(value, self.place);
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let watch = self.watch;
        watch.enter(1)?;
        let value = self.watched(value, Place::default());
        let result = watch.step(Step::Field(variant), || {
            self.inner
                .serialize_newtype_variant(name, index, variant, &value)
        })?;
        watch.leave(1);
        Ok(result)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Compound::new(self.watch, 1, len, || self.inner.serialize_seq(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        Compound::new(self.watch, 1, Some(len), || self.inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Compound::new(self.watch, 1, Some(len), || {
            self.inner.serialize_tuple_struct(name, len)
        })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        Compound::new(self.watch, 2, Some(len), || {
            self.inner
                .serialize_tuple_variant(name, index, variant, len)
        })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Compound::new(self.watch, 1, len, || self.inner.serialize_map(len))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        Compound::new(self.watch, 1, Some(len), || {
            self.inner.serialize_struct(name, len)
        })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        Compound::new(self.watch, 2, Some(len), || {
            self.inner
                .serialize_struct_variant(name, index, variant, len)
        })
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        if self.place.key {
            return self.serialize_str(&value.to_string());
        }
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}
