//! Payloads as programs of earlier times stored them, read as the types of today.

use std::path::{Path, PathBuf};

use factlog::{
    Encoding, Event, NewEvent, Payload, testing,
    typed::{Typed, TypedEvent, Value},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Owner {
    first: String,
    last: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "account.opened", version = 3, upcast(1 = in_euros, 2 = with_two_names))]
struct AccountOpened {
    owner: Owner,
    currency: String,
}

fn in_euros(mut account: Value) -> Result<Value, String> {
    account.set("currency", "EUR");
    Ok(account)
}

fn with_two_names(mut account: Value) -> Result<Value, String> {
    let owner = account
        .get("owner")
        .and_then(Value::as_text)
        .ok_or("there is no owner")?;
    let (first, last) = owner.split_once(' ').unwrap_or(("", owner));
    let mut names = Value::Null;
    names.set("first", first);
    names.set("last", last);
    account.set("owner", names);
    Ok(account)
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(kind = "reading.taken", version = 3, upcast(1 = in_thousandths, 2 = in_kelvin))]
struct ReadingTaken {
    milli_kelvin: u32,
    sensor: Option<String>,
}

fn in_thousandths(mut reading: Value) -> Result<Value, String> {
    match reading.remove("celsius") {
        Some(Value::Float(celsius)) => {
            reading.set("milli_celsius", (celsius * 1000.0).round() as i64);
            Ok(reading)
        }
        other => Err(format!("{other:?} is no temperature")),
    }
}

fn in_kelvin(mut reading: Value) -> Result<Value, String> {
    let celsius = reading
        .remove("milli_celsius")
        .and_then(|value| value.as_int());
    let celsius = celsius.ok_or("there is no temperature")?;
    reading.set("milli_kelvin", celsius + 273_150);
    reading.set("sensor", Value::Null);
    Ok(reading)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    article: String,
    pieces: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
enum Order {
    #[event(kind = "order.placed", version = 2, upcast(1 = with_lines))]
    Placed { lines: Vec<Line> },
}

fn with_lines(order: Value) -> Result<Value, String> {
    let mut lines = Value::Null;
    lines.set("lines", vec![order]);
    Ok(lines)
}

fn stored() -> Vec<(String, u16, Payload<'static>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/payloads");
    let files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let mut payloads = Vec::new();
    for path in files {
        let encoding = match path.extension().and_then(|name| name.to_str()) {
            Some("json") => Encoding::Json,
            Some("msgpack") => Encoding::MessagePack,
            Some("cbor") => Encoding::Cbor,
            _ => continue,
        };
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (kind, version) = name.split_once('-').unwrap();
        let bytes = std::fs::read(&path).unwrap().into();
        let payload = Payload { encoding, bytes };
        payloads.push((kind.to_owned(), version.parse().unwrap(), payload));
    }
    payloads
}

fn read<E: TypedEvent>(kind: &str, version: u16, payload: &Payload<'static>) -> Typed<E> {
    let journal = testing::journal();
    let event = NewEvent::new("s", "e", kind.to_owned()).payload_version(version);
    journal.append(event.payload(payload.clone())).unwrap();
    E::read(&journal.reader().get(1).unwrap().unwrap()).unwrap()
}

#[test]
fn payloads_of_every_version_are_read_as_they_are_meant_today() {
    let mut found = Vec::new();
    for (kind, version, payload) in stored() {
        match kind.as_str() {
            "account.opened" => assert_eq!(
                read::<AccountOpened>(&kind, version, &payload),
                Typed::Known(AccountOpened {
                    owner: Owner {
                        first: "Ada".to_owned(),
                        last: "Lovelace".to_owned(),
                    },
                    currency: "EUR".to_owned(),
                }),
                "version {version}"
            ),
            "reading.taken" => assert_eq!(
                read::<ReadingTaken>(&kind, version, &payload),
                Typed::Known(ReadingTaken {
                    milli_kelvin: 294_650,
                    sensor: None,
                }),
                "version {version}"
            ),
            "order.placed" => assert_eq!(
                read::<Order>(&kind, version, &payload),
                Typed::Known(Order::Placed {
                    lines: vec![Line {
                        article: "tea".to_owned(),
                        pieces: 2,
                    }],
                }),
                "version {version}"
            ),
            other => panic!("nobody reads {other}"),
        }
        found.push((kind, version));
    }
    let types = [AccountOpened::TYPES, ReadingTaken::TYPES, Order::TYPES].concat();
    let wanted = types.iter().flat_map(|of| {
        let kind = of.kind.to_owned();
        (1..=of.version).map(move |version| (kind.clone(), version))
    });
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort();
    assert_eq!(
        found, wanted,
        "each version of each type has a stored payload"
    );
}
