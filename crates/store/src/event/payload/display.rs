//! Payloads as JSON text for people.

use std::fmt::{Display, Write};

use data_encoding::BASE64;
use factlog_format::Encoding;

use super::{cbor, json, message_pack};

/// How deep keys may stand in keys to be shown.
const MAX_KEYS: u8 = 3;

/// A payload as JSON text on one line, without its Rust type; `None` if the encoding says nothing
/// of the bytes' meaning, or they are not one value of it, or nested over 100 levels deep. Tools
/// then show the bytes.
///
/// It is for reading, not for reading back: what JSON lacks is shown as an object of one
/// `$`-name, which an object of the payload could look like. These are bytes
/// (`{"$bytes":"AQI="}`), floats that are not finite (`{"$float":"NaN"}`), MessagePack extensions
/// (`{"$ext":5,"$bytes":"AQI="}`), CBOR tags (`{"$tag":32,"value":…}`) and simple values
/// (`{"$simple":23}`). Keys that are not text are shown as the JSON of the key: `{"5":…}`. Whole
/// numbers keep all their digits. Control and direction characters are escaped.
#[must_use]
pub fn to_display_json(encoding: Encoding, bytes: &[u8]) -> Option<String> {
    let mut out = Json::default();
    match encoding {
        Encoding::Json => return json::display(bytes),
        Encoding::MessagePack => message_pack::read(bytes, &mut out)?,
        Encoding::Cbor => cbor::read(bytes, &mut out)?,
        _ => return None,
    }
    Some(out.text)
}

/// A value without items.
#[derive(Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i128),
    Big(u128),
    F32(f32),
    F64(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Extension(i8, &'a [u8]),
    Simple(u8),
}

/// Where a reader puts what it reads.
pub(super) trait Sink: Sized {
    /// Whether it looks at scalars, so that text is worth telling from bytes.
    const LOOKS: bool = true;

    fn scalar(&mut self, scalar: Scalar<'_>) -> Option<()>;
    fn open(&mut self, bracket: char);
    fn open_tag(&mut self, tag: u64);
    fn close(&mut self, bracket: char);
    /// Before the item of this index.
    fn separate(&mut self, index: u64);
    /// A sink for a key; `None` if a key can't be told here.
    fn key(&self) -> Option<Self>;
    fn take_key(&mut self, key: Self);
}

/// Takes everything and keeps nothing: to find out whether there is one value.
pub(super) struct Ignore;

impl Sink for Ignore {
    const LOOKS: bool = false;

    fn scalar(&mut self, _: Scalar<'_>) -> Option<()> {
        Some(())
    }

    fn open(&mut self, _: char) {}

    fn open_tag(&mut self, _: u64) {}

    fn close(&mut self, _: char) {}

    fn separate(&mut self, _: u64) {}

    fn key(&self) -> Option<Self> {
        Some(Self)
    }

    fn take_key(&mut self, _: Self) {}
}

#[derive(Default)]
struct Json {
    text: String,
    /// How many keys this stands in.
    keys: u8,
    /// Whether all of it is one string, quotes included.
    is_text: bool,
}

impl Json {
    fn push(&mut self, value: impl Display) {
        // Writing to a string can't fail.
        let _ = write!(self.text, "{value}");
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                c if is_unsafe_to_print(c) => push_escape(&mut self.text, c),
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    fn float(&mut self, value: f64, shortest: Result<String, serde_json::Error>) {
        match shortest {
            Ok(text) if value.is_finite() => self.text.push_str(&text),
            // Displays as `NaN`, `inf` or `-inf`.
            _ => self.push(format_args!("{{\"$float\":\"{value}\"}}")),
        }
    }
}

impl Sink for Json {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Option<()> {
        self.is_text = self.text.is_empty() && matches!(scalar, Scalar::Text(_));
        match scalar {
            Scalar::Null => self.text.push_str("null"),
            Scalar::Bool(value) => self.push(value),
            Scalar::Int(value) => self.push(value),
            Scalar::Big(value) => self.push(value),
            Scalar::F32(value) => self.float(value.into(), serde_json::to_string(&value)),
            Scalar::F64(value) => self.float(value, serde_json::to_string(&value)),
            Scalar::Text(text) => self.string(text),
            Scalar::Bytes(bytes) => {
                self.push(format_args!("{{\"$bytes\":\"{}\"}}", BASE64.encode(bytes)));
            }
            Scalar::Extension(kind, bytes) => {
                let bytes = BASE64.encode(bytes);
                self.push(format_args!("{{\"$ext\":{kind},\"$bytes\":\"{bytes}\"}}"));
            }
            Scalar::Simple(value) => self.push(format_args!("{{\"$simple\":{value}}}")),
        }
        Some(())
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
    }

    fn open_tag(&mut self, tag: u64) {
        self.push(format_args!("{{\"$tag\":{tag},\"value\":"));
    }

    fn close(&mut self, bracket: char) {
        self.text.push(bracket);
    }

    fn separate(&mut self, index: u64) {
        if index > 0 {
            self.text.push(',');
        }
    }

    /// A map in a key is shown as text in text, one in its keys as text in that, and with every
    /// level its backslashes double: a few levels are enough.
    fn key(&self) -> Option<Self> {
        (self.keys < MAX_KEYS).then(|| Self {
            keys: self.keys + 1,
            ..Self::default()
        })
    }

    fn take_key(&mut self, key: Self) {
        if key.is_text {
            self.text.push_str(&key.text);
        } else {
            self.string(&key.text);
        }
        self.text.push(':');
    }
}

/// Characters that end a line or steer a terminal, or turn around what follows them.
pub(super) fn is_unsafe_to_print(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// All of them lie in the plane that one escape can tell.
pub(super) fn push_escape(out: &mut String, c: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(c));
}
