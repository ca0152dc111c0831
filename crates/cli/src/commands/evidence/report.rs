//! A case in words: what is in it, what was proven, and what wasn't.

use std::collections::HashMap;

use factlog::{CaseReport, CaseVerdict, VerifiedCase};
use factlog_format::{CaseEdge, CaseStatement};

use crate::output::{BAD, GOOD, OPEN, shown, styled};
use crate::time;

/// The most lines of a table.
const MOST: usize = 20;

/// The three verdicts, each with what it means here.
pub(super) fn verdicts(report: &CaseReport<'_>) -> Vec<String> {
    let line = |name: &str, verdict: CaseVerdict, holds: &str| {
        let word = match verdict {
            CaseVerdict::Holds => styled(GOOD, format!("{:<9}", verdict.word())),
            CaseVerdict::Fails => styled(BAD, format!("{:<9}", verdict.word())),
            CaseVerdict::Undecided => styled(OPEN, format!("{:<9}", verdict.word())),
        };
        let why = if verdict == CaseVerdict::Holds {
            holds
        } else {
            ""
        };
        format!("{name:<13} {word} {why}").trim_end().to_owned()
    };
    vec![
        line(
            "integrity",
            report.integrity(),
            "every byte is what the checkpoint commits to",
        ),
        line(
            "authenticity",
            report.authenticity(),
            "the checkpoint is signed by the key given, or by one that took its place",
        ),
        line(
            "completeness",
            report.completeness(),
            "no event of the period is missing, and the query was run again",
        ),
    ]
}

/// What the period was and what is in it.
pub(super) fn population(case: &VerifiedCase<'_>) -> Vec<String> {
    let statement = &case.statement;
    let mut lines = vec![
        format!(
            "journal       {}",
            shown(case.checkpoint.claimed().origin())
        ),
        format!("period        {}", period(statement)),
        format!("asked for     {}", query(statement)),
    ];
    let events = statement.end - statement.first;
    if statement.selected == 0 {
        lines.push(format!(
            "population    EMPTY: of the {events} events of the period none is what was asked for"
        ));
    } else {
        lines.push(format!(
            "population    {} events, of {events} in the period",
            statement.selected
        ));
    }
    if statement.unknown > 0 {
        lines.push(format!(
            "unknown       {} events were erased, so that nobody knows whether they belong to it",
            statement.unknown
        ));
    }
    for erased in &statement.erased {
        lines.push(format!(
            "erased        {} events, by event {}: {}",
            erased.events,
            erased.by,
            shown(&erased.reason)
        ));
    }
    if !statement.redacted.is_empty() {
        let names: Vec<String> = statement.redacted.iter().map(|name| shown(name)).collect();
        lines.push(format!("left out      sections {}", names.join(", ")));
    }
    let mut kinds: Vec<_> = statement.kind_counts.iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    table(
        &mut lines,
        "kind",
        kinds.iter().map(|(kind, count)| (shown(kind), *count)),
    );
    table(&mut lines, "stream", streams(case).into_iter());
    lines.push(match case.file.manifest {
        Some(sequence) => format!("logged        the journal says so itself, at event {sequence}"),
        None => "UNLOGGED      the journal says nothing of this export".to_owned(),
    });
    lines
}

fn table(lines: &mut Vec<String>, name: &str, rows: impl Iterator<Item = (String, u64)>) {
    let rows: Vec<_> = rows.collect();
    for (label, count) in rows.iter().take(MOST) {
        lines.push(format!("{name:<13} {count:>8}  {label}"));
    }
    if rows.len() > MOST {
        lines.push(format!("{name:<13} and {} more", rows.len() - MOST));
    }
}

/// Streams with what is selected of each, the most first.
pub(super) fn streams(case: &VerifiedCase<'_>) -> Vec<(String, u64)> {
    let mut names = HashMap::new();
    let mut order = Vec::new();
    for record in &case.file.records {
        if !case.statement.covers(record.spine.sequence) {
            continue;
        }
        let name = names.entry(record.spine.stream).or_insert_with(|| {
            order.push(record.spine.stream);
            None
        });
        if let Some(facts) = record.facts() {
            *name = Some(format!("{}/{}", shown(facts.scope), shown(facts.entity)));
        }
    }
    let counts = order.iter().zip(&case.statement.stream_counts);
    let mut rows: Vec<(String, u64)> = counts
        .filter(|(_, count)| **count > 0)
        .map(|(stream, count)| {
            let name = names.get(stream).cloned().flatten();
            (name.unwrap_or_else(|| "(erased)".to_owned()), *count)
        })
        .collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}

pub(super) fn period(statement: &CaseStatement) -> String {
    let edge = |edge: CaseEdge| match edge {
        CaseEdge::Sequence(sequence) => format!("sequence {sequence}"),
        CaseEdge::Recorded(micros) => time::show(micros),
    };
    let events = match statement.end.checked_sub(1) {
        Some(last) if statement.first <= last => format!("events {} to {last}", statement.first),
        _ => "no event at all".to_owned(),
    };
    format!(
        "from {} to before {} ({events})",
        edge(statement.from),
        edge(statement.until)
    )
}

pub(super) fn query(statement: &CaseStatement) -> String {
    let list = |names: Vec<String>, by: &str| names.join(by);
    let own = |names: &[String]| names.iter().map(|name| shown(name)).collect::<Vec<_>>();
    let mut parts = Vec::new();
    if !statement.kinds.is_empty() {
        parts.push(format!("kind {}", list(own(&statement.kinds), " or ")));
    }
    if !statement.streams.is_empty() {
        let names = statement.streams.iter();
        let names = names.map(|(scope, entity)| format!("{}/{}", shown(scope), shown(entity)));
        parts.push(format!("stream {}", list(names.collect(), " or ")));
    }
    if !statement.tags.is_empty() {
        parts.push(format!("tag {}", list(own(&statement.tags), " and ")));
    }
    if parts.is_empty() {
        "everything".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What a verification that holds says, and what it doesn't.
pub(super) fn proven(case: &VerifiedCase<'_>) -> Vec<String> {
    let statement = &case.statement;
    let claimed = case.checkpoint.claimed();
    let mut lines = vec![format!(
        "Proven: these are all events of the period that the journal {} held when it had {} events, \
         as its key says, unchanged since.",
        shown(claimed.origin()),
        claimed.size()
    )];
    lines.push(match (statement.until, case.ends_with_journal()) {
        (CaseEdge::Recorded(_), false) => {
            "The period is closed: an event after it is in the case.".to_owned()
        }
        (CaseEdge::Recorded(_), true) => "The journal ended before the period was followed by an \
                                          event: a later case shows whether more came."
            .to_owned(),
        (CaseEdge::Sequence(end), _) => {
            format!("The period ends at sequence {end} because the query says so, not at a time.")
        }
    });
    if case.file.manifest.is_none() {
        lines.push(
            "This is an unlogged export: nothing in the journal tells of it, and whoever made it \
             chose the period and the query."
                .to_owned(),
        );
    }
    match &statement.after {
        Some((size, _)) => lines.push(format!(
            "It continues the history of an earlier case, of {size} events."
        )),
        None => lines.push(
            "Not proven: that the journal is the only one of its kind. Keep this case and ask for \
             the next one with --after."
                .to_owned(),
        ),
    }
    for (name, seconds, size) in &case.witnesses {
        let time = i64::try_from(*seconds).unwrap_or_default();
        let time = time::show(time.saturating_mul(1_000_000));
        lines.push(format!(
            "Witness {} saw {size} events at {time}.",
            shown(name)
        ));
    }
    lines.push(
        "Not proven: that what was recorded is true, that all that happened was recorded, or that \
         the clock was right."
            .to_owned(),
    );
    lines
}
