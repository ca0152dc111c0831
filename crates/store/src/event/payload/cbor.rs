//! CBOR: encoding, decoding, and a reader that needs no type.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    MAX_DEPTH,
    check::{Rules, Unit, checked},
    display::{Ignore, Scalar, Sink},
};

const RULES: Rules = Rules {
    name: "CBOR",
    only_finite: false,
    unit: Unit::Lost,
    unit_struct_is_null: false,
    text_keys: false,
};

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    checked(RULES, value, |value| {
        value.serialize(&mut minicbor_serde::Serializer::new(&mut bytes))
    })?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // The codec ignores what follows a value, and bounds no depth.
    read(bytes, &mut Ignore).ok_or("the bytes are not one CBOR value")?;
    minicbor_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Reads exactly one value; `None` if the bytes are anything else, or nested too deep.
pub(super) fn read<S: Sink>(bytes: &[u8], sink: &mut S) -> Option<()> {
    let mut reader = Reader { rest: bytes };
    reader.item(sink, 0)?;
    reader.rest.is_empty().then_some(())
}

const TEXT: u8 = 3;
const BYTES: u8 = 2;
const BREAK: u8 = 0xff;

/// What a head says: the argument's value, or that the length is open until a break.
#[derive(Clone, Copy)]
enum Argument {
    Is(u64),
    Open,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn item<S: Sink>(&mut self, sink: &mut S, depth: usize) -> Option<()> {
        let (major, info, argument) = self.head()?;
        match (major, argument) {
            (0, Argument::Is(n)) => sink.scalar(Scalar::Int(n.into())),
            (1, Argument::Is(n)) => sink.scalar(Scalar::Int(-1 - i128::from(n))),
            (BYTES, Argument::Is(len)) => sink.scalar(Scalar::Bytes(self.take(len)?)),
            (TEXT, Argument::Is(len)) => sink.scalar(Scalar::Text(self.text(len)?)),
            (BYTES, Argument::Open) => {
                let bytes = self.chunks(BYTES)?;
                sink.scalar(Scalar::Bytes(&bytes))
            }
            (TEXT, Argument::Open) => {
                let bytes = self.chunks(TEXT)?;
                sink.scalar(Scalar::Text(str::from_utf8(&bytes).ok()?))
            }
            _ if depth >= MAX_DEPTH && major < 7 => None,
            (4, len) => self.list(len, sink, depth + 1),
            (5, len) => self.map(len, sink, depth + 1),
            (6, Argument::Is(tag)) => self.tagged(tag, sink, depth + 1),
            (7, Argument::Is(n)) => sink.scalar(simple(info, n)?),
            _ => None,
        }
    }

    fn list<S: Sink>(&mut self, len: Argument, sink: &mut S, depth: usize) -> Option<()> {
        sink.open('[');
        let mut index = 0;
        while self.goes_on(len, index)? {
            sink.separate(index);
            self.item(sink, depth)?;
            index += 1;
        }
        sink.close(']');
        Some(())
    }

    fn map<S: Sink>(&mut self, len: Argument, sink: &mut S, depth: usize) -> Option<()> {
        sink.open('{');
        let mut index = 0;
        while self.goes_on(len, index)? {
            sink.separate(index);
            let mut key = sink.key()?;
            self.item(&mut key, depth)?;
            sink.take_key(key);
            self.item(sink, depth)?;
            index += 1;
        }
        sink.close('}');
        Some(())
    }

    fn tagged<S: Sink>(&mut self, tag: u64, sink: &mut S, depth: usize) -> Option<()> {
        if let Some(number) = self.big_number(tag) {
            return sink.scalar(number);
        }
        sink.open_tag(tag);
        self.item(sink, depth)?;
        sink.close('}');
        Some(())
    }

    /// A number of up to 128 bits as tags 2 and 3 spell it; reads nothing if it is anything else.
    fn big_number(&mut self, tag: u64) -> Option<Scalar<'a>> {
        let mut ahead = Reader { rest: self.rest };
        let (BYTES, _, Argument::Is(len @ 0..=16)) = ahead.head()? else {
            return None;
        };
        let bytes = ahead.take(len)?.iter();
        let n = bytes.fold(0, |number: u128, byte| (number << 8) | u128::from(*byte));
        let number = match (tag, i128::try_from(n)) {
            (2, _) => Scalar::Big(n),
            (3, Ok(n)) => Scalar::Int(-1 - n),
            _ => return None,
        };
        self.rest = ahead.rest;
        Some(number)
    }

    /// Whether there is another item; takes the break where there is one.
    fn goes_on(&mut self, len: Argument, index: u64) -> Option<bool> {
        match len {
            Argument::Is(len) => Some(index < len),
            Argument::Open if *self.rest.first()? == BREAK => {
                self.take(1)?;
                Some(false)
            }
            Argument::Open => Some(true),
        }
    }

    /// The chunks of a string of open length, joined.
    fn chunks(&mut self, wanted: u8) -> Option<Vec<u8>> {
        let mut joined = Vec::new();
        while self.goes_on(Argument::Open, 0)? {
            let (major, _, Argument::Is(len)) = self.head()? else {
                return None;
            };
            if major != wanted {
                return None;
            }
            joined.extend_from_slice(self.take(len)?);
        }
        Some(joined)
    }

    fn text(&mut self, len: u64) -> Option<&'a str> {
        str::from_utf8(self.take(len)?).ok()
    }

    /// Major type, additional information and argument.
    fn head(&mut self) -> Option<(u8, u8, Argument)> {
        let &[byte] = self.take(1)? else { return None };
        let info = byte & 0x1f;
        let argument = match info {
            0..=23 => Argument::Is(info.into()),
            24..=27 => {
                let bytes = self.take(1 << (info - 24))?.iter();
                Argument::Is(bytes.fold(0, |number, byte| (number << 8) | u64::from(*byte)))
            }
            31 => Argument::Open,
            _ => return None,
        };
        Some((byte >> 5, info, argument))
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }
}

/// Major type 7: simple values and floats. The bits of a float stand in the argument.
fn simple(info: u8, argument: u64) -> Option<Scalar<'static>> {
    Some(match (info, argument) {
        (0..=23, 20 | 21) => Scalar::Bool(argument == 21),
        (0..=23, 22) => Scalar::Null,
        (25, bits) => Scalar::F64(half(u16::try_from(bits).ok()?)),
        (26, bits) => Scalar::F32(f32::from_bits(u32::try_from(bits).ok()?)),
        (27, bits) => Scalar::F64(f64::from_bits(bits)),
        (0..=23, _) | (24, 32..) => Scalar::Simple(u8::try_from(argument).ok()?),
        _ => return None,
    })
}

/// A float of 16 bits (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let value = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -value } else { value }
}
