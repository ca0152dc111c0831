//! What a case leaves out, and what it discloses.

use super::*;

pub(super) fn populations(vectors: &mut Vectors) {
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

pub(super) fn disclosures(vectors: &mut Vectors) {
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
