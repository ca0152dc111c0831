//! A journal with shreds in it, on a disk that fails at every call and on a machine that goes down at every
//! change.

use std::{path::Path, sync::Arc};

use factlog_fs::StoreFs;
use factlog_keys::{BucketKey, Identity, LOG_HEADER_LEN, LogRecord, next_record};
use factlog_sim::{Failure, Fault, SimFs};

use crate::{
    Encoding, Error, Journal, KeyDomain, NewEvent, Options, Provider, Query, Reader, Rewrap,
    Sealed, Selector, Shred,
    config::{Bug, with},
    crash::{bugs::Bug as DiskBug, campaign::Crash},
    verify,
};

mod recipients;

use recipients::{
    a_former_recipient_opens_nothing_new, a_wish_outlives_a_crash, recipients_of_before_stay_away,
};

const DIR: &str = "j";
const STREAMS: [&str; 4] = ["a", "b", "c", "d"];

fn options(store: &Arc<dyn StoreFs>) -> Options {
    Options::new()
        .file_system(Arc::clone(store))
        .unlock(Provider::Key(Identity::generate(&[7; 32])))
        .dangerous()
        .without_housekeeper()
}

fn text(stream: &str, number: u64) -> Vec<u8> {
    format!("secret {number} of {stream}, and nobody else\'s").into_bytes()
}

/// What was promised, and at which call.
#[derive(Clone, Default)]
struct Log {
    created: Option<u64>,
    /// Sequence, stream and number of an event, and when it was acknowledged.
    events: Vec<(u64, &'static str, u64, u64)>,
    /// The streams of a shred, when it began, and when it was done.
    shreds: Vec<(Vec<&'static str>, u64, Option<u64>)>,
    number: u64,
}

impl Log {
    fn append(
        &mut self,
        fs: &SimFs,
        journal: &Journal,
        streams: &[&'static str],
    ) -> Result<(), Error> {
        let numbers: Vec<_> = (self.number..).take(streams.len()).collect();
        self.number += streams.len() as u64;
        let events: Vec<_> = streams
            .iter()
            .zip(&numbers)
            .map(|(stream, number)| {
                NewEvent::new("s", *stream, "t").data(Encoding::Raw, text(stream, *number))
            })
            .collect();
        let receipt = journal.append_batch(&events)?;
        for ((sequence, stream), number) in (receipt.first_sequence()..).zip(streams).zip(numbers) {
            self.events.push((sequence, stream, number, fs.calls()));
        }
        Ok(())
    }

    fn shred(
        &mut self,
        fs: &SimFs,
        journal: &Journal,
        streams: &[&'static str],
    ) -> Result<(), Error> {
        let selectors = streams.iter().map(|stream| Selector::Stream {
            scope: "s".to_owned(),
            entity: (*stream).to_owned(),
        });
        let shred = Shred::new(selectors.collect(), "because");
        self.shreds.push((streams.to_vec(), fs.calls(), None));
        let done = journal.shred(&shred);
        if let (Ok(_), Some(last)) = (&done, self.shreds.last_mut()) {
            last.2 = Some(fs.calls());
        }
        done.map(drop)
    }

    /// Whether the event must be gone, or may be, at a call.
    fn gone(&self, event: &(u64, &str, u64, u64), call: u64) -> (bool, bool) {
        let about = |shred: &&(Vec<&str>, u64, Option<u64>)| {
            shred.0.contains(&event.1) && shred.1 >= event.3
        };
        let mut shreds = self.shreds.iter().filter(about);
        let may = shreds.clone().any(|shred| shred.1 <= call);
        (
            shreds.any(|shred| shred.2.is_some_and(|done| done <= call)),
            may,
        )
    }
}

/// What there is after a crash, used by another process, which is cut off from its power before it ends.
fn goes_on(fs: &SimFs, log: &Log, call: u64) -> Result<(SimFs, Log), String> {
    let mut after = log.clone();
    after.events.retain(|event| event.3 <= call);
    after.shreds.retain(|shred| shred.1 <= call);
    for shred in &mut after.shreds {
        shred.2 = shred.2.filter(|done| *done <= call);
    }
    let known = after.events.len();
    after.number = 2000;
    let told = |error: Error| format!("{error} ({})", error.code());
    let journal = Journal::open(DIR, options(&fs.store())).map_err(told)?;
    after.append(fs, &journal, &STREAMS).map_err(told)?;
    // They came after all of the shreds.
    let late = after.events.iter_mut().skip(known);
    late.for_each(|event| event.3 = u64::MAX);
    let cut = Crash::Lost.of(&fs.moment(), call);
    Ok((cut, after))
}

/// Mints, shreds, mints again, shreds two at once. Errors are told, and do not end it.
fn perform(fs: &SimFs, store: &Arc<dyn StoreFs>, log: &mut Log) -> Result<(), Error> {
    let journal = Journal::create(DIR, options(store).encrypt(KeyDomain::Stream))?;
    log.created = Some(fs.calls());
    let mut first = Ok(());
    let mut note =
        |done: Result<(), Error>| first = std::mem::replace(&mut first, Ok(())).and(done);
    note(log.append(fs, &journal, &["a"]));
    note(log.append(fs, &journal, &["b", "a", "c"]));
    note(log.shred(fs, &journal, &["a"]));
    note(log.append(fs, &journal, &["a", "b"]));
    note(log.append(fs, &journal, &["d"]));
    note(log.shred(fs, &journal, &["b", "d"]));
    note(log.append(fs, &journal, &["b", "c"]));
    // Again, so that a key whose flush failed is used.
    note(log.append(fs, &journal, &["b"]));
    let recovery = Rewrap::new().recovery(Identity::generate(&[8; 32]).public());
    note(journal.rewrap_keyset(&recovery).map(drop));
    note(log.append(fs, &journal, &["d"]));
    // By now most of the log is what something else took the place of, so that the end writes it anew.
    note(journal.close());
    let journal = Journal::open(DIR, options(store))?;
    note(log.append(fs, &journal, &["a", "d"]));
    note(log.shred(fs, &journal, &["c"]));
    note(journal.close());
    first
}

/// What holds after a crash at a call, or what doesn't.
fn survives(fs: &SimFs, log: &Log, call: u64) -> Result<(), String> {
    if log.created.is_none_or(|created| created > call) {
        return Ok(());
    }
    let store = fs.store();
    let told = |error: Error| format!("{error} ({})", error.code());
    // What says that it is done is done already, before anybody finishes anything.
    let reader = Journal::open_read_only(DIR, options(&store)).map_err(told)?;
    not_there(&reader, |completed| completed)?;
    let journal = Journal::open(DIR, options(&store)).map_err(told)?;
    if let Some(why) = journal.read_only_reason() {
        return Err(format!("read-only: {why}"));
    }
    let reader = journal.reader();
    for event in log.events.iter().filter(|event| event.3 <= call) {
        let (must, may) = log.gone(event, call);
        let (sequence, stream, number, _) = *event;
        let found = reader.get(sequence).map_err(told)?;
        let found = found.ok_or_else(|| format!("event {sequence} is lost"))?;
        let data = found.data().ok_or("no payload")?;
        match (data.bytes(), data.sealed()) {
            (Some(bytes), _) if must => return Err(format!("{sequence} is back: {bytes:?}")),
            (Some(bytes), _) if bytes == text(stream, number) => {}
            (None, Some(Sealed::Shredded { .. })) if may => {}
            found => return Err(format!("event {sequence} of {stream}: {found:?}")),
        }
    }
    // Whatever survived has its key, or an event that names it.
    for event in reader.read(Query::all().scope("s")) {
        let event = event.map_err(told)?;
        let data = event.data().ok_or("no payload")?;
        match data.sealed() {
            None | Some(Sealed::Shredded { .. }) => {}
            Some(why) => return Err(format!("event {}: {why}", event.sequence())),
        }
    }
    not_there(reader, |_| true)?;
    let erasures = reader.erasures().map_err(told)?;
    if erasures.iter().any(|erasure| erasure.completed.is_none()) {
        return Err("a shred is left unfinished".to_owned());
    }
    reader.check_keyset().map_err(told)?;
    let mut again = Log {
        number: 1000,
        ..Log::default()
    };
    again.append(fs, &journal, &STREAMS).map_err(told)?;
    for (sequence, stream, number, _) in &again.events {
        let found = reader.get(*sequence).map_err(told)?.ok_or("lost at once")?;
        if found.data().and_then(|data| data.bytes()) != Some(&text(stream, *number)[..]) {
            return Err(format!("a new event of {stream} can't be read"));
        }
    }
    journal.close().map_err(told)?;
    let report = verify(
        DIR,
        &crate::VerifyOptions::new().file_system(Arc::clone(&store)),
    );
    let report = report.map_err(told)?;
    if report.integrity != crate::Integrity::Intact {
        return Err(format!("verify: {:?}", report.findings));
    }
    let journal = Journal::open(DIR, options(&store)).map_err(told)?;
    let same = journal.reader().erasures().map_err(told)?.len() == erasures.len();
    same.then_some(())
        .ok_or_else(|| "a second open shreds anew".to_owned())
}

/// No key that an event calls destroyed is in the keyset.
fn not_there(reader: &Reader, counts: impl Fn(bool) -> bool) -> Result<(), String> {
    let told = |error: Error| error.to_string();
    let keys = reader.data_keys().map_err(told)?;
    for erasure in reader.erasures().map_err(told)? {
        if counts(erasure.completed.is_some())
            && keys.iter().any(|key| erasure.keys.contains(&key.id))
        {
            return Err("a destroyed key is in the keyset".to_owned());
        }
    }
    Ok(())
}

/// Goes down at every change of the disk, in every way; the first thing that doesn't hold.
fn crashes(bug: Option<DiskBug>) -> Result<u64, String> {
    let fs = SimFs::new(1);
    let store = bug.map_or_else(|| fs.store(), |bug| bug.plant(&fs));
    fs.record();
    let mut log = Log::default();
    perform(&fs, &store, &mut log).map_err(|error| error.to_string())?;
    let mut states = 0;
    for (number, moment) in fs.moments().into_iter().enumerate() {
        for crash in Crash::ALL {
            let after = crash.of(&moment, number as u64);
            survives(&after, &log, moment.calls())
                .map_err(|why| format!("{} at call {}: {why}", crash.name(), moment.calls()))?;
            states += 1;
        }
        if log.created.is_some_and(|created| created <= moment.calls()) {
            let at = |why| format!("killed and cut off after call {}: {why}", moment.calls());
            let killed = Crash::Killed.of(&moment, number as u64);
            let (cut, log) = goes_on(&killed, &log, moment.calls()).map_err(at)?;
            survives(&cut, &log, u64::MAX).map_err(at)?;
            states += 1;
        }
    }
    Ok(states)
}

/// Lets every call fail once, goes on, and loses the power at the end.
fn faults() -> Result<u64, String> {
    let calls = {
        let fs = SimFs::new(1);
        perform(&fs, &fs.store(), &mut Log::default()).map_err(|error| error.to_string())?;
        fs.calls()
    };
    for call in 0..calls {
        let fs = SimFs::new(1);
        fs.inject(Fault::at(call, Failure::Io));
        let mut log = Log::default();
        let _ = perform(&fs, &fs.store(), &mut log);
        fs.heal();
        for crash in [Crash::Killed, Crash::Lost] {
            let after = crash.of(&fs.moment(), call);
            survives(&after, &log, u64::MAX).map_err(|why| format!("call {call} failed: {why}"))?;
        }
    }
    Ok(calls)
}

#[test]
fn destroyed_stays_destroyed_and_kept_stays_readable_after_a_crash_anywhere() {
    let states = crashes(None).unwrap();
    assert!(states > 500, "{states} states");
}

#[test]
fn a_call_that_fails_loses_no_key_and_brings_none_back() {
    let calls = faults().unwrap();
    assert!(calls > 100, "{calls} calls");
}

#[test]
fn mistakes_with_keys_are_found() {
    for bug in [
        Bug::FenceSkipped,
        Bug::TailBelieved,
        Bug::HeadBelieved,
        Bug::RootBeforeBuckets,
        Bug::CompletedBeforeDestroyed,
        Bug::NothingDestroyed,
        Bug::IntentNotFinished,
        Bug::ImageKeepsDestroyed,
        Bug::OldLogRemovedFirst,
    ] {
        assert!(with(bug, || crashes(None)).is_err(), "{bug:?} is not found");
    }
    for (bug, holds) in [
        (
            Bug::DirtyMarkLost,
            a_failed_flush_is_repeated as fn() -> bool,
        ),
        (Bug::RetiredOrdered, is_sealed_again),
        (Bug::WishForgotten, a_wish_outlives_a_crash),
        (Bug::OlderAccepted, recipients_of_before_stay_away),
        (Bug::BucketKeyKept, a_former_recipient_opens_nothing_new),
        (Bug::LossNotNoticed, a_loss_is_noticed),
        (Bug::EndNotStated, an_end_is_stated),
        (Bug::RetiredWhenDurable, nothing_is_read_once_it_is_ordered),
        (Bug::IntentBelieved, nothing_is_read_once_it_is_ordered),
        (Bug::OldViewBelieved, an_old_view_opens_nothing),
    ] {
        assert!(!with(bug, holds), "{bug:?} is not found");
    }
    for bug in [
        DiskBug::NoFileSync,
        DiskBug::NoDirSync,
        DiskBug::RenameBeforeContent,
        DiskBug::ReplaceInPlace,
        DiskBug::RemoveBeforeRename,
    ] {
        assert!(crashes(Some(bug)).is_err(), "{bug:?} is not found");
    }
}

#[test]
fn the_keyset_outlives_what_is_lost_elsewhere() {
    assert!(a_failed_flush_is_repeated());
    assert!(a_loss_is_noticed());
    assert!(an_end_is_stated());
    assert!(nothing_is_read_once_it_is_ordered());
    assert!(an_old_view_opens_nothing());
    assert!(a_wish_outlives_a_crash());
    assert!(recipients_of_before_stay_away());
    assert!(a_former_recipient_opens_nothing_new());
}

/// A journal with an event in a stream, closed.
fn with_one_event(fs: &SimFs) {
    let mut log = Log::default();
    let journal = Journal::create(DIR, options(&fs.store()).encrypt(KeyDomain::Stream)).unwrap();
    log.append(fs, &journal, &["a"]).unwrap();
    journal.close().unwrap();
}

/// Whether an append whose key could not be made durable is not followed by one that takes it for durable.
fn a_failed_flush_is_repeated() -> bool {
    let mut repeated = 0;
    for late in 0..20 {
        let fs = SimFs::new(7);
        let store = fs.store();
        let journal = Journal::create(DIR, options(&store).encrypt(KeyDomain::Stream)).unwrap();
        let mut log = Log::default();
        fs.inject(Fault::at(fs.calls() + late, Failure::Io));
        let first = log.append(&fs, &journal, &["a"]);
        fs.heal();
        if first.is_ok() || log.append(&fs, &journal, &["a"]).is_err() {
            continue;
        }
        repeated += 1;
        let after = Crash::Lost.of(&fs.moment(), late);
        let journal = Journal::open(DIR, options(&after.store())).unwrap();
        for (sequence, ..) in &log.events {
            let event = journal.reader().get(*sequence).unwrap().unwrap();
            if event.data().unwrap().bytes().is_none() {
                return false;
            }
        }
    }
    assert!(repeated > 0, "no flush failed");
    true
}

/// Whether no key is made in the place of one that went with an older copy of the keyset.
fn a_loss_is_noticed() -> bool {
    let fs = SimFs::new(7);
    let store = fs.store();
    let journal = Journal::create(DIR, options(&store).encrypt(KeyDomain::Stream)).unwrap();
    journal
        .append(NewEvent::new("s", "a", "t").data(Encoding::Raw, b"x".as_slice()))
        .unwrap();
    drop(journal);
    store
        .remove_file(&Path::new(DIR).join("keys/minted-00000001"))
        .unwrap();
    let journal = Journal::open(DIR, options(&store)).unwrap();
    Log::default().append(&fs, &journal, &["a"]).is_err()
}

/// Whether a log that is gone after a clean end is a loss.
fn an_end_is_stated() -> bool {
    let fs = SimFs::new(7);
    with_one_event(&fs);
    let store = fs.store();
    store
        .remove_file(&Path::new(DIR).join("keys/minted-00000001"))
        .unwrap();
    let reader = Journal::open_read_only(DIR, options(&store)).unwrap();
    reader.check_keyset().is_err()
}

/// How many shreds a journal's durable events tell of.
fn intents(journal: &Journal) -> usize {
    let query = Query::all().kind("shred.intended");
    journal.reader().read(query).count()
}

/// Whether a process stops reading when it has ordered that a key is to be destroyed, whatever becomes of that,
/// and calls it shredded only when that is durable.
fn nothing_is_read_once_it_is_ordered() -> bool {
    let mut unknown = 0;
    for late in 0..40 {
        let fs = SimFs::new(7);
        with_one_event(&fs);
        let store = fs.store();
        let journal = Journal::open(DIR, options(&store)).unwrap();
        let mut log = Log::default();
        log.append(&fs, &journal, &["b"]).unwrap();
        fs.inject(Fault::at(fs.calls() + late, Failure::Io));
        let failed = log.shred(&fs, &journal, &["a"]).is_err();
        let intended = journal.writer().unwrap().order.lock().retired.len();
        fs.heal();
        if !failed || intended == 0 {
            continue;
        }
        let event = journal.reader().get(1).unwrap().unwrap();
        let data = event.data().unwrap();
        // Who is told that it was shredded skips it for good, so that this has to be so.
        let durable = intents(&journal);
        let told = matches!(data.sealed(), Some(Sealed::Shredded { .. }));
        unknown += usize::from(durable == 0);
        if data.bytes().is_some() || told && durable == 0 {
            return false;
        }
    }
    assert!(unknown > 0, "no intent was left in doubt");
    true
}

/// Whether a scan that began before a shred opens nothing once the reader knows of that.
fn an_old_view_opens_nothing() -> bool {
    let fs = SimFs::new(7);
    let store = fs.store();
    let journal = Journal::create(DIR, options(&store).encrypt(KeyDomain::Stream)).unwrap();
    let mut log = Log::default();
    log.append(&fs, &journal, &["a", "a"]).unwrap();
    journal.housekeep().unwrap();
    let reader = Journal::open_read_only(DIR, options(&store)).unwrap();
    let mut scan = reader.read(Query::stream("s", "a"));
    assert!(
        scan.next()
            .unwrap()
            .unwrap()
            .data()
            .unwrap()
            .bytes()
            .is_some()
    );
    log.shred(&fs, &journal, &["a"]).unwrap();
    journal.housekeep().unwrap();
    reader.refresh().unwrap();
    scan.next()
        .unwrap()
        .unwrap()
        .data()
        .unwrap()
        .bytes()
        .is_none()
}

/// Minting adds one sync to an append, whatever else is in the keyset, and never writes its head.
#[test]
fn a_new_key_costs_one_sync_and_no_rewrite() {
    let fs = SimFs::new(7);
    with_one_event(&fs);
    let store = fs.store();
    let journal = Journal::open(DIR, options(&store)).unwrap();
    let mut log = Log::default();
    log.append(&fs, &journal, &["a"]).unwrap();
    let head = Path::new(DIR).join("keys/keyset");
    let head_before = fs.contents()[&head].clone();
    let mut changes = |streams: &[&'static str]| {
        fs.record();
        log.append(&fs, &journal, streams).unwrap();
        fs.moments().len()
    };
    let known = changes(&["a"]);
    let minting = changes(&["b"]);
    // A write and a sync more, however many keys are made at once.
    assert_eq!(minting, known + 2);
    assert_eq!(changes(&["c", "d"]), minting);
    assert_eq!(fs.contents()[&head], head_before);
}

#[test]
fn what_was_sealed_before_an_intent_is_sealed_again_behind_it() {
    assert!(is_sealed_again());
}

/// Whether an event whose key is retired between sealing and ordering gets another key.
fn is_sealed_again() -> bool {
    let fs = SimFs::new(3);
    let store = fs.store();
    let journal = Journal::create(DIR, options(&store).encrypt(KeyDomain::Stream)).unwrap();
    let mut log = Log::default();
    log.append(&fs, &journal, &["a"]).unwrap();
    let writer = journal.writer().unwrap();
    let id = journal.reader().data_keys().unwrap()[0].id;
    // As an intent does under the order lock, before anything tells the keyset.
    let next = journal.reader().len();
    writer.order.lock().retired.insert(id, next);
    log.append(&fs, &journal, &["a"]).unwrap();
    let keys: Vec<_> = journal
        .reader()
        .read(Query::stream("s", "a"))
        .map(|event| {
            let event = event.unwrap();
            let row = event.facts().unwrap().sections.iter().next().unwrap();
            row.sealed.unwrap().key_id
        })
        .collect();
    assert_eq!(keys[0], id);
    keys[1] != id
}

/// Wrapped copies of a destroyed key stay in the log; nothing that is left opens them.
#[test]
fn nothing_that_is_left_opens_what_was_shredded() {
    let fs = SimFs::new(5);
    let store = fs.store();
    let mut log = Log::default();
    let journal = Journal::create(DIR, options(&store).encrypt(KeyDomain::Stream)).unwrap();
    log.append(&fs, &journal, &STREAMS).unwrap();
    let keys = journal.reader().shared.secrets.as_ref().unwrap();
    let list = journal.reader().data_keys().unwrap();
    let id = list.iter().find(|key| key.domain == "s/a").unwrap().id;
    let minted = fs.contents()[&Path::new(DIR).join("keys/minted-00000001")].clone();
    // Whether any bucket key of today opens the entry of a key as it was minted.
    let opens = |id: &[u8; 16]| {
        let state = keys.opened().unwrap();
        let open = state.open.as_ref().unwrap();
        let mut rest = &minted[LOG_HEADER_LEN..];
        while let Ok((record, _, len)) = next_record(&keys.journal, rest) {
            rest = &rest[len..];
            let LogRecord::Key(key) = record else {
                continue;
            };
            let buckets = 0..open.head.buckets.len() as u32;
            let mut buckets = buckets.map(|bucket| open.bucket_key(&keys.journal, bucket).unwrap());
            let unwrap = |bucket: BucketKey| {
                bucket.unwrap(&keys.journal, &key.tag, &key.id, 0, &key.wrapped)
            };
            if key.id == *id {
                return buckets.any(|bucket| unwrap(bucket).is_some());
            }
        }
        panic!("the log has no such key");
    };
    assert!(opens(&id));
    log.shred(&fs, &journal, &["a"]).unwrap();
    assert!(!opens(&id));
    journal.close().unwrap();
    for (path, bytes) in fs.contents() {
        let text = text("a", 0);
        let holds = bytes.windows(text.len()).any(|window| window == text);
        assert!(!holds, "{}", path.display());
    }
}
