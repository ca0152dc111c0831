//! Whom to trust, as a file (C2SP tlog-policy): logs, witnesses, and how many of which.

use thiserror::Error;

use crate::{CheckpointError, CosignerKey, KeyError, Policy, SignedCheckpoint, VerifierKey};

const MAX_FILE: usize = 256 << 10;
/// Of logs, of witnesses and of groups.
const MAX_ENTRIES: usize = 1024;

/// A policy of a file: a checkpoint is valid if one of its logs has signed it and its witnesses, as many
/// as the quorum wants, have cosigned it.
///
/// A quorum counts witnesses, each with a public key of its own that is no log's.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<CosignerKey>,
    /// What can vouch, in the order of the file.
    voters: Vec<Voter>,
    /// Which of them must; `None` asks for no cosignature.
    quorum: Option<usize>,
}

#[derive(Clone, Debug)]
struct Voter {
    name: Vec<u8>,
    sort: Sort,
    /// Whether a group has it as a member.
    taken: bool,
}

#[derive(Clone, Debug)]
enum Sort {
    /// By its place.
    Witness(usize),
    /// How many of which voters, all of them earlier ones.
    Group(usize, Vec<usize>),
}

/// A checkpoint that a policy holds valid.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Vouched {
    /// The keys of the log that signed it; empty if the policy names no log.
    pub logs: Vec<VerifierKey>,
    /// The witnesses that cosigned it, and when, in seconds since 1970.
    pub witnesses: Vec<(CosignerKey, u64)>,
}

impl TrustPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    ///
    /// [`PolicyError`], with the number of the line.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyError> {
        let fail = |line, why| PolicyError { line, why };
        if file.len() > MAX_FILE {
            return Err(fail(0, PolicyProblem::TooLarge));
        }
        let Some(lines) = file.strip_suffix(b"\n") else {
            return Err(fail(0, PolicyProblem::NoLineEnd));
        };
        let mut policy = Self {
            logs: Vec::new(),
            witnesses: Vec::new(),
            voters: Vec::new(),
            quorum: None,
        };
        let mut has_quorum = false;
        for (number, line) in (1..).zip(lines.split(|byte| *byte == b'\n')) {
            let fine = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
            if !line.iter().all(fine) {
                return Err(fail(number, PolicyProblem::Characters));
            }
            let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
            let mut items = line.split(blank).filter(|item| !item.is_empty());
            let Some(word) = items.next().filter(|word| !word.starts_with(b"#")) else {
                continue;
            };
            let items: Vec<&[u8]> = items.collect();
            let done = match word {
                b"log" => policy.log(&items),
                b"witness" => policy.witness(&items),
                b"group" => policy.group(&items),
                b"quorum" if has_quorum => Err(PolicyProblem::SecondQuorum),
                b"quorum" => {
                    has_quorum = true;
                    policy.set_quorum(&items)
                }
                _ => Err(PolicyProblem::Unknown),
            };
            done.map_err(|why| fail(number, why))?;
        }
        if !has_quorum {
            return Err(fail(0, PolicyProblem::NoQuorum));
        }
        Ok(policy)
    }

    fn log(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let ([vkey] | [vkey, _]) = items else {
            return Err(PolicyProblem::Items);
        };
        let key = VerifierKey::parse(text(vkey)?)?;
        self.must_be_new(key.public_key())?;
        if self.logs.len() == MAX_ENTRIES {
            return Err(PolicyProblem::TooMany);
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let ([name, vkey] | [name, vkey, _]) = items else {
            return Err(PolicyProblem::Items);
        };
        let key = CosignerKey::parse(text(vkey)?)?;
        self.must_be_new(key.public_key())?;
        self.define(name, Sort::Witness(self.witnesses.len()))?;
        self.witnesses.push(key);
        Ok(())
    }

    /// One public key is one party: neither two witnesses nor a log and its own witness.
    fn must_be_new(&self, key: &[u8; 32]) -> Result<(), PolicyProblem> {
        let logs = self.logs.iter().map(VerifierKey::public_key);
        let mut all = logs.chain(self.witnesses.iter().map(CosignerKey::public_key));
        match all.any(|other| other == key) {
            true => Err(PolicyProblem::SameKey),
            false => Ok(()),
        }
    }

    fn group(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name, threshold, names @ ..] = items else {
            return Err(PolicyProblem::Items);
        };
        let mut members = Vec::with_capacity(names.len().min(MAX_ENTRIES));
        for member in names {
            let place = self.find(member).ok_or(PolicyProblem::Undefined)?;
            let voter = self.voters.get_mut(place).ok_or(PolicyProblem::Undefined)?;
            if std::mem::replace(&mut voter.taken, true) {
                return Err(PolicyProblem::Repeated);
            }
            members.push(place);
        }
        let threshold = match *threshold {
            b"all" => members.len(),
            b"any" => 1,
            number => {
                let number = text(number).ok().and_then(crate::text::decode_decimal);
                let number = number.and_then(|number| usize::try_from(number).ok());
                number.ok_or(PolicyProblem::Threshold)?
            }
        };
        if threshold < 1 || threshold > members.len() {
            return Err(PolicyProblem::Threshold);
        }
        self.define(name, Sort::Group(threshold, members))
    }

    fn set_quorum(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name] = items else {
            return Err(PolicyProblem::Items);
        };
        self.quorum = match *name {
            b"none" => None,
            name => Some(self.find(name).ok_or(PolicyProblem::Undefined)?),
        };
        Ok(())
    }

    fn define(&mut self, name: &[u8], sort: Sort) -> Result<(), PolicyProblem> {
        if name == b"none" || self.find(name).is_some() {
            return Err(PolicyProblem::Repeated);
        }
        if self.voters.len() == 2 * MAX_ENTRIES {
            return Err(PolicyProblem::TooMany);
        }
        self.voters.push(Voter {
            name: name.to_vec(),
            sort,
            taken: false,
        });
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.voters.iter().position(|voter| voter.name == name)
    }

    /// The logs.
    #[must_use]
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[CosignerKey] {
        &self.witnesses
    }

    /// Whether a checkpoint needs cosignatures to be valid.
    #[must_use]
    pub fn wants_witnesses(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether the witnesses that have cosigned a checkpoint are enough, and which they are. The log's own
    /// signature is not looked at.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Note`] if a cosignature by a witness of the policy doesn't verify or is repeated,
    /// [`CheckpointError::NoQuorum`] if there are not enough.
    pub fn check_witnesses(
        &self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Vec<(CosignerKey, u64)>, CheckpointError> {
        let mut times = Vec::with_capacity(self.witnesses.len());
        for witness in &self.witnesses {
            times.push(witness.cosigned(checkpoint)?);
        }
        // Groups name only what stands before them.
        let mut vouches: Vec<bool> = Vec::with_capacity(self.voters.len());
        for voter in &self.voters {
            vouches.push(match &voter.sort {
                Sort::Witness(place) => times.get(*place).is_some_and(Option::is_some),
                Sort::Group(threshold, members) => {
                    let has = |member: &&usize| vouches.get(**member) == Some(&true);
                    members.iter().filter(has).count() >= *threshold
                }
            });
        }
        let enough = self
            .quorum
            .is_none_or(|quorum| vouches.get(quorum) == Some(&true));
        if !enough {
            return Err(CheckpointError::NoQuorum);
        }
        let cosigned = self.witnesses.iter().zip(times);
        Ok(cosigned
            .filter_map(|(witness, time)| Some((witness.clone(), time?)))
            .collect())
    }

    /// Whether a checkpoint is valid: signed by a log of the policy, named like its origin, and cosigned.
    ///
    /// # Errors
    ///
    /// As [`check_witnesses`](Self::check_witnesses) and [`SignedCheckpoint::verify_by`].
    pub fn check(&self, checkpoint: &SignedCheckpoint) -> Result<Vouched, CheckpointError> {
        // Public keys differ, but two names and ids could still be alike.
        let logs =
            Policy::new(self.logs.iter().cloned()).map_err(|_| CheckpointError::NotSignedByLog)?;
        let (_, signers) = checkpoint.verify_by(&logs)?;
        Ok(Vouched {
            logs: signers.into_iter().cloned().collect(),
            witnesses: self.check_witnesses(checkpoint)?,
        })
    }
}

fn text(item: &[u8]) -> Result<&str, PolicyProblem> {
    std::str::from_utf8(item).map_err(|_| PolicyProblem::Key(KeyError::Malformed))
}

/// Why a policy file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct PolicyError {
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    #[source]
    pub why: PolicyProblem,
}

impl PolicyError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.why {
            PolicyProblem::Key(error) => error.code(),
            _ => "policy.malformed",
        }
    }
}

/// What is wrong with a line of a policy file, or with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// Over 256 KiB.
    #[error("the policy is too large")]
    TooLarge,
    /// The last line has no line feed.
    #[error("the last line does not end")]
    NoLineEnd,
    /// A control character other than tab and line feed.
    #[error("a control character")]
    Characters,
    /// The line begins with none of `log`, `witness`, `group`, `quorum`.
    #[error("not a log, witness, group or quorum")]
    Unknown,
    /// Too few or too many items.
    #[error("too few or too many items")]
    Items,
    /// A key is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Two entries have one public key.
    #[error("the public key stands there twice")]
    SameKey,
    /// A name is defined twice, is `none`, or is a member twice.
    #[error("the name is taken")]
    Repeated,
    /// A name is not defined before.
    #[error("the name is not defined before")]
    Undefined,
    /// The threshold isn't `all`, `any` or a number from 1 to the number of members.
    #[error("the threshold is not all, any, or 1 to the number of members")]
    Threshold,
    /// More than 1,024 logs, or 2,048 witnesses and groups.
    #[error("too many entries")]
    TooMany,
    /// A second quorum line.
    #[error("a second quorum")]
    SecondQuorum,
    /// No quorum line.
    #[error("there is no quorum")]
    NoQuorum,
}
