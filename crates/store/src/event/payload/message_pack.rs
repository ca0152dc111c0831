//! MessagePack: encoding, decoding, and a reader that needs no type.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    MAX_DEPTH,
    check::{Rules, Unit, checked},
    display::{Ignore, Scalar, Sink},
};

const RULES: Rules = Rules {
    name: "MessagePack",
    only_finite: false,
    unit: Unit::Null,
    unit_struct_is_null: false,
    text_keys: false,
};

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    checked(RULES, value, |value| {
        value.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())
    })?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // The codec ignores what follows a value.
    read(bytes, &mut Ignore).ok_or("the bytes are not one MessagePack value")?;
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

/// Reads exactly one value; `None` if the bytes are anything else, or nested too deep.
pub(super) fn read<S: Sink>(bytes: &[u8], sink: &mut S) -> Option<()> {
    let mut reader = Reader { rest: bytes };
    reader.item(sink, 0)?;
    reader.rest.is_empty().then_some(())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn item<S: Sink>(&mut self, sink: &mut S, depth: usize) -> Option<()> {
        let marker = self.byte()?;
        let scalar = match marker {
            0x00..=0x7f => Scalar::Int(marker.into()),
            0xe0..=0xff => Scalar::Int(i128::from(marker) - 0x100),
            0xc0 => Scalar::Null,
            0xc2 | 0xc3 => Scalar::Bool(marker == 0xc3),
            0xcc..=0xcf => Scalar::Int(self.uint(1 << (marker - 0xcc))?.into()),
            0xd0 => Scalar::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Scalar::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Scalar::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Scalar::Int(i64::from_be_bytes(self.array()?).into()),
            0xca => Scalar::F32(f32::from_be_bytes(self.array()?)),
            0xcb => Scalar::F64(f64::from_be_bytes(self.array()?)),
            0xa0..=0xbf => self.text::<S>((marker & 0x1f).into())?,
            0xd9..=0xdb => {
                let len = self.uint(1 << (marker - 0xd9))?;
                self.text::<S>(len)?
            }
            0xc4..=0xc6 => {
                let len = self.uint(1 << (marker - 0xc4))?;
                Scalar::Bytes(self.take(len)?)
            }
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xc7..=0xc9 => {
                let len = self.uint(1 << (marker - 0xc7))?;
                self.extension(len)?
            }
            0x90..=0x9f => return self.list((marker & 0x0f).into(), sink, depth),
            0x80..=0x8f => return self.map((marker & 0x0f).into(), sink, depth),
            0xdc | 0xdd => {
                let len = self.uint(2 << (marker - 0xdc))?;
                return self.list(len, sink, depth);
            }
            0xde | 0xdf => {
                let len = self.uint(2 << (marker - 0xde))?;
                return self.map(len, sink, depth);
            }
            0xc1 => return None,
        };
        sink.scalar(scalar)
    }

    fn list<S: Sink>(&mut self, len: u64, sink: &mut S, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        sink.open('[');
        for index in 0..len {
            sink.separate(index);
            self.item(sink, depth + 1)?;
        }
        sink.close(']');
        Some(())
    }

    fn map<S: Sink>(&mut self, len: u64, sink: &mut S, depth: usize) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        sink.open('{');
        for index in 0..len {
            sink.separate(index);
            let mut key = sink.key()?;
            self.item(&mut key, depth + 1)?;
            sink.take_key(key);
            self.item(sink, depth + 1)?;
        }
        sink.close('}');
        Some(())
    }

    /// Text may be any bytes by the specification; what isn't UTF-8 is shown as bytes.
    fn text<S: Sink>(&mut self, len: u64) -> Option<Scalar<'a>> {
        let bytes = self.take(len)?;
        if !S::LOOKS {
            return Some(Scalar::Bytes(bytes));
        }
        Some(str::from_utf8(bytes).map_or(Scalar::Bytes(bytes), Scalar::Text))
    }

    fn extension(&mut self, len: u64) -> Option<Scalar<'a>> {
        let kind = i8::from_be_bytes(self.array()?);
        Some(Scalar::Extension(kind, self.take(len)?))
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A big-endian number of 1, 2, 4 or 8 bytes.
    fn uint(&mut self, len: u64) -> Option<u64> {
        let bytes = self.take(len)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| (number << 8) | u64::from(*byte)),
        )
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }
}
