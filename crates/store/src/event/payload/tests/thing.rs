//! A type with everything in it that serde knows, and random values of it.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use proptest::{collection::vec, option, prelude::*};
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
    Inline { first: Box<Thing>, second: Option<Color> },
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

/// Things without things inside.
pub(super) fn leaf() -> impl Strategy<Value = Thing> {
    prop_oneof![
        Just(Thing::Nothing),
        Just(Thing::Unit(())),
        Just(Thing::Marker(Marker)),
        Just(Thing::Empty {}),
        Just(Thing::NoFields()),
        any::<bool>().prop_map(Thing::Bool),
        any::<(i8, u8, i16, u16)>().prop_map(|(a, b, c, d)| Thing::Small(a, b, c, d)),
        any::<(i32, u32, i64, u64)>().prop_map(|(a, b, c, d)| Thing::Large(a, b, c, d)),
        prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from)].prop_map(Thing::Signed128),
        prop_oneof![any::<u128>(), any::<u64>().prop_map(u128::from)].prop_map(Thing::Unsigned128),
        any::<u32>().prop_map(|bits| Thing::F32(F32(f32::from_bits(bits)))),
        any::<u64>().prop_map(|bits| Thing::F64(F64(f64::from_bits(bits)))),
        // What people write: a few digits.
        (any::<i32>(), 0..12).prop_map(|(n, e)| Thing::F64(F64(f64::from(n) / 10f64.powi(e)))),
        any::<char>().prop_map(Thing::Char),
        any::<String>().prop_map(Thing::Text),
        "[\\x00-\\x20\"\\\\]{0,8}".prop_map(|text| Thing::Borrowed(text.into())),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Thing::Bytes(Bytes(bytes))),
        any::<[u8; 3]>().prop_map(Thing::Array),
        any::<IpAddr>().prop_map(Thing::Address),
        any::<Duration>().prop_map(Thing::Span),
        any::<Result<u8, String>>().prop_map(Thing::Outcome),
        dynamic().prop_map(Thing::Dynamic),
        option::of(option::of(option::of(any::<u8>()))).prop_map(Thing::Nested),
        option::of(Just(())).prop_map(Thing::MaybeUnit),
        option::of(Just(Marker)).prop_map(Thing::MaybeMarker),
        option::of(option::of(any::<u8>()).prop_map(Wrapped)).prop_map(Thing::MaybeWrapped),
        keyed_by_scalars(),
    ]
}

fn keyed_by_scalars() -> impl Strategy<Value = Thing> {
    fn map<K: Strategy<Value: Ord>>(key: K) -> impl Strategy<Value = BTreeMap<K::Value, u8>> {
        proptest::collection::btree_map(key, any::<u8>(), 0..4)
    }
    prop_oneof![
        map(any::<u128>()).prop_map(Thing::HugeKeys),
        map(any::<u64>().prop_map(|bits| F64(f64::from_bits(bits)))).prop_map(Thing::FloatKeys),
        map(any::<char>()).prop_map(Thing::CharKeys),
        map(any::<bool>()).prop_map(Thing::BoolKeys),
        map(any::<u16>().prop_map(Wrapped)).prop_map(Thing::WrappedKeys),
        map(any::<Option<u8>>()).prop_map(Thing::MaybeKeys),
        map(option::of(any::<Option<u8>>())).prop_map(Thing::MaybeMaybeKeys),
        map(vec(any::<u8>(), 0..4).prop_map(Bytes)).prop_map(Thing::BytesKeys),
        map(any::<(u8, String)>()).prop_map(Thing::PairKeys),
        map(map(any::<u8>())).prop_map(Thing::MapKeys),
    ]
}

fn dynamic() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

pub(super) fn thing() -> impl Strategy<Value = Thing> {
    use proptest::collection::btree_map;
    leaf().prop_recursive(5, 40, 5, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let color = prop_oneof![Just(Color::Red), Just(Color::Green)];
        let fields = (
            option::of(inner.clone()),
            vec(any::<Option<u32>>(), 0..3),
            any::<Option<u64>>(),
            vec(Just(Marker), 0..2),
        );
        prop_oneof![
            option::of(boxed()).prop_map(Thing::Maybe),
            boxed().prop_map(|thing| Thing::Wrapped(Wrapped(thing))),
            vec(inner.clone(), 0..5).prop_map(Thing::List),
            (boxed(), any::<Option<i128>>()).prop_map(|(a, b)| Thing::Pair(a, b)),
            fields.prop_map(|(thing, list, left_out, units)| {
                Thing::Fields(Box::new(Fields { thing, list, left_out, units }))
            }),
            (boxed(), option::of(color.clone()))
                .prop_map(|(first, second)| Thing::Inline { first, second }),
            btree_map(any::<String>(), inner.clone(), 0..4).prop_map(Thing::TextKeys),
            btree_map(any::<i64>(), inner.clone(), 0..4).prop_map(Thing::IntKeys),
            btree_map(color, inner.clone(), 0..3).prop_map(Thing::VariantKeys),
        ]
    })
}
