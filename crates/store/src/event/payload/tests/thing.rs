//! A type with everything in it that serde knows, and random values of it.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Thing {
    Nothing,
    Unit(()),
    Marker(Marker),
    Empty {},
    NoFields(),
    Bool(bool),
    Small(i8, u8, i16, u16),
    Large(i32, u32, i64, u64),
    Signed128(i128),
    Unsigned128(u128),
    F32(F32),
    F64(F64),
    Char(char),
    Text(String),
    Borrowed(Cow<'static, str>),
    Bytes(Bytes),
    Array([u8; 3]),
    Address(IpAddr),
    Span(Duration),
    Outcome(Result<u8, String>),
    Dynamic(serde_json::Value),
    Maybe(Option<Box<Thing>>),
    Nested(Option<Option<Option<u8>>>),
    MaybeUnit(Option<()>),
    MaybeMarker(Option<Marker>),
    MaybeWrapped(Option<Wrapped<Option<u8>>>),
    Wrapped(Wrapped<Box<Thing>>),
    List(Vec<Thing>),
    Pair(Box<Thing>, Option<i128>),
    Fields(Box<Fields>),
    Inline {
        first: Box<Thing>,
        second: Option<Color>,
    },
    TextKeys(BTreeMap<String, Thing>),
    IntKeys(BTreeMap<i64, Thing>),
    HugeKeys(BTreeMap<u128, u8>),
    FloatKeys(BTreeMap<F64, u8>),
    CharKeys(BTreeMap<char, u8>),
    BoolKeys(BTreeMap<bool, u8>),
    VariantKeys(BTreeMap<Color, Thing>),
    WrappedKeys(BTreeMap<Wrapped<u16>, u8>),
    MaybeKeys(BTreeMap<Option<u8>, u8>),
    MaybeMaybeKeys(BTreeMap<Option<Option<u8>>, u8>),
    BytesKeys(BTreeMap<Bytes, u8>),
    PairKeys(BTreeMap<(u8, String), u8>),
    MapKeys(BTreeMap<BTreeMap<u8, u8>, u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Marker;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Color {
    Red,
    #[serde(rename = "grün")]
    Green,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Wrapped<T>(pub(super) T);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fields {
    pub(super) thing: Option<Thing>,
    pub(super) list: Vec<Option<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left_out: Option<u64>,
    pub(super) units: Vec<Marker>,
}

/// Floats that are equal if their bits are.
macro_rules! floats {
    ($($name:ident: $type:ty),*) => {$(
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        pub(super) struct $name(pub(super) $type);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.to_bits() == other.0.to_bits()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }
    )*};
}

floats! { F32: f32, F64: f64 }

/// Bytes that are written as bytes, not as a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Read)
    }
}

/// Random choices, made from bytes: plain code, where combinators of strategies would take a
/// minute to compile. When the bytes run out every choice is the first one, so things end.
pub(super) struct Choices<'a>(pub(super) &'a [u8]);

impl Choices<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: u8) -> u8 {
        self.byte() % count
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Whole numbers of all magnitudes, both ends of each type among them.
    fn bits(&mut self) -> u128 {
        let bits = u128::from_le_bytes(self.array());
        let bits = if self.flag() { bits } else { !0 };
        let kept = u32::from(self.byte()) % 129;
        let low = bits
            & 1u128
                .checked_shl(kept)
                .map_or(!0, |end| end.wrapping_sub(1));
        if self.flag() { low } else { !low }
    }

    fn f64(&mut self) -> F64 {
        F64(match self.below(4) {
            // What people write: a few digits.
            0 => f64::from(self.bits() as i32) / 10f64.powi(i32::from(self.below(12))),
            1 => [0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY][self.below(5) as usize],
            _ => f64::from_bits(u64::from_le_bytes(self.array())),
        })
    }

    fn char(&mut self) -> char {
        let mask = [0x7f, 0xff, 0xffff, 0x1f_ffff][self.below(4) as usize];
        let bits = u32::from_le_bytes(self.array());
        char::from_u32(bits & mask).unwrap_or('\u{2028}')
    }

    fn text(&mut self) -> String {
        (0..self.below(5)).map(|_| self.char()).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(40)).map(|_| self.byte()).collect()
    }

    fn option<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn list<T, C: FromIterator<T>>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> C {
        (0..self.below(4)).map(|_| value(self)).collect()
    }

    fn color(&mut self) -> Color {
        if self.flag() {
            Color::Green
        } else {
            Color::Red
        }
    }

    fn dynamic(&mut self, depth: u8) -> serde_json::Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => serde_json::Value::Null,
            1 => self.flag().into(),
            2 => (self.bits() as u64).into(),
            3 => (self.bits() as i64).into(),
            4 => self.f64().0.into(),
            5 => self.text().into(),
            6 => self.list::<_, Vec<_>>(|c| c.dynamic(depth - 1)).into(),
            _ => serde_json::Value::Object(self.list(|c| (c.text(), c.dynamic(depth - 1)))),
        }
    }

    /// A thing with at most `depth` things within each other.
    pub(super) fn thing(&mut self, depth: u8) -> Thing {
        let inner = |c: &mut Self| c.thing(depth - 1);
        let boxed = |c: &mut Self| Box::new(c.thing(depth - 1));
        match self.below(if depth == 0 { 33 } else { 43 }) {
            0 => Thing::Nothing,
            1 => Thing::Unit(()),
            2 => Thing::Marker(Marker),
            3 => Thing::Empty {},
            4 => Thing::NoFields(),
            5 => Thing::Bool(self.flag()),
            6 => {
                let n = self.bits();
                Thing::Small(n as i8, n as u8, n as i16, n as u16)
            }
            7 => {
                let n = self.bits();
                Thing::Large(n as i32, n as u32, n as i64, n as u64)
            }
            8 => Thing::Signed128(self.bits() as i128),
            9 => Thing::Unsigned128(self.bits()),
            10 => Thing::F32(F32(f32::from_bits(u32::from_le_bytes(self.array())))),
            11 => Thing::F32(F32(self.f64().0 as f32)),
            12 => Thing::F64(self.f64()),
            13 => Thing::Char(self.char()),
            14 => Thing::Text(self.text()),
            15 => Thing::Borrowed(self.text().into()),
            16 => Thing::Bytes(Bytes(self.bytes())),
            17 => Thing::Array(self.array()),
            18 => Thing::Address(IpAddr::from(self.array::<16>())),
            19 => Thing::Span(Duration::new(
                self.bits() as u64,
                self.bits() as u32 % 1_000_000_000,
            )),
            20 => Thing::Outcome(if self.flag() {
                Ok(self.byte())
            } else {
                Err(self.text())
            }),
            21 => Thing::Dynamic(self.dynamic(3)),
            22 => Thing::Nested(self.option(|c| c.option(|c| c.option(Self::byte)))),
            23 => Thing::MaybeUnit(self.option(|_| ())),
            24 => Thing::MaybeMarker(self.option(|_| Marker)),
            25 => Thing::MaybeWrapped(self.option(|c| Wrapped(c.option(Self::byte)))),
            26 => Thing::HugeKeys(self.list(|c| (c.bits(), c.byte()))),
            27 => Thing::FloatKeys(self.list(|c| (c.f64(), c.byte()))),
            28 => Thing::CharKeys(self.list(|c| (c.char(), c.byte()))),
            29 => Thing::BoolKeys(self.list(|c| (c.flag(), c.byte()))),
            30 => Thing::WrappedKeys(self.list(|c| (Wrapped(c.bits() as u16), c.byte()))),
            31 => Thing::MaybeKeys(self.list(|c| (c.option(Self::byte), c.byte()))),
            32 => self.rarely(),
            33 => Thing::Maybe(self.option(boxed)),
            34 => Thing::Wrapped(Wrapped(boxed(self))),
            35 => Thing::List(self.list(inner)),
            36 => Thing::Pair(boxed(self), self.option(|c| c.bits() as i128)),
            37 => Thing::Fields(Box::new(Fields {
                thing: self.option(inner),
                list: self.list(|c| c.option(|c| c.bits() as u32)),
                left_out: self.option(|c| c.bits() as u64),
                units: self.list(|_| Marker),
            })),
            38 => Thing::Inline {
                first: boxed(self),
                second: self.option(Self::color),
            },
            39 => Thing::TextKeys(self.list(|c| (c.text(), inner(c)))),
            40 => Thing::IntKeys(self.list(|c| (c.bits() as i64, inner(c)))),
            _ => Thing::VariantKeys(self.list(|c| (c.color(), inner(c)))),
        }
    }

    /// Things that JSON never takes.
    fn rarely(&mut self) -> Thing {
        match self.below(4) {
            0 => Thing::MaybeMaybeKeys(self.list(|c| (c.option(|c| c.option(Self::byte)), 1))),
            1 => Thing::BytesKeys(self.list(|c| (Bytes(c.bytes()), 1))),
            2 => Thing::PairKeys(self.list(|c| ((c.byte(), c.text()), 1))),
            _ => Thing::MapKeys(self.list(|c| (c.list(|c| (c.byte(), 1)), 1))),
        }
    }
}
