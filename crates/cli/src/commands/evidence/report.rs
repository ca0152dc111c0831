//! A case in words: what is in it, what was proven, and what wasn't.

use std::cmp::Ordering;
use std::collections::HashMap;

use factlog::{CaseReport, CaseVerdict, VerifiedCase};
use factlog_format::{CaseEdge, CaseSection, CaseStatement};

use super::{Before, Brought};
use crate::output::{BAD, GOOD, OPEN, shown, styled};
use crate::time;

/// This program.
pub(super) const TOOL: &str = concat!("factlog ", env!("CARGO_PKG_VERSION"));
/// The most lines of a table.
const MOST: usize = 20;

/// The three verdicts, each with what it means here.
pub(super) fn verdicts(report: &CaseReport<'_>) -> Vec<String> {
    use CaseVerdict::{Fails, Holds, Undecided};
    let signed = report.authenticity() == Holds;
    let integrity = match report.integrity() {
        Holds if signed => "every byte is what the checkpoint commits to",
        Holds => {
            "every byte is what this checkpoint commits to, for which nobody you named vouches"
        }
        Fails => "the file isn't what its checkpoint commits to: it was changed, or is damaged",
        Undecided => "it can't be told whether every byte is what the checkpoint commits to",
    };
    let authenticity = match report.authenticity() {
        Holds => "the checkpoint is signed by the key given, or by one that took its place",
        Fails => "the key given, or a witness that you want, doesn't vouch for the checkpoint",
        Undecided => "it can't be told who signed",
    };
    let completeness = match report.completeness() {
        Holds if signed => "no event of the period is missing, and the query was run again",
        Holds => {
            "no event is missing, as far as this checkpoint goes, for which nobody you named vouches"
        }
        Fails => "something is missing, or isn't what the case says of it",
        Undecided => "not all of it can be decided: what that would take stands below",
    };
    let line = |name: &str, verdict: CaseVerdict, why: &str| {
        let style = match verdict {
            Holds => GOOD,
            Fails => BAD,
            Undecided => OPEN,
        };
        format!(
            "{name:<13} {} {why}",
            styled(style, format!("{:<9}", verdict.word()))
        )
    };
    vec![
        line("integrity", report.integrity(), integrity),
        line("authenticity", report.authenticity(), authenticity),
        line("completeness", report.completeness(), completeness),
    ]
}

/// What was checked, and with what: for the papers of the one who checks.
pub(super) fn identity(brought: &Brought, case: &VerifiedCase<'_>) -> Vec<String> {
    let claimed = case.checkpoint.claimed();
    let said = &case.statement;
    vec![
        format!(
            "file          SHA-256 {}, {} bytes",
            brought.sha256,
            brought.bytes.len()
        ),
        format!("key           {}", shown(&brought.vkey)),
        format!(
            "checkpoint    {} events, root {}",
            claimed.size(),
            claimed.root()
        ),
        format!(
            "made          {} by {}",
            time::show(said.made_at),
            shown(&said.tool)
        ),
        format!("checked       {} by {TOOL}", time::show(now())),
    ]
}

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// What the period was and what is in it.
pub(super) fn population(case: &VerifiedCase<'_>) -> Vec<String> {
    let statement = &case.statement;
    let mut lines = vec![
        format!(
            "journal       {}",
            shown(case.checkpoint.claimed().origin())
        ),
        format!("period        {}", period(case)),
    ];
    lines.extend(beginning(case));
    lines.push(format!("asked for     {}", query(statement)));
    lines.push(format!("population    {}", size(case)));
    if statement.unknown > 0 {
        lines.push(format!(
            "unknown       {} events were erased, so that nobody knows whether they belong to it",
            statement.unknown
        ));
    }
    for erased in &statement.erased {
        lines.push(format!(
            "erased        {} of {} events, by event {}: {}",
            if erased.level == 1 { "sections" } else { "all" },
            erased.events,
            erased.by,
            shown(&erased.reason)
        ));
    }
    if !statement.redacted.is_empty() {
        let names: Vec<String> = statement.redacted.iter().map(|name| shown(name)).collect();
        lines.push(format!("left out      sections {}", names.join(", ")));
    }
    let (sealed, keyed) = encrypted(case);
    if sealed > 0 {
        lines.push(format!(
            "encrypted     {sealed} sections, {keyed} of them with the key that opens it; none is opened here"
        ));
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
            (
                name.unwrap_or_else(|| "(erased)".to_owned()),
                u64::from(*count),
            )
        })
        .collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}

/// The period, in recorded time and in sequences.
pub(super) fn period(case: &VerifiedCase<'_>) -> String {
    let statement = &case.statement;
    let edge = |edge: CaseEdge| match edge {
        CaseEdge::Sequence(sequence) => format!("sequence {sequence}"),
        CaseEdge::Recorded(micros) => time::show(micros),
    };
    let last = statement.end.checked_sub(1);
    let last = last.filter(|last| statement.first <= *last);
    let recorded = |sequence| case.record(sequence).map(|event| event.spine.recorded_at);
    let events = match last {
        None => "no event at all".to_owned(),
        Some(last) => {
            let times = recorded(statement.first).zip(recorded(last));
            let times = times.map_or_else(String::new, |(from, to)| {
                format!(", recorded {} to {}", time::show(from), time::show(to))
            });
            format!("events {} to {last}{times}", statement.first)
        }
    };
    format!(
        "recorded from {} to before {}: {events}",
        edge(statement.from),
        edge(statement.until)
    )
}

/// When the journal began, where the period begins before that.
fn beginning(case: &VerifiedCase<'_>) -> Option<String> {
    let created = case.record(0)?.spine.recorded_at;
    let (CaseEdge::Recorded(from), until) = (case.statement.from, case.statement.until) else {
        return None;
    };
    let so = match until {
        CaseEdge::Recorded(until) if until <= created => {
            "after this period: it can't hold anything of it"
        }
        _ if from < created => "after this period began: what was before isn't in it",
        _ => return None,
    };
    Some(format!(
        "NOTE          the journal was created at {}, {so}",
        time::show(created)
    ))
}

/// How much of the period was asked for, so that the numbers add up.
fn size(case: &VerifiedCase<'_>) -> String {
    let statement = &case.statement;
    let events = statement.end - statement.first;
    let own = case.file.records.iter().zip(&case.selected);
    let own = own.filter(|(record, selected)| {
        let scope = record.facts().map_or("", |facts| facts.scope);
        !**selected && statement.covers(record.spine.sequence) && scope.starts_with('$')
    });
    let own = own.count() as u64;
    let others = events.saturating_sub(statement.selected + statement.unknown + own);
    let mut parts = Vec::new();
    for (count, what) in [
        (own, "of the journal's own"),
        (others, "not asked for"),
        (statement.unknown, "unknown"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let rest = match parts.is_empty() {
        true => String::new(),
        false => format!("; the rest: {}", parts.join(", ")),
    };
    match (events, statement.selected) {
        (0, _) => "EMPTY: nothing was recorded in the period".to_owned(),
        (_, 0) => {
            format!("EMPTY: of the {events} events of the period none is what was asked for{rest}")
        }
        (_, selected) => format!("{selected} events, of {events} in the period{rest}"),
    }
}

/// How many encrypted sections are shown, and how many of them with their key.
fn encrypted(case: &VerifiedCase<'_>) -> (usize, usize) {
    let events = case.population();
    let keys = events.flat_map(|event| {
        let facts = event.facts();
        let rows = facts.into_iter().flat_map(|facts| facts.sections.iter());
        let sections = rows.zip(event.sections.iter().flatten());
        sections.filter_map(|(row, section)| match section {
            CaseSection::Disclosed { key, .. } if row.sealed.is_some() => Some(key.is_some()),
            _ => None,
        })
    });
    let keys: Vec<bool> = keys.collect();
    (keys.len(), keys.iter().filter(|there| **there).count())
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
        "everything but the journal's own events".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What a verification that holds says, and what it doesn't.
pub(super) fn proven(brought: &Brought, case: &VerifiedCase<'_>) -> Vec<String> {
    let statement = &case.statement;
    let claimed = case.checkpoint.claimed();
    let mut lines = vec![format!(
        "Proven: the population is all that the journal {} recorded in the period of what was asked for \
         ({}), as of its {} events, as its key says; unchanged since.",
        shown(claimed.origin()),
        query(statement),
        claimed.size()
    )];
    lines.push(end(case));
    if case.file.manifest.is_none() {
        lines.push(
            "This is an unlogged export: nothing in the journal tells of it, and whoever made it \
             chose the period and the query."
                .to_owned(),
        );
    }
    if !statement.redacted.is_empty() {
        lines.push(format!(
            "Not shown: the sections {}, which were left out on request. That they are there is proven.",
            shown(&statement.redacted.join(", "))
        ));
    }
    match &brought.before {
        Some(before) => lines.extend(compared(before, statement)),
        None => {
            if let Some((size, _)) = &statement.after {
                lines.push(format!(
                    "The case says that it follows an earlier one, of {size} events. That was not \
                     compared with one of yours: --after does."
                ));
            }
        }
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
        "Not proven: that the journal is the only one of its kind. Keep this case, ask for the next \
         one with --after, and compare it with this one."
            .to_owned(),
    );
    lines.push(
        "Not proven: that what was recorded is true, that all that happened was recorded, or that \
         the clock was right."
            .to_owned(),
    );
    lines
}

/// Why the period ends where it does.
fn end(case: &VerifiedCase<'_>) -> String {
    let statement = &case.statement;
    match (statement.until, case.ends_with_journal()) {
        (CaseEdge::Recorded(_), false) => {
            "The period is closed: an event after it is in the case.".to_owned()
        }
        (CaseEdge::Recorded(_), true) => "The journal ended before the period was followed by an \
                                          event: a later case shows whether more came."
            .to_owned(),
        (CaseEdge::Sequence(end), _) if case.file.manifest == Some(end) => {
            "The period ends where the journal did when the case was made: the event after it is \
             the one about this case."
                .to_owned()
        }
        (CaseEdge::Sequence(_), true) => {
            "The period ends where the journal does, as far as this checkpoint goes.".to_owned()
        }
        (CaseEdge::Sequence(end), false) => format!(
            "The period ends at sequence {end} because whoever asked said so: the journal goes on."
        ),
    }
}

/// What came of comparing it with the case before.
fn compared(before: &Before, statement: &CaseStatement) -> Vec<String> {
    let file = &before.file;
    let mut lines = vec![format!(
        "Compared with your {file}: the journal is the one of that case, and nothing of the {} events \
         that it had then was rewritten.",
        before.checkpoint.claimed().size()
    )];
    let (then, now) = (before.statement.end, statement.first);
    lines.push(match then.cmp(&now) {
        Ordering::Equal => format!("This period begins where that of {file} ended."),
        Ordering::Less => format!(
            "NOTE: {} events, {then} to {}, are in neither case: this period begins after that of \
             {file} ended.",
            now - then,
            now - 1
        ),
        Ordering::Greater => format!(
            "NOTE: this period begins at event {now}, before that of {file} ended, with event {}.",
            then - 1
        ),
    });
    if query(&before.statement) != query(statement) {
        lines.push(format!(
            "NOTE: {file} asked for something else: {}.",
            query(&before.statement)
        ));
    }
    lines
}
