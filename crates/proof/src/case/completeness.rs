//! Whether a case leaves nothing of its period out: the query is run again.

use std::collections::HashMap;

use factlog_format::{
    CaseEdge, CaseRecord, CaseSection, CaseStatement, ErasureCompleted, ErasureLevel, JournalEvent,
    case_commitment,
};

use super::{
    About, CaseQuestion, CaseTrust, Findings, Governing, VerifiedCase, find, hash, is_own,
};
use crate::{Checkpoint, SignedCheckpoint};

/// Checks it, and says of each record whether it is what was asked for.
pub(super) fn check(
    case: &VerifiedCase<'_>,
    governing: &[Governing],
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
    check_erased(case, governing, &mut about);
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

/// What is erased is so by an event of the journal that comes later, and for the reason that it gives.
fn check_erased(case: &VerifiedCase<'_>, governing: &[Governing], about: &mut About<'_>) {
    let orders = Orders::new(governing);
    for record in &case.file.records {
        let sequence = record.spine.sequence;
        let facts = record.facts();
        let rows = facts.iter().flat_map(|facts| facts.sections.iter());
        let sections = rows.zip(record.sections.iter().flatten()).enumerate();
        let sections = sections.filter_map(|(at, (row, section))| match section {
            CaseSection::Erased { by } => {
                Some((*by, Some((at, row.sealed.map(|sealed| sealed.key_id)))))
            }
            _ => None,
        });
        let whole = record.erased_by.map(|by| (by, None));
        for (by, part) in whole.into_iter().chain(sections) {
            let ordered = orders.take(by, sequence, part).unwrap_or_else(|| {
                // One that only a newer version knows: that it can't be read was said.
                let order = find(&case.file, by).filter(|order| is_own(order));
                let kind = order.and_then(|order| Some(order.facts()?.kind));
                kind.is_some_and(|kind| kind.starts_with("erasure."))
            });
            if by <= sequence || !ordered {
                let detail =
                    format!("it is said to be erased by event {by}, which doesn't do that");
                about.wrong("case.stub", Some(sequence), detail);
            }
        }
    }
    for erased in &case.statement.erased {
        if orders
            .reason(erased.by)
            .is_some_and(|said| said != erased.reason)
        {
            let detail =
                "the case gives another reason for an erasure than the event that ordered it";
            about.wrong("case.stub", Some(erased.by), detail);
        }
    }
}

/// The events of the journal that take something of others, by sequence, and what holds kept of that.
struct Orders<'c> {
    by: HashMap<u64, &'c JournalEvent>,
    completed: HashMap<u64, &'c ErasureCompleted>,
}

impl<'c> Orders<'c> {
    fn new(governing: &'c [Governing]) -> Self {
        let by = governing.iter().map(|own| (own.sequence, &own.event));
        let completed = governing.iter().filter_map(|own| match &own.event {
            JournalEvent::ErasureCompleted(done) => Some((done.erasure, done)),
            _ => None,
        });
        Self {
            by: by.collect(),
            completed: completed.collect(),
        }
    }

    /// Whether event `by` takes a section, by its place and the id of its key, or all but the spine; `None`
    /// where it couldn't be read.
    fn take(
        &self,
        by: u64,
        sequence: u64,
        part: Option<(usize, Option<[u8; 16]>)>,
    ) -> Option<bool> {
        let taken = match self.by.get(&by)? {
            JournalEvent::ShredIntended(shred) => {
                let key = part.and_then(|(_, key)| key);
                key.is_some_and(|key| shred.keys.binary_search(&key).is_ok())
            }
            JournalEvent::ErasureOrdered(ordered) => {
                let done = self.completed.get(&by);
                let kept = done.is_some_and(|done| done.is_held(sequence));
                let much = match (ordered.level, part) {
                    (ErasureLevel::Sections(bits), Some((at, _))) => bits & (1 << at) != 0,
                    (level, _) => level == ErasureLevel::Full,
                };
                much && !kept && ordered.set.contains(sequence)
            }
            _ => false,
        };
        Some(taken)
    }

    fn reason(&self, by: u64) -> Option<&'c str> {
        match self.by.get(&by)? {
            JournalEvent::ShredIntended(shred) => Some(&shred.reason),
            JournalEvent::ErasureOrdered(ordered) => Some(&ordered.reason),
            _ => None,
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

/// What the case says that it follows, and what the caller kept: the case before this one, and checkpoints.
fn check_against(case: &VerifiedCase<'_>, trust: &CaseTrust, about: &mut About<'_>) {
    let size = case.checkpoint.claimed().size();
    if let Some((after, root)) = case.statement.after {
        let shown = shown_of(case, after).is_some_and(|shown| shown.root() == hash(&root));
        if !shown {
            let detail = "the checkpoint of the case that this one says it follows is not in it";
            about.wrong("case.after", None, detail);
        }
    }
    if let Some(after) = &trust.after {
        let (given, origin) = (after.size(), case.checkpoint.claimed().origin());
        if after.origin() != origin {
            let detail = "the case that was given as the one before is of another journal";
            about.wrong("case.after", None, detail);
        } else if given > size {
            let detail = format!(
                "the case that was given as the one before speaks of {given} events, and this one of \
                 {size}: it is a later one, or the journal has lost events since"
            );
            about.wrong("case.after", None, detail);
        } else {
            let missing = match case.statement.after {
                None => {
                    "the case was made without --after, so that it can't be compared with the one \
                     that was given: ask for it to be made again with that one"
                        .to_owned()
                }
                Some((stated, _)) => format!(
                    "the case follows one of {stated} events, so that it can't be compared with the \
                     one that was given, of {given}: give the one directly before"
                ),
            };
            compare(case, after, missing, about);
        }
    }
    for anchor in &trust.anchors {
        let missing = format!(
            "the case holds no checkpoint of {} events to compare the given one with",
            anchor.size()
        );
        compare(case, anchor, missing, about);
    }
}

/// Compares a checkpoint of the caller's with the one of its size, if there is one.
fn compare(case: &VerifiedCase<'_>, kept: &Checkpoint, missing: String, about: &mut About<'_>) {
    match shown_of(case, kept.size()) {
        Some(shown) if (shown.root(), shown.origin()) == (kept.root(), kept.origin()) => {}
        Some(_) => {
            let detail = format!(
                "the checkpoint of {} events that was kept elsewhere has another root than the \
                 case's: the journal's history was rewritten, or it is another journal's",
                kept.size()
            );
            about.wrong("case.forked", None, detail);
        }
        None => about.open("case.not_compared", None, missing),
    }
}

/// The checkpoint of so many events that the case brings.
fn shown_of<'c>(case: &'c VerifiedCase<'_>, size: u64) -> Option<&'c Checkpoint> {
    let shown = case.earlier.iter().chain([&case.checkpoint]);
    let mut shown = shown.map(SignedCheckpoint::claimed);
    shown.find(|shown| shown.size() == size)
}
