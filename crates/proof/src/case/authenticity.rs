//! Who vouches for a case.

use factlog_format::{JournalEvent, next_key_hash};

use super::{About, CaseQuestion, CaseTrust, Findings, Governing, VerifiedCase};
use crate::{SignedCheckpoint, VerifierKey};

/// A key that counts, and up to which tree size its signatures do.
struct Counting {
    key: VerifierKey,
    most: u64,
}

pub(super) fn check(
    case: &mut VerifiedCase<'_>,
    governing: &[Governing],
    trust: &CaseTrust,
    findings: &mut Findings,
) {
    let mut about = About {
        findings,
        question: CaseQuestion::Authenticity,
    };
    let keys = counting(case, governing, trust);
    let mut bad = false;
    for checkpoint in case.earlier.iter().chain([&case.checkpoint]) {
        for signature in checkpoint.signatures() {
            let named = |counting: &&Counting| {
                counting.key.key_id() == signature.key_id()
                    && counting.key.name() == signature.name()
            };
            let mut named = keys.iter().filter(named).peekable();
            let text = checkpoint.claimed().to_string();
            let is_known = named.peek().is_some();
            if is_known && !named.any(|one| one.key.verifies(text.as_bytes(), signature.bytes())) {
                bad = true;
                let size = checkpoint.claimed().size();
                let detail = format!(
                    "the signature of {} under the checkpoint of {size} events does not verify",
                    signature.name()
                );
                about.wrong("case.signature", None, detail);
            }
        }
    }
    let signed = keys.iter().filter(|key| has_signed(&case.checkpoint, key));
    case.signers = signed.map(|key| key.key.clone()).collect();
    if case.signers.is_empty() && !bad {
        let detail = "the checkpoint is not signed by the key that was given, \
                      nor by one that took its place";
        about.wrong("case.not_signed", None, detail);
    }
    check_witnesses(case, trust, &mut about);
}

/// The caller's keys, and those that took their place: believed as soon as the key before has signed a
/// checkpoint that covers the change.
fn counting(case: &VerifiedCase<'_>, governing: &[Governing], trust: &CaseTrust) -> Vec<Counting> {
    let origin = case.checkpoint.claimed().origin();
    let mut keys: Vec<Counting> = Vec::new();
    for key in trust.keys.iter().filter(|key| key.name() == origin) {
        if keys.iter().all(|known| known.key != *key) {
            let (key, most) = (key.clone(), u64::MAX);
            keys.push(Counting { key, most });
        }
    }
    for own in governing {
        if let JournalEvent::KeyRevoked(revoked) = &own.event {
            let known = keys.iter_mut();
            for known in known.filter(|known| *known.key.public_key() == revoked.key) {
                known.most = known.most.min(revoked.from);
            }
        }
    }
    let mut announced = None;
    for own in governing {
        let JournalEvent::KeyRotated(rotated) = &own.event else {
            continue;
        };
        let promised = announced.is_none_or(|hash| hash == next_key_hash(&rotated.new));
        announced = rotated.next;
        let before = keys.iter_mut();
        let before = before.filter(|known| *known.key.public_key() == rotated.old);
        // The group of the change is the last that the old key signs.
        let covered = own.sequence.saturating_add(1);
        let mut handed_over = false;
        for before in before {
            before.most = before.most.min(covered);
            let mut shown = case.earlier.iter().chain([&case.checkpoint]);
            handed_over |= shown.any(|checkpoint| {
                checkpoint.claimed().size() >= covered && has_signed(checkpoint, before)
            });
        }
        let new = VerifierKey::new(origin, &rotated.new).ok();
        if let Some(key) = new.filter(|new| promised && keys.iter().all(|known| known.key != *new))
            && handed_over
        {
            let later = governing.iter().filter_map(|own| match &own.event {
                JournalEvent::KeyRevoked(revoked) if revoked.key == rotated.new => {
                    Some(revoked.from)
                }
                _ => None,
            });
            let most = later.min().unwrap_or(u64::MAX);
            keys.push(Counting { key, most });
        }
    }
    keys
}

fn has_signed(checkpoint: &SignedCheckpoint, by: &Counting) -> bool {
    checkpoint.claimed().size() <= by.most && checkpoint.verify(&by.key).is_ok()
}

/// Enough witnesses have cosigned a checkpoint that holds the whole period.
fn check_witnesses(case: &mut VerifiedCase<'_>, trust: &CaseTrust, about: &mut About<'_>) {
    let Some(policy) = &trust.policy else {
        return;
    };
    let shown = case.earlier.iter().chain([&case.checkpoint]);
    let whole = shown.filter(|checkpoint| checkpoint.claimed().size() >= case.statement.end);
    let mut seen = Vec::new();
    let mut enough = false;
    for checkpoint in whole {
        if let Ok(witnesses) = policy.check_witnesses(checkpoint) {
            enough = true;
            let size = checkpoint.claimed().size();
            let named = witnesses.into_iter();
            seen.extend(named.map(|(key, time)| (key.name().to_owned(), time, size)));
        }
    }
    case.witnesses = seen;
    if !enough {
        let detail = "not as many witnesses as the policy wants have cosigned \
                      a checkpoint that holds the whole period";
        about.wrong("case.no_quorum", None, detail);
    }
}
