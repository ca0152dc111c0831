//! What is wrong with the bytes, or with what they say of events.

use super::*;

pub(super) fn bytes(vectors: &mut Vectors) {
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
    let undecided = ["undecided"; 3];
    for (name, version) in [("newer-version", 2), ("version-0", 0)] {
        let mut other = body();
        other[8] = version;
        vectors.raw(name, sealed(other), undecided, "case.unsupported");
    }
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

pub(super) fn contents(vectors: &mut Vectors) {
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
