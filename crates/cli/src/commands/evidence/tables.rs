//! What a case selects as tables. They prove nothing; the case does.

use anyhow::Result;
use data_encoding::BASE64;
use factlog::{EventRecord, Section, VerifiedCase};
use factlog_format::{CaseRecord, CaseSection, SectionSecret};
use serde_json::Value;

use super::Tables;
use crate::event::{self, Parts};
use crate::{files, time};

const SCHEMA: &str = "factlog.case-event/1";
const HEAD: &str = "sequence,recorded_at,occurred_at,scope,entity,revision,kind,payload_version,\
                    event_id,actor,tags,payload,not_shown,event_hash\r\n";

pub(super) fn write(tables: &Tables, case: &VerifiedCase<'_>) -> Result<()> {
    let population: Vec<&CaseRecord<'_>> = case.population().collect();
    write_some(tables, &population)
}

pub(super) fn write_some(tables: &Tables, events: &[&CaseRecord<'_>]) -> Result<()> {
    if let Some(path) = &tables.jsonl {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, &json(event))?;
            lines.push(b'\n');
        }
        files::write(path, &lines)?;
    }
    if let Some(path) = &tables.csv {
        let mut table = HEAD.to_owned();
        for event in events {
            table.push_str(&row(event));
        }
        files::write(path, table.as_bytes())?;
    }
    Ok(())
}

fn json(event: &CaseRecord<'_>) -> Value {
    let facts = event.facts();
    let record = event.facts.and_then(|(salt, facts)| {
        EventRecord::with_facts(event.spine.clone(), salt, facts.to_vec()).ok()
    });
    let rows = facts.into_iter().flat_map(|facts| facts.sections.iter());
    let shown = event.sections.iter().flatten();
    let sections = rows.zip(shown).map(|(row, shown)| {
        let content = match shown {
            CaseSection::Disclosed { secret, stored, .. } => Some((*secret, *stored)),
            CaseSection::Redacted | CaseSection::Erased { .. } => None,
        };
        Section::shown(row.name, row.encoding, row.hash, content)
    });
    let parts = Parts {
        record: record.unwrap_or_else(|| EventRecord::spine_only(event.spine.clone())),
        facts,
        sections: sections.collect(),
        previous_sequence: None,
    };
    let mut value =
        serde_json::to_value(event::from_parts(&parts, SCHEMA, false)).unwrap_or_default();
    // What is left out is not erased.
    let states = event.sections.iter().flatten();
    let sections = value.get_mut("sections").and_then(Value::as_array_mut);
    for (section, state) in sections.into_iter().flatten().zip(states) {
        let encrypted = is_encrypted(state);
        let left_out = matches!(state, CaseSection::Redacted);
        let erased = matches!(state, CaseSection::Erased { .. });
        if let Some(section) = section.as_object_mut() {
            section.insert("erased".to_owned(), erased.into());
            section.insert("left_out".to_owned(), left_out.into());
            section.insert("encrypted".to_owned(), encrypted.into());
        }
    }
    value
}

fn row(event: &CaseRecord<'_>) -> String {
    let facts = event.facts();
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let tags = facts.map(|facts| facts.tags.iter().collect::<Vec<_>>().join(" "));
    let rows = facts.into_iter().flat_map(|facts| facts.sections.iter());
    // Why the payload is not all that there was.
    let missing = rows.zip(event.sections.iter().flatten());
    let missing = missing.filter_map(|(row, shown)| match shown {
        CaseSection::Redacted => Some(format!("{} (left out)", row.name)),
        CaseSection::Erased { by } => Some(format!("{} (erased by {by})", row.name)),
        _ if is_encrypted(shown) => Some(format!("{} (encrypted)", row.name)),
        CaseSection::Disclosed { .. } => None,
    });
    let missing: Vec<String> = missing.collect();
    let cells = [
        event.spine.sequence.to_string(),
        time::show(event.spine.recorded_at),
        facts
            .and_then(|facts| facts.occurred_at)
            .map(time::show)
            .unwrap_or_default(),
        text(facts.map(|facts| facts.scope)),
        text(facts.map(|facts| facts.entity)),
        event.spine.revision.to_string(),
        text(facts.map(|facts| facts.kind)),
        facts.map_or_else(String::new, |facts| facts.payload_version.to_string()),
        facts.map_or_else(String::new, |facts| {
            uuid::Uuid::from_bytes(facts.event_id).to_string()
        }),
        text(facts.and_then(|facts| facts.actor)),
        tags.unwrap_or_default(),
        payload(&json(event)),
        missing.join(", "),
        BASE64.encode(&event.hash),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

fn is_encrypted(shown: &CaseSection<'_>) -> bool {
    let CaseSection::Disclosed { secret, .. } = shown else {
        return false;
    };
    matches!(secret, SectionSecret::Nonce(_))
}

/// The one section's content, or an object of them.
fn payload(event: &Value) -> String {
    let sections = event.get("sections").and_then(Value::as_array);
    let shown = sections.into_iter().flatten().filter_map(|section| {
        let content = section.get("value").or_else(|| section.get("bytes"))?;
        Some((section.get("name")?.as_str()?.to_owned(), content.clone()))
    });
    let mut shown: Vec<(String, Value)> = shown.filter(|(_, value)| !value.is_null()).collect();
    match shown.len() {
        0 => String::new(),
        1 => match shown.remove(0).1 {
            Value::String(text) => text,
            value => value.to_string(),
        },
        _ => Value::from_iter(shown).to_string(),
    }
}

/// RFC 4180. A cell that a spreadsheet would take for a formula gets an apostrophe in front.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_cell_breaks_a_table_or_is_a_formula() {
        for (cell, wanted) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"\n", "\"say \"\"x\"\"\n\""),
            ("=cmd()", "'=cmd()"),
            ("@a,b", "\"'@a,b\""),
        ] {
            assert_eq!(quoted(cell), wanted);
        }
    }
}
