use std::{cell::Cell, collections::BTreeMap};

use factlog_format::Encoding;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap, ser::SerializeSeq};

use super::{
    super::{MAX_DEPTH, Payload, decode},
    ENCODINGS,
    thing::{Bytes, Color, F32, F64, Marker, Thing, Wrapped},
};

const KEPT: &str = "";

/// What each encoding says to a value: the end of its refusal, or [`KEPT`].
fn check<T>(value: &T, expect: [&str; 3])
where
    T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for (encoding, expect) in ENCODINGS.into_iter().zip(expect) {
        let name = encoding.name();
        match Payload::encoded(encoding, value) {
            Ok(payload) => {
                assert_eq!(expect, KEPT, "{name} took {value:?}");
                assert_eq!(payload.decode::<T>().as_ref(), Ok(value), "{name}");
                assert_eq!(payload.clone().read_back(value), Ok(payload), "{name}");
            }
            Err(error) => {
                assert_eq!(error.code(), "payload.lossy");
                let error = error.to_string();
                assert!(
                    expect != KEPT && error.ends_with(expect),
                    "{name}: {value:?}: {error}"
                );
            }
        }
    }
}

const ALL_KEPT: [&str; 3] = [KEPT; 3];

#[test]
fn ordinary_values_are_kept() {
    let kept = |thing: Thing| check(&thing, ALL_KEPT);
    kept(Thing::Bool(true));
    kept(Thing::Small(i8::MIN, u8::MAX, i16::MIN, u16::MAX));
    kept(Thing::Large(i32::MIN, u32::MAX, i64::MIN, u64::MAX));
    for value in [
        i128::MIN,
        i128::from(i64::MIN) - 1,
        -1,
        0,
        i128::from(u64::MAX),
        i128::MAX,
    ] {
        kept(Thing::Signed128(value));
    }
    for value in [0, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX] {
        kept(Thing::Unsigned128(value));
    }
    kept(Thing::Text("a\0b\u{1f600}\u{7f}\u{2028}".to_owned()));
    kept(Thing::List(vec![
        Thing::Char('\0'),
        Thing::Char('ß'),
        Thing::Char('\u{10ffff}'),
    ]));
    kept(Thing::Bytes(Bytes((0..=255).collect())));
    kept(Thing::Marker(Marker));
    for nested in [None, Some(Some(Some(2)))] {
        kept(Thing::Nested(nested));
    }
    kept(Thing::IntKeys(
        [(-1, Thing::Nothing), (1 << 53, Thing::Empty {})].into(),
    ));
    kept(Thing::HugeKeys([(u128::MAX, 1)].into()));
    kept(Thing::BoolKeys([(true, 1), (false, 2)].into()));
    kept(Thing::WrappedKeys([(Wrapped(7), 1)].into()));
    kept(Thing::MaybeKeys([(Some(7), 1)].into()));
    kept(Thing::VariantKeys(
        [
            (Color::Green, Thing::Nothing),
            (Color::Red, Thing::NoFields()),
        ]
        .into(),
    ));
}

/// Needs a JSON reader that rounds correctly, which serde_json's is only with `float_roundtrip`.
#[test]
fn floats_are_kept_bit_by_bit() {
    for value in [
        0.1,
        -0.0,
        1e23,
        9007199254740993.0,
        f64::MIN_POSITIVE,
        5e-324,
        f64::MAX,
    ] {
        check(&F64(value), ALL_KEPT);
    }
    // Without that feature each of these reads back as its neighbour.
    for value in [
        43.554500000000004,
        104.53080000000001,
        6.934698245112694e276,
    ] {
        check(&F64(value), ALL_KEPT);
    }
    for value in [0.1, -0.0, 16777217.0, f32::MIN_POSITIVE, 1e-45, f32::MAX] {
        check(&F32(value), ALL_KEPT);
    }
}

#[test]
fn json_refuses_what_is_not_finite() {
    let refused = ["JSON has no NaN and no infinity", KEPT, KEPT];
    for value in [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        f64::from_bits(!0 >> 1),
    ] {
        check(&F64(value), refused);
        check(&Thing::FloatKeys([(F64(value), 1)].into()), refused);
    }
    for value in [
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::from_bits(0x7f80_0001),
    ] {
        check(&F32(value), refused);
    }
}

#[test]
fn an_option_that_reads_as_none_is_refused() {
    let refused = ["can't tell Some(None) from None"; 3];
    check(&Some(None::<u8>), refused);
    check(&Thing::Nested(Some(None)), refused);
    check(&Thing::Nested(Some(Some(None))), refused);
    check(&Thing::MaybeWrapped(Some(Wrapped(None))), refused);
    check(&Thing::MaybeMaybeKeys([(Some(None), 1)].into()), refused);
    let unit = "CBOR can't tell () from an empty list";
    check(&(), [KEPT, KEPT, unit]);
    check(
        &Some(()),
        [
            "JSON can't tell Some(()) from None",
            "MessagePack can't tell Some(()) from None",
            unit,
        ],
    );
    check(
        &Some(Marker),
        ["JSON can't tell Some(Marker) from None", KEPT, KEPT],
    );
    let null = serde_json::Value::Null;
    check(&null, [KEPT, KEPT, unit]);
    check(&serde_json::json!({ "a": [null] }), [KEPT, KEPT, unit]);
    check(
        &Some(null),
        [
            "can't tell Some(()) from None",
            "can't tell Some(()) from None",
            unit,
        ],
    );
}

#[test]
fn json_refuses_keys_that_can_not_be_text() {
    let refused = ["key must be a string", KEPT, KEPT];
    check(&Thing::PairKeys([((1, String::new()), 3)].into()), refused);
    check(&Thing::BytesKeys([(Bytes(vec![1]), 3)].into()), refused);
    check(&Thing::MapKeys([([(1, 2)].into(), 3)].into()), refused);
    check(&Thing::MaybeKeys([(None, 3)].into()), refused);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Extensible {
    name: String,
    #[serde(flatten)]
    more: BTreeMap<String, u8>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Holding(Holder),
    Mapping(BTreeMap<String, u8>),
    Huge { value: u128 },
    Letter { value: char },
    Numbered { by: BTreeMap<u8, u8> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    #[serde(rename = "type")]
    kind: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Guessed {
    Small(u8),
    Large(u64),
}

#[test]
fn a_key_that_stands_there_twice_is_refused() {
    let extensible = |key: &str| Extensible {
        name: String::new(),
        more: BTreeMap::from([(key.to_owned(), 1)]),
    };
    check(&extensible("other"), ALL_KEPT);
    check(&extensible("name"), ["a key stands there twice"; 3]);
    check(
        &Tagged::Holding(Holder { kind: 1 }),
        ["the field type stands there twice"; 3],
    );
    let mapping = |key: &str| Tagged::Mapping(BTreeMap::from([(key.to_owned(), 1)]));
    check(&mapping("kind"), ALL_KEPT);
    check(&mapping("type"), ["a key stands there twice"; 3]);
}

/// One number and one text that JSON spells alike.
struct Alike;

impl Serialize for Alike {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(&-5i8, &1)?;
        map.serialize_entry("-5", &2)?;
        map.end()
    }
}

/// Announces another number of items than it has.
struct Miscounted;

impl Serialize for Miscounted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(3))?;
        list.serialize_element(&1u8)?;
        list.end()
    }
}

/// Swallows the error that it gets.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let _ = list.serialize_element(&Some(None::<u8>));
        list.end()
    }
}

#[test]
fn hand_written_serializers_are_held_to_their_word() {
    let refused = |encoding, result: Result<Payload<'_>, crate::Misuse>, end: &str| {
        let error = result.unwrap_err().to_string();
        assert!(
            error.ends_with(end),
            "{}: {error}",
            Encoding::name(encoding)
        );
    };
    assert!(
        Payload::json(&Alike)
            .unwrap_err()
            .to_string()
            .ends_with("a key stands there twice")
    );
    for encoding in ENCODINGS {
        assert_eq!(
            Payload::encoded(encoding, &Alike).is_ok(),
            encoding != Encoding::Json
        );
        let result = Payload::encoded(encoding, &Miscounted);
        refused(encoding, result, "it announced 3 items and has 1");
        refused(
            encoding,
            Payload::encoded(encoding, &Stubborn),
            "Some(None) from None",
        );
    }
}

/// What serde guesses at can be wrong; reading back tells.
#[test]
fn reading_back_finds_what_the_types_attributes_lose() {
    let lost = |value: &Tagged, expect: [bool; 3]| {
        for (encoding, expect) in ENCODINGS.into_iter().zip(expect) {
            let payload = Payload::encoded(encoding, value).unwrap();
            let read = payload.decode::<Tagged>();
            let result = payload.read_back(value);
            assert_eq!(result.is_ok(), read.as_ref() == Ok(value));
            assert_eq!(result.is_ok(), expect, "{} {value:?}", encoding.name());
            if let Err(error) = result {
                assert_eq!(error.code(), "payload.lossy");
            }
        }
    };
    lost(&Tagged::Huge { value: u128::MAX }, [false, false, false]);
    lost(&Tagged::Letter { value: 'a' }, [true, true, false]);
    lost(
        &Tagged::Numbered {
            by: BTreeMap::from([(1, 2)]),
        },
        [false, true, true],
    );
    let payload = Payload::json(&Guessed::Large(5)).unwrap();
    let error = payload.clone().read_back(&Guessed::Large(5)).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("reading it back gives another value"),
        "{error}"
    );
    payload.read_back(&Guessed::Small(5)).unwrap();
}

#[test]
fn values_not_equal_to_themselves_are_compared_by_their_bytes() {
    let value = vec![f64::NAN, 1.0];
    Payload::cbor(&value).unwrap().read_back(&value).unwrap();
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chain {
    next: Option<Box<Chain>>,
}

fn chain(links: usize) -> Chain {
    (1..links).fold(Chain::default(), |next, _| Chain {
        next: Some(Box::new(next)),
    })
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Variants {
    End,
    Wrap(Box<Variants>),
    Tuple(Box<Variants>, u8),
    Struct { inner: Box<Variants> },
    Beside(Vec<Variants>),
}

#[test]
fn depth_is_bounded_going_in_and_coming_out() {
    check(&chain(MAX_DEPTH), ALL_KEPT);
    check(
        &chain(MAX_DEPTH + 1),
        ["it is nested over 100 levels deep"; 3],
    );
    check(
        &chain(100_000 / 50),
        ["it is nested over 100 levels deep"; 3],
    );
    let wrap = |n| (0..n).fold(Variants::End, |inner, _| Variants::Wrap(Box::new(inner)));
    check(&wrap(MAX_DEPTH), ALL_KEPT);
    check(
        &wrap(MAX_DEPTH + 1),
        ["it is nested over 100 levels deep"; 3],
    );
    let tuple = |n| {
        (0..n).fold(Variants::End, |inner, _| {
            Variants::Tuple(Box::new(inner), 1)
        })
    };
    check(&tuple(MAX_DEPTH / 2), ALL_KEPT);
    check(
        &tuple(MAX_DEPTH / 2 + 1),
        ["it is nested over 100 levels deep"; 3],
    );
    let fields = |n| {
        (0..n).fold(Variants::End, |inner, _| Variants::Struct {
            inner: Box::new(inner),
        })
    };
    check(&fields(MAX_DEPTH / 2), ALL_KEPT);
    check(
        &fields(MAX_DEPTH / 2 + 1),
        ["it is nested over 100 levels deep"; 3],
    );
    // Side by side is not within each other.
    let beside = |n| Variants::Beside((0..n).map(|_| wrap(MAX_DEPTH - 2)).collect());
    check(&beside(3), ALL_KEPT);
}

#[test]
fn hostile_depth_and_lengths_are_refused_without_harm() {
    #[derive(Debug, Deserialize)]
    struct Nested(#[expect(dead_code, reason = "only read")] Vec<Nested>);

    let cases: [(Encoding, Vec<u8>); 7] = [
        (Encoding::Json, vec![b'['; 1 << 20]),
        (Encoding::MessagePack, vec![0x91; 1 << 20]),
        (Encoding::MessagePack, vec![0xdd, 0xff, 0xff, 0xff, 0xff]),
        (Encoding::Cbor, vec![0x81; 1 << 20]),
        (Encoding::Cbor, vec![0x9f; 1 << 20]),
        (Encoding::Cbor, vec![0xc1; 1 << 20]),
        (
            Encoding::Cbor,
            vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
    ];
    for (encoding, bytes) in cases {
        assert_eq!(
            decode::<Nested>(encoding, &bytes).unwrap_err().code(),
            "payload.type"
        );
        assert_eq!(super::super::to_display_json(encoding, &bytes), None);
    }
}

#[test]
fn decoding_takes_all_bytes_or_none() {
    for encoding in ENCODINGS {
        let mut payload = Payload::encoded(encoding, &[1u8, 2]).unwrap();
        let error = payload.decode::<String>().unwrap_err();
        assert_eq!(error.code(), "payload.type");
        assert!(error.to_string().contains("String"), "{error}");
        payload.bytes.to_mut().push(b'1');
        assert_eq!(
            payload.decode::<[u8; 2]>().unwrap_err().code(),
            "payload.type"
        );
        payload.bytes.to_mut().truncate(1);
        assert_eq!(
            payload.decode::<[u8; 2]>().unwrap_err().code(),
            "payload.type"
        );
    }
    for encoding in [Encoding::Raw, Encoding::Journal] {
        assert_eq!(
            decode::<u8>(encoding, b"1").unwrap_err().code(),
            "payload.type"
        );
        assert_eq!(
            Payload::encoded(encoding, &1).unwrap_err().code(),
            "payload.lossy"
        );
    }
    assert_eq!(
        Payload::raw(&b"x"[..]).bytes,
        Payload::raw(vec![b'x']).bytes
    );
}

#[test]
fn a_refusal_says_where_and_never_what() {
    #[derive(Serialize)]
    struct Order {
        lines: Vec<BTreeMap<&'static str, Price>>,
    }
    #[derive(Serialize)]
    enum Price {
        Fixed(f64),
    }
    let order = Order {
        lines: vec![
            BTreeMap::new(),
            BTreeMap::from([("hush", Price::Fixed(f64::NAN))]),
        ],
    };
    let error = Payload::json(&order).unwrap_err().to_string();
    assert!(
        error.ends_with(": lines[1]{entry 0}.Fixed: JSON has no NaN and no infinity"),
        "{error}"
    );
    assert!(!error.contains("hush"));
}

/// The watch must not call what it watches more often than the codec does.
#[test]
fn values_are_serialized_once() {
    struct Counted(Cell<u32>);

    impl Serialize for Counted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_u8(1)
        }
    }
    for encoding in ENCODINGS {
        let counted = Counted(Cell::new(0));
        Payload::encoded(encoding, &counted).unwrap();
        assert_eq!(counted.0.get(), 1);
    }
}
