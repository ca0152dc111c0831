use std::{
    fmt::{self, Display, Write},
    hash::{DefaultHasher, Hasher},
};

use serde::{Serialize, Serializer};

use super::{Place, Step, Unit, Watch, compound::Compound};

/// A value that is watched when it is serialized.
pub(in super::super) struct Watched<'w, T: ?Sized> {
    pub(super) value: &'w T,
    pub(super) watch: &'w Watch,
    pub(super) place: Place,
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
pub(in super::super) struct Checked<'w, S> {
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
            let mut text = KeyText {
                bytes: [0; 40],
                len: 0,
            };
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
