//! Whether a case leaves nothing of its period out: the query is run again.

use factlog_format::{
    CaseEdge, CaseRecord, CaseSection, CaseStatement, JournalEvent, case_commitment,
};

use super::{About, CaseQuestion, CaseTrust, Findings, VerifiedCase, find, hash, is_own};
use crate::Checkpoint;

/// Checks it, and says of each record whether it is what was asked for.
pub(super) fn check(
    case: &VerifiedCase<'_>,
    trust: &CaseTrust,
    findings: &mut Findings,
) -> Vec<bool> {
    let mut about = About {
        findings,
        question: CaseQuestion::Completeness,
    };
    check_extent(case, &mut about);
    check_edges(case, &mut about);
    let selected = check_selection(case, &mut about);
    check_counts(case, &mut about);
    check_erased(case, &mut about);
    check_manifest(case, &mut about);
    check_against(case, trust, &mut about);
    selected
}

/// Every event of the period is there, with its neighbours; and nothing else but the journal's own.
fn check_extent(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let statement = &case.statement;
    let size = case.checkpoint.claimed().size();
    let begin = statement.first.saturating_sub(1);
    let end = statement.end.saturating_add(1).min(size);
    if statement.end > size {
        let detail = "the period goes on past the end of the checkpoint's tree";
        about.wrong("case.gap", Some(size), detail);
    }
    let records = &case.file.records;
    let from = records.partition_point(|record| record.spine.sequence < begin);
    let until = records.partition_point(|record| record.spine.sequence < end);
    let within = records.get(from..until).unwrap_or_default();
    let mut expected = begin;
    for record in within {
        if record.spine.sequence != expected {
            break;
        }
        expected += 1;
    }
    if expected < end {
        let detail = "an event of the period, or next to it, is not in the case";
        about.wrong("case.gap", Some(expected), detail);
    }
    for (at, record) in records.iter().enumerate() {
        if !(from..until).contains(&at) && !is_own(record) {
            let detail = "an event that is neither of the period nor of the journal itself";
            about.wrong("case.stray", Some(record.spine.sequence), detail);
        }
    }
}

fn check_edges(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let statement = &case.statement;
    let recorded = |sequence: u64| find(&case.file, sequence).map(|event| event.spine.recorded_at);
    let before = statement.first.checked_sub(1).and_then(recorded);
    let (first, after) = (recorded(statement.first), recorded(statement.end));
    let last = statement.end.checked_sub(1).and_then(recorded);
    let is_empty = statement.first == statement.end;
    let begins = match statement.from {
        CaseEdge::Sequence(sequence) => statement.first == sequence,
        CaseEdge::Recorded(from) => {
            before.is_none_or(|time| time < from)
                && (is_empty || first.is_none_or(|time| time >= from))
        }
    };
    if !begins {
        let detail = "the period does not begin where the query says: \
                      an event before it belongs to it, or its first one doesn't";
        about.wrong("case.period_begin", Some(statement.first), detail);
    }
    let ends = match statement.until {
        CaseEdge::Sequence(sequence) => statement.end == sequence,
        CaseEdge::Recorded(until) => {
            after.is_none_or(|time| time >= until)
                && (is_empty || last.is_none_or(|time| time < until))
        }
    };
    if !ends {
        let detail = "the period does not end where the query says: \
                      an event after it belongs to it, or its last one doesn't";
        about.wrong("case.period_end", Some(statement.end), detail);
    }
}

/// The payload of what was asked for is there, or is said to be left out; and no other.
fn check_selection(case: &VerifiedCase<'_>, about: &mut About<'_>) -> Vec<bool> {
    let statement = &case.statement;
    let mut selected = Vec::with_capacity(case.file.records.len());
    for record in &case.file.records {
        let sequence = record.spine.sequence;
        let taken = statement.covers(sequence) && statement.takes(record) == Some(true);
        selected.push(taken);
        if is_own(record) {
            continue;
        }
        if record.facts.is_some() && taken != record.sections.is_some() {
            let detail = match taken {
                true => "the query asks for the event, and the case doesn't show its payload",
                false => "the query doesn't ask for the event, and the case shows its payload",
            };
            about.wrong("case.selection", Some(sequence), detail);
        }
        check_redaction(statement, record, about);
    }
    selected
}

fn check_redaction(statement: &CaseStatement, record: &CaseRecord<'_>, about: &mut About<'_>) {
    let rows = record.facts().map(|facts| facts.sections);
    let rows = rows.iter().flat_map(|rows| rows.iter());
    for (row, section) in rows.zip(record.sections.iter().flatten()) {
        let asked = statement.redacted.iter().any(|name| name == row.name);
        let detail = match section {
            CaseSection::Redacted if !asked => "is left out, and the query doesn't say so",
            CaseSection::Disclosed { .. } if asked => "is shown, and the query leaves it out",
            _ => continue,
        };
        let detail = format!("section {} {detail}", row.name);
        about.wrong("case.redaction", Some(record.spine.sequence), detail);
    }
}

fn check_counts(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let counted = case.statement.clone().counted(&case.file.records);
    if counted != case.statement {
        let detail = format!(
            "the counts that the case states are not those of its events: {} are selected",
            counted.selected
        );
        about.wrong("case.counts", None, detail);
    }
}

/// What is erased is so by an event of the journal that comes later.
fn check_erased(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    for record in &case.file.records {
        let Some(by) = record.erased_by else {
            continue;
        };
        let order = find(&case.file, by).filter(|order| is_own(order));
        let kind = order
            .and_then(|order| order.facts())
            .map(|facts| facts.kind);
        let ordered = kind.is_some_and(|kind| kind.starts_with("erasure."));
        if !ordered || by <= record.spine.sequence {
            let detail = format!("it is said to be erased by event {by}, which erases nothing");
            about.wrong("case.stub", Some(record.spine.sequence), detail);
        }
    }
}

/// The journal says that it gave this case.
fn check_manifest(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let Some(sequence) = case.file.manifest else {
        return;
    };
    let statement = &case.statement;
    let said = find(&case.file, sequence)
        .filter(|record| is_own(record) && sequence >= statement.end)
        .and_then(|record| match record.sections.as_deref() {
            Some([CaseSection::Disclosed { stored, .. }]) => {
                JournalEvent::decode(record.facts()?.kind, stored).ok()
            }
            _ => None,
        });
    let fits = match said {
        Some(JournalEvent::CaseExported(said)) => {
            (said.first, said.end, said.selected)
                == (statement.first, statement.end, statement.selected)
                && said.commitment == case_commitment(&case.file.salt, case.file.statement)
        }
        _ => false,
    };
    if !fits {
        let detail = "the journal's event about this case is missing, or is about another one: \
                      query, period, counts or redactions were changed";
        about.wrong("case.manifest", Some(sequence), detail);
    }
}

/// What the caller kept: the case before this one, and checkpoints.
fn check_against(case: &VerifiedCase<'_>, trust: &CaseTrust, about: &mut About<'_>) {
    let shown = || case.earlier.iter().chain([&case.checkpoint]);
    let own = case.checkpoint.claimed();
    if let Some((size, root)) = &case.statement.after {
        let mut shown = case.earlier.iter().map(|earlier| earlier.claimed());
        if !shown.any(|earlier| earlier.size() == *size && earlier.root() == hash(root)) {
            let detail = "the checkpoint of the case that this one says it follows is not in it";
            about.wrong("case.after", None, detail);
        }
    }
    if let Some(after) = &trust.after {
        let stated = case.statement.after;
        let same =
            stated.is_some_and(|(size, root)| (after.size(), after.root()) == (size, hash(&root)));
        if !same || after.origin() != own.origin() {
            let detail = "it does not follow the case that was given as the one before";
            about.wrong("case.after", None, detail);
        }
    }
    for anchor in &trust.anchors {
        let same_size = |shown: &&crate::SignedCheckpoint| shown.claimed().size() == anchor.size();
        let found = shown().find(same_size).map(|shown| shown.claimed());
        let same =
            |found: &Checkpoint| found.root() == anchor.root() && found.origin() == anchor.origin();
        match found {
            Some(found) if same(found) => {}
            Some(_) => {
                let detail = "a checkpoint that was kept elsewhere has another root at its size: \
                              the journal's history was rewritten";
                about.wrong("case.forked", None, detail);
            }
            None => {
                let detail = format!(
                    "the case holds no checkpoint of {} events to compare the given one with",
                    anchor.size()
                );
                about.open("case.not_compared", None, detail);
            }
        }
    }
}
