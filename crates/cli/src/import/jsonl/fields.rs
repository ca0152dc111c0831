//! The fields of a JSON line that give an event its coordinates.
//!
//! Only they are parsed; the rest of a line is checked to be JSON and otherwise left alone.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use factlog_format::{FormatError, check_entity, check_kind, check_name};
use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::import::Text;

/// Where a field is: a name, or a JSON pointer (`/user/id`) into objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPath(Vec<String>);

impl FromStr for FieldPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('/') {
            None if text.is_empty() => Err("a field has a name"),
            None => Ok(Self(vec![text.to_owned()])),
            Some(pointer) => {
                let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
                Ok(Self(pointer.split('/').map(part).collect()))
            }
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [name] => f.write_str(name),
            parts => parts.iter().try_for_each(|part| write!(f, "/{part}")),
        }
    }
}

/// What a number in the time field counts, since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeUnit {
    #[default]
    S,
    Ms,
    Us,
    Ns,
}

/// Which fields mean what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) entity: Option<FieldPath>,
    pub(crate) kind: Option<FieldPath>,
    pub(crate) id: Option<FieldPath>,
    pub(crate) time: Option<FieldPath>,
    pub(crate) time_unit: TimeUnit,
    pub(crate) actor: Option<FieldPath>,
    pub(crate) tags: Vec<FieldPath>,
}

/// What a line says of its event.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) entity: Option<Value<'a>>,
    pub(super) kind: Option<Value<'a>>,
    pub(super) id: Option<Value<'a>>,
    pub(super) occurred_at: Option<i64>,
    pub(super) actor: Option<Value<'a>>,
    pub(super) tags: Vec<Value<'a>>,
}

/// A text or number, as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value<'a>(Cow<'a, str>);

impl Value<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a part of the batch's bytes, which begin at this address, where it stands there as it is.
    pub(super) fn into_text(self, base: usize) -> Text {
        match self.0 {
            Cow::Owned(text) => Text::Own(text),
            Cow::Borrowed(text) => {
                let start = text.as_ptr() as usize - base;
                Text::Span(start..start + text.len())
            }
        }
    }
}

/// The places of the fields in the list of what is looked for.
const ENTITY: usize = 0;
const KIND: usize = 1;
const ID: usize = 2;
const TIME: usize = 3;
const ACTOR: usize = 4;
const TAGS: usize = 5;
/// A bit per field that is looked for.
type Mask = u64;

pub(super) struct Parser {
    fields: Fields,
    wanted: Vec<Option<FieldPath>>,
    all: Mask,
}

impl Parser {
    /// Tags past what an event can have are not looked for; the command refuses them.
    pub(super) fn new(fields: Fields) -> Self {
        let mut wanted = vec![
            fields.entity.clone(),
            fields.kind.clone(),
            fields.id.clone(),
            fields.time.clone(),
            fields.actor.clone(),
        ];
        let tags = fields.tags.iter().take(factlog_format::MAX_TAGS);
        wanted.extend(tags.cloned().map(Some));
        let bits = wanted.iter().enumerate();
        let all = bits
            .filter(|(_, path)| path.is_some())
            .fold(0, |mask, (index, _)| mask | 1 << index);
        Self {
            fields,
            wanted,
            all,
        }
    }

    pub(super) fn parse<'a>(&self, line: &'a str) -> Result<Found<'a>, String> {
        let mut slots: [Option<&'a RawValue>; 64] = [None; 64];
        let mut json = serde_json::Deserializer::from_str(line);
        let parsed = if self.all == 0 {
            IgnoredAny::deserialize(&mut json).map(drop)
        } else {
            let object = Object {
                wanted: &self.wanted,
                mask: self.all,
                depth: 0,
                slots: &mut slots,
            };
            object.deserialize(&mut json)
        };
        parsed
            .and_then(|()| json.end())
            .map_err(|error| error.to_string())?;
        self.found(&slots)
    }

    fn found<'a>(&self, slots: &[Option<&'a RawValue>; 64]) -> Result<Found<'a>, String> {
        let slot = |index: usize| slots.get(index).copied().flatten();
        let required = |index, path: &Option<FieldPath>, check: Check| {
            let Some(path) = path else { return Ok(None) };
            let raw = slot(index).ok_or_else(|| format!("no field {path}"))?;
            checked(raw, path, check).map(Some)
        };
        let mut found = Found {
            entity: required(ENTITY, &self.fields.entity, check_entity)?,
            kind: required(KIND, &self.fields.kind, check_kind)?,
            id: required(ID, &self.fields.id, |_| Ok(()))?,
            ..Found::default()
        };
        if let (Some(path), Some(raw)) = (&self.fields.time, present(slot(TIME))) {
            let time = micros(raw.get(), self.fields.time_unit);
            found.occurred_at = Some(time.map_err(|why| format!("field {path}: {why}"))?);
        }
        if let (Some(path), Some(raw)) = (&self.fields.actor, present(slot(ACTOR))) {
            found.actor = Some(checked(raw, path, |name| check_name(name, "actor"))?);
        }
        for (index, path) in self.fields.tags.iter().enumerate() {
            if let Some(raw) = present(slot(TAGS + index)) {
                add_tags(raw, path, &mut found.tags)?;
            }
        }
        if found.tags.len() > factlog_format::MAX_TAGS {
            return Err(format!("more than {} tags", factlog_format::MAX_TAGS));
        }
        Ok(found)
    }
}

type Check = fn(&str) -> Result<(), FormatError>;

/// `null` says as little as a field that isn't there.
fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn checked<'a>(raw: &'a RawValue, path: &FieldPath, check: Check) -> Result<Value<'a>, String> {
    let value = text(raw.get()).map_err(|why| format!("field {path}: {why}"))?;
    check(&value).map_err(|error| format!("field {path}: {error}"))?;
    Ok(Value(value))
}

/// One tag, or a list of them.
fn add_tags<'a>(
    raw: &'a RawValue,
    path: &FieldPath,
    tags: &mut Vec<Value<'a>>,
) -> Result<(), String> {
    let check: Check = |name| check_name(name, "tag");
    if !raw.get().starts_with('[') {
        tags.push(checked(raw, path, check)?);
        return Ok(());
    }
    let list: Vec<&'a RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    for raw in list {
        tags.push(checked(raw, path, check)?);
    }
    Ok(())
}

/// The text of a JSON string, or a number as it is spelled.
fn text(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    match raw.as_bytes().first() {
        Some(b'"') if !raw.contains('\\') => {
            Ok(Cow::Borrowed(raw.get(1..raw.len() - 1).unwrap_or_default()))
        }
        Some(b'"') => serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| "it is not text"),
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(raw)),
        _ => Err("it is neither text nor a number"),
    }
}

/// Microseconds since 1970-01-01 UTC of an RFC 3339 text or a number.
fn micros(raw: &str, unit: TimeUnit) -> Result<i64, String> {
    if raw.starts_with('"') {
        let text = text(raw)?;
        let time: Timestamp = text
            .parse()
            .map_err(|error: jiff::Error| error.to_string())?;
        return Ok(time.as_microsecond());
    }
    let (times, by) = match unit {
        TimeUnit::S => (1_000_000, 1),
        TimeUnit::Ms => (1_000, 1),
        TimeUnit::Us => (1, 1),
        TimeUnit::Ns => (1, 1_000),
    };
    let out_of_range = || "the time is out of range".to_owned();
    // Whole numbers go without the rounding of a float.
    if let Ok(whole) = raw.parse::<i64>() {
        let scaled = whole.checked_mul(times).ok_or_else(out_of_range)?;
        return Ok(scaled.div_euclid(by));
    }
    let number: f64 = raw.parse().map_err(|_| "it is neither text nor a number")?;
    let scaled = (number * times as f64 / by as f64).floor();
    // Within these bounds the conversion is exact.
    if scaled.abs() > 9.0e18 || !scaled.is_finite() {
        return Err(out_of_range());
    }
    Ok(scaled as i64)
}

/// Looks for fields in one object.
struct Object<'p, 's, 'a> {
    wanted: &'p [Option<FieldPath>],
    mask: Mask,
    depth: usize,
    slots: &'s mut [Option<&'a RawValue>; 64],
}

impl<'a> DeserializeSeed<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        while let Some(matching) = map.next_key_seed(Key {
            wanted: self.wanted,
            mask: self.mask,
            depth: self.depth,
        })? {
            if matching == 0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw: &'a RawValue = map.next_value()?;
            let mut deeper = 0;
            for (index, path) in self.wanted.iter().enumerate() {
                if matching >> index & 1 == 0 {
                    continue;
                }
                let ends = path
                    .as_ref()
                    .is_some_and(|path| path.0.len() == self.depth + 1);
                match self.slots.get_mut(index) {
                    Some(slot) if ends => {
                        if slot.replace(raw).is_some() {
                            return Err(A::Error::custom("a field is there twice"));
                        }
                    }
                    _ => deeper |= 1 << index,
                }
            }
            if deeper != 0 && raw.get().starts_with('{') {
                let object = Object {
                    wanted: self.wanted,
                    mask: deeper,
                    depth: self.depth + 1,
                    slots: &mut *self.slots,
                };
                object
                    .deserialize(&mut serde_json::Deserializer::from_str(raw.get()))
                    .map_err(A::Error::custom)?;
            }
        }
        Ok(())
    }
}

/// Which of the fields looked for a key may lead to.
struct Key<'p> {
    wanted: &'p [Option<FieldPath>],
    mask: Mask,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Mask;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Mask, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Mask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Mask, E> {
        let mut matching = 0;
        for (index, path) in self.wanted.iter().enumerate() {
            let part = path.as_ref().and_then(|path| path.0.get(self.depth));
            if self.mask >> index & 1 == 1 && part.is_some_and(|part| part == key) {
                matching |= 1 << index;
            }
        }
        Ok(matching)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parser() -> Parser {
        let path = |text: &str| Some(text.parse().unwrap());
        Parser::new(Fields {
            entity: path("/user/id"),
            kind: path("type"),
            id: path("id"),
            time: path("at"),
            actor: path("/user/name"),
            tags: vec!["tags".parse().unwrap()],
            time_unit: TimeUnit::Ms,
        })
    }

    #[test]
    fn fields_are_found_wherever_they_are() {
        let line = r#"{"x":[{"id":9}],"type":"a.b","user":{"name":"A\u00e9","id":7},"id":"q",
            "at":1500,"tags":["t",5]}"#;
        let parser = parser();
        let found = parser.parse(line).unwrap();
        let text = |value: &Option<Value<'_>>| value.as_ref().map(|value| value.0.to_string());
        assert_eq!(text(&found.entity).unwrap(), "7");
        assert_eq!(text(&found.kind).unwrap(), "a.b");
        assert_eq!(text(&found.id).unwrap(), "q");
        assert_eq!(text(&found.actor).unwrap(), "Aé");
        assert_eq!(found.occurred_at, Some(1_500_000));
        assert_eq!(found.tags.len(), 2);
    }

    #[test]
    fn what_can_be_no_event_is_said() {
        for (line, why) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("7", "an object"),
            ("{} {}", "trailing"),
            (r#"{"id":1,"type":"a"}"#, "no field /user/id"),
            (r#"{"user":{"id":1},"id":1}"#, "no field type"),
            (
                r#"{"user":{"id":true},"type":"a","id":1}"#,
                "neither text nor a number",
            ),
            (r#"{"user":{"id":""},"type":"a","id":1}"#, "entity"),
            (r#"{"user":{"id":"a\nb"},"type":"a","id":1}"#, "entity"),
            (r#"{"user":{"id":1},"type":"a","type":"b","id":1}"#, "twice"),
            (
                r#"{"user":{"id":1},"type":"a","id":1,"at":"soon"}"#,
                "field at",
            ),
            (
                r#"{"user":{"id":1},"type":"a","id":1,"at":1e300}"#,
                "out of range",
            ),
        ] {
            let error = parser().parse(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn times_are_texts_or_numbers() {
        for (raw, unit, wanted) in [
            ("\"1970-01-01T00:00:01Z\"", TimeUnit::S, 1_000_000),
            ("\"1970-01-01T01:00:01+01:00\"", TimeUnit::S, 1_000_000),
            ("1", TimeUnit::S, 1_000_000),
            ("1.5", TimeUnit::S, 1_500_000),
            ("-1", TimeUnit::Ms, -1_000),
            ("7", TimeUnit::Us, 7),
            ("1999", TimeUnit::Ns, 1),
        ] {
            assert_eq!(micros(raw, unit).unwrap(), wanted, "{raw}");
        }
        assert!(micros("9223372036854775807", TimeUnit::S).is_err());
    }
}
