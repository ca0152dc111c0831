//! Payloads: a typed value or raw bytes, and how the bytes are to be read.
//!
//! Every value that goes in comes out, or is refused when it is encoded. The codecs alone don't
//! hold to that: JSON turns NaN into null, none of them tells `Some(None)` from `None`, and so on.
//! So each value is watched on its way into the codec; `check` holds the rules.

mod cbor;
mod check;
mod display;
mod json;
mod message_pack;

#[cfg(test)]
mod tests;

use std::{any::type_name, borrow::Cow};

use factlog_format::Encoding;
use serde::{Serialize, de::DeserializeOwned};

use crate::Misuse;

pub use display::to_display_json;

/// How deep lists, maps and enum variants with content may stand within each other, going in or
/// out. JSON's codec reads at most 127 levels; one bound for all keeps a value that one encoding
/// takes readable in the others, and hostile bytes from exhausting the stack.
const MAX_DEPTH: usize = 100;

/// The bytes of one section, and how they are to be read.
///
/// ```
/// # use factlog::Payload;
/// #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
/// struct Deposited { cents: u64, memo: Option<String> }
///
/// let deposited = Deposited { cents: 500, memo: None };
/// let payload = Payload::json(&deposited)?;
/// assert_eq!(payload.decode::<Deposited>()?, deposited);
///
/// // JSON has no NaN: refused, rather than turned into null.
/// assert_eq!(Payload::json(&f64::NAN).unwrap_err().code(), "payload.lossy");
/// # Ok::<(), factlog::Misuse>(())
/// ```
///
/// # What is promised
///
/// [`json`](Self::json), [`message_pack`](Self::message_pack) and [`cbor`](Self::cbor) refuse
/// what their codec would not give back, as long as the type's `Deserialize` mirrors its
/// `Serialize`: derived ones do. The attributes `untagged`, `tag` (without `content`) and
/// `flatten` make serde guess the type of what it reads, and attributes that skip fields drop
/// them on purpose; what becomes of such values only reading them back can tell, which is what
/// [`read_back`](Self::read_back) does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Payload<'a> {
    /// Bytes as they are, without a stated meaning.
    pub fn raw(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            encoding: Encoding::Raw,
            bytes: bytes.into(),
        }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// [`Misuse::Payload`] if it would not come out as it goes in.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Misuse> {
        Self::encoded(Encoding::Json, value)
    }

    /// A value as MessagePack, fields by name.
    ///
    /// # Errors
    /// [`Misuse::Payload`] if it would not come out as it goes in.
    pub fn message_pack<T: Serialize + ?Sized>(value: &T) -> Result<Self, Misuse> {
        Self::encoded(Encoding::MessagePack, value)
    }

    /// A value as CBOR, fields by name.
    ///
    /// # Errors
    /// [`Misuse::Payload`] if it would not come out as it goes in.
    pub fn cbor<T: Serialize + ?Sized>(value: &T) -> Result<Self, Misuse> {
        Self::encoded(Encoding::Cbor, value)
    }

    /// A value in the given encoding.
    ///
    /// # Errors
    /// [`Misuse::Payload`] if it would not come out as it goes in, or the encoding is one without
    /// types.
    pub fn encoded<T: Serialize + ?Sized>(encoding: Encoding, value: &T) -> Result<Self, Misuse> {
        let bytes = match encoding {
            Encoding::Json => json::encode(value),
            Encoding::MessagePack => message_pack::encode(value),
            Encoding::Cbor => cbor::encode(value),
            other => Err(format!("{} is not an encoding of values", other.name())),
        };
        let bytes = Cow::Owned(bytes.map_err(Misuse::Payload)?);
        Ok(Self { encoding, bytes })
    }

    /// Also reads the payload back, and refuses it unless that gives `value` again: by `==`, or,
    /// for values that aren't equal to themselves, by encoding to the same bytes.
    ///
    /// # Errors
    /// [`Misuse::Payload`] if it does not come out as it went in.
    pub fn read_back<T>(self, value: &T) -> Result<Self, Misuse>
    where
        T: Serialize + DeserializeOwned + PartialEq,
    {
        let refused = |why: String| Misuse::Payload(format!("reading it back gives {why}"));
        let read: T = self
            .decode()
            .map_err(|error| refused(format!("an error: {error}")))?;
        let same = |a: &T, b: &T| a == b;
        let same_bytes = || Self::encoded(self.encoding, &read).map(|other| other == self);
        // NaN and what holds it is equal to nothing, not even to itself.
        if same(&read, value) || (!same(value, value) && same_bytes()?) {
            return Ok(self);
        }
        Err(refused("another value".to_owned()))
    }

    /// Reads the value. Takes all bytes or none.
    ///
    /// # Errors
    /// [`Misuse::PayloadType`] if the bytes are not one such value, or the encoding is one without
    /// types.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Misuse> {
        decode(self.encoding, &self.bytes)
    }
}

/// Reads a value from the bytes of a section. Takes all bytes or none.
///
/// # Errors
/// [`Misuse::PayloadType`] if the bytes are not one such value, or the encoding is one without
/// types.
pub(crate) fn decode<T: DeserializeOwned>(encoding: Encoding, bytes: &[u8]) -> Result<T, Misuse> {
    let value = match encoding {
        Encoding::Json => json::decode(bytes),
        Encoding::MessagePack => message_pack::decode(bytes),
        Encoding::Cbor => cbor::decode(bytes),
        other => Err(format!("{} is not an encoding of values", other.name())),
    };
    value.map_err(|detail| Misuse::PayloadType {
        wanted: type_name::<T>(),
        detail,
    })
}
