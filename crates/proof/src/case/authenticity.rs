//! Who vouches for a case.

use factlog_format::{JournalEvent, next_key_hash};

use super::{About, CaseQuestion, CaseTrust, Findings, Governing, VerifiedCase};
use crate::{SignedCheckpoint, VerifierKey};

/// Of an Ed25519 signature, as logs make them.
const SIGNATURE_LEN: usize = 64;

/// A key that counts, and up to which tree size its signatures do.
struct Counting {
    key: VerifierKey,
    most: u64,
}

/// `governing` is `None` if the events don't lead to the checkpoint, and so say nothing of keys.
pub(super) fn check(
    case: &mut VerifiedCase<'_>,
    governing: Option<&[Governing]>,
    trust: &CaseTrust,
    findings: &mut Findings,
) {
    let mut about = About {
        findings,
        question: CaseQuestion::Authenticity,
    };
    let keys = counting(case, governing.unwrap_or_default(), trust);
    let named = named(case, governing.unwrap_or_default(), trust);
    let (mut bad, mut strangers) = (false, Vec::new());
    for checkpoint in case.earlier.iter().chain([&case.checkpoint]) {
        let text = checkpoint.claimed().to_string();
        for signature in checkpoint.signatures() {
            let of = |key: &&VerifierKey| {
                (key.key_id(), key.name()) == (signature.key_id(), signature.name())
            };
            let mut by = named.iter().filter(of).peekable();
            let size = checkpoint.claimed().size();
            let name = signature.name();
            if by.peek().is_none() {
                // Cosignatures are longer; what others sign in other ways is no matter of ours.
                if signature.bytes().len() == SIGNATURE_LEN {
                    strangers.push(format!(
                        "{name} has signed the checkpoint of {size} events with a key that is none of the journal's"
                    ));
                }
            } else if !by.any(|key| key.verifies(text.as_bytes(), signature.bytes())) {
                bad = true;
                let detail = format!(
                    "the signature of {name} under the checkpoint of {size} events does not verify"
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
    if governing.is_some() {
        for detail in strangers {
            about.wrong("case.unknown_signature", None, detail);
        }
    }
    check_witnesses(case, trust, &mut about);
}

/// All keys of the log that the caller or the journal itself names, whether their signatures count or not.
fn named(case: &VerifiedCase<'_>, governing: &[Governing], trust: &CaseTrust) -> Vec<VerifierKey> {
    let origin = case.checkpoint.claimed().origin();
    let own = governing.iter().flat_map(|own| match &own.event {
        JournalEvent::Created(created) => created.keys.clone(),
        JournalEvent::KeyRotated(rotated) => vec![rotated.old, rotated.new],
        _ => Vec::new(),
    });
    let own = own.filter_map(|key| VerifierKey::new(origin, &key).ok());
    let given = trust.keys.iter().filter(|key| key.name() == origin);
    let mut named: Vec<VerifierKey> = Vec::new();
    for key in given.cloned().chain(own) {
        if !named.contains(&key) {
            named.push(key);
        }
    }
    named
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
