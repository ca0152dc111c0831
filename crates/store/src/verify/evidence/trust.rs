use std::{collections::HashMap, path::Path};

use factlog_format::{CachedValue, CommitHeader, JournalCreated, JournalEvent, Manifest};
use factlog_proof::{Checkpoint, Hash, Policy, SignedCheckpoint, VerifierKey};

use crate::{
    Damage,
    recover::{event_of, value_of},
    signer::{KeyHistory, LogKey},
    verify::{
        findings::Findings,
        report::{Authenticity, Evidence, KeySource},
    },
};

/// C2SP signature type of Ed25519.
const ED25519: u8 = 1;

/// Whose signatures count, and how far they were found to reach.
///
/// Of the journal's keys those count that the caller's key leads to: itself, and each that took the
/// place of one that counts and that has signed as much. Without a key from outside it is the one that signs now.
#[derive(Debug, Default)]
pub(in crate::verify) struct Trust {
    /// A key from outside the journal.
    trusted: Option<(VerifierKey, KeySource)>,
    /// Keys that were known before it.
    formerly: Vec<VerifierKey>,
    /// What sequence 0 says.
    created: Option<JournalCreated>,
    /// The keys that the journal names, as far as it was passed.
    history: KeyHistory,
    /// Sizes of the trees that a key has signed.
    signed: HashMap<[u8; 32], Sizes>,
    /// When the journal said that a key is revoked, in microseconds since 1970.
    revoked_at: HashMap<[u8; 32], i64>,
    /// What MANIFEST must repeat of the events about keys.
    values: Vec<CachedValue>,
    /// The key that was replaced in the commit before, which must have signed that.
    handover: Option<VerifierKey>,
    /// How many commits in a row no signature covers, and the session of the last.
    bare: (u32, u32),
    /// The trusted key is one of another log, so nothing can be checked with it.
    foreign: bool,
    /// Something contradicts the key.
    bad: bool,
    /// A signature that doesn't verify was reported.
    parted: bool,
}

/// How much a checkpoint counts that someone of the journal has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verify) enum Weight {
    /// It is signed by the newest key that counts.
    Counts,
    /// Only by a key that was replaced: it counts where the newest confirms it, for whoever got hold of
    /// the old key could have made it since.
    Retired,
}

/// Sizes, ascending; so many that it gets too long are thinned out.
#[derive(Debug, Default)]
struct Sizes(Vec<u64>);

const MOST_SIZES: usize = 4096;

impl Sizes {
    fn push(&mut self, size: u64) {
        match self.0.binary_search(&size) {
            Ok(_) => return,
            Err(at) => self.0.insert(at, size),
        }
        if self.0.len() > MOST_SIZES {
            let mut index = 0;
            // The largest stays.
            let odd = self.0.len() % 2;
            self.0.retain(|_| {
                index += 1;
                index % 2 == odd
            });
        }
    }

    fn largest_up_to(&self, most: u64) -> Option<u64> {
        let end = self.0.partition_point(|size| *size <= most);
        self.0.get(end.checked_sub(1)?).copied()
    }
}

impl Trust {
    pub(in crate::verify) fn new(
        trusted: Option<(VerifierKey, KeySource)>,
        formerly: Vec<VerifierKey>,
    ) -> Self {
        Self {
            trusted,
            formerly,
            ..Self::default()
        }
    }

    /// What sequence 0 says, once it was read.
    pub(in crate::verify) fn created(&self) -> Option<&JournalCreated> {
        self.created.as_ref()
    }

    /// Whether the journal says that it is signed.
    pub(in crate::verify) fn expects_signatures(&self) -> bool {
        !self.history.keys().is_empty()
    }

    /// The key that signatures are checked with, and where it is from.
    pub(in crate::verify) fn key(&self) -> Option<(&VerifierKey, KeySource)> {
        match &self.trusted {
            Some(_) if self.foreign => None,
            Some((key, source)) => Some((key, *source)),
            None => self.history.live().map(|live| (live, KeySource::Journal)),
        }
    }

    /// Every key whose signatures can be checked: those of the journal, and the trusted one.
    fn known_keys(&self) -> Vec<VerifierKey> {
        let mut keys: Vec<VerifierKey> = Vec::new();
        let trusted = self.trusted.iter().filter(|_| !self.foreign);
        let own = self.history.keys().iter().map(|own| &own.key);
        for key in own.chain(trusted.map(|(key, _)| key)) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    /// Every key whose signatures can be checked, as a policy; `None` if there is none.
    pub(in crate::verify) fn policy(&self) -> Option<Policy> {
        self.key()?;
        Policy::new(self.known_keys()).ok()
    }

    fn signed_up_to(&self, key: &VerifierKey, most: u64) -> Option<u64> {
        self.signed.get(key.public_key())?.largest_up_to(most)
    }

    /// The keys that count, each with the size it vouches for, the newest last.
    fn counting(&self) -> Vec<(&VerifierKey, Option<u64>)> {
        let mut keys = Vec::new();
        let mut next: Option<&LogKey> = match &self.trusted {
            _ if self.foreign => None,
            Some((key, _)) => match self.history.get(key.public_key()) {
                Some(own) => Some(own),
                None => {
                    keys.push((key, self.signed_up_to(key, u64::MAX)));
                    None
                }
            },
            // Nobody vouches for any: the one that signs now says what it says.
            None => self
                .history
                .live()
                .and_then(|live| self.history.get(live.public_key())),
        };
        while let Some(own) = next {
            let most = own.revoked_from.unwrap_or(u64::MAX);
            let size = self.signed_up_to(&own.key, most);
            keys.push((&own.key, size));
            let covered = |sequence: &u64| size.is_some_and(|size| size > *sequence);
            next = own.retired.filter(covered).and_then(|sequence| {
                let mut later = self.history.keys().iter();
                later.find(|later| later.since == sequence && sequence > 0)
            });
        }
        keys
    }

    /// The largest size under a signature that counts. Past the end of a key that was replaced only the
    /// newest says what there is: whoever has the old one could have signed on.
    fn signed_size(&self) -> Option<u64> {
        let counting = self.counting();
        let newest = counting.last().and_then(|(_, size)| *size);
        let sizes = counting.iter().filter_map(|(key, size)| {
            let own = self.history.get(key.public_key());
            match own.and_then(|own| own.retired) {
                Some(retired) => size.map(|size| size.min(newest.unwrap_or(0).max(retired))),
                None => *size,
            }
        });
        sizes.max()
    }

    pub(in crate::verify) fn signed_through(&self) -> Option<u64> {
        self.signed_size().and_then(|size| size.checked_sub(1))
    }

    pub(in crate::verify) fn authenticity(&self) -> Authenticity {
        if self.bad {
            return Authenticity::BadSignature;
        }
        let signed = self.signed_through().is_some();
        match self.key() {
            Some((_, KeySource::Journal)) if signed => Authenticity::SelfSigned,
            Some(_) if signed => Authenticity::Signed,
            None if self.trusted.is_none() && self.created.is_some() => Authenticity::Unsigned,
            _ => Authenticity::Unverifiable,
        }
    }

    /// Takes in what sequence 0 says and compares it with the trusted key.
    pub(in crate::verify) fn learn(
        &mut self,
        created: JournalCreated,
        path: &Path,
        findings: &mut Findings,
    ) {
        for key in &created.keys {
            if let Err(error) = VerifierKey::new(&created.origin, key) {
                let detail = format!("the key that sequence 0 names can't be used: {error}");
                findings.wrong(Damage::new("signature.unusable_key", path, detail).sequence(0));
            }
        }
        self.history = KeyHistory::of(&created);
        if let Some((key, source)) = &self.trusted
            && key.name() != created.origin
        {
            let detail = format!(
                "the key is that of {}, and this journal is {}: nothing can be checked with it",
                key.name(),
                created.origin
            );
            self.foreign = true;
            let damage = Damage::new("evidence.other_journal", path, detail).sequence(0);
            findings.unchecked(damage, evidence_of(*source));
        }
        self.created = Some(created);
    }

    /// Takes in an event about keys; `root` is that of the tree before it, if it is known.
    ///
    /// # Errors
    /// Why there can't be such an event.
    pub(in crate::verify) fn change(
        &mut self,
        sequence: u64,
        recorded_at: i64,
        event: &JournalEvent,
        root: Option<Hash>,
    ) -> Result<(), &'static str> {
        self.values.extend(value_of(sequence, event));
        let before = self.history.live().cloned();
        self.history.take(sequence, event, root)?;
        if matches!(event, JournalEvent::KeyRotated(_)) {
            self.handover = before;
        }
        if let JournalEvent::KeyRevoked(revoked) = event {
            self.revoked_at.entry(revoked.key).or_insert(recorded_at);
        }
        Ok(())
    }

    /// Size and root of a checkpoint that the key from outside has signed, and takes it in.
    ///
    /// # Errors
    /// Why it vouches for nothing.
    pub(in crate::verify) fn mark(
        &mut self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(u64, Hash), String> {
        let Some((key, _)) = &self.trusted else {
            return Err("no key is known from outside the journal to check it with".to_owned());
        };
        let key = key.clone();
        let claimed = checkpoint.verify(&key).map_err(|error| error.to_string())?;
        let (size, root) = (claimed.size(), claimed.root());
        self.also_signed(size, [&key]);
        Ok((size, root))
    }

    /// Whether the key from outside was the journal's when it signed a tree of this size, by the events that were
    /// passed, and by what MANIFEST repeats of those that are to come.
    pub(in crate::verify) fn counted_at(&self, size: u64, manifest: &Manifest) -> bool {
        let Some((key, _)) = &self.trusted else {
            return false;
        };
        let mut to_come = manifest.values.iter().filter_map(event_of);
        let revoked = to_come.any(|event| {
            matches!(event, JournalEvent::KeyRevoked(it) if it.key == *key.public_key() && it.from < size)
        });
        let own = self.history.get(key.public_key());
        !revoked && own.is_none_or(|own| own.counts_at(size))
    }

    /// The commit after a change of keys is not looked at.
    pub(in crate::verify) fn forget_handover(&mut self) {
        self.handover = None;
    }

    /// What MANIFEST must repeat of the events about keys that were read.
    pub(in crate::verify) fn values(&self) -> &[CachedValue] {
        &self.values
    }

    /// All events were passed: says what is to be said of the keys as a whole. Events that were `lost`
    /// may have been about keys.
    pub(in crate::verify) fn end(&mut self, lost: bool, path: &Path, findings: &mut Findings) {
        if self.foreign || self.created.is_none() {
            return;
        }
        if let Some((key, source)) = &self.trusted
            && self.history.get(key.public_key()).is_none()
        {
            let formerly = self.formerly.iter();
            let older = formerly
                .clone()
                .any(|old| self.history.get(old.public_key()).is_some());
            let evidence = evidence_of(*source);
            if older || lost {
                let detail = "the journal does not come to the event that brings the trusted key";
                let damage = Damage::new("key.not_reached", path, detail);
                findings.unchecked(damage, evidence);
            } else {
                let detail = "no event of the journal names the trusted key: someone else made it";
                self.bad = true;
                let damage = Damage::new("signature.other_key", path, detail).sequence(0);
                findings.exposed(damage, evidence);
            }
            return;
        }
        let counting = self.counting();
        let (Some((last, _)), Some(live)) = (counting.last(), self.history.live()) else {
            return;
        };
        if *last != live && !self.bad {
            let since = self
                .history
                .get(last.public_key())
                .and_then(|own| own.retired);
            let detail = "the key that counts was replaced, and has signed no checkpoint that counts \
                          and covers that; what later keys have signed can't be checked with it";
            let damage = Damage::new("key.not_followed", path, detail);
            findings.unchecked(damage.sequence(since.unwrap_or(0)), Evidence::Key);
        }
    }

    /// Checks the signatures of a commit header: they are over the tree of its first sequence, whose
    /// root is given if it could be computed. Returns whether those that must be there are.
    pub(in crate::verify) fn check_header(
        &mut self,
        header: &CommitHeader,
        root: Option<Hash>,
        damage: impl Fn(&'static str, String) -> Damage,
        findings: &mut Findings,
    ) -> bool {
        let handover = self.handover.take();
        let origin = self.created.as_ref().map(|created| created.origin.clone());
        let keys = self.known_keys();
        let Some(origin) = origin.filter(|_| !keys.is_empty() && !self.foreign) else {
            return !header.signatures.is_empty();
        };
        let size = header.first_sequence;
        let place = &damage;
        let checkpoint = root.and_then(|root| Checkpoint::new(&origin, size, root).ok());
        let text = checkpoint.map(|checkpoint| checkpoint.to_string());
        let mut carried: Vec<VerifierKey> = Vec::new();
        let mut holds = true;
        for signature in &header.signatures {
            let mut named = keys.iter().filter(|key| key.key_id() == signature.key_id);
            if signature.kind != ED25519 || named.clone().next().is_none() {
                continue;
            }
            let Some(text) = &text else {
                carried.extend(named.cloned());
                continue;
            };
            match named.find(|key| key.verifies(text.as_bytes(), &signature.bytes)) {
                Some(key) => {
                    self.signed.entry(*key.public_key()).or_default().push(size);
                    carried.push(key.clone());
                }
                None => {
                    holds = false;
                    let named = keys.iter().filter(|key| key.key_id() == signature.key_id);
                    carried.extend(named.cloned());
                }
            }
        }
        if !holds {
            self.does_not_verify(size, place, findings);
        }
        let wanted = self.history.live();
        // The key that was given needs no event that brings it; but once replaced it signs no more.
        let trusted = self.trusted.as_ref().map(|(key, _)| key);
        let trusted = trusted.filter(|key| {
            let own = self.history.get(key.public_key());
            own.is_none_or(|own| own.retired.is_none())
        });
        let there = |key: &VerifierKey| carried.contains(key);
        let live = wanted.is_some_and(there) || trusted.is_some_and(there);
        self.count_bare(header, live, place, findings);
        live && handover.as_ref().is_none_or(there)
    }

    /// A crash leaves one commit that nothing signs, and the next session begins by signing it. So two in
    /// a row were not written by who has the key, however many sessions they claim to be.
    fn count_bare(
        &mut self,
        header: &CommitHeader,
        signed: bool,
        damage: impl Fn(&'static str, String) -> Damage,
        findings: &mut Findings,
    ) {
        let (mut count, session) = self.bare;
        if signed {
            count = 0;
        }
        let written = header.count > 0 && header.number != 0;
        // Within a session the first one that lacks is reported already. An empty commit covers nothing either.
        if count == 1 && header.number != 0 && session != header.incarnation {
            count = 2;
            let detail =
                "the signature of the commit before is missing, though a session began since";
            self.missing(damage("signature.missing", detail.to_owned()), findings);
        }
        self.bare = (count + u32::from(written), header.incarnation);
    }

    fn does_not_verify(
        &mut self,
        size: u64,
        damage: impl Fn(&'static str, String) -> Damage,
        findings: &mut Findings,
    ) {
        self.bad = true;
        if self.parted {
            return;
        }
        // Every later one fails as well: the first tells where history was changed.
        self.parted = true;
        let since = self.signed_size().unwrap_or(0);
        let detail = format!(
            "the signature of the checkpoint of {size} events does not verify: what it covers was \
             changed from sequence {since} on, or it is forged"
        );
        findings.exposed(
            damage("signature.invalid", detail).sequence(since),
            Evidence::Key,
        );
    }

    /// Whether an event of the journal names this key.
    pub(in crate::verify) fn names(&self, key: &VerifierKey) -> bool {
        self.history.get(key.public_key()).is_some()
    }

    /// Whether it is a key of the journal, or the one to check it with.
    pub(in crate::verify) fn is_own(&self, public: &[u8; 32]) -> bool {
        let keys = self.known_keys();
        keys.iter().any(|own| own.public_key() == public)
    }

    /// When the journal said that a key is revoked, in microseconds since 1970; `None` if it isn't.
    pub(in crate::verify) fn revoked_at(&self, key: &VerifierKey) -> Option<i64> {
        self.revoked_at.get(key.public_key()).copied()
    }

    /// How much a checkpoint counts that these keys have signed.
    pub(in crate::verify) fn weigh<'k>(
        &self,
        signers: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Weight {
        let counting = self.counting();
        let newest = counting.last().map(|(key, _)| *key);
        let revoked = |key: &VerifierKey| {
            let own = self.history.get(key.public_key());
            own.is_some_and(|own| own.revoked_from.is_some())
        };
        match signers
            .into_iter()
            .any(|key| Some(key) == newest && !revoked(key))
        {
            true => Weight::Counts,
            false => Weight::Retired,
        }
    }

    /// Whether a size lies under a signature of the newest key that counts.
    pub(in crate::verify) fn confirms(&self, size: u64) -> bool {
        let counting = self.counting();
        let newest = counting.last().and_then(|(_, size)| *size);
        newest.is_some_and(|newest| newest >= size)
    }

    /// A signature that must be there isn't.
    pub(in crate::verify) fn missing(&mut self, damage: Damage, findings: &mut Findings) {
        self.bad = true;
        findings.exposed(damage, Evidence::Key);
    }

    /// A checkpoint that is kept in the directory verifies: the journal is signed up to its size.
    pub(in crate::verify) fn also_signed<'k>(
        &mut self,
        size: u64,
        signers: impl IntoIterator<Item = &'k VerifierKey>,
    ) {
        for key in signers {
            self.signed.entry(*key.public_key()).or_default().push(size);
        }
    }

    /// A signature elsewhere in the directory doesn't verify.
    pub(in crate::verify) fn also_bad(&mut self) {
        self.bad = true;
    }
}

fn evidence_of(source: KeySource) -> Evidence {
    match source {
        KeySource::KnownJournals => Evidence::KnownJournals,
        _ => Evidence::Key,
    }
}
