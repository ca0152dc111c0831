//! Payloads go when their time is over; nothing else that anybody sees of a journal changes.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use factlog::{
    CaseQuery, CaseTrust, CaseVerdict, ChainVerification, Clock, Compaction, Delivered, Event,
    Journal, Options, Outcome, Policy, Query, Reader, Retention, RetentionRule, Selector,
    UnverifiedReceipt, VerifyOptions, verify, verify_case,
};
use factlog_fs::{FileKind, MemFs, StoreFs};

use super::{event, options};

const SEGMENT: u64 = 64 << 10;
const EVENTS: u64 = 400;

fn small(fs: &Arc<MemFs>) -> Options {
    let options = options(fs).segment_len(SEGMENT);
    options.dangerous().without_housekeeper()
}

fn text(number: u64) -> String {
    format!("secret {number:04} ").repeat(20)
}

/// Events one to a commit, a third of them with the tag `keep:no`.
fn journal_of(fs: &Arc<MemFs>) -> Journal {
    let journal = Journal::create("j", small(fs)).unwrap();
    for number in 1..=EVENTS {
        let entity = format!("account-{}", number % 5);
        let keep = if goes(number) { "keep:no" } else { "keep:yes" };
        journal
            .append(event(&entity, &text(number)).tag(keep))
            .unwrap();
    }
    journal
}

fn goes(number: u64) -> bool {
    number % 3 == 1
}

fn rule() -> RetentionRule {
    RetentionRule::new("test", "no longer needed").tag("keep:no")
}

fn retain(journal: &Journal) -> factlog::Retained {
    let retention = Retention::new(vec![rule()]).actor("officer");
    journal.retain(&retention).unwrap()
}

/// All that is seen of an event.
fn seen(event: &Event) -> String {
    let sections: Vec<_> = event.sections().map(|section| section.content).collect();
    format!(
        "{:?} {:?} {sections:?}",
        event.record(),
        event.previous_sequence()
    )
}

/// What each way of reading gives of the users' events.
fn all_seen(reader: &Reader) -> Vec<Vec<(u64, String, bool)>> {
    let of = |event: Event| {
        let has_bytes = event.data().is_some_and(|data| data.bytes().is_some());
        (event.sequence(), seen(&event), has_bytes)
    };
    let queries = [
        Query::all(),
        Query::all().reverse(),
        Query::stream("bank", "account-1"),
        Query::all().tag("keep:no"),
        Query::all().kind("account.noted"),
    ];
    let read = |query: Query<'_>| {
        let events = reader.read(query.until(EVENTS + 1).from(1));
        events.map(|event| of(event.unwrap())).collect()
    };
    let mut all: Vec<Vec<_>> = queries.into_iter().map(read).collect();
    all.push(
        (1..=EVENTS)
            .map(|at| of(reader.get(at).unwrap().unwrap()))
            .collect(),
    );
    for query in [Query::all(), Query::all().tag("keep:no")] {
        let mut lent = Vec::new();
        let mut events = reader.read(query.until(EVENTS + 1).from(1));
        while let Some(event) = events.next_ref().unwrap() {
            lent.push(of(event.to_event().unwrap()));
        }
        all.push(lent);
    }
    let mut delivered = Vec::new();
    let followed = reader
        .subscribe(Query::all().from(1).until(EVENTS + 1))
        .unwrap();
    for event in followed {
        let event = event.unwrap();
        let erased = matches!(event, Delivered::Erased(_));
        let event = event.into_event();
        assert_eq!(erased, event.data().unwrap().bytes().is_none());
        delivered.push(of(event));
    }
    all.push(delivered);
    all
}

/// Survivors are as they were, and of the others the payload is gone.
fn assert_taken(before: &[Vec<(u64, String, bool)>], after: &[Vec<(u64, String, bool)>]) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before.len(), after.len());
        for (old, new) in before.iter().zip(after) {
            assert_eq!(old.0, new.0);
            assert_eq!(new.2, !goes(new.0), "{}", new.0);
            if goes(new.0) {
                // Facts, links and hashes stay.
                assert_eq!(
                    new.1,
                    format!("{} [None]", old.1.rsplit_once(" [Some").unwrap().0)
                );
            } else {
                assert_eq!(old.1, new.1);
            }
        }
    }
}

/// Every file of the journal, with its bytes.
fn files(fs: &MemFs, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            FileKind::Dir => files(fs, &path, found),
            _ => found.push((
                path.display().to_string(),
                factlog_fs::read_file(fs, &path, 1 << 30).unwrap_or_default(),
            )),
        }
    }
}

/// Which of the events' payloads stand in some file, whatever that is.
fn on_disk(fs: &MemFs) -> Vec<u64> {
    let mut all = Vec::new();
    files(fs, Path::new("j"), &mut all);
    let stands = |number: &u64| {
        let wanted = format!("secret {number:04} ");
        let mut files = all.iter();
        files.any(|(_, bytes)| {
            bytes
                .windows(wanted.len())
                .any(|at| at == wanted.as_bytes())
        })
    };
    (1..=EVENTS).filter(stands).collect()
}

fn verify_holds(fs: &Arc<MemFs>, reader: &Reader) {
    let same: Arc<MemFs> = Arc::clone(fs);
    let options = VerifyOptions::new()
        .file_system(same)
        .key(reader.verifier_key().unwrap())
        .checkpoint(reader.checkpoint().unwrap());
    let report = verify("j", &options).unwrap();
    assert_eq!(report.outcome(false), Outcome::Holds, "{report:?}");
    assert!(
        report.findings.is_empty() && report.unchecked.is_empty(),
        "{report:?}"
    );
}

#[test]
fn retention_takes_what_rules_name_and_changes_nothing_else() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    let policy = Policy::from(journal.reader().verifier_key().unwrap());
    let before = all_seen(journal.reader());
    let receipts: Vec<String> = (0..EVENTS)
        .step_by(7)
        .map(|sequence| journal.reader().receipt(sequence).unwrap())
        .collect();
    let bytes = journal.reader().stats().unwrap().bytes.segments;
    let planned = journal
        .retention_plan(&Retention::new(vec![rule()]))
        .unwrap();
    assert_eq!(on_disk(&fs).len() as u64, EVENTS, "a plan takes nothing");

    let done = retain(&journal);
    let taken = (1..=EVENTS).filter(|number| goes(*number)).count() as u64;
    assert_eq!((done.rules[0].events, done.held), (taken, 0));
    assert_eq!(planned.rules[0].events, taken);
    assert_eq!(planned.rules[0].bytes, done.rules[0].bytes);
    assert_eq!(done.rules[0].erasures.len(), 1);
    assert_eq!(
        on_disk(&fs),
        (1..=EVENTS)
            .filter(|number| !goes(*number))
            .collect::<Vec<_>>()
    );
    let now = journal.reader().stats().unwrap().bytes.segments;
    assert!(
        now + done.rules[0].bytes < bytes + SEGMENT / 8,
        "{bytes} became {now}"
    );

    assert_taken(&before, &all_seen(journal.reader()));
    verify_holds(&fs, journal.reader());
    let by = journal.reader().erased_by(1).unwrap().unwrap();
    assert_eq!(by.sequence, done.rules[0].erasures[0]);
    assert_eq!(
        (by.rule.as_str(), by.reason.as_str()),
        ("test", "no longer needed")
    );
    assert_eq!(by.actor.as_deref(), Some("officer"));
    assert_eq!(journal.reader().erased_by(2).unwrap(), None);
    for text in receipts {
        let receipt = UnverifiedReceipt::parse(text.as_bytes()).unwrap();
        receipt.verify(&policy).unwrap();
    }
    assert_eq!(
        journal.reader().receipt(1).unwrap().lines().next(),
        Some("c2sp.org/tlog-proof@v1")
    );
    assert_eq!(retain(&journal).rules[0].events, 0, "it is gone already");

    journal.append(event("account-1", "more")).unwrap();
    journal.close().unwrap();
    let full = small(&fs).chain_verification(ChainVerification::Full);
    let journal = Journal::open("j", full).unwrap();
    assert!(journal.read_only_reason().is_none());
    assert_taken(&before, &all_seen(journal.reader()));
    verify_holds(&fs, journal.reader());
}

/// Cases of retained events were once refused by verifiers as written by nobody.
#[test]
fn a_case_says_what_took_a_payload_and_why() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    let by = retain(&journal).rules[0].erasures[0];
    let bytes = journal.export_case(&CaseQuery::new()).unwrap();
    let trust = CaseTrust {
        keys: vec![journal.reader().verifier_key().unwrap()],
        ..CaseTrust::default()
    };
    let report = verify_case(&bytes, &trust);
    assert_eq!(
        report.overall(),
        CaseVerdict::Holds,
        "{:?}",
        report.findings
    );
    let case = report.case.unwrap();
    for record in &case.file.records {
        let sequence = record.spine.sequence;
        let erased: Vec<u64> = record.erased().map(|(by, _)| by).collect();
        let users = (1..=EVENTS).contains(&sequence);
        let expected = if users && goes(sequence) {
            vec![by]
        } else {
            vec![]
        };
        assert_eq!(erased, expected, "{sequence}");
    }
    let [erased] = &case.statement.erased[..] else {
        panic!("{:?}", case.statement.erased);
    };
    let said = (erased.by, erased.level, erased.events, &*erased.reason);
    assert_eq!(said, (by, 1, 134, "no longer needed"));
}

#[test]
fn readers_who_began_before_and_elsewhere_are_given_stubs() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    journal.housekeep().unwrap();
    let before = all_seen(journal.reader());
    let elsewhere = Journal::open_read_only("j", small(&fs)).unwrap();
    let mut begun = journal
        .reader()
        .read(Query::all().from(2).until(EVENTS + 1));
    assert!(
        begun
            .next()
            .unwrap()
            .unwrap()
            .data()
            .unwrap()
            .bytes()
            .is_some()
    );
    retain(&journal);
    for event in begun {
        let event = event.unwrap();
        let is_there = event.data().unwrap().bytes().is_some();
        assert_eq!(is_there, !goes(event.sequence()));
    }
    journal.housekeep().unwrap();
    while elsewhere.refresh().unwrap() {}
    assert_taken(&before, &all_seen(&elsewhere));
}

#[test]
fn rules_take_by_age_count_kind_category_and_scope() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    let count = |rule: RetentionRule| {
        let plan = journal.retention_plan(&Retention::new(vec![rule])).unwrap();
        plan.rules[0].events
    };
    let rule = || RetentionRule::new("test", "no longer needed");
    assert_eq!(count(rule().scope("bank")), EVENTS);
    assert_eq!(count(rule().scope("other")), 0);
    assert_eq!(count(rule().category("account")), EVENTS);
    assert_eq!(count(rule().kind("account.noted").tag("keep:no")), 134);
    assert_eq!(count(rule().kind("account.closed")), 0);
    assert_eq!(count(rule().keep_last(3)), EVENTS - 5 * 3);
    assert_eq!(count(rule().older_than(0)), EVENTS);
    assert_eq!(count(rule().older_than(3_600_000_000)), 0);
    assert_eq!(count(rule().only_if(|event| event.sequence() == 7)), 1);
    let two = Retention::new(vec![rule().tag("keep:no"), rule().scope("bank")]);
    let plan = journal.retention_plan(&two).unwrap();
    assert_eq!(
        (plan.rules[0].events, plan.rules[1].events),
        (134, EVENTS - 134)
    );
}

#[test]
fn a_rule_that_makes_no_sense_changes_nothing() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    let events = journal.reader().len();
    let good = rule();
    for bad in [
        RetentionRule::new("test", "asks for nothing"),
        RetentionRule::new("test", "the journal's own").scope("$journal"),
        RetentionRule::new("test", "").tag("keep:no"),
    ] {
        let both = Retention::new(vec![good.clone(), bad]);
        let code = journal.retain(&both).unwrap_err().code();
        assert!(
            ["retention.invalid", "event.invalid"].contains(&code),
            "{code}"
        );
    }
    assert_eq!(journal.reader().len(), events);
    assert_eq!(on_disk(&fs).len() as u64, EVENTS);
}

#[test]
fn what_a_recovery_set_aside_goes_too() {
    let fs = Arc::new(MemFs::new());
    let journal = journal_of(&fs);
    drop(journal);
    // Torn bytes behind the last group, with a payload in them.
    let mut all = Vec::new();
    files(&fs, Path::new("j/segments"), &mut all);
    let last = all
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.ends_with(".seg"));
    let last = last.max().unwrap().clone();
    let mut bytes = factlog_fs::read_file(fs.as_ref(), Path::new(&last), 1 << 30).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end.next_multiple_of(8));
    let at = bytes.len() as u64;
    let file = fs
        .open(Path::new(&last), factlog_fs::OpenMode::Write)
        .unwrap();
    let torn = format!("torn {}", text(1));
    factlog_fs::write_all_at(file.as_ref(), torn.as_bytes(), at).unwrap();
    let journal = Journal::open("j", small(&fs)).unwrap();
    journal.append(event("account-1", "more")).unwrap();
    assert!(journal.recovery().is_some());
    retain(&journal);
    assert_eq!(
        on_disk(&fs),
        (1..=EVENTS)
            .filter(|number| !goes(*number))
            .collect::<Vec<_>>()
    );
    verify_holds(&fs, journal.reader());
}

fn account(number: u64) -> Selector {
    Selector::Stream {
        scope: "bank".to_owned(),
        entity: format!("account-{number}"),
    }
}

#[test]
fn a_hold_keeps_what_it_names_in_a_plain_journal_until_it_is_lifted() {
    for (selectors, kept) in [
        (vec![account(1)], 27),
        (vec![Selector::Kind("account.noted".to_owned())], 134),
        (vec![Selector::Scope("other".to_owned())], 0),
        (vec![], 134),
    ] {
        let fs = Arc::new(MemFs::new());
        let journal = journal_of(&fs);
        let hold = journal.hold(&selectors, "case 4").unwrap();
        let done = retain(&journal);
        assert_eq!((done.rules[0].events, done.held), (134 - kept, kept));
        assert_eq!(on_disk(&fs).len() as u64, EVENTS - 134 + kept);
        verify_holds(&fs, journal.reader());
        journal.lift_hold(hold, "settled").unwrap();
        assert_eq!(retain(&journal).rules[0].events, kept);
        verify_holds(&fs, journal.reader());
    }
    let journal = journal_of(&Arc::new(MemFs::new()));
    let subject = [Selector::Subject("ada".to_owned())];
    assert_eq!(
        journal.hold(&subject, "case 4").unwrap_err().code(),
        "journal.not_encrypted"
    );
}

/// The clock is read while segments are written anew, to keep to a rate. Once it was so often, a hold is placed.
#[derive(Debug)]
struct Ticks {
    journal: Mutex<Option<Arc<Journal>>>,
    left: AtomicI64,
}

impl Clock for Ticks {
    fn now_micros(&self) -> i64 {
        // What the hold itself asks is not counted.
        if let Ok(mut journal) = self.journal.try_lock()
            && let Some(held) = journal.as_ref()
            && held
                .reader()
                .read(Query::all().kind("erasure.ordered"))
                .next()
                .is_some()
            && self.left.fetch_sub(1, Relaxed) == 0
            && let Some(held) = journal.take()
        {
            held.hold(&[account(1)], "case 4").unwrap();
        }
        1_000_000
    }
}

#[test]
fn a_hold_that_comes_while_segments_are_written_anew_keeps_what_is_left_of_its_stream() {
    let fs = Arc::new(MemFs::new());
    journal_of(&fs).close().unwrap();
    let clock = Arc::new(Ticks {
        journal: Mutex::default(),
        left: AtomicI64::new(4),
    });
    let options = options(&fs).segment_len(SEGMENT).dangerous();
    let options = options
        .without_housekeeper()
        .dangerous()
        .clock(Arc::clone(&clock) as _);
    let journal = Arc::new(Journal::open("j", options).unwrap());
    *clock.journal.lock().unwrap() = Some(Arc::clone(&journal));
    let retention = Retention::new(vec![rule()]).how(Compaction::new().rate(1 << 40));
    assert_eq!(journal.retain(&retention).unwrap().rules[0].events, 134);
    let held = on_disk(&fs).into_iter().filter(|number| goes(*number));
    let held: Vec<u64> = held.collect();
    assert!((1..27).contains(&held.len()), "{held:?}");
    let all = (1..=EVENTS).filter(|number| goes(*number));
    let of_stream: Vec<u64> = all.filter(|number| number % 5 == 1).collect();
    assert!(of_stream.ends_with(&held), "{held:?}");
    for number in of_stream {
        let by = journal.reader().erased_by(number).unwrap();
        assert_eq!(by.is_none(), held.contains(&number), "{number}");
    }
    verify_holds(&fs, journal.reader());
}

#[cfg(feature = "encryption")]
mod encrypted {
    use factlog::{KeyDomain, NewEvent, Provider, Shred};

    use super::*;

    fn journal(fs: &Arc<MemFs>) -> Journal {
        let options = small(fs).encrypt(KeyDomain::Stream);
        let unlocked = options.unlock(Provider::KeyFile("reader.key".into()));
        let journal = Journal::create("j", unlocked).unwrap();
        for number in 0..60u64 {
            let entity = ["ada", "eve", "kim"][number as usize % 3];
            let event = NewEvent::new("people", entity, "person.noted");
            let event = event.data(factlog::Encoding::Raw, text(number).into_bytes());
            journal.append(event).unwrap();
        }
        journal
    }

    fn stream(entity: &str) -> Selector {
        Selector::Stream {
            scope: "people".to_owned(),
            entity: entity.to_owned(),
        }
    }

    #[test]
    fn what_was_shredded_loses_its_ciphertext() {
        let fs = Arc::new(MemFs::new());
        let journal = journal(&fs);
        journal
            .shred(&Shred::new(vec![stream("ada")], "request 17"))
            .unwrap();
        let rule = RetentionRule::new("shredded", "can't be read any more").shredded();
        let done = journal.retain(&Retention::new(vec![rule])).unwrap();
        assert_eq!(done.rules[0].events, 20);
        for event in journal.reader().read(Query::all().scope("people")) {
            let event = event.unwrap();
            let is_ada = event.facts().unwrap().entity == "ada";
            assert_eq!(event.data().unwrap().content.is_none(), is_ada);
        }
        verify_holds(&fs, journal.reader());
    }

    #[test]
    fn a_hold_beats_every_rule_also_one_that_comes_meanwhile() {
        let fs = Arc::new(MemFs::new());
        let journal = Arc::new(journal(&fs));
        journal.hold(&[stream("ada")], "case 4").unwrap();
        // The second comes while events are being looked at.
        let once = Mutex::new(Some(Arc::clone(&journal)));
        let rule = RetentionRule::new("test", "no longer needed").only_if(move |_| {
            if let Some(journal) = once.lock().unwrap().take() {
                journal.hold(&[stream("eve")], "case 5").unwrap();
            }
            true
        });
        let done = journal.retain(&Retention::new(vec![rule])).unwrap();
        assert_eq!((done.rules[0].events, done.held), (20, 40));
        for event in journal.reader().read(Query::all().scope("people")) {
            let event = event.unwrap();
            let goes = event.facts().unwrap().entity == "kim";
            assert_eq!(event.data().unwrap().bytes().is_none(), goes);
        }
        verify_holds(&fs, journal.reader());
    }
}
