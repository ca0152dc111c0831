//! Whether every byte of a case is what its checkpoint commits to.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use factlog_format::{
    CaseRecord, CaseSection, Encoding, FormatError, JournalEvent, StreamId, key_commitment,
    section_hash,
};

use super::{About, CaseQuestion, Findings, Governing, OWN, VerifiedCase, hash};
use crate::{Hash, ProofError, leaf_hash, root_of_set, verify_consistency};

/// Checks it, and gives the events of the journal itself.
pub(super) fn check(case: &VerifiedCase<'_>, findings: &mut Findings) -> Vec<Governing> {
    let mut about = About {
        findings,
        question: CaseQuestion::Integrity,
    };
    let end = format!("/{}", HEXLOWER.encode(&case.file.journal));
    if !case.checkpoint.claimed().origin().ends_with(&end) {
        let detail = "the checkpoint is of another journal than the events";
        about.wrong("case.origin", None, detail);
    }
    for record in &case.file.records {
        check_sections(record, &mut about);
    }
    check_root(case, &mut about);
    check_earlier(case, &mut about);
    let governing = check_own(case, &mut about);
    check_genesis(case, &governing, &mut about);
    check_order(case, &mut about);
    governing
}

fn check_sections(record: &CaseRecord<'_>, about: &mut About<'_>) {
    let sequence = Some(record.spine.sequence);
    let rows = record.facts().map(|facts| facts.sections);
    let rows = rows.iter().flat_map(|rows| rows.iter());
    for (row, section) in rows.zip(record.sections.iter().flatten()) {
        let CaseSection::Disclosed {
            secret,
            stored,
            key,
        } = section
        else {
            continue;
        };
        if section_hash(secret, stored) != row.hash {
            let detail = format!("section {} is not the one that was recorded", row.name);
            about.wrong("case.section_hash", sequence, detail);
        }
        let committed = row.sealed.map(|sealed| sealed.key_commitment);
        if key.is_some_and(|key| committed != Some(key_commitment(&key))) {
            let detail = format!("the key of section {} is another section's", row.name);
            about.wrong("case.section_key", sequence, detail);
        }
    }
}

fn check_root(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let leaves: Vec<(u64, Hash)> = (case.file.records.iter())
        .map(|record| (record.spine.sequence, leaf_hash(&record.hash)))
        .collect();
    let proof: Vec<Hash> = case.file.proof.iter().map(hash).collect();
    let claimed = case.checkpoint.claimed();
    match root_of_set(claimed.size(), &leaves, &proof) {
        Ok(root) if root == claimed.root() => {}
        Ok(_) => {
            let detail = "the events and their proof do not lead to the root of the checkpoint: \
                          an event, its place or the proof was changed";
            about.wrong("case.root", None, detail);
        }
        Err(ProofError::IndexOutOfRange) => {
            let detail = "there is no event, or one past the end of the checkpoint's tree";
            about.wrong("case.proof", None, detail);
        }
        Err(_) => {
            let detail = "the proof has too many or too few hashes for these events";
            about.wrong("case.proof", None, detail);
        }
    }
}

fn check_earlier(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let own = case.checkpoint.claimed();
    let mut least = 0;
    for (earlier, given) in case.earlier.iter().zip(&case.file.earlier) {
        let claimed = earlier.claimed();
        let (size, path) = (claimed.size(), given.path.iter().map(hash));
        let path: Vec<Hash> = path.collect();
        let (old, new) = (claimed.root(), own.root());
        let continues = claimed.origin() == own.origin()
            && size > least
            && size < own.size()
            && verify_consistency(size, &old, own.size(), &new, &path).is_ok();
        if !continues {
            let detail = format!(
                "the checkpoint does not continue the earlier one of {size} events that the case brings"
            );
            about.wrong("case.earlier", None, detail);
        }
        least = size;
    }
}

/// The events of the journal itself are one stream, each in its one encoding, and are never redacted.
fn check_own(case: &VerifiedCase<'_>, about: &mut About<'_>) -> Vec<Governing> {
    let stream = case.file.records.first().map(|record| record.spine.stream);
    let mut governing = Vec::new();
    for record in &case.file.records {
        let sequence = record.spine.sequence;
        let facts = record.facts();
        let of_stream = Some(record.spine.stream) == stream;
        let scope = facts.map_or("", |facts| facts.scope);
        if !of_stream && !scope.starts_with('$') {
            continue;
        }
        if scope.starts_with('$') && scope != OWN.0 {
            let detail = "an event of a reserved scope that this version doesn't know";
            about.open("case.unsupported_event", Some(sequence), detail);
            continue;
        }
        match read_own(record).filter(|_| of_stream) {
            Some(Ok(event)) => governing.push(Governing { sequence, event }),
            Some(Err(FormatError::Unsupported(_))) => {
                let detail = "an event of the journal itself that only a newer version knows";
                about.open("case.unsupported_event", Some(sequence), detail);
            }
            _ => {
                let detail = "an event of the journal itself is not as the journal writes them";
                about.wrong("case.journal_event", Some(sequence), detail);
            }
        }
    }
    governing
}

fn read_own(record: &CaseRecord<'_>) -> Option<Result<JournalEvent, FormatError>> {
    let facts = record.facts()?;
    let row = facts.sections.iter().next()?;
    let plain = row.name == "data" && row.encoding == Encoding::Journal && row.sealed.is_none();
    let alone = facts.sections.len() == 1 && (facts.scope, facts.entity) == OWN;
    match record.sections.as_deref()? {
        [CaseSection::Disclosed { stored, .. }] if plain && alone => {
            Some(JournalEvent::decode(facts.kind, stored))
        }
        _ => None,
    }
}

fn check_genesis(case: &VerifiedCase<'_>, governing: &[Governing], about: &mut About<'_>) {
    let first = case.file.records.first();
    let at_zero = first.is_some_and(|first| (first.spine.sequence, first.spine.revision) == (0, 0));
    let fits = match governing.first() {
        Some(Governing {
            sequence: 0,
            event: JournalEvent::Created(created),
        }) => {
            created.journal == case.file.journal
                && created.origin == case.checkpoint.claimed().origin()
        }
        _ => false,
    };
    let again = governing.iter().skip(1);
    let mut again = again.filter(|own| matches!(own.event, JournalEvent::Created(_)));
    if !at_zero || !fits || again.next().is_some() {
        let detail = "sequence 0 is missing, or is not the creation of the journal that signed";
        about.wrong("case.genesis", Some(0), detail);
    }
}

fn check_order(case: &VerifiedCase<'_>, about: &mut About<'_>) {
    let mut last = i64::MIN;
    let mut coordinates: HashMap<StreamId, (&str, &str)> = HashMap::new();
    for record in &case.file.records {
        let sequence = record.spine.sequence;
        if record.spine.recorded_at < last {
            let detail = "it is recorded before the event before it";
            about.wrong("case.time_order", Some(sequence), detail);
        }
        last = record.spine.recorded_at;
        let Some(facts) = record.facts() else {
            continue;
        };
        let coordinate = (facts.scope, facts.entity);
        let known = coordinates.entry(record.spine.stream);
        if *known.or_insert(coordinate) != coordinate {
            let detail = "its stream is that of another entity";
            about.wrong("case.coordinate", Some(sequence), detail);
        }
    }
}
