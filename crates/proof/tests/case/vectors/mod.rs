//! Cases, good and bad, each with its verdicts and first finding. `fixtures/cases` holds them, for the
//! command, the page and the verifier in Python.

mod completeness;
mod contents;
mod erasures;
mod keys;

use factlog_format::{
    CaseEdge, CaseErased, CaseExported, CaseSection, CaseStatement, ErasureCompleted,
    ErasureHasher, ErasureLevel, ErasureOrdered, HoldPlaced, JournalEvent, KeyDomain, KeyRevoked,
    KeyRotated, SecretFate, SectionSecret, ShredCompleted, ShredGrade, ShredIntended,
    case_commitment, next_key_hash,
};
use factlog_proof::{Checkpoint, SigningKey};

use completeness::{disclosures, populations};
use contents::{bytes, contents};
use erasures::erasures;
pub(crate) use erasures::shred_of;
pub(crate) use keys::{checkpoint, rotation, second};
use keys::{histories, keepers, keys};

use crate::common::{JOURNAL, ORIGIN, key};
use crate::lab::{
    Case, Lab, at, created, deposits, keep, note, part, period, recount, redacted, restate, sign,
};

/// A case with what is to be said of it.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Integrity, authenticity and completeness.
    pub(crate) verdicts: [&'static str; 3],
    /// The first finding that decides; the first, if none does.
    pub(crate) code: &'static str,
}

const HOLDS: [&str; 3] = ["holds", "holds", "holds"];
const BROKEN: [&str; 3] = ["fails", "holds", "undecided"];
const BROKEN_AND_INCOMPLETE: [&str; 3] = ["fails", "holds", "fails"];
const UNREADABLE: [&str; 3] = ["fails", "undecided", "undecided"];
const INCOMPLETE: [&str; 3] = ["holds", "holds", "fails"];
const FOREIGN: [&str; 3] = ["holds", "fails", "holds"];

#[derive(Default)]
struct Vectors(Vec<Vector>);

impl Vectors {
    fn add(
        &mut self,
        name: &'static str,
        case: &Case,
        verdicts: [&'static str; 3],
        code: &'static str,
    ) {
        let bytes = case
            .encode()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        self.raw(name, bytes, verdicts, code);
    }

    fn raw(
        &mut self,
        name: &'static str,
        bytes: Vec<u8>,
        verdicts: [&'static str; 3],
        code: &'static str,
    ) {
        self.0.push(Vector {
            name,
            bytes,
            verdicts,
            code,
        });
    }
}

pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = Vectors::default();
    good(&mut vectors);
    bytes(&mut vectors);
    contents(&mut vectors);
    populations(&mut vectors);
    disclosures(&mut vectors);
    erasures(&mut vectors);
    histories(&mut vectors);
    keepers(&mut vectors);
    keys(&mut vectors);
    vectors.0
}

/// What the one who makes the vectors signs with; the verifier key of all of them.
pub(crate) fn log_key() -> SigningKey {
    key(ORIGIN, 1)
}

fn good(vectors: &mut Vectors) {
    let lab = Lab::ledger();
    for (name, statement, logged) in [
        ("good-everything", period(), true),
        ("good-deposits", deposits(), true),
        ("good-redacted", redacted(), true),
        ("good-unlogged", period(), false),
        ("good-by-sequence", by_sequence(2, 6), true),
        ("good-whole-journal", by_sequence(0, 10), true),
        ("good-one-stream", of_stream("$journal", "journal"), true),
        (
            "good-tags",
            CaseStatement {
                tags: vec!["branch:12".into(), "eu".into()],
                ..period()
            },
            true,
        ),
        (
            "good-empty-selection",
            CaseStatement {
                kinds: vec!["account.closed".into()],
                ..period()
            },
            true,
        ),
        (
            "good-empty-period",
            CaseStatement {
                first: 8,
                end: 8,
                from: CaseEdge::Recorded(1700),
                until: CaseEdge::Recorded(1900),
                ..period()
            },
            true,
        ),
    ] {
        vectors.add(name, &lab.export(statement, logged).1, HOLDS, "");
    }
    let to_the_end = CaseStatement {
        end: 10,
        until: CaseEdge::Recorded(9000),
        ..period()
    };
    vectors.add(
        "good-ends-with-journal",
        &lab.export(to_the_end, false).1,
        HOLDS,
        "",
    );
    let mut young = Lab::ledger();
    young.records.truncate(6);
    let (_, before) = young.export(by_sequence(1, 6), false);
    vectors.add("good-before", &before, HOLDS, "");
    vectors.add("good-after", &after().1, HOLDS, "");
    let (lab, mut case) = lab.export(period(), false);
    let claimed = lab.signed(lab.size(), &[&log_key()]).claimed().clone();
    restate(&mut case, |statement| {
        statement.after = Some((claimed.size(), *claimed.root().as_bytes()))
    });
    vectors.add("good-after-one-of-the-same-checkpoint", &case, HOLDS, "");
}

fn by_sequence(first: u64, end: u64) -> CaseStatement {
    let (from, until) = (CaseEdge::Sequence(first), CaseEdge::Sequence(end));
    CaseStatement {
        first,
        end,
        from,
        until,
        ..period()
    }
}

fn of_stream(scope: &str, entity: &str) -> CaseStatement {
    let streams = vec![(scope.to_owned(), entity.to_owned())];
    CaseStatement {
        streams,
        ..period()
    }
}

/// A case that follows one of 6 events.
fn after() -> (Lab, Case) {
    let lab = Lab::ledger();
    let earlier = lab.signed(6, &[&log_key()]);
    let claimed = earlier.claimed();
    let after = Some((claimed.size(), *claimed.root().as_bytes()));
    let (lab, mut case) = lab.export(CaseStatement { after, ..period() }, true);
    case.earlier = vec![lab.earlier(6, &[&log_key()])];
    (lab, case)
}

fn logged() -> (Lab, Case) {
    Lab::ledger().export(period(), true)
}

/// Gives the bytes the hash again that a file of them ends in.
pub(crate) fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let digest = blake3(&body);
    body.extend_from_slice(&digest);
    body
}

/// The file hash, by way of a case that is encoded: no other door leads to it.
fn blake3(body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("factlog 1 case file");
    *hasher.update(body).finalize().as_bytes()
}
