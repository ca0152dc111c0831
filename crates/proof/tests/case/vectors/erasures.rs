//! What retention and destroyed keys leave of events.

use super::*;

/// What retention leaves of events.
pub(super) fn erasures(vectors: &mut Vectors) {
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
pub(super) fn erased_by(
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

pub(super) fn order(lab: &mut Lab, level: ErasureLevel, of: u64) {
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
pub(super) fn though_held(change: &dyn Fn(&mut Case)) -> Case {
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

pub(super) fn shreds(vectors: &mut Vectors) {
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
