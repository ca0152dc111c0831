//! Typed events: what goes in comes out, also after their shape has changed.

use std::collections::BTreeMap;

use factlog::{
    Encoding, Event, Journal, Misuse, NewEvent, Options, Payload, Query, Uuid, testing,
    typed::{Typed, TypedEvent, Value, verify_registry},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::MessagePack, Encoding::Cbor];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    pieces: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
enum Order {
    #[event(kind = "basket.placed")]
    Placed {
        #[event(tag)]
        customer: String,
        #[event(tag = "article")]
        articles: Vec<String>,
        #[event(tag)]
        voucher: Option<u32>,
        lines: Vec<Line>,
    },
    #[event(kind = "basket.noted")]
    Noted(String),
    #[event(kind = "basket.weighed")]
    Weighed(f64, u8),
    #[event(kind = "basket.line_added")]
    #[serde(rename = "another name")]
    LineAdded(Line),
    #[event(kind = "basket.shipped")]
    Shipped,
}

fn placed() -> Order {
    let line = |article: &str| Line {
        article: article.to_owned(),
        pieces: 2,
    };
    Order::Placed {
        customer: "ada".to_owned(),
        articles: vec!["tea".to_owned(), "cup".to_owned()],
        voucher: Some(7),
        lines: vec![line("tea"), line("cup")],
    }
}

/// Appends, and reads the stored event.
fn store<E: TypedEvent>(journal: &Journal, encoding: Encoding, event: &E) -> factlog::Event {
    let event = NewEvent::typed("shop", "order-1", encoding, event).unwrap();
    let receipt = journal.append(event).unwrap();
    journal.reader().get(receipt.sequence()).unwrap().unwrap()
}

fn round_trip<E>(value: &E)
where
    E: TypedEvent + PartialEq + std::fmt::Debug,
{
    for encoding in ENCODINGS {
        let stored = store(&testing::journal(), encoding, value);
        assert_eq!(stored.data().unwrap().encoding, encoding);
        let read = E::read(&stored).unwrap().known().expect("a known event");
        assert_eq!(&read, value, "{encoding:?}");
    }
}

#[test]
fn every_sort_of_variant_comes_out_as_it_went_in() {
    let line = Line {
        article: "tea".to_owned(),
        pieces: 1,
    };
    let orders = [
        placed(),
        Order::Noted("fragile".to_owned()),
        Order::Weighed(1.5, 3),
        Order::LineAdded(line),
        Order::Shipped,
    ];
    for order in orders {
        round_trip(&order);
    }
}

#[test]
fn the_kind_takes_the_place_of_the_variants_name() {
    let stored = store(&testing::journal(), Encoding::Json, &placed());
    let facts = stored.facts().unwrap();
    assert_eq!((facts.kind, facts.payload_version), ("basket.placed", 1));
    let tags: Vec<&str> = facts.tags.iter().collect();
    assert_eq!(
        tags,
        ["article:cup", "article:tea", "customer:ada", "voucher:7"]
    );
    let value: Value = stored.data().unwrap().decode().unwrap().unwrap();
    let Value::Map(fields) = &value else {
        panic!("{value:?}")
    };
    let names = fields.iter().filter_map(|(name, _)| name.as_text());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["customer", "articles", "voucher", "lines"]
    );
}

/// Found elsewhere: payloads that could be appended but never read back, since all was forced through
/// JSON: bytes, 128-bit numbers, maps whose keys are numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "odd.recorded")]
struct Odd {
    bytes: Bytes,
    large: u128,
    small: i128,
    by_number: BTreeMap<i64, String>,
    nothing: Option<()>,
    float: f64,
}

/// Bytes as serde knows them, not as a list.
#[derive(Clone, Debug, PartialEq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_owned())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Visitor).map(Bytes)
    }
}

#[test]
fn what_json_alone_could_not_carry_comes_out_or_is_refused_before_it_is_appended() {
    let odd = Odd {
        bytes: Bytes(vec![0, 255, 128]),
        large: u128::MAX,
        small: i128::MIN,
        by_number: BTreeMap::from([(-5, "a".to_owned()), (i64::MAX, "b".to_owned())]),
        nothing: None,
        float: -0.0,
    };
    let mut stored = 0;
    for encoding in ENCODINGS {
        let Ok(event) = NewEvent::typed("odd", "one", encoding, &odd) else {
            continue;
        };
        stored += 1;
        let journal = testing::journal();
        let receipt = journal.append(event).unwrap();
        let event = journal.reader().get(receipt.sequence()).unwrap().unwrap();
        assert_eq!(
            Odd::read(&event).unwrap(),
            Typed::Known(odd.clone()),
            "{encoding:?}"
        );
    }
    assert!(stored >= 2, "only {stored} encodings take it");
    let infinite = Odd {
        float: f64::INFINITY,
        ..odd
    };
    let refused = NewEvent::typed("odd", "one", Encoding::Json, &infinite);
    assert!(matches!(refused, Err(Misuse::Payload(_))));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "price.set", version = 3, upcast(1 = in_cents, 2 = with_currency))]
struct PriceSet {
    cents: u64,
    currency: String,
}

/// Version 1 had a price in euros.
fn in_cents(mut price: Value) -> Result<Value, String> {
    let euros = price.remove("euros").ok_or("there is no price")?;
    let euros = euros.as_int().ok_or("the price is no number")?;
    price.set("cents", euros * 100);
    Ok(price)
}

fn with_currency(mut price: Value) -> Result<Value, String> {
    price.set("currency", "EUR");
    Ok(price)
}

fn stored(version: u16, payload: Payload<'_>) -> factlog::Event {
    let journal = testing::journal();
    let event = NewEvent::new("shop", "tea", "price.set").payload_version(version);
    let receipt = journal.append(event.payload(payload)).unwrap();
    journal.reader().get(receipt.sequence()).unwrap().unwrap()
}

fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields.into_iter();
    Value::Map(fields.map(|(name, value)| (name.into(), value)).collect())
}

#[test]
fn earlier_versions_are_read_step_by_step_in_every_encoding() {
    let wanted = || PriceSet {
        cents: 500,
        currency: "EUR".to_owned(),
    };
    for encoding in ENCODINGS {
        for (version, value) in [
            (1, fields([("euros", 5.into())])),
            (2, fields([("cents", 500.into())])),
            (
                3,
                fields([("cents", 500.into()), ("currency", "EUR".into())]),
            ),
        ] {
            let event = stored(version, Payload::encoded(encoding, &value).unwrap());
            let read = PriceSet::read(&event).unwrap();
            assert_eq!(read, Typed::Known(wanted()), "{version}, {encoding:?}");
        }
    }
}

#[test]
fn what_can_not_be_read_is_an_answer_and_never_a_panic() {
    let cents = || Payload::json(&fields([("cents", 500.into())])).unwrap();
    let unknown = |found| Typed::UnknownVersion { found, known: 3 };
    assert_eq!(PriceSet::read(&stored(4, cents())).unwrap(), unknown(4));
    assert_eq!(
        PriceSet::read(&stored(u16::MAX, cents())).unwrap(),
        unknown(u16::MAX)
    );
    assert_eq!(PriceSet::read(&stored(0, cents())).unwrap(), unknown(0));
    assert_eq!(Odd::read(&stored(1, cents())).unwrap(), Typed::UnknownKind);
    // The step of version 1 says what it misses.
    match PriceSet::read(&stored(1, cents())) {
        Err(Misuse::Upcast { kind, from, detail }) => {
            assert_eq!(
                (kind, from, &*detail),
                ("price.set", 1, "there is no price")
            );
        }
        other => panic!("{other:?}"),
    }
    for (version, payload) in [
        (3, Payload::raw(b"{".as_slice())),
        (3, cents()),
        (
            3,
            Payload {
                encoding: Encoding::Json,
                bytes: b"{".as_slice().into(),
            },
        ),
    ] {
        let read = PriceSet::read(&stored(version, payload));
        assert!(matches!(read, Err(Misuse::PayloadType { .. })), "{read:?}");
    }
    let bare = testing::journal();
    bare.append(NewEvent::new("shop", "tea", "price.set").payload_version(3))
        .unwrap();
    let event = bare.reader().get(1).unwrap().unwrap();
    assert!(matches!(
        PriceSet::read(&event),
        Err(Misuse::PayloadType { .. })
    ));
}

#[test]
fn an_upcast_loses_no_digit_or_says_that_it_would() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
    #[event(kind = "count.taken", version = 2, upcast(1 = Ok))]
    struct Counted {
        count: u128,
    }
    let read = |encoding, count: u128| {
        let journal = testing::journal();
        let payload = Payload::encoded(encoding, &Counted { count }).unwrap();
        let event = NewEvent::new("s", "e", "count.taken").payload(payload);
        journal.append(event).unwrap();
        Counted::read(&journal.reader().get(1).unwrap().unwrap())
    };
    for encoding in ENCODINGS {
        for count in [0, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX] {
            if Payload::encoded(encoding, &count).is_err() {
                continue;
            }
            match read(encoding, count) {
                Ok(read) => assert_eq!(read, Typed::Known(Counted { count }), "{encoding:?}"),
                Err(Misuse::Upcast { .. }) => {
                    assert!(count > u128::from(u64::MAX), "{encoding:?} {count}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Found elsewhere: batches that skipped what single appends did. Here both say version, tags and payload.
#[test]
fn events_of_a_batch_are_what_they_are_alone() {
    let events = || {
        let price = PriceSet {
            cents: 1,
            currency: "CHF".to_owned(),
        };
        [
            NewEvent::typed("shop", "a", Encoding::Cbor, &placed())
                .unwrap()
                .id(Uuid::from_u128(1)),
            NewEvent::typed("shop", "b", Encoding::Cbor, &price)
                .unwrap()
                .id(Uuid::from_u128(2)),
        ]
    };
    let (alone, together) = (testing::journal(), testing::journal());
    for event in events() {
        alone.append(event).unwrap();
    }
    together.append_batch(&events()).unwrap();
    for sequence in [1, 2] {
        let read = |journal: &Journal| {
            let event = journal.reader().get(sequence).unwrap().unwrap();
            let facts = event.facts().unwrap();
            let tags: Vec<String> = facts.tags.iter().map(str::to_owned).collect();
            let bytes = event.data().unwrap().bytes().unwrap().to_vec();
            (facts.kind.to_owned(), facts.payload_version, tags, bytes)
        };
        assert_eq!(read(&alone), read(&together));
    }
    // Conditions hold for batches too, whichever way they are appended.
    let taken = factlog::Condition::nothing(Query::all().kinds_of::<Order>());
    for journal in [alone, together] {
        let event = NewEvent::new("shop", "c", "basket.noted");
        assert!(
            journal
                .append_if(&[event], std::slice::from_ref(&taken))
                .is_err()
        );
    }
}

#[test]
fn the_journal_says_which_encoding_typed_events_get() {
    fn encoding_of(options: Options) -> Encoding {
        let fs = std::sync::Arc::new(factlog_fs::MemFs::new());
        let journal = Journal::create("j", options.file_system(fs)).unwrap();
        let event = journal.event("shop", "o", &Order::Shipped).unwrap();
        journal.append(event).unwrap();
        let event = journal.reader().get(1).unwrap().unwrap();
        event.data().unwrap().encoding
    }
    assert_eq!(encoding_of(Options::new()), Encoding::MessagePack);
    for encoding in ENCODINGS {
        assert_eq!(
            encoding_of(Options::new().payload_encoding(encoding)),
            encoding
        );
    }
}

#[test]
fn the_types_of_this_program_do_not_contradict_each_other() {
    verify_registry().unwrap();
}

/// A value of any encoding is what the typed reader sees.
#[test]
fn values_carry_what_payloads_hold() {
    fn carried<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
        for encoding in ENCODINGS {
            let Ok(payload) = Payload::encoded(encoding, &value) else {
                continue;
            };
            let between: Value = payload.decode().unwrap();
            let again = Payload::encoded(encoding, &between).unwrap();
            assert_eq!(
                again.decode::<T>().unwrap(),
                value,
                "{encoding:?} {between:?}"
            );
        }
    }
    carried(());
    carried(Some(5u8));
    carried(None::<u8>);
    carried((i64::MIN, u64::MAX, true, 'x'));
    carried(0.1f32);
    carried(f64::MIN_POSITIVE);
    carried(vec![Bytes(vec![1, 2]), Bytes(Vec::new())]);
    carried(BTreeMap::from([(1u8, "a".to_owned())]));
    carried(BTreeMap::from([("k".to_owned(), vec![Some(1.5), None])]));
    carried(vec![placed(), Order::Shipped, Order::Weighed(0.0, 1)]);
}
