//! Signing by someone in another process, who is asked for what is durable alone.

use std::sync::Arc;

use factlog_proof::{
    Frontier, Hash, NodeSource, PathError, SignedCheckpoint, consistency_path, node_hash,
};

use super::Writer;
use crate::{Error, Misuse, Reader, Refusal, read::view::View, signer::Signer};

/// The tree before a group, and the leaves that the group adds: enough to prove that the tree after it
/// continues the one before.
pub(super) struct Grown {
    pub(super) before: Frontier,
    pub(super) leaves: Vec<Hash>,
}

impl Grown {
    /// The signature of the tree after the group; `from` is the size that was signed last.
    pub(super) fn sign(
        &self,
        signer: &Signer,
        root: Hash,
        from: u64,
    ) -> Result<SignedCheckpoint, Error> {
        let size = self.before.size() + self.leaves.len() as u64;
        let path = |old: u64| {
            let path = match old == size || old == self.before.size() {
                true => consistency_path(self, old, size),
                false => Err(PathError::Source("it has signed another size".to_owned())),
            };
            path.map_err(|error| unavailable(&error.to_string()))
        };
        let signed = signer.ask(size, root, from, &path);
        // The events are durable by now, whatever the reason.
        signed.map_err(|error| unavailable(&error.to_string()))
    }
}

fn unavailable(detail: &str) -> Error {
    let detail = detail.to_owned();
    Refusal::SignerUnavailable { detail }.into()
}

impl NodeSource for Grown {
    type Error = String;

    fn node(&self, level: u32, index: u64) -> Result<Hash, String> {
        let size = self.before.size();
        let (begin, end) = (index << level, (index + 1) << level);
        if end <= size {
            // Of the subtrees before the group only those of the right edge are asked for.
            let mut at = 0;
            for (hash, bit) in self.before.hashes().iter().zip(bits(size)) {
                if (at, at + bit) == (begin, end) {
                    return Ok(*hash);
                }
                at += bit;
            }
            return Err("a subtree that is not of the right edge".to_owned());
        }
        if level == 0 {
            let leaf = self.leaves.get((begin - size) as usize);
            return leaf
                .copied()
                .ok_or_else(|| "there is no such leaf".to_owned());
        }
        let left = self.node(level - 1, 2 * index)?;
        Ok(node_hash(&left, &self.node(level - 1, 2 * index + 1)?))
    }
}

/// The powers of two that a number is made of, the largest first.
fn bits(number: u64) -> impl Iterator<Item = u64> {
    let powers = (0..64).rev().map(|bit| 1u64 << bit);
    powers.filter(move |power| number & power != 0)
}

impl Writer {
    /// Has someone elsewhere sign what an open found, if that is who signs: nothing was signed since the
    /// last group, and whoever has signed more, or something else, says so before anything is written.
    ///
    /// # Errors
    /// `signer.history_mismatch`, `signer.unavailable`.
    pub(crate) fn sign_elsewhere(&self, reader: &Reader) -> Result<(), Error> {
        let mut baton = self.baton.lock();
        let signer = baton.signer.clone();
        let Some(signer) = signer.filter(|signer| signer.is_elsewhere()) else {
            return Ok(());
        };
        let (size, root) = (baton.frontier.size(), baton.frontier.root());
        if reader.len() != size {
            return Err(Misuse::NoSuchEvent(size.to_string()).into());
        }
        let from = baton
            .signed
            .as_ref()
            .map_or(0, |signed| signed.claimed().size());
        let signed = signer.ask(size, root, from, &|old| reader.consistency(old, size))?;
        let signed = Arc::new(signed);
        baton.signed = Some(Arc::clone(&signed));
        let _publish = self.publish.lock();
        let view = self.shared.view.load_full();
        self.shared.view.store(Arc::new(View {
            signed: Some(signed),
            ..View::clone(&view)
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        },
    };

    use factlog_proof::SignRequest;
    use factlog_sim::{PowerCut, SimFs};

    use crate::{
        Encoding, ExternalSigner, Journal, NewEvent, Options, SigningAgent,
        config::{Bug, with},
    };

    const DIR: &str = "j";
    const KEY: &str = "k/signer.key";

    /// Notes whether what it is asked for would outlive a power cut at that moment.
    #[derive(Debug)]
    struct Careful {
        fs: SimFs,
        asked: AtomicU64,
        too_early: AtomicBool,
    }

    impl ExternalSigner for Careful {
        fn ask(&self, request: &str) -> io::Result<String> {
            let parsed = SignRequest::parse(request).map_err(io::Error::other)?;
            let cut = self.fs.power_cut(&PowerCut::lost(), 7);
            let reader = Journal::open_read_only(DIR, Options::new().file_system(cut.store()));
            let there = reader.map_or(0, |reader| reader.len());
            self.asked.fetch_add(1, Relaxed);
            self.too_early
                .fetch_or(there < parsed.checkpoint.size(), Relaxed);
            let agent = SigningAgent::open_in(self.fs.store(), KEY).map_err(io::Error::other)?;
            agent.answer(request).map_err(io::Error::other)
        }
    }

    fn asks_too_early() -> bool {
        let fs = SimFs::new(3);
        let options = || {
            let options = Options::new().file_system(fs.store());
            options.dangerous().without_housekeeper()
        };
        let journal = Journal::create(DIR, options().signing_key_file(KEY)).unwrap();
        let key = journal.reader().verifier_key().unwrap();
        journal.close().unwrap();
        let agent = Arc::new(Careful {
            fs: fs.clone(),
            asked: AtomicU64::new(0),
            too_early: AtomicBool::new(false),
        });
        let options = options().external_signer(key, agent.clone());
        let journal = Journal::open(DIR, options).unwrap();
        for number in 0..5 {
            let event = NewEvent::new("bank", "a", "noted").data(Encoding::Raw, vec![number]);
            journal.append(event).unwrap();
        }
        journal.close().unwrap();
        assert!(agent.asked.load(Relaxed) >= 6);
        agent.too_early.load(Relaxed)
    }

    #[test]
    fn a_signer_elsewhere_is_asked_only_for_what_a_power_cut_leaves() {
        assert!(!asks_too_early());
        assert!(with(Bug::AskedTooEarly, asks_too_early), "the check bites");
    }
}
