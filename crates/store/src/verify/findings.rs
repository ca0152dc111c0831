use std::{collections::HashMap, path::Path};

use super::report::{Evidence, Finding};
use crate::{Damage, Error};

/// How many entries of one code are kept; damage can come up once per event.
const MAX_PER_CODE: u64 = 100;

/// The code of what a newer version wrote: not decided, rather than wrong.
const UNSUPPORTED: &str = "journal.unsupported_version";

/// How much an entry weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Weight {
    Fails,
    Unchecked,
    Note,
}

/// Collects what a verification has to say, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) findings: Vec<Finding>,
    pub(super) unchecked: Vec<Finding>,
    pub(super) notes: Vec<Finding>,
    pub(super) omitted: u64,
    per_code: HashMap<(&'static str, Weight), u64>,
}

impl Findings {
    /// Something is wrong with the journal itself.
    pub(super) fn wrong(&mut self, damage: Damage) {
        self.exposed(damage, Evidence::Journal);
    }

    /// Something is wrong, and this evidence shows it.
    pub(super) fn exposed(&mut self, damage: Damage, evidence: Evidence) {
        let weight = if damage.code == UNSUPPORTED {
            Weight::Unchecked
        } else {
            Weight::Fails
        };
        self.add(weight, damage, evidence);
    }

    /// Something could not be checked.
    pub(super) fn unchecked(&mut self, damage: Damage, evidence: Evidence) {
        self.add(Weight::Unchecked, damage, evidence);
    }

    /// Something is worth knowing.
    pub(super) fn note(&mut self, damage: Damage) {
        self.add(Weight::Note, damage, Evidence::Journal);
    }

    /// Whether this was reported already.
    pub(super) fn has(&self, code: &str, path: &Path, offset: u64) -> bool {
        let all = self.findings.iter().chain(&self.unchecked);
        all.into_iter().any(|finding| {
            finding.code == code && finding.path == path && finding.offset == Some(offset)
        })
    }

    /// Whether a newer version wrote something of what was met so far.
    pub(super) fn has_newer(&self) -> bool {
        self.unchecked
            .iter()
            .any(|finding| finding.code == UNSUPPORTED)
    }

    /// Damage is a finding; any other error ends the verification.
    pub(super) fn absorb(&mut self, error: Error) -> Result<(), Error> {
        match error {
            Error::Damaged(damage) => {
                self.wrong(damage);
                Ok(())
            }
            other => Err(other),
        }
    }

    fn add(&mut self, weight: Weight, damage: Damage, evidence: Evidence) {
        let count = self.per_code.entry((damage.code, weight)).or_default();
        *count += 1;
        if *count > MAX_PER_CODE {
            self.omitted += 1;
            return;
        }
        let Damage {
            code,
            path,
            offset,
            sequence,
            detail,
        } = damage;
        let finding = Finding {
            code,
            path,
            offset,
            sequence,
            detail,
            evidence,
        };
        match weight {
            Weight::Fails => self.findings.push(finding),
            Weight::Unchecked => self.unchecked.push(finding),
            Weight::Note => self.notes.push(finding),
        }
    }
}
