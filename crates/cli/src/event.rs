//! Events as they are shown: JSON objects, and lines for people.

use std::fmt::Write;

use anyhow::Result;
use data_encoding::{BASE64, HEXLOWER};
use factlog::{Encoding, Event, EventRecord, FactsRef, JournalEvent, Sealed, Section};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::output::{BOLD, DIM, shortened, shown, styled};
use crate::time;

/// The schema of a whole event.
pub(crate) const SHOW: &str = "factlog.show/1";

/// An event in JSON; `show` gives more of it than `log`.
#[derive(Serialize)]
pub(crate) struct EventJson<'a> {
    schema: &'static str,
    sequence: u64,
    revision: u64,
    stream_id: String,
    event_id: Option<String>,
    scope: Option<&'a str>,
    entity: Option<&'a str>,
    kind: Option<&'a str>,
    payload_version: Option<u16>,
    tags: Vec<&'a str>,
    recorded_at: String,
    occurred_at: Option<String>,
    actor: Option<&'a str>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    trace: Option<Trace>,
    event_hash: String,
    sections: Vec<SectionJson<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson>,
}

#[derive(Serialize)]
struct Trace {
    trace_id: String,
    span_id: String,
    flags: u8,
}

#[derive(Serialize)]
struct SectionJson<'a> {
    name: &'a str,
    encoding: &'static str,
    length: Option<u64>,
    hash: String,
    erased: bool,
    /// Why it can't be decrypted, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<&'static str>,
    /// The payload as JSON, where it can be shown as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

/// What `verify-receipt --event` checks a receipt against.
#[derive(Serialize)]
struct EvidenceJson {
    previous_hash: String,
    previous_sequence: Option<u64>,
    /// Type byte, spine, and where they are still there salt and facts, as a receipt carries them.
    record: String,
}

/// The JSON of an event for a line of a list.
pub(crate) fn listed<'a>(event: &'a Event, schema: &'static str) -> EventJson<'a> {
    build(event, schema, false)
}

/// The JSON of an event with everything that proves it.
pub(crate) fn whole(event: &Event) -> EventJson<'_> {
    build(event, SHOW, true)
}

fn build<'a>(event: &'a Event, schema: &'static str, whole: bool) -> EventJson<'a> {
    let parts = Parts {
        record: event.record(),
        facts: event.facts(),
        sections: event.sections().collect(),
        previous_sequence: event.previous_sequence(),
    };
    from_parts(&parts, schema, whole)
}

/// All that the JSON of an event is made of.
pub(crate) struct Parts<'a> {
    pub(crate) record: EventRecord,
    pub(crate) facts: Option<FactsRef<'a>>,
    pub(crate) sections: Vec<Section<'a>>,
    /// The one thing that no hash covers.
    pub(crate) previous_sequence: Option<u64>,
}

/// The JSON of an event that was taken apart.
pub(crate) fn from_parts<'a>(
    parts: &Parts<'a>,
    schema: &'static str,
    whole: bool,
) -> EventJson<'a> {
    let (spine, facts) = (parts.record.spine(), parts.facts);
    let uuid = |id: [u8; 16]| uuid::Uuid::from_bytes(id).to_string();
    EventJson {
        schema,
        sequence: spine.sequence,
        revision: spine.revision,
        stream_id: HEXLOWER.encode(&spine.stream),
        event_id: facts.map(|facts| uuid(facts.event_id)),
        scope: facts.map(|facts| facts.scope),
        entity: facts.map(|facts| facts.entity),
        kind: facts.map(|facts| facts.kind),
        payload_version: facts.map(|facts| facts.payload_version),
        tags: facts.map_or_else(Vec::new, |facts| facts.tags.iter().collect()),
        recorded_at: time::show(spine.recorded_at),
        occurred_at: facts.and_then(|facts| facts.occurred_at).map(time::show),
        actor: facts.and_then(|facts| facts.actor),
        correlation_id: facts.and_then(|facts| facts.correlation).map(uuid),
        causation_id: facts.and_then(|facts| facts.causation).map(uuid),
        trace: facts.and_then(|facts| facts.trace).map(|trace| Trace {
            trace_id: HEXLOWER.encode(&trace.trace_id),
            span_id: HEXLOWER.encode(&trace.span_id),
            flags: trace.flags,
        }),
        event_hash: BASE64.encode(&parts.record.event_hash()),
        sections: parts
            .sections
            .iter()
            .map(|section| section_json(facts.map(|facts| facts.kind), section, whole))
            .collect(),
        evidence: whole.then(|| EvidenceJson {
            previous_hash: BASE64.encode(&spine.previous),
            previous_sequence: parts.previous_sequence,
            record: BASE64.encode(&parts.record.encode()),
        }),
    }
}

fn section_json<'a>(kind: Option<&str>, section: &Section<'a>, whole: bool) -> SectionJson<'a> {
    let bytes = section.bytes();
    let value = bytes.and_then(|bytes| display_json(kind, section.encoding, bytes));
    // As evidence the bytes as they are stored, which are what the section's hash is over.
    let stored = section.content.map(|(_, bytes)| bytes);
    let encoded = match whole {
        true => stored,
        false => bytes.filter(|_| value.is_none()),
    };
    SectionJson {
        name: section.name,
        encoding: section.encoding.name(),
        length: bytes.map(|bytes| bytes.len() as u64),
        hash: BASE64.encode(&section.hash),
        erased: section.content.is_none(),
        sealed: section.sealed().map(|why| why.code()),
        value,
        salt: section
            .content
            .filter(|_| whole)
            .map(|(secret, _)| BASE64.encode(secret.as_bytes())),
        bytes: encoded.map(|bytes| BASE64.encode(bytes)),
    }
}

/// The payload as JSON on one line, whatever its encoding; `None` if it can't be told as JSON.
fn display_json(kind: Option<&str>, encoding: Encoding, bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = match encoding {
        Encoding::Journal => journal_json(&JournalEvent::decode(kind?, bytes).ok()?)?,
        other => factlog::to_display_json(other, bytes)?,
    };
    RawValue::from_string(text).ok()
}

fn journal_json(event: &JournalEvent) -> Option<String> {
    let value = match event {
        JournalEvent::Created(created) => serde_json::json!({
            "origin": created.origin,
            "created": time::show(created.created),
            "keys": created.keys.iter().map(|key| BASE64.encode(key)).collect::<Vec<_>>(),
        }),
        JournalEvent::Recovered(recovered) => serde_json::json!({
            "segment_first": recovered.segment_first,
            "segment_generation": recovered.segment_generation,
            "sealed_end": recovered.sealed_end,
            "set_aside": recovered.set_aside,
            "copied": recovered.copied,
        }),
        JournalEvent::ClockSteppedBack(step) => serde_json::json!({
            "before": time::show(step.before),
            "now": time::show(step.now),
        }),
        JournalEvent::ShredIntended(intended) => serde_json::json!({
            "domain": intended.domain.name(),
            "reason": intended.reason,
            "keys": intended.keys.iter().map(|id| HEXLOWER.encode(id)).collect::<Vec<_>>(),
        }),
        JournalEvent::ShredCompleted(done) => serde_json::json!({
            "intent": done.intent,
            "generation": done.generation,
            "destroyed": done.destroyed,
        }),
        JournalEvent::KeysetNoted(noted) => serde_json::json!({
            "generation": noted.generation,
            "keys": noted.keys,
            "recipients": noted.recipients.iter().map(|id| HEXLOWER.encode(id)).collect::<Vec<_>>(),
            "replacing": noted.replacing.is_some(),
        }),
        JournalEvent::HoldPlaced(placed) => serde_json::json!({
            "reason": placed.reason,
            "domains": placed.domains.len(),
        }),
        JournalEvent::HoldLifted(lifted) => serde_json::json!({
            "hold": lifted.hold,
            "reason": lifted.reason,
        }),
        _ => return None,
    };
    Some(value.to_string())
}

/// One line of a list for people.
pub(crate) fn line(event: &Event) -> String {
    let mut out = String::new();
    let recorded = styled(DIM, time::show(event.recorded_at()));
    let _ = write!(out, "{:>8}  {recorded}  ", event.sequence());
    let Some(facts) = event.facts() else {
        out.push_str("(erased)");
        return out;
    };
    let coordinate = format!("{}/{}", shown(facts.scope), shown(facts.entity));
    let kind = styled(BOLD, shown(facts.kind));
    let _ = write!(out, "{coordinate} #{}  {kind}", event.revision());
    for tag in facts.tags.iter() {
        let _ = write!(out, " [{}]", shown(tag));
    }
    if let Some(section) = event.sections().next() {
        let _ = write!(out, "  {}", shortened(&summary(event, &section), 100));
    }
    out
}

fn summary(event: &Event, section: &Section<'_>) -> String {
    let Some(bytes) = section.bytes() else {
        return match section.sealed() {
            Some(Sealed::Shredded { intent }) => format!("(shredded: event {intent})"),
            Some(why) => format!("(encrypted: {})", why.code()),
            None => "(payload erased)".to_owned(),
        };
    };
    let kind = event.facts().map(|facts| facts.kind);
    if let Some(value) = display_json(kind, section.encoding, bytes) {
        return shown(value.get());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => shown(text),
        Err(_) => format!("{} bytes", bytes.len()),
    }
}

/// Everything of one event, for people.
pub(crate) fn page(event: &Event) -> Result<String> {
    let mut out = String::new();
    let mut field = |name: &str, value: String| {
        let name = format!("{name:<12}");
        writeln!(out, "{} {value}", styled(DIM, name))
    };
    field("sequence", event.sequence().to_string())?;
    if let Some(facts) = event.facts() {
        let coordinate = format!("{}/{}", shown(facts.scope), shown(facts.entity));
        field("stream", format!("{coordinate} #{}", event.revision()))?;
        field("kind", styled(BOLD, shown(facts.kind)))?;
    } else {
        field("facts", "erased".to_owned())?;
        field("revision", event.revision().to_string())?;
    }
    field("stream id", HEXLOWER.encode(&event.stream_id()))?;
    if let Some(id) = event.id() {
        field("event id", id.to_string())?;
    }
    field("recorded", time::show(event.recorded_at()))?;
    if let Some(facts) = event.facts() {
        if let Some(micros) = facts.occurred_at {
            field("occurred", time::show(micros))?;
        }
        if let Some(actor) = facts.actor {
            field("actor", shown(actor))?;
        }
        for tag in facts.tags.iter() {
            field("tag", shown(tag))?;
        }
        for (name, id) in [
            ("correlation", facts.correlation),
            ("caused by", facts.causation),
        ] {
            if let Some(id) = id {
                field(name, uuid::Uuid::from_bytes(id).to_string())?;
            }
        }
    }
    field("event hash", BASE64.encode(&event.hash()))?;
    if let Some(previous) = event.previous_sequence() {
        field("previous", format!("sequence {previous}"))?;
    }
    for section in event.sections() {
        let length = section.bytes().map_or(0, <[u8]>::len);
        let head = format!(
            "{} ({}, {length} bytes)",
            shown(section.name),
            section.encoding.name()
        );
        field("section", head)?;
        for line in payload_lines(event, &section) {
            field("", line)?;
        }
    }
    Ok(out.trim_end().to_owned())
}

/// The payload, lines of text kept apart; what is long is cut, and all of it is in the JSON.
fn payload_lines(event: &Event, section: &Section<'_>) -> Vec<String> {
    const MOST: usize = 40;
    let text = match section.bytes().map(std::str::from_utf8) {
        Some(Ok(text)) if section.encoding == Encoding::Raw => text.to_owned(),
        _ => summary(event, section),
    };
    let mut lines: Vec<String> = text
        .lines()
        .take(MOST)
        .map(|line| shortened(&shown(line), 400))
        .collect();
    if text.lines().count() > MOST {
        lines.push("…".to_owned());
    }
    lines
}
