//! Cases, good and bad, each with its verdicts and first finding. `fixtures/cases` holds them, for the
//! command, the page and the verifier in Python.

use factlog_format::{
    CaseEdge, CaseErased, CaseExported, CaseSection, CaseStatement, ErasureCompleted,
    ErasureHasher, ErasureLevel, ErasureOrdered, HoldPlaced, JournalEvent, KeyDomain, KeyRevoked,
    KeyRotated, SecretFate, SectionSecret, ShredCompleted, ShredGrade, ShredIntended,
    case_commitment, next_key_hash,
};
use factlog_proof::{Checkpoint, SigningKey};

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

fn bytes(vectors: &mut Vectors) {
    let good = logged().1.encode().unwrap();
    let body = || good[..good.len() - 32].to_vec();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    vectors.raw("bit-rotted", flipped, UNREADABLE, "case.damaged");
    vectors.raw(
        "cut-short",
        good[..good.len() - 7].to_vec(),
        UNREADABLE,
        "case.damaged",
    );
    vectors.raw("empty", Vec::new(), UNREADABLE, "case.malformed");
    let mut longer = body();
    longer.push(0);
    vectors.raw(
        "byte-after-the-end",
        sealed(longer),
        UNREADABLE,
        "case.malformed",
    );
    let mut other = good.clone();
    other[0] ^= 1;
    vectors.raw("other-magic", other, UNREADABLE, "case.malformed");
    let mut newer = body();
    newer[8] = 1;
    let undecided = ["undecided"; 3];
    vectors.raw(
        "newer-version",
        sealed(newer),
        undecided,
        "case.unsupported",
    );
    let mut reserved = body();
    reserved[9] = 1;
    vectors.raw(
        "reserved-byte",
        sealed(reserved),
        UNREADABLE,
        "case.malformed",
    );
    let mut statement = logged().1;
    statement.statement = keep([&[9], &statement.statement[1..]].concat());
    vectors.add("newer-statement", &statement, undecided, "case.unsupported");
}

fn contents(vectors: &mut Vectors) {
    let (lab, good) = logged();
    let mut case = good.clone();
    at(&mut case, 5).sections = Some(vec![CaseSection::Disclosed {
        secret: SectionSecret::Salt([5; 16]),
        stored: b"{\"n\":9}",
        key: None,
    }]);
    vectors.add("payload-changed", &case, BROKEN, "case.section_hash");

    let mut case = good.clone();
    let (salt, facts) = at(&mut case, 5).facts.unwrap();
    let mut facts = facts.to_vec();
    let at_kind = facts
        .windows(9)
        .position(|window| window == b"deposited")
        .unwrap();
    facts[at_kind] = b'r';
    at(&mut case, 5).facts = Some((salt, keep(facts)));
    let records = case.records.clone();
    restate(&mut case, |statement| {
        *statement = statement.clone().counted(&records)
    });
    vectors.add("facts-changed", &case, BROKEN_AND_INCOMPLETE, "case.root");

    let mut case = good.clone();
    at(&mut case, 7).spine.recorded_at += 1;
    vectors.add("time-changed", &case, BROKEN, "case.root");

    let mut case = good.clone();
    at(&mut case, 8).spine.recorded_at += 1000;
    vectors.add("neighbour-forged", &case, BROKEN, "case.root");

    let mut case = good.clone();
    case.proof[0][0] ^= 1;
    vectors.add("proof-changed", &case, BROKEN, "case.root");
    let mut case = good.clone();
    case.proof.pop();
    vectors.add("proof-too-short", &case, BROKEN, "case.proof");
    let mut case = good.clone();
    case.proof.push([1; 32]);
    vectors.add("proof-too-long", &case, BROKEN, "case.proof");

    let mut case = good.clone();
    let smaller = lab.signed(9, &[&log_key()]);
    case.checkpoint = note(&smaller);
    vectors.add("checkpoint-of-fewer-events", &case, BROKEN, "case.proof");

    let mut case = good.clone();
    case.journal[0] ^= 1;
    vectors.add_lenient("journal-id-changed", &case, BROKEN, "case.origin");
}

impl Vectors {
    /// Of a case whose events don't follow each other any more, as the id goes into every hash.
    fn add_lenient(
        &mut self,
        name: &'static str,
        case: &Case,
        verdicts: [&'static str; 3],
        code: &'static str,
    ) {
        let mut bytes = logged().1.encode().unwrap();
        bytes.truncate(bytes.len() - 32);
        bytes[16..32].copy_from_slice(&case.journal);
        self.raw(name, sealed(bytes), verdicts, code);
    }
}

fn populations(vectors: &mut Vectors) {
    let (lab, good) = logged();
    let trim = |case: &mut Case, first: u64, end: u64| {
        case.records.retain(|record| {
            let sequence = record.spine.sequence;
            let own = record.facts().unwrap().scope == "$journal";
            own || (first.saturating_sub(1)..=end).contains(&sequence)
        });
        for outside in [first.saturating_sub(1), end] {
            if at(case, outside).facts().unwrap().scope != "$journal" {
                at(case, outside).sections = None;
            }
        }
        restate(case, |statement| {
            (statement.first, statement.end) = (first, end)
        });
        recount(case);
        lab.prove(case);
    };
    let unlogged = || {
        let mut case = good.clone();
        case.manifest = None;
        case.salt = [0; 16];
        case
    };
    let mut case = good.clone();
    trim(&mut case, 2, 8);
    vectors.add(
        "first-event-trimmed",
        &case,
        INCOMPLETE,
        "case.period_begin",
    );
    let mut case = good.clone();
    trim(&mut case, 1, 7);
    vectors.add("last-event-trimmed", &case, INCOMPLETE, "case.period_end");
    let mut case = unlogged();
    trim(&mut case, 2, 8);
    vectors.add(
        "first-event-trimmed-unlogged",
        &case,
        INCOMPLETE,
        "case.period_begin",
    );
    let mut case = unlogged();
    trim(&mut case, 1, 7);
    vectors.add(
        "last-event-trimmed-unlogged",
        &case,
        INCOMPLETE,
        "case.period_end",
    );
    let mut case = good.clone();
    trim(&mut case, 2, 8);
    restate(&mut case, |statement| {
        statement.from = CaseEdge::Recorded(1050)
    });
    vectors.add(
        "query-changed-with-the-period",
        &case,
        INCOMPLETE,
        "case.manifest",
    );

    let mut case = good.clone();
    case.records.retain(|record| record.spine.sequence != 5);
    recount(&mut case);
    lab.prove(&mut case);
    vectors.add("event-left-out", &case, INCOMPLETE, "case.gap");
    let mut case = good.clone();
    case.records.retain(|record| record.spine.sequence != 8);
    lab.prove(&mut case);
    vectors.add("neighbour-left-out", &case, INCOMPLETE, "case.gap");
    let mut case = good.clone();
    at(&mut case, 5).sections = None;
    vectors.add("payload-left-out", &case, INCOMPLETE, "case.selection");
    let (_, mut case) = Lab::ledger().export(deposits(), true);
    at(&mut case, 3).sections = lab.records[3].sections.clone();
    vectors.add(
        "payload-nobody-asked-for",
        &case,
        INCOMPLETE,
        "case.selection",
    );
    let mut case = good.clone();
    let mut stray = lab.records[9].clone();
    stray.sections = None;
    case.records.insert(9, stray);
    lab.prove(&mut case);
    vectors.add("event-outside-the-period", &case, INCOMPLETE, "case.stray");

    let mut case = good.clone();
    restate(&mut case, |statement| statement.selected -= 1);
    vectors.add("count-lowered", &case, INCOMPLETE, "case.counts");
    let mut case = good.clone();
    restate(&mut case, |statement| statement.kind_counts[0].1 += 1);
    vectors.add("count-of-a-kind-raised", &case, INCOMPLETE, "case.counts");
    let mut case = good.clone();
    restate(&mut case, |statement| statement.stream_counts.swap(0, 1));
    vectors.add(
        "counts-of-streams-swapped",
        &case,
        INCOMPLETE,
        "case.counts",
    );
    let mut case = unlogged();
    restate(&mut case, |statement| statement.unknown = 1);
    vectors.add("unknown-made-up", &case, INCOMPLETE, "case.counts");

    let mut case = good.clone();
    restate(&mut case, |statement| {
        statement.kinds = vec!["account.transferred".into()]
    });
    for sequence in [1, 2, 5, 6, 7] {
        at(&mut case, sequence).sections = None;
    }
    recount(&mut case);
    vectors.add("query-narrowed", &case, INCOMPLETE, "case.manifest");
    let mut case = good.clone();
    restate(&mut case, |statement| {
        statement.tool = "factlog 9.9.9".into()
    });
    vectors.add("tool-changed", &case, INCOMPLETE, "case.manifest");
    let mut case = good.clone();
    case.salt[0] ^= 1;
    vectors.add("salt-changed", &case, INCOMPLETE, "case.manifest");
    let mut case = good.clone();
    case.manifest = Some(4);
    vectors.add(
        "manifest-is-another-event",
        &case,
        INCOMPLETE,
        "case.manifest",
    );
    let mut case = good.clone();
    case.manifest = Some(99);
    vectors.add("manifest-nowhere", &case, INCOMPLETE, "case.manifest");
    // The words of a manifest, from one who may only append events of their own.
    let mut forger = Lab::ledger();
    let (_, mut case) = forger.export(by_sequence(1, 10), false);
    let statement = CaseStatement::decode(case.statement).unwrap();
    let said = JournalEvent::CaseExported(CaseExported {
        first: statement.first,
        end: statement.end,
        selected: statement.selected,
        commitment: case_commitment(&[0x33; 16], case.statement),
    });
    let words = keep(said.encode());
    let sequence = forger.append("bank", "z", "case.exported", 2900, &[part("data", words)]);
    let mut forged = forger.records[sequence as usize].clone();
    forged.sections = None;
    case.records.push(forged);
    (case.salt, case.manifest) = ([0x33; 16], Some(sequence));
    case.checkpoint = note(&forger.signed(forger.size(), &[&log_key()]));
    forger.prove(&mut case);
    vectors.add(
        "manifest-of-another-scope",
        &case,
        INCOMPLETE,
        "case.manifest",
    );
    let mut keeper = Lab::ledger();
    let (_, mut case) = keeper.export(period(), false);
    let words = keep(case.checkpoint.as_bytes());
    let sequence = keeper.append(
        "$journal",
        "journal",
        "case.exported",
        2900,
        &[part("data", words)],
    );
    case.records.push(keeper.records[sequence as usize].clone());
    (case.salt, case.manifest) = ([0x33; 16], Some(sequence));
    case.checkpoint = note(&keeper.signed(keeper.size(), &[&log_key()]));
    keeper.prove(&mut case);
    vectors.add(
        "checkpoint-shaped-as-a-manifest",
        &case,
        ["undecided", "holds", "fails"],
        "case.manifest",
    );

    let (more, _) = lab.export(deposits(), true);
    let mut case = good.clone();
    case.records.push(more.records[11].clone());
    case.checkpoint = note(&more.signed(more.size(), &[&log_key()]));
    case.manifest = Some(11);
    more.prove(&mut case);
    vectors.add(
        "manifest-of-another-case",
        &case,
        INCOMPLETE,
        "case.manifest",
    );
    let mut case = good.clone();
    case.manifest = None;
    case.salt = [0; 16];
    vectors.add("manifest-not-pointed-to", &case, HOLDS, "");
}

fn disclosures(vectors: &mut Vectors) {
    let (_, good) = Lab::ledger().export(redacted(), true);
    let (lab, open) = logged();
    let mut case = good.clone();
    at(&mut case, 3).sections.as_mut().unwrap()[1] = CaseSection::Erased { by: 4 };
    recount(&mut case);
    vectors.add("redacted-shown-as-erased", &case, INCOMPLETE, "case.stub");
    let mut case = good.clone();
    restate(&mut case, |statement| statement.redacted.clear());
    vectors.add("redaction-hidden", &case, INCOMPLETE, "case.redaction");
    let mut case = open.clone();
    at(&mut case, 3).sections.as_mut().unwrap()[0] = CaseSection::Redacted;
    vectors.add(
        "redaction-not-asked-for",
        &case,
        INCOMPLETE,
        "case.redaction",
    );
    let mut case = good.clone();
    at(&mut case, 3).sections = lab.records[3].sections.clone();
    vectors.add("redaction-taken-back", &case, INCOMPLETE, "case.redaction");
    // The table without the row: other facts, and so another event.
    let mut case = open.clone();
    let mut other = Lab::ledger();
    other.records.truncate(3);
    other.append(
        "bank",
        "a",
        "account.transferred",
        1200,
        &[part("data", b"{\"to\":\"b\"}")],
    );
    let record = at(&mut case, 3);
    (record.facts, record.sections) = (other.records[3].facts, other.records[3].sections.clone());
    vectors.add("redacted-shown-as-absent", &case, BROKEN, "case.root");

    let set_key = |case: &mut Case, at_section: usize, with: [u8; 32]| {
        if let CaseSection::Disclosed { key, .. } =
            &mut at(case, 3).sections.as_mut().unwrap()[at_section]
        {
            *key = Some(with);
        }
    };
    let mut case = open.clone();
    set_key(&mut case, 1, [8; 32]);
    vectors.add(
        "section-key-of-another-section",
        &case,
        BROKEN,
        "case.section_key",
    );
    let mut case = open.clone();
    set_key(&mut case, 2, [9; 32]);
    vectors.add(
        "section-key-of-another-event",
        &case,
        BROKEN,
        "case.section_key",
    );
    let mut case = open.clone();
    if let CaseSection::Disclosed { secret, .. } =
        &mut at(&mut case, 3).sections.as_mut().unwrap()[1]
    {
        *secret = SectionSecret::Nonce([1; 24]);
    }
    vectors.add("nonce-changed", &case, BROKEN, "case.section_hash");
    let mut case = open.clone();
    for section in at(&mut case, 3).sections.iter_mut().flatten() {
        if let CaseSection::Disclosed { key, .. } = section {
            *key = None;
        }
    }
    vectors.add("section-keys-kept-back", &case, HOLDS, "");
    let mut case = open.clone();
    at(&mut case, 4).sections = Some(vec![CaseSection::Redacted]);
    vectors.add("own-event-redacted", &case, BROKEN, "case.journal_event");
    let mut case = open;
    at(&mut case, 4).sections = None;
    vectors.add(
        "own-event-without-payload",
        &case,
        BROKEN,
        "case.journal_event",
    );
}

/// What retention leaves of events.
fn erasures(vectors: &mut Vectors) {
    const WHY: &str = "retention";
    let fully = |case: &mut Case, sequence, by| {
        let record = at(case, sequence);
        (record.facts, record.sections, record.erased_by) = (None, None, Some(by));
    };
    let two = ErasureLevel::Sections(0b10);
    let full = |change: &dyn Fn(&mut Case), statement| {
        erased_by(ErasureLevel::Full, 5, WHY, change, statement)
    };
    let fifth = |case: &mut Case| fully(case, 5, 10);
    let one = |case: &mut Case| {
        at(case, 3).sections.as_mut().unwrap()[1] = CaseSection::Erased { by: 10 };
    };
    let mut add = |name, case: &Case, verdicts, code| vectors.add(name, case, verdicts, code);
    add("erased-whole-event", &full(&fifth, period()).1, HOLDS, "");
    let (logged, case) = full(&fifth, deposits());
    add("erased-and-unknown", &case, HOLDS, "");
    add(
        "erased-section",
        &erased_by(two, 3, WHY, &one, period()).1,
        HOLDS,
        "",
    );
    let (_, other) = erased_by(ErasureLevel::Sections(1), 3, WHY, &one, period());
    add("erased-section-of-others", &other, INCOMPLETE, "case.stub");
    let (_, other) = erased_by(two, 5, WHY, &fifth, period());
    add("erased-more-than-ordered", &other, INCOMPLETE, "case.stub");
    let (_, other) = erased_by(ErasureLevel::Full, 6, WHY, &fifth, period());
    add("erased-by-one-of-others", &other, INCOMPLETE, "case.stub");
    let (_, other) = erased_by(two, 3, "another reason", &one, period());
    add("erased-for-another-reason", &other, INCOMPLETE, "case.stub");
    add(
        "erased-though-held",
        &though_held(&one),
        INCOMPLETE,
        "case.stub",
    );
    let mut lab = Lab::ledger();
    let newer = [part("data", b"\x02")];
    lab.append("$journal", "journal", "erasure.ordered", 2200, &newer);
    let open = ["undecided", "holds", "undecided"];
    add(
        "erased-by-a-newer-erasure",
        &lab.export_erased(period(), WHY, &fifth).1,
        open,
        "case.unsupported_event",
    );
    let by = 10;
    let erased = |by, level, events| CaseErased {
        by,
        level,
        reason: WHY.into(),
        events,
    };

    let never_there = |case: &mut Case| case.records.retain(|record| record.spine.sequence != 5);
    let mut gone = case.clone();
    never_there(&mut gone);
    recount(&mut gone);
    logged.prove(&mut gone);
    vectors.add("erased-shown-as-never-there", &gone, INCOMPLETE, "case.gap");
    let mut less = case.clone();
    restate(&mut less, |statement| statement.unknown = 0);
    vectors.add("unknown-not-counted", &less, INCOMPLETE, "case.counts");
    let mut more = case;
    restate(&mut more, |statement| {
        statement.erased = vec![erased(by, 2, 2)]
    });
    vectors.add("erased-counted-twice", &more, INCOMPLETE, "case.counts");

    shreds(vectors);

    let (_, mut case) = Lab::ledger().export(period(), true);
    let record = at(&mut case, 5);
    (record.facts, record.sections, record.erased_by) = (None, None, Some(4));
    recount(&mut case);
    vectors.add("live-event-shown-as-erased", &case, INCOMPLETE, "case.stub");
    let (_, mut case) = Lab::ledger().export(period(), true);
    let record = at(&mut case, 5);
    (record.facts, record.sections, record.erased_by) = (None, None, Some(77));
    recount(&mut case);
    vectors.add("erased-by-nothing", &case, INCOMPLETE, "case.stub");
}

/// A ledger of which event 10 takes something of one event, and a case of it that gives this reason, but
/// for what is changed in it.
fn erased_by(
    level: ErasureLevel,
    of: u64,
    reason: &str,
    change: &dyn Fn(&mut Case),
    statement: CaseStatement,
) -> (Lab, Case) {
    let mut lab = Lab::ledger();
    order(&mut lab, level, of);
    lab.export_erased(statement, reason, change)
}

fn order(lab: &mut Lab, level: ErasureLevel, of: u64) {
    let mut hasher = ErasureHasher::new();
    hasher.add(of, &lab.records[of as usize].hash);
    lab.own(
        2200,
        &JournalEvent::ErasureOrdered(ErasureOrdered {
            level,
            policy: "old".into(),
            reason: "retention".into(),
            set: [of].into_iter().collect(),
            commitment: hasher.digest(),
        }),
    );
}

/// An erasure of the transfer, of which a hold kept it.
fn though_held(change: &dyn Fn(&mut Case)) -> Case {
    let mut lab = Lab::ledger();
    order(&mut lab, ErasureLevel::Sections(0b10), 3);
    lab.own(
        2300,
        &JournalEvent::HoldPlaced(HoldPlaced {
            reason: "a trial".into(),
            domains: Vec::new(),
        }),
    );
    lab.own(
        2400,
        &JournalEvent::ErasureCompleted(ErasureCompleted {
            erasure: 10,
            held: vec![(11, [3].into_iter().collect())],
        }),
    );
    lab.export_erased(period(), "retention", change).1
}

/// A ledger whose transfer was shredded by event 10, of keys that begin with this byte, and its case.
pub(crate) fn shredded(key: u8, reason: &str, change: &dyn Fn(&mut Case)) -> (Lab, Case) {
    let mut lab = Lab::ledger();
    lab.own(2200, &shred_of(key));
    lab.export_erased(period(), reason, change)
}

pub(crate) fn shred_of(key: u8) -> JournalEvent {
    JournalEvent::ShredIntended(ShredIntended {
        domain: KeyDomain::Stream,
        reason: "request 17".into(),
        keys: vec![[key; 16]],
    })
}

/// The encrypted sections of event 3 read as erased.
pub(crate) fn both_erased(case: &mut Case, by: u64) {
    for section in &mut at(case, 3).sections.as_mut().unwrap()[1..] {
        *section = CaseSection::Erased { by };
    }
}

fn shreds(vectors: &mut Vectors) {
    let both = |case: &mut Case| both_erased(case, 10);
    let (_, good) = shredded(0x77, "request 17", &both);
    vectors.add("good-shredded", &good, HOLDS, "");
    let mut lab = Lab::ledger();
    lab.own(2200, &shred_of(0x77));
    let completed = ShredCompleted {
        intent: 10,
        generation: 2,
        root: [0xc2; 32],
        destroyed: 1,
        grade: ShredGrade::Removed,
        recipients: vec![([0xd1; 8], SecretFate::Kept)],
        acknowledged: vec![("search".into(), true), ("cache".into(), false)],
    };
    lab.own(2300, &JournalEvent::ShredCompleted(completed));
    let (_, case) = lab.export_erased(period(), "request 17", &both);
    vectors.add("good-shredded-to-the-end", &case, HOLDS, "");
    let mut case = good.clone();
    restate(&mut case, |statement| statement.erased.clear());
    vectors.add("shredded-not-counted", &case, INCOMPLETE, "case.counts");
    let mut case = good;
    at(&mut case, 3).sections.as_mut().unwrap().pop();
    let kept = at(&mut case, 3).sections.clone();
    let mut other = Lab::ledger();
    other.records.truncate(3);
    other.append(
        "bank",
        "a",
        "account.transferred",
        1200,
        &[
            part("data", b"{\"to\":\"b\"}"),
            crate::lab::encrypted("customer", &[0xc5; 32], 7),
        ],
    );
    let record = at(&mut case, 3);
    (record.facts, record.sections) = (other.records[3].facts, kept);
    vectors.add("shredded-shown-as-never-there", &case, BROKEN, "case.root");

    let (_, case) = shredded(0x78, "request 17", &both);
    vectors.add(
        "shredded-by-a-shred-of-other-keys",
        &case,
        INCOMPLETE,
        "case.stub",
    );
    let (_, case) = shredded(0x77, "another reason", &both);
    vectors.add(
        "shredded-for-another-reason",
        &case,
        INCOMPLETE,
        "case.stub",
    );
    let plain = |case: &mut Case| {
        at(case, 3).sections.as_mut().unwrap()[0] = CaseSection::Erased { by: 10 };
    };
    let (_, case) = shredded(0x77, "request 17", &plain);
    vectors.add(
        "plain-section-shown-as-shredded",
        &case,
        INCOMPLETE,
        "case.stub",
    );
    let whole = |case: &mut Case| {
        let record = at(case, 3);
        (record.facts, record.sections, record.erased_by) = (None, None, Some(10));
    };
    let (_, case) = shredded(0x77, "request 17", &whole);
    vectors.add("shred-shown-as-erasure", &case, INCOMPLETE, "case.stub");
    let mut lab = Lab::new(JOURNAL, ORIGIN, &log_key());
    lab.own(900, &shred_of(0x77));
    lab.deposit(1000, "a", b"1");
    lab.transfer(1100, "a");
    lab.deposit(2000, "b", b"2");
    let earlier = |case: &mut Case| both_erased(case, 1);
    let statement = CaseStatement {
        first: 2,
        end: 4,
        ..period()
    };
    let (_, case) = lab.export_erased(statement, "request 17", &earlier);
    vectors.add(
        "shredded-before-it-was-recorded",
        &case,
        INCOMPLETE,
        "case.stub",
    );
}

fn histories(vectors: &mut Vectors) {
    let (lab, good) = after();
    let mut case = good.clone();
    case.earlier.clear();
    vectors.add("case-before-left-out", &case, INCOMPLETE, "case.after");
    let mut case = good.clone();
    let mut other = Lab::new(JOURNAL, ORIGIN, &log_key());
    for time in 0..5 {
        other.deposit(1000 + time, "z", b"1");
    }
    case.earlier[0].note = note(&other.signed(6, &[&log_key()]));
    vectors.add(
        "case-before-swapped",
        &case,
        BROKEN_AND_INCOMPLETE,
        "case.earlier",
    );
    let mut case = good.clone();
    case.earlier[0].path[0][0] ^= 1;
    vectors.add("consistency-changed", &case, BROKEN, "case.earlier");
    let mut case = good.clone();
    case.earlier = vec![lab.earlier(5, &[&log_key()])];
    vectors.add(
        "case-before-of-another-size",
        &case,
        INCOMPLETE,
        "case.after",
    );
    let mut case = good.clone();
    case.earlier = vec![lab.earlier(6, &[&log_key()]), lab.earlier(5, &[&log_key()])];
    vectors.add(
        "earlier-checkpoints-unsorted",
        &case,
        BROKEN,
        "case.earlier",
    );
    let mut case = good;
    let claimed = lab.signed(6, &[&log_key()]);
    let mut forged = claimed.to_string();
    let last = forged.len() - 20;
    let swapped = if forged.as_bytes()[last] == b'A' {
        "B"
    } else {
        "A"
    };
    forged.replace_range(last..=last, swapped);
    case.earlier[0].note = String::leak(forged);
    vectors.add("earlier-signature-forged", &case, FOREIGN, "case.signature");
}

/// What only the journal's keeper could do, who can sign.
fn keepers(vectors: &mut Vectors) {
    let other = [0xee; 16];
    let origin = ORIGIN.rsplit_once('/').unwrap().0;
    let elsewhere = format!("{origin}/{}", "ee".repeat(16));
    let mut fresh = empty_like(&Lab::ledger());
    fresh.own(100, &created(other, &elsewhere, &log_key()));
    fresh.deposit(1000, "a", b"1");
    fresh.deposit(2000, "a", b"2");
    let (_, case) = fresh.export(by_sequence(1, 2), true);
    vectors.add("genesis-of-another-journal", &case, BROKEN, "case.genesis");

    let mut lab = empty_like(&fresh);
    lab.deposit(1000, "a", b"1");
    lab.deposit(2000, "a", b"2");
    let (_, case) = lab.export(by_sequence(0, 2), false);
    vectors.add("no-genesis", &case, BROKEN, "case.journal_event");

    let mut lab = Lab::ledger();
    lab.deposit(1999, "a", b"late");
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("clock-turned-back", &case, BROKEN, "case.time_order");

    let mut lab = Lab::ledger();
    let (stream, revision, hash) = lab.stream("bank", "a");
    lab.put("bank", "b2", (stream, revision, hash));
    lab.deposit(2500, "b2", b"1");
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("stream-of-another-entity", &case, BROKEN, "case.coordinate");

    let mut lab = Lab::ledger();
    lab.append("$system", "x", "system.noted", 2500, &[part("data", b"1")]);
    let (_, case) = lab.export(by_sequence(1, 11), true);
    let open = ["undecided", "holds", "undecided"];
    vectors.add("reserved-scope", &case, open, "case.unsupported_event");
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "journal",
        "journal.sang",
        2500,
        &[part("data", b"\x01")],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add(
        "own-event-of-a-newer-version",
        &case,
        open,
        "case.unsupported_event",
    );
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "journal",
        "clock.stepped_back",
        2500,
        &[part("data", b"\x01\x00")],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add("own-event-malformed", &case, BROKEN, "case.journal_event");
    let mut lab = Lab::ledger();
    lab.append(
        "$journal",
        "second",
        "clock.stepped_back",
        2500,
        &[part("data", &[1; 17])],
    );
    let (_, case) = lab.export(by_sequence(1, 11), true);
    vectors.add(
        "second-stream-of-its-own",
        &case,
        BROKEN,
        "case.journal_event",
    );
}

fn empty_like(lab: &Lab) -> Lab {
    let mut empty = Lab::new(lab.id, &lab.origin, &log_key());
    empty.clear();
    empty
}

fn keys(vectors: &mut Vectors) {
    let (lab, good) = logged();
    let size = lab.size();
    let stranger = key(ORIGIN, 66);
    let mut case = good.clone();
    case.checkpoint = note(&lab.signed(size, &[&stranger]));
    vectors.add("signed-by-a-stranger", &case, FOREIGN, "case.not_signed");
    let mut case = good.clone();
    case.checkpoint = note(&lab.signed(size, &[&log_key(), &stranger]));
    vectors.add(
        "signed-by-a-stranger-too",
        &case,
        FOREIGN,
        "case.unknown_signature",
    );

    let mut case = good.clone();
    let text = case.checkpoint;
    let claimed = lab.signed(size, &[&log_key()]);
    let forged = Checkpoint::new(ORIGIN, size, crate::lab::hash(&[7; 32])).unwrap();
    case.checkpoint = String::leak(text.replace(
        &claimed.claimed().root().to_string(),
        &forged.root().to_string(),
    ));
    let broken = ["fails", "fails", "undecided"];
    vectors.add("root-forged", &case, broken, "case.root");

    // A tree of the forger's own, under the signature of the true one.
    let mut forger = Lab::ledger();
    forger.deposit(2600, "x", b"forged");
    let (forger, mut case) = forger.export(period(), true);
    let mine = forger.signed(forger.size(), &[&log_key()]);
    let signature = claimed.signatures().to_vec();
    let stolen = factlog_proof::SignedCheckpoint::new(mine.claimed().clone(), signature).unwrap();
    case.checkpoint = note(&stolen);
    vectors.add(
        "signature-of-another-checkpoint",
        &case,
        FOREIGN,
        "case.signature",
    );

    let (lab, case) = rotated(None);
    vectors.add("good-rotated", &case, HOLDS, "");
    let mut without = case.clone();
    without.earlier.clear();
    vectors.add("handover-left-out", &without, FOREIGN, "case.not_signed");
    let mut by_old = case.clone();
    by_old.checkpoint = note(&lab.signed(lab.size(), &[&log_key()]));
    vectors.add(
        "signed-by-the-key-that-was-replaced",
        &by_old,
        FOREIGN,
        "case.not_signed",
    );
    let mut by_new = case;
    by_new.earlier = vec![lab.earlier(11, &[&second()])];
    vectors.add(
        "handover-signed-by-the-new-key-alone",
        &by_new,
        FOREIGN,
        "case.not_signed",
    );
    let (_, case) = rotated(Some(next_key_hash(second().verifier().public_key())));
    vectors.add("good-rotated-as-announced", &case, HOLDS, "");
    let (_, case) = rotated(Some([4; 32]));
    vectors.add(
        "rotated-to-a-key-not-announced",
        &case,
        FOREIGN,
        "case.not_signed",
    );

    let mut lab = Lab::ledger();
    let rotation = rotation(&lab, None);
    lab.own(2200, &rotation);
    let first = *log_key().verifier().public_key();
    lab.own(
        2300,
        &JournalEvent::KeyRevoked(KeyRevoked {
            key: first,
            from: 3,
        }),
    );
    let (lab, mut case) = lab.export(period(), true);
    case.checkpoint = note(&lab.signed(lab.size(), &[&second()]));
    case.earlier = vec![lab.earlier(11, &[&log_key(), &second()])];
    vectors.add(
        "handover-by-a-revoked-key",
        &case,
        FOREIGN,
        "case.not_signed",
    );
}

pub(crate) fn second() -> SigningKey {
    key(ORIGIN, 2)
}

pub(crate) fn rotation(lab: &Lab, next: Option<[u8; 32]>) -> JournalEvent {
    let signed = lab.signed(lab.size(), &[&second()]);
    JournalEvent::KeyRotated(KeyRotated {
        old: *log_key().verifier().public_key(),
        new: *second().verifier().public_key(),
        signature: signed.signatures()[0].bytes().try_into().unwrap(),
        next,
    })
}

/// The first key hands over to the second at event 10, or first to itself announcing `next`.
fn rotated(announced: Option<[u8; 32]>) -> (Lab, Case) {
    let mut lab = Lab::ledger();
    let mut handed = 11;
    let (first, third) = (log_key(), key(ORIGIN, 3));
    let mut earlier = Vec::new();
    if let Some(next) = announced {
        let signed = lab.signed(lab.size(), &[&third]);
        let rotation = KeyRotated {
            old: *first.verifier().public_key(),
            new: *third.verifier().public_key(),
            signature: signed.signatures()[0].bytes().try_into().unwrap(),
            next: Some(next),
        };
        lab.own(2150, &JournalEvent::KeyRotated(rotation));
        earlier.push((handed, [log_key(), key(ORIGIN, 3)]));
        handed += 1;
    }
    let from = if announced.is_some() { &third } else { &first };
    let signed = lab.signed(lab.size(), &[&second()]);
    let rotation = KeyRotated {
        old: *from.verifier().public_key(),
        new: *second().verifier().public_key(),
        signature: signed.signatures()[0].bytes().try_into().unwrap(),
        next: None,
    };
    lab.own(2200, &JournalEvent::KeyRotated(rotation));
    let from = if announced.is_some() {
        key(ORIGIN, 3)
    } else {
        log_key()
    };
    earlier.push((handed, [from, second()]));
    let (lab, mut case) = lab.export(period(), true);
    case.checkpoint = note(&lab.signed(lab.size(), &[&second()]));
    for (size, [old, new]) in &earlier {
        case.earlier.push(lab.earlier(*size, &[old, new]));
    }
    (lab, case)
}

/// Signs as a checkpoint of its own: used where a test wants one that no case holds.
pub(crate) fn checkpoint(size: u64, root: [u8; 32]) -> String {
    let checkpoint = Checkpoint::new(ORIGIN, size, crate::lab::hash(&root)).unwrap();
    sign(&checkpoint, &[&log_key()]).to_string()
}
