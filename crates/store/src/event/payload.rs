//! Payloads: a typed value or raw bytes, and how the bytes are to be read.
//!
//! Every value that goes in comes out, or is refused when it is encoded. The codecs alone don't
//! hold to that: JSON turns NaN into null, none of them tells `Some(None)` from `None`, and so on.
//! So values are watched on their way into the codec (see [`check`]).

mod check;

use std::{any::type_name, borrow::Cow};

use factlog_format::Encoding;
use serde::{Serialize, de::DeserializeOwned};

use crate::Misuse;

/// The bytes of one section, and how they are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
}
