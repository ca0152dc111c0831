use factlog_proof::{Checkpoint, CheckpointError, Policy, TrustPolicy, VerifierKey};

use super::{Anchor, Receipt, Weight, refuse_receipt};
use crate::{
    Damage, Standing,
    verify::{
        Pass,
        report::{Completeness, Evidence as By, KeySource},
    },
};

/// What comparing the journal with evidence from outside came to.
#[derive(Debug)]
pub(in crate::verify) struct Anchoring {
    pub(in crate::verify) completeness: Completeness,
    pub(in crate::verify) anchored_through: Option<u64>,
    pub(in crate::verify) anchored_by: Option<By>,
}

/// How the journal stands to one checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Continues,
    Behind,
    Parted,
    /// Its root at that size can't be computed, for damage that was reported.
    Unknown,
}

/// Compares the journal with every checkpoint and receipt, and with what is known of it.
pub(in crate::verify) fn compare(pass: &mut Pass<'_>) -> Anchoring {
    let evidence = std::mem::take(&mut pass.evidence);
    let mut found = Found {
        policy: evidence.policy.clone(),
        ..Found::default()
    };
    // Those of the journal's own come first: one may show that a key was replaced.
    let own = |anchor: &&Anchor| anchor.by == By::Journal;
    for anchor in evidence.anchors.iter().filter(own) {
        found.anchor(pass, anchor);
    }
    for anchor in evidence.anchors.iter().filter(|anchor| !own(anchor)) {
        found.anchor(pass, anchor);
    }
    for receipt in &evidence.receipts {
        found.receipt(pass, receipt);
    }
    if let Some(known) = &evidence.known {
        found.known(pass, known);
    }
    found.report(pass);
    Anchoring {
        completeness: found.completeness(),
        anchored_through: found.continues.and_then(|(size, _)| size.checked_sub(1)),
        anchored_by: found.continues.map(|(_, by)| by),
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    /// Whose cosignatures are wanted.
    policy: Option<TrustPolicy>,
    /// The largest size that evidence from outside names and the journal continues.
    continues: Option<(u64, By)>,
    /// Sizes at which the journal agrees, whoever keeps the checkpoint.
    agrees: Vec<u64>,
    differs: Vec<(Checkpoint, By, std::path::PathBuf, Compared)>,
    forked: bool,
    rolled_back: bool,
}

impl Found {
    fn anchor(&mut self, pass: &mut Pass<'_>, anchor: &Anchor) {
        let claimed = anchor.checkpoint.claimed();
        let Some(policy) = usable_keys(pass, claimed, anchor.by, &anchor.path) else {
            return;
        };
        let signers = match anchor.checkpoint.verify_by(&policy) {
            Ok((_, signers)) => signers,
            Err(error) => {
                let detail = format!("the checkpoint of {} events: {error}", claimed.size());
                let damage = Damage::new("checkpoint.bad_signature", &anchor.path, detail);
                pass.findings.exposed(damage, anchor.by);
                if anchor.by == By::Journal {
                    pass.chain.trust.also_bad();
                }
                return;
            }
        };
        let Ok(witnessed) = self.witnessed(pass, anchor, &signers) else {
            return;
        };
        self.compared(pass, claimed, &signers, witnessed, anchor.by, &anchor.path);
    }

    /// Whether as many witnesses as the policy wants have cosigned a checkpoint from outside, before a key
    /// that signed it was revoked. An error if they must and didn't; it was reported.
    fn witnessed(
        &self,
        pass: &mut Pass<'_>,
        anchor: &Anchor,
        signers: &[&VerifierKey],
    ) -> Result<bool, ()> {
        let Some(policy) = self.policy.as_ref().filter(|_| anchor.by != By::Journal) else {
            return Ok(false);
        };
        let size = anchor.checkpoint.claimed().size();
        let damage = |code, error: &CheckpointError| {
            let detail = format!("the checkpoint of {size} events: {error}");
            Damage::new(code, &anchor.path, detail)
        };
        let mut witnesses = policy.witnesses().iter();
        let own = witnesses.find(|key| pass.chain.trust.is_own(key.public_key()));
        if let Some(own) = own.filter(|_| policy.wants_witnesses()) {
            let detail = format!("the witness {} has a key of the journal itself", own.name());
            let damage = Damage::new("policy.own_witness", &anchor.path, detail);
            pass.findings.unchecked(damage, anchor.by);
            return Err(());
        }
        match policy.check_witnesses(&anchor.checkpoint) {
            Ok(witnesses) => {
                let revoked = signers
                    .iter()
                    .filter_map(|key| pass.chain.trust.revoked_at(key));
                let revoked = revoked.min().unwrap_or(i64::MAX);
                let before = |time: u64| {
                    i64::try_from(time).is_ok_and(|time| time.saturating_mul(1_000_000) < revoked)
                };
                let all = witnesses.iter().all(|(_, time)| before(*time));
                Ok(policy.wants_witnesses() && all)
            }
            Err(error @ CheckpointError::NoQuorum) => {
                let damage = damage("checkpoint.no_quorum", &error);
                pass.findings.unchecked(damage, anchor.by);
                Err(())
            }
            Err(error) => {
                let damage = damage("checkpoint.bad_signature", &error);
                pass.findings.exposed(damage, anchor.by);
                Err(())
            }
        }
    }

    fn receipt(&mut self, pass: &mut Pass<'_>, receipt: &Receipt) {
        let (by, dir) = (By::Receipt(receipt.place), pass.layout.dir.clone());
        let claimed = receipt.receipt.claimed_checkpoint();
        let Some(policy) = usable_keys(pass, claimed, by, &dir) else {
            return;
        };
        let verified = match receipt.receipt.verify(&policy) {
            Ok(verified) => verified,
            Err(error) => return refuse_receipt(receipt.place, &error, &dir, &mut pass.findings),
        };
        let sequence = verified.sequence();
        if sequence < pass.chain.next {
            match pass.chain.history.event_at(sequence) {
                Some(hash) if hash == verified.event_hash() => {}
                Some(_) if pass.chain.trust.weigh(verified.signers()) == Weight::Retired => {}
                Some(_) => {
                    let detail = "the journal holds another event than the receipt proves";
                    let damage = Damage::new("receipt.event_differs", &dir, detail);
                    pass.findings.exposed(damage.sequence(sequence), by);
                }
                None => {
                    let detail = "the receipt's event can't be read in the journal";
                    let damage = Damage::new("receipt.event_unreadable", &dir, detail);
                    pass.findings.unchecked(damage.sequence(sequence), by);
                }
            }
        }
        let signers: Vec<&VerifierKey> = verified.signers().iter().collect();
        // A receipt has no cosignatures to speak of: it may contradict, and anchors nothing by itself.
        let before = self.continues;
        self.compared(pass, verified.checkpoint(), &signers, false, by, &dir);
        if self.wants_witnesses() {
            self.continues = before;
        }
    }

    /// Of two of one size what the caller holds weighs more than what is kept by others, and that more than what is
    /// remembered here.
    fn rests_on(&mut self, size: u64, by: By) {
        let rank = |by: By| match by {
            By::Checkpoint(_) | By::Receipt(_) => 2,
            By::Anchor(_) => 1,
            _ => 0,
        };
        let better = |(old, of): (u64, By)| (size, rank(by)) > (old, rank(of));
        if self.continues.is_none_or(better) {
            self.continues = Some((size, by));
        }
    }

    fn wants_witnesses(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(TrustPolicy::wants_witnesses)
    }

    fn compared(
        &mut self,
        pass: &mut Pass<'_>,
        checkpoint: &Checkpoint,
        signers: &[&VerifierKey],
        witnessed: bool,
        by: By,
        path: &std::path::Path,
    ) {
        let size = checkpoint.size();
        let standing = standing(pass, checkpoint);
        let trust = &mut pass.chain.trust;
        if standing == Compared::Continues && by == By::Journal {
            self.agrees.push(size);
            trust.also_signed(size, signers.iter().copied());
            return;
        }
        let counts = witnessed || trust.weigh(signers.iter().copied()) == Weight::Counts;
        match standing {
            Compared::Continues if counts || trust.confirms(size) => {
                self.agrees.push(size);
                self.rests_on(size, by);
            }
            _ if !counts => {
                let detail = format!(
                    "the checkpoint of {size} events is signed by a key that was replaced, and nothing \
                     that counts confirms it: who has that key could have made it since"
                );
                let damage = Damage::new("checkpoint.retired_key", path, detail);
                pass.findings.unchecked(damage, by);
            }
            other => self
                .differs
                .push((checkpoint.clone(), by, path.to_owned(), other)),
        }
    }

    /// What the user remembers, in the words of whoever keeps it.
    fn known(&mut self, pass: &mut Pass<'_>, known: &crate::KnownJournal) {
        let path = &pass.layout.dir;
        let origin = pass
            .chain
            .trust
            .created()
            .map(|created| (&created.origin, &created.keys));
        let unsigned = known.key.is_none();
        if let Some((origin, keys)) = origin
            && (*origin != known.origin || (unsigned && !keys.is_empty()))
        {
            let detail = "the journal is known with another origin or key than it now names";
            let damage = Damage::new("known.key_differs", path, detail).sequence(0);
            pass.findings.exposed(damage, By::KnownJournals);
            return;
        }
        if let Some(key) = known.key.as_ref().filter(|_| pass.chain.lost.is_empty()) {
            let trust = &pass.chain.trust;
            let former = known.retired.iter().any(|old| trust.names(old));
            let said_already = matches!(trust.key(), Some((_, KeySource::KnownJournals)));
            if !trust.names(key) && !former && !said_already && trust.created().is_some() {
                let detail =
                    "the journal is known with another key, which none of its events names";
                let damage = Damage::new("known.key_differs", path, detail).sequence(0);
                pass.findings.exposed(damage, By::KnownJournals);
                return;
            }
        }
        let known_root = |size: u64| {
            let mut claimed = known.checkpoints.iter().map(|signed| signed.claimed());
            claimed
                .find(|claimed| claimed.size() == size)
                .map(Checkpoint::root)
        };
        let standing = Standing::compare(known, pass.chain.next, |size| {
            let passed = pass.chain.history.root_at(size)?;
            let agrees = Some(passed.root) == known_root(size);
            let decides = agrees || !(passed.assumed || passed.stated == known_root(size));
            decides.then_some(passed.root)
        });
        self.stands(pass, standing);
    }

    fn stands(&mut self, pass: &mut Pass<'_>, standing: Standing) {
        let path = &pass.layout.dir;
        let damage = |code, detail: String| Damage::new(code, path, detail);
        match standing {
            Standing::NotChecked => {}
            // Nobody has cosigned what is remembered: like a receipt it can only contradict.
            Standing::Anchored { .. } if self.wants_witnesses() => {}
            Standing::Anchored { through } => {
                if let Some(size) = through.checked_add(1) {
                    self.rests_on(size, By::KnownJournals);
                }
            }
            Standing::RolledBack { .. } if pass.newer_end => {
                let detail = "what it lacks of what is known may be what a newer version wrote";
                let damage = damage("known.not_compared", detail.to_owned());
                pass.findings.unchecked(damage, By::KnownJournals);
            }
            Standing::RolledBack {
                behind_by,
                true_prefix,
                agrees_through,
            } => {
                self.rolled_back = true;
                let detail = match (true_prefix, agrees_through) {
                    (true, Some(through)) => format!(
                        "the journal is a true prefix, behind by {behind_by}: it agrees with what is \
                         known through sequence {through}, and lacks {behind_by} events"
                    ),
                    _ => format!(
                        "the journal is behind by {behind_by}: it lacks events that it is known to \
                         have had"
                    ),
                };
                let damage = damage("history.rolled_back", detail).sequence(pass.chain.next);
                pass.findings.exposed(damage, By::KnownJournals);
            }
            Standing::Forked {
                parted_after,
                parted_before,
            } => {
                self.forked = true;
                let since = parted_after.map_or(0, |through| through.saturating_add(1));
                let detail = parted(since, parted_before);
                let damage = damage("history.forked", detail).sequence(since);
                pass.findings.exposed(damage, By::KnownJournals);
            }
            other => {
                let detail = match other {
                    Standing::Undecided { size } => format!(
                        "the journal's tree of {size} events can't be computed, so it was not \
                         compared with what is known"
                    ),
                    _ => "the journal could not be compared with what is known".to_owned(),
                };
                let damage = damage("known.not_compared", detail);
                pass.findings.unchecked(damage, By::KnownJournals);
            }
        }
    }

    /// Says what differs; only now is known how far the histories agree.
    fn report(&mut self, pass: &mut Pass<'_>) {
        for (checkpoint, by, path, compared) in std::mem::take(&mut self.differs) {
            let size = checkpoint.size();
            let agrees = self
                .agrees
                .iter()
                .copied()
                .filter(|agreed| *agreed < size)
                .max();
            let since = agrees.unwrap_or(0);
            match compared {
                Compared::Parted => {
                    self.forked = true;
                    let damage = Damage::new("history.forked", &path, parted(since, size));
                    pass.findings.exposed(damage.sequence(since), by);
                }
                Compared::Behind => {
                    self.rolled_back = true;
                    let next = pass.chain.next;
                    let (behind, prefix) = (size - next, self.prefix(pass, agrees));
                    let detail = format!(
                        "the checkpoint is of {size} events and the journal has {next}: {prefix}behind \
                         by {behind}"
                    );
                    let damage = Damage::new("history.rolled_back", &path, detail);
                    pass.findings.exposed(damage.sequence(next), by);
                }
                _ => {
                    let detail = format!(
                        "the journal's tree of {size} events can't be computed, so it was not \
                         compared with the checkpoint"
                    );
                    let damage = Damage::new("checkpoint.not_compared", &path, detail);
                    pass.findings.unchecked(damage, by);
                }
            }
        }
    }

    /// Signed by the same key, a shorter history is one that the longer continues.
    fn prefix(&self, pass: &Pass<'_>, agrees: Option<u64>) -> String {
        let trusted = matches!(
            pass.chain.trust.key(),
            Some((_, KeySource::Given | KeySource::KnownJournals))
        );
        let signed = pass.chain.trust.signed_through().filter(|_| trusted);
        let agrees = agrees.and_then(|size| size.checked_sub(1));
        match signed.max(agrees) {
            Some(through) => format!("a true prefix through sequence {through}, "),
            None => String::new(),
        }
    }

    fn completeness(&self) -> Completeness {
        if self.forked {
            Completeness::Forked
        } else if self.rolled_back {
            Completeness::RolledBack
        } else if self.continues.is_some() {
            Completeness::Anchored
        } else {
            Completeness::NotChecked
        }
    }
}

fn parted(since: u64, size: u64) -> String {
    let last = size.saturating_sub(1);
    format!("the journal has another history: it parted at a sequence from {since} to {last}")
}

/// The keys to check evidence with, if the evidence is about this journal.
fn usable_keys(
    pass: &mut Pass<'_>,
    claimed: &Checkpoint,
    by: By,
    path: &std::path::Path,
) -> Option<Policy> {
    let origin = pass.origin();
    if origin.is_empty() && pass.newer {
        let detail = "only a newer version can say which journal this is, so the evidence was not compared with it";
        let damage = Damage::new("checkpoint.not_compared", path, detail);
        pass.findings.unchecked(damage, by);
        return None;
    }
    if claimed.origin() != origin {
        let detail = format!(
            "the evidence is about {}, and this journal is {origin}",
            claimed.origin()
        );
        let damage = Damage::new("evidence.other_journal", path, detail);
        if by == By::Journal {
            pass.findings.wrong(damage);
        } else {
            pass.findings.unchecked(damage, by);
        }
        return None;
    }
    let keys = pass.chain.trust.policy();
    if keys.is_none() {
        let detail = "there is no key to check the evidence with";
        pass.findings
            .unchecked(Damage::new("evidence.no_key", path, detail), by);
    }
    keys
}

fn standing(pass: &Pass<'_>, checkpoint: &Checkpoint) -> Compared {
    let size = checkpoint.size();
    if size > pass.chain.next {
        // What it lacks may be what a newer version wrote.
        return if pass.newer_end {
            Compared::Unknown
        } else {
            Compared::Behind
        };
    }
    match pass.chain.history.root_at(size) {
        Some(passed) if passed.root == checkpoint.root() => Compared::Continues,
        // The commit states the very root, so what differs was damaged since.
        Some(passed) if passed.stated == Some(checkpoint.root()) => Compared::Unknown,
        Some(passed) if !passed.assumed => Compared::Parted,
        _ => Compared::Unknown,
    }
}
