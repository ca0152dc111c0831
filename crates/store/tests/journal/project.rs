//! Projections and workers as their users meet them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use factlog::{
    Ended, Error, EventRef, Failure, InMemory, Journal, Misuse, NewEvent, Phase, Projection,
    ProjectionStatus, Projector, Query, Retries, Shown, Worker,
};
use factlog_fs::MemFs;

use super::options;

/// Longer than any test takes that isn't stuck.
const LONG: Duration = Duration::from_secs(60);

fn journal() -> Arc<Journal> {
    Arc::new(Journal::create("j", options(&Arc::new(MemFs::new()))).unwrap())
}

fn retries() -> Retries {
    Retries::new().pauses(Duration::ZERO, Duration::ZERO)
}

fn append(journal: &Journal, kind: &'static str, count: u64) -> u64 {
    let events = vec![NewEvent::new("s", "e", kind); count as usize];
    journal.append_batch(&events).unwrap().first_sequence() + count - 1
}

type Sequences = Vec<u64>;

/// The sequences of the events that it takes.
fn list(name: &str, query: Query<'_>) -> (impl Projection + use<>, Shown<Sequences>) {
    InMemory::new(name, 1, query, Vec::new, |list: &mut Sequences, event| {
        list.push(event.sequence());
        Ok(())
    })
}

fn status(projector: &Projector, name: &str) -> ProjectionStatus {
    let mut all = projector.status().into_iter();
    all.find(|one| one.name == name).unwrap()
}

/// Waits for what another thread is about to bring about.
fn until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

#[test]
fn projections_have_each_event_that_they_want_once_whenever_they_are_added() {
    let journal = journal();
    append(&journal, "a.b", 40_000);
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    let (all, all_shown) = list("all", Query::all());
    let (some, some_shown) = list("some", Query::all().kind("a.c"));
    projector.add(all).unwrap();
    projector.add(some).unwrap();
    let mut last = 0;
    let mut late = None;
    for round in 0..50 {
        append(&journal, "a.c", 10);
        last = append(&journal, "a.b", 90);
        if round == 20 {
            let (added, shown) = list("late", Query::all().kind("a.c").or().kind("a.d"));
            projector.add(added).unwrap();
            late = Some(shown);
        }
    }
    assert!(projector.wait_for(last, LONG));
    let end = journal.reader().len();
    assert!(all_shown.read(|list, next| list.iter().copied().eq(0..end) && next == end));
    let wanted: Sequences = journal
        .reader()
        .read(Query::all().kind("a.c"))
        .map(|event| event.unwrap().sequence())
        .collect();
    assert_eq!(some_shown.read(|list, _| list.clone()), wanted);
    assert_eq!(late.unwrap().read(|list, _| list.clone()), wanted);
    for one in projector.status() {
        assert!(matches!(one.phase, Phase::Live), "{one:?}");
        assert_eq!((one.position, one.lag, one.lag_micros), (end, 0, 0));
    }
    assert!(projector.stuck().is_empty());
    for one in projector.stop() {
        assert!(matches!(one.phase, Phase::Ended(Ended::Stopped)));
    }
}

#[test]
fn who_waits_for_an_event_that_is_for_nobody_waits_no_longer_than_for_one_that_is() {
    let journal = journal();
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    projector
        .add(list("some", Query::all().kind("a.c")).0)
        .unwrap();
    let last = append(&journal, "a.b", 3);
    assert!(projector.wait_for(last, LONG));
    assert_eq!(status(&projector, "some").lag, 0);
    assert!(!projector.wait_for(last + 1, Duration::from_millis(1)));
}

/// One whose events took long used to apply its whole batch first: nothing of it was kept if the process ended
/// before, and all others waited.
#[test]
fn one_that_takes_long_commits_in_between_and_lets_others_have_their_turns() {
    let journal = journal();
    append(&journal, "a.c", 1);
    let last = append(&journal, "a.b", 100);
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    let (quick, quick_shown) = list("quick", Query::all().kind("a.c"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let (lasting, lasting_shown) = InMemory::new(
        "lasting",
        1,
        Query::all().kind("a.b"),
        || 0u64,
        move |count, _| {
            told.lock()
                .unwrap()
                .push(quick_shown.read(|list, _| list.len()));
            let began = Instant::now();
            while count.is_multiple_of(16) && began.elapsed() < Duration::from_millis(60) {
                thread::yield_now();
            }
            *count += 1;
            Ok(())
        },
    );
    projector.add(lasting).unwrap();
    until(|| !seen.lock().unwrap().is_empty());
    projector.add(quick).unwrap();
    assert!(projector.wait_for(last, LONG));
    assert_eq!(lasting_shown.read(|count, _| *count), 100);
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains(&1), "the other had no turn before its end");
}

/// After a pause, one that had been live was taken to have passed all while it went on with its first batch.
#[test]
fn who_goes_on_after_a_pause_has_passed_no_more_than_it_has_committed() {
    let journal = journal();
    let pause = Duration::from_millis(1);
    let retries = Retries::new().pauses(pause, pause);
    let projector = Projector::start(journal.reader(), "views", retries).unwrap();
    let is_open = Arc::new(AtomicBool::new(false));
    let open = Arc::clone(&is_open);
    let (lasting, shown) = InMemory::new(
        "lasting",
        1,
        Query::all().kind("a.b"),
        || 0u64,
        move |count, _| {
            if !open.load(Relaxed) {
                return Err(Failure::later("not yet"));
            }
            let began = Instant::now();
            while count.is_multiple_of(16) && began.elapsed() < Duration::from_millis(60) {
                thread::yield_now();
            }
            *count += 1;
            Ok(())
        },
    );
    projector.add(lasting).unwrap();
    let start = journal.reader().len() - 1;
    assert!(projector.wait_for(start, LONG));
    let last = append(&journal, "a.b", 100);
    // The pause in which it is now ends without news.
    until(|| status(&projector, "lasting").failures > 0);
    is_open.store(true, Relaxed);
    until(|| status(&projector, "lasting").position > last);
    assert_eq!(shown.read(|count, _| *count), 100);
}

#[test]
fn an_event_that_can_not_be_applied_stops_its_projection_and_no_other_and_says_so() {
    let journal = journal();
    let last = append(&journal, "a.b", 10);
    let projector = Projector::start(journal.reader(), "views", retries().attempts(3)).unwrap();
    let tries = Arc::new(AtomicU64::new(0));
    let tried = Arc::clone(&tries);
    let (poisoned, shown) = InMemory::new(
        "poisoned",
        1,
        Query::all(),
        || 0,
        move |sum, event| {
            if event.sequence() == 5 {
                tried.fetch_add(1, Relaxed);
                return Err(Failure::Event("no".into()));
            }
            *sum += 1;
            Ok(())
        },
    );
    projector.add(poisoned).unwrap();
    let (well, _) = list("well", Query::all());
    projector.add(well).unwrap();
    assert!(!projector.wait_for(last, LONG), "one of them ends before");
    until(|| status(&projector, "well").position > last);
    let stuck = projector.stuck();
    assert_eq!(stuck.len(), 1);
    let Phase::Ended(Ended::GaveUp {
        sequence: 5,
        attempts: 3,
        why,
    }) = &stuck[0].phase
    else {
        panic!("{stuck:?}");
    };
    assert_eq!((why.as_str(), tries.load(Relaxed)), ("no", 3));
    // What came before is there, once.
    assert_eq!(shown.read(|sum, next| (*sum, next)), (5, 5));
    assert!(stuck[0].lag > 0 && stuck[0].lag_micros >= 0);
}

#[test]
fn what_no_event_is_to_blame_for_is_tried_until_it_works() {
    let journal = journal();
    let broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&broken);
    let retries = retries().attempts(2).budget(1);
    let projector = Projector::start(journal.reader(), "views", retries).unwrap();
    let (away, shown) = InMemory::new(
        "away",
        1,
        Query::all(),
        || 0,
        move |count, _| {
            if breaks.load(Relaxed) {
                return Err(Failure::later("the connection is lost"));
            }
            *count += 1;
            Ok(())
        },
    );
    projector.add(away).unwrap();
    let last = append(&journal, "a.b", 3);
    until(|| status(&projector, "away").failures > 20);
    let stuck = projector.stuck();
    let Phase::Retrying { why, .. } = &stuck[0].phase else {
        panic!("{stuck:?}");
    };
    assert_eq!(why, "the connection is lost");
    broken.store(false, Relaxed);
    assert!(projector.wait_for(last, LONG));
    assert!(projector.stuck().is_empty());
    assert_eq!(shown.read(|count, _| *count), last + 1);
}

#[test]
fn after_a_panic_in_the_midst_of_a_change_the_state_is_built_again_and_no_reader_sees_it_torn() {
    let journal = journal();
    let last = append(&journal, "a.b", 100);
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    let mut panicked = false;
    // Two halves that are always equal, unless something comes between.
    let (torn, shown) = InMemory::new(
        "torn",
        1,
        Query::all(),
        || (0, 0),
        move |halves, event| {
            let halves: &mut (u64, u64) = halves;
            halves.0 += 1;
            if event.sequence() == 50 && !std::mem::replace(&mut panicked, true) {
                panic!("in the midst");
            }
            halves.1 += 1;
            Ok(())
        },
    );
    projector.add(torn).unwrap();
    assert!(projector.wait_for(last, LONG));
    until(|| shown.read(|_, next| next > last));
    assert_eq!(shown.read(|halves, _| *halves), (last + 1, last + 1));
    assert_eq!(status(&projector, "torn").failures, 1);
}

#[test]
fn a_new_version_is_built_beside_the_old_one_under_load_and_no_reader_sees_a_gap() {
    let journal = journal();
    append(&journal, "a.b", 30_000);
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    // The count, and by which version it was made.
    type State = (u32, u64);
    fn count(state: &mut State, _: &EventRef<'_>) -> Result<(), Failure> {
        state.1 += 1;
        Ok(())
    }
    let (first, shown) = InMemory::new("count", 1, Query::all(), || (1, 0), count);
    projector.add(first).unwrap();
    let old = append(&journal, "a.b", 1);
    assert!(projector.wait_for(old, LONG));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let (mut before, mut versions) = (0, Vec::new());
            loop {
                let finished = done.load(Relaxed);
                let ((version, count), next) = shown.read(|state, next| (*state, next));
                assert_eq!(count, next, "the state of another position");
                assert!(count >= before, "a reader was taken back");
                before = count;
                if versions.last() != Some(&version) {
                    versions.push(version);
                }
                if finished {
                    return versions;
                }
            }
        });
        let second = InMemory::next_version(&shown, "count", 2, Query::all(), || (2, 0), count);
        projector.add(second).unwrap();
        let same = InMemory::next_version(&shown, "count", 2, Query::all(), || (2, 0), count);
        let again = projector.add(same);
        assert!(matches!(again, Err(Error::Misuse(Misuse::Projection(_)))));
        let mut last = 0;
        while shown.read(|state, _| state.0) == 1 {
            last = append(&journal, "a.b", 20);
        }
        last = last.max(append(&journal, "a.b", 20));
        assert!(projector.wait_for(last, LONG));
        done.store(true, Relaxed);
        assert_eq!(reads.join().unwrap(), [1, 2]);
    });
    let [old, new] = &projector.status()[..] else {
        panic!("both are there");
    };
    assert!(matches!(old.phase, Phase::Ended(Ended::Replaced { by: 2 })));
    assert!(matches!(new.phase, Phase::Live) && new.version == 2);
}

#[test]
fn a_worker_goes_on_where_it_was_and_dead_letters_tell_of_what_it_gave_up() {
    let journal = journal();
    let handled: Arc<Mutex<BTreeMap<u64, u64>>> = Arc::default();
    let worker = |wrong: u64| {
        let handled = Arc::clone(&handled);
        Worker::new(journal.reader(), "mails", Query::all(), move |event| {
            if event.sequence() == wrong {
                return Err(Failure::Event("no such address".into()));
            }
            *handled.lock().unwrap().entry(event.sequence()).or_default() += 1;
            Ok(())
        })
    };
    let letters = || retries().attempts(2).dead_letters(Arc::clone(&journal));
    let last = append(&journal, "a.b", 200);
    for round in 0..2 {
        let projector = Projector::start(journal.reader(), "workers", letters()).unwrap();
        projector.add(worker(100).unwrap()).unwrap();
        assert_eq!(worker(100).unwrap_err().code(), "cursor.in_use");
        assert!(projector.wait_for(last, LONG));
        let status = projector.stop().remove(0);
        assert_eq!(status.dead_letters, 1 - round);
    }
    let handled = handled.lock().unwrap();
    let wanted: Vec<u64> = (0..=last).filter(|sequence| *sequence != 100).collect();
    assert!(
        handled.keys().copied().eq(wanted),
        "no hole, and none of its own letters"
    );
    assert!(handled.values().all(|times| *times == 1));
    let letters = journal
        .reader()
        .read(Query::stream("dead-letters", "mails"));
    let letters: Vec<_> = letters.map(Result::unwrap).collect();
    assert_eq!(letters.len(), 1);
    let given_up = journal.reader().get(100).unwrap().unwrap().id().unwrap();
    let cause = letters[0].facts().unwrap().causation.unwrap();
    assert_eq!(cause, given_up.into_bytes());
    let cursor = journal.reader().cursor_files().unwrap().remove(0);
    assert!(cursor.position > last);
    assert_eq!(cursor.ended.unwrap().0, "stopped");
}

#[test]
fn a_worker_that_fails_at_everything_ends_before_all_is_dead_letters() {
    let journal = journal();
    let last = append(&journal, "a.b", 50);
    let retries = retries().attempts(1).budget(10);
    let retries = retries.dead_letters(Arc::clone(&journal));
    let projector = Projector::start(journal.reader(), "workers", retries).unwrap();
    let hopeless = Worker::new(
        journal.reader(),
        "hopeless",
        Query::all().kind("a.b"),
        |_| panic!("always"),
    );
    projector.add(hopeless.unwrap()).unwrap();
    assert!(!projector.wait_for(last, LONG));
    let stuck = projector.stuck().remove(0);
    let Phase::Ended(Ended::BudgetSpent { failures: 11, why }) = &stuck.phase else {
        panic!("{stuck:?}");
    };
    assert_eq!(why, "it panicked: always");
    assert_eq!(stuck.dead_letters, 10);
    let cursor = &journal.reader().cursor_files().unwrap()[0];
    assert_eq!(cursor.ended.clone().unwrap().0, "budget_spent");
}

#[test]
fn projections_of_a_closed_journal_have_all_that_is_durable_and_say_why_they_ended() {
    let journal = Arc::into_inner(journal()).unwrap();
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    let (all, shown) = list("all", Query::all());
    projector.add(all).unwrap();
    let last = append(&journal, "a.b", 20_000);
    journal.close().unwrap();
    until(|| matches!(status(&projector, "all").phase, Phase::Ended(_)));
    let Phase::Ended(why) = status(&projector, "all").phase else {
        unreachable!();
    };
    assert_eq!(why.word(), "closed");
    assert_eq!(shown.read(|list, _| list.len() as u64), last + 1);
    let (late, _) = list("late", Query::all());
    let refused = projector.add(late);
    assert!(matches!(refused, Err(Error::Misuse(Misuse::Projection(_)))));
}

#[test]
fn several_fail_in_turns_and_all_are_exact_in_the_end() {
    let journal = journal();
    let last = append(&journal, "a.b", 5_000);
    let projector = Projector::start(journal.reader(), "views", retries().budget(10_000)).unwrap();
    let mut shown = Vec::new();
    for number in 0..4u64 {
        let mut tries: BTreeMap<u64, u64> = BTreeMap::new();
        let name = format!("p{number}");
        let (one, list) = InMemory::new(name, 1, Query::all(), Vec::new, move |list, event| {
            let sequence = event.sequence();
            let times = tries.entry(sequence).or_default();
            *times += 1;
            if sequence % (97 + number) == 3 && *times < 3 {
                return Err(Failure::Event("not now".into()));
            }
            list.push(sequence);
            Ok(())
        });
        projector.add(one).unwrap();
        shown.push(list);
    }
    assert!(projector.wait_for(last, LONG));
    for list in shown {
        let list: Vec<u64> = list.read(|list, _| list.clone());
        assert!(list.into_iter().eq(0..=last));
    }
}

#[test]
fn other_processes_see_how_far_projections_are_what_stops_them_and_why_they_ended() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    let last = append(&journal, "a.b", 3);
    let projector = Projector::start(journal.reader(), "views", retries()).unwrap();
    projector.add(list("good", Query::all()).0).unwrap();
    let fails = |_: &mut (), _: &EventRef<'_>| Err(Failure::later("no connection"));
    let (bad, _) = InMemory::new("bad", 2, Query::all(), || (), fails);
    projector.add(bad).unwrap();

    let other = Journal::open_read_only("j", options(&fs)).unwrap();
    let seen = |name: &str| {
        other.refresh().unwrap();
        let mut all = other.cursor_files().unwrap().into_iter();
        all.find(|one| one.name == name)
    };
    until(|| seen("good.v1").is_some_and(|one| one.position > last && one.lag == 0));
    until(|| {
        seen("bad.v2").is_some_and(|one| {
            (one.position, one.trouble.as_deref()) == (0, Some("no connection")) && one.held
        })
    });
    drop(projector.stop());
    for name in ["good.v1", "bad.v2"] {
        let one = seen(name).unwrap();
        assert_eq!(one.ended.unwrap().0, "stopped");
        assert!(!one.held && one.trouble.is_none());
    }
}
