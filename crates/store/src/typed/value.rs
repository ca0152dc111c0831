//! Payloads without their type, for upcasts.

use std::fmt;

use factlog_format::Encoding;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};

use crate::Payload;

/// Any payload: what an upcast takes and gives.
///
/// ```
/// use factlog::typed::Value;
///
/// /// Version 1 knew no currencies: all was in euros.
/// fn with_currency(mut deposit: Value) -> Result<Value, String> {
///     deposit.set("currency", "EUR");
///     Ok(deposit)
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: `None`, or a unit.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A floating point number.
    Float(f64),
    /// One of single precision, in encodings that tell them apart.
    Float32(f32),
    /// A text.
    Text(String),
    /// Bytes, in encodings that tell them from lists.
    Bytes(Vec<u8>),
    /// A list, a tuple.
    List(Vec<Value>),
    /// A struct, by the names of its fields, or a map; in the order in which it is stored.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// The value of a field; `None` if there is none, or this is no struct.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        let fields = self.fields()?;
        let found = fields.iter().find(|(name, _)| is(name, field));
        found.map(|(_, value)| value)
    }

    /// Gives a field a value, in its place if it is there already. What isn't a struct becomes one.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let Self::Map(fields) = self else {
            *self = Self::Map(vec![(field.into(), value)]);
            return;
        };
        match fields.iter_mut().find(|(name, _)| is(name, field)) {
            Some((_, old)) => *old = value,
            None => fields.push((field.into(), value)),
        }
    }

    /// Takes a field away and gives its value.
    pub fn remove(&mut self, field: &str) -> Option<Value> {
        let Self::Map(fields) = self else {
            return None;
        };
        let at = fields.iter().position(|(name, _)| is(name, field))?;
        Some(fields.remove(at).1)
    }

    /// Gives a field another name. Returns whether it was there.
    pub fn rename(&mut self, field: &str, to: &str) -> bool {
        let value = self.remove(field);
        let found = value.is_some();
        if let Some(value) = value {
            self.set(to, value);
        }
        found
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn fields(&self) -> Option<&[(Value, Value)]> {
        match self {
            Self::Map(fields) => Some(fields),
            _ => None,
        }
    }
}

fn is(name: &Value, field: &str) -> bool {
    matches!(name, Value::Text(name) if name == field)
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from!(bool => Bool, u8 => Int, u16 => Int, u32 => Int, u64 => Int, i8 => Int, i16 => Int, i32 => Int,
    i64 => Int, i128 => Int, f32 => Float32, f64 => Float, &str => Text, String => Text, Vec<u8> => Bytes,
    Vec<Value> => List);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // A unit is lost in CBOR; read back both are nothing.
            Self::Null => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Float32(value) => serializer.serialize_f32(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        i128::try_from(value)
            .map(Value::Int)
            .map_err(|_| too_large())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_f32<E>(self, value: f32) -> Result<Value, E> {
        Ok(Value::Float32(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(value.to_owned()))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        // What a list announces of its length is not believed.
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

fn too_large<E: Error>() -> E {
    E::custom("a number is too large to be carried through an upcast")
}

/// A payload as a value. What could not be carried over without loss is refused.
pub(super) fn carried(payload: &Payload<'_>) -> Result<Value, String> {
    if payload.encoding == Encoding::Json && has_large_number(&payload.bytes) {
        return Err("a number is too large to be carried through an upcast".to_owned());
    }
    payload.decode().map_err(|error| error.to_string())
}

/// Whether a JSON text has a whole number that its codec would take for a float.
fn has_large_number(json: &[u8]) -> bool {
    let (mut in_text, mut escaped) = (false, false);
    let mut token = String::new();
    let large = |token: &str| {
        let whole = token.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        whole && token.parse::<u64>().is_err() && token.parse::<i64>().is_err()
    };
    for byte in json {
        match byte {
            b'"' if !escaped => in_text = !in_text,
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' if !in_text => {
                token.push(char::from(*byte));
                continue;
            }
            _ => {}
        }
        escaped = in_text && *byte == b'\\' && !escaped;
        // `true` and `false` end in an e that is no number's.
        if token.starts_with(|c: char| c.is_ascii_digit() || c == '-') && large(&token) {
            return true;
        }
        token.clear();
    }
    token.starts_with(|c: char| c.is_ascii_digit() || c == '-') && large(&token)
}
