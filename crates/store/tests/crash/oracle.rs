//! What must hold after every crash. Each oracle is an object of its own.

use factlog::{Compaction, Condition, Integrity, Journal, NewEvent, Query, VerifyOptions, verify};
use factlog_format::Manifest;

use super::{
    lab::{DIR, Lab},
    run::{Log, Record, moved, repeatable},
    workload::{BOUNDARIES, Plan, tag_of},
};

/// A journal that was opened after a crash.
pub struct Case<'c> {
    /// Promises and what was there before the crash.
    pub log: &'c Log,
    pub truth: &'c [Record],
    /// How many calls there had been.
    pub call: u64,
    pub journal: &'c Journal,
    pub found: &'c [Record],
    /// How many of the events found are from before the crash.
    pub survivors: usize,
}

impl Case<'_> {
    fn acked(&self) -> impl Iterator<Item = &super::run::Ack> {
        self.log.acks.iter().filter(|ack| ack.call <= self.call)
    }
}

/// What is wrong, as a sentence.
pub type Verdict = Result<(), String>;

/// One thing that must hold.
pub struct Oracle {
    pub name: &'static str,
    pub check: fn(&Case<'_>) -> Verdict,
}

/// All that look and change nothing.
pub const LOOKING: &[Oracle] = &[
    Oracle {
        name: "writable",
        check: writable,
    },
    Oracle {
        name: "acknowledged",
        check: acknowledged,
    },
    Oracle {
        name: "prefix",
        check: prefix,
    },
    Oracle {
        name: "whole batches",
        check: whole_batches,
    },
    Oracle {
        name: "contents",
        check: contents,
    },
    Oracle {
        name: "times",
        check: times,
    },
    Oracle {
        name: "released roots",
        check: released_roots,
    },
    Oracle {
        name: "queries",
        check: queries,
    },
    Oracle {
        name: "erasures",
        check: erasures,
    },
];

/// All that go on with the journal, in this order.
pub const GOING_ON: &[Oracle] = &[
    Oracle {
        name: "boundaries",
        check: boundaries,
    },
    Oracle {
        name: "idempotency",
        check: idempotency,
    },
    Oracle {
        name: "appends again",
        check: appends_again,
    },
    Oracle {
        name: "released receipts",
        check: released_receipts,
    },
    // It appends events of the journal's own.
    Oracle {
        name: "erasures are completed",
        check: completes,
    },
];

/// A mere crash never makes a journal read-only.
fn writable(case: &Case<'_>) -> Verdict {
    match case.journal.read_only_reason() {
        None => Ok(()),
        Some(why) => Err(format!("it is read-only: {why}")),
    }
}

/// Acknowledged events are there, byte-identical, at their sequence.
fn acknowledged(case: &Case<'_>) -> Verdict {
    for ack in case.acked() {
        for (at, hash) in (ack.first as usize..).zip(&ack.hashes) {
            match case.found.get(at) {
                None => {
                    return Err(format!(
                        "event {at}, acknowledged at call {}, is gone",
                        ack.call
                    ));
                }
                Some(found) if found.hash != *hash => {
                    return Err(format!("event {at} is another one than was acknowledged"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Survivors are a prefix of what there was, without holes. Where calls failed, sessions ended as they did
/// not otherwise and the journal noted that: users' events are then compared, in their order.
fn prefix(case: &Case<'_>) -> Verdict {
    let survivors = case.found.iter().take(case.survivors);
    if case.log.under_faults {
        let of_users = |record: &&Record| record.scope == super::SCOPE;
        let (found, truth) = (
            survivors.filter(of_users),
            case.truth.iter().filter(of_users),
        );
        let mut pairs = found.zip(truth.map(Some).chain(std::iter::repeat(None)));
        let other =
            pairs.position(|(found, truth)| truth.is_none_or(|truth| !says_the_same(truth, found)));
        return match other {
            None => Ok(()),
            Some(at) => Err(format!("event {at} of users' was never written so")),
        };
    }
    let truth = case.truth.iter().map(Some).chain(std::iter::repeat(None));
    let other = survivors
        .zip(truth)
        .position(|(found, truth)| !truth.is_some_and(|truth| found.becomes(truth)));
    match other {
        None => Ok(()),
        Some(at) => Err(format!(
            "event {at} of {} was never written so",
            case.survivors
        )),
    }
}

fn says_the_same(one: &Record, other: &Record) -> bool {
    if one.bare || other.bare {
        return one.revision == other.revision;
    }
    let said = |record: &Record| (record.entity.clone(), record.revision, record.tags.clone());
    let gone = one.erased || other.erased;
    said(one) == said(other) && (gone || one.payload == other.payload)
}

/// A batch is whole or absent, acknowledged or not.
fn whole_batches(case: &Case<'_>) -> Verdict {
    let end = case.survivors as u64;
    for ack in &case.log.acks {
        let range = ack.first + 1..ack.first + ack.plans.len() as u64;
        if range.contains(&end) {
            return Err(format!(
                "a batch of {} is cut after {}",
                ack.plans.len(),
                end - ack.first
            ));
        }
    }
    Ok(())
}

/// Users' events are those of a journal kept as plain data, whole batches of them.
fn contents(case: &Case<'_>) -> Verdict {
    let model = &case.log.model;
    model.judge(case.found, case.log.acked(case.call))?;
    let of_users = |found: &&Record| found.scope == super::SCOPE;
    let users: Vec<&Record> = case.found.iter().filter(of_users).collect();
    for (entity, wanted) in model.streams(users.len()) {
        let is_bare = |(at, _): &(usize, &[u8])| users.get(*at).is_some_and(|one| one.bare);
        // Found by nobody as soon as that is finished.
        let may_be_gone = wanted.iter().all(is_bare);
        let stream = factlog::Query::stream(super::SCOPE, entity);
        let mut at = 0;
        for event in case.journal.reader().read(stream) {
            let event = event.map_err(|e| e.to_string())?;
            let payload = event.data().and_then(|data| data.bytes());
            let same = wanted.get(at).is_some_and(|(_, wanted)| {
                // Whether it may be gone is asked elsewhere.
                payload.is_none_or(|payload| payload == *wanted)
            });
            if event.revision() != at as u64 || !same {
                return Err(format!("revision {at} of {entity} is another event"));
            }
            at += 1;
        }
        if at != wanted.len() && !(at == 0 && may_be_gone) {
            return Err(format!("{entity} has {at} of {} events", wanted.len()));
        }
    }
    Ok(())
}

/// Recorded times never fall, whatever the clock did.
fn times(case: &Case<'_>) -> Verdict {
    match case
        .found
        .windows(2)
        .position(|two| two[1].recorded_at < two[0].recorded_at)
    {
        None => Ok(()),
        Some(at) => Err(format!("event {} was recorded before event {at}", at + 1)),
    }
}

/// Whatever root was ever signed and released is a root of this history.
fn released_roots(case: &Case<'_>) -> Verdict {
    let reader = case.journal.reader();
    let now = reader.len();
    let evidence = case.log.evidence.iter();
    let released = evidence.filter(|evidence| evidence.call <= case.call);
    let mut roots: Vec<(u64, factlog::Hash)> = released
        .map(|evidence| (evidence.size, evidence.root))
        .collect();
    roots.push((now, reader.root_at(now).map_err(|e| e.to_string())?));
    // Each is consistent with the next, and the last with what is here.
    for two in roots.windows(2) {
        let [(size, root), (next, next_root)] = *two else {
            continue;
        };
        if size > next || size > now {
            return Err(format!(
                "a checkpoint of {size} events was released before one of {next}, here are {now}"
            ));
        }
        if reader.root_at(size).map_err(|e| e.to_string())? != root {
            return Err(format!("the root of the first {size} events has changed"));
        }
        if size < next {
            let path = reader.consistency(size, next).map_err(|e| e.to_string())?;
            factlog_proof::verify_consistency(size, &root, next, &next_root, &path)
                .map_err(|e| format!("no consistency from {size} to {next}: {e}"))?;
        }
    }
    Ok(())
}

/// Streams and ids lead to the same events as sequences do.
fn queries(case: &Case<'_>) -> Verdict {
    let reader = case.journal.reader();
    for (at, found) in case.found.iter().enumerate() {
        let Some(id) = found.id else { continue };
        match reader.get_by_id(id).map_err(|e| e.to_string())? {
            Some(event) if event.sequence() == at as u64 => {}
            other => {
                return Err(format!(
                    "id of event {at} leads to {:?}",
                    other.map(|e| e.sequence())
                ));
            }
        }
    }
    let all = reader.read(factlog::Query::all());
    let count = all
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?
        .len();
    if count != case.found.len() {
        return Err(format!(
            "a query finds {count} of {} events",
            case.found.len()
        ));
    }
    Ok(())
}

/// What is gone was erased, what an erasure covers is gone for every reader, and so is what was said to be.
fn erasures(case: &Case<'_>) -> Verdict {
    for (at, found) in (0u64..).zip(case.found) {
        let by = case.journal.reader().erased_by(at);
        let by = by.map_err(|e| e.to_string())?;
        match (found.erased, by) {
            (true, None) => return Err(format!("event {at} is a stub that no event explains")),
            (false, Some(by)) => {
                let by = by.sequence;
                return Err(format!("event {at} is read, though event {by} erased it"));
            }
            _ => {}
        }
    }
    let said = case.log.retained.iter();
    for at in said
        .filter(|(call, _)| *call <= case.call)
        .flat_map(|(_, at)| at)
    {
        if !case
            .found
            .get(*at as usize)
            .is_some_and(|found| found.erased)
        {
            return Err(format!("event {at} was said to be erased, and is read"));
        }
    }
    Ok(())
}

/// What a crash cut short is finished.
///
/// Only where something was ordered: a compaction writes and syncs, which would hide what a mistake left unsynced.
fn completes(case: &Case<'_>) -> Verdict {
    let ordered = Query::all().kind("erasure.ordered").limit(1);
    if case.journal.reader().read(ordered).next().is_none() {
        return Ok(());
    }
    let done = case.journal.compact(&Compaction::new());
    done.map(drop).map_err(|e| e.to_string())
}

/// No file holds a payload that was erased, as far as `is_done` says that this is finished.
pub fn erased_is_gone(
    lab: &Lab,
    log: &Log,
    found: &[Record],
    is_done: &dyn Fn(u64) -> bool,
) -> Verdict {
    let users = (0..)
        .zip(found)
        .filter(|(_, found)| found.scope == super::SCOPE);
    let erased: Vec<_> = users
        .zip(&log.model.events)
        .filter(|((at, found), _)| found.erased && is_done(*at))
        .collect();
    if erased.is_empty() {
        return Ok(());
    }
    let mut files = lab.fs.contents();
    let manifest = files.get(&std::path::Path::new(DIR).join("MANIFEST"));
    let manifest = manifest.and_then(|bytes| Manifest::decode(bytes).ok());
    let rows = manifest.map(|manifest| manifest.rows).unwrap_or_default();
    let sealed = rows.iter().filter(|row| row.count.is_some());
    let sealed =
        sealed.map(|row| format!("{:016x}-{:08x}.seg", row.first_sequence, row.generation));
    let sealed: Vec<String> = sealed.collect();
    // What a cut leaves in a file that wasn't synced may be anything that the disk ever held.
    files.retain(|path, _| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_segment = name.ends_with(".seg");
        !name.ends_with(".tmp") && (!is_segment || sealed.iter().any(|one| *one == name))
    });
    for ((at, _), kept) in erased {
        // A few bytes may stand anywhere.
        let Some(wanted) = kept.payload.get(..32) else {
            continue;
        };
        let has = |bytes: &Vec<u8>| bytes.windows(32).any(|bytes| bytes == wanted);
        if let Some((path, _)) = files.iter().find(|(_, bytes)| has(bytes)) {
            return Err(format!(
                "the payload of event {at} stands in {}",
                path.display()
            ));
        }
    }
    Ok(())
}

/// The repeat of what was acknowledged is answered so, and appends nothing.
fn idempotency(case: &Case<'_>) -> Verdict {
    for ack in case.acked().filter(|ack| repeatable(ack)) {
        // An id that was given up may be of another event now, or of none.
        let there = |(at, plan): (usize, &Plan)| {
            let found = case.found.get(ack.first as usize + at);
            found.is_some_and(|found| found.id == plan.id())
        };
        if !ack.plans.iter().enumerate().all(there) {
            continue;
        }
        let events: Vec<NewEvent<'_>> = ack.plans.iter().map(Plan::event).collect();
        let again = case.journal.append_batch(&events);
        let again = again.map_err(|e| format!("the repeat of event {}: {e}", ack.first))?;
        if !again.already() || again.first_sequence() != ack.first {
            return Err(format!("event {} was appended again", ack.first));
        }
    }
    Ok(())
}

/// A boundary holds the events that it held before, for those who read it and for those who append upon it.
fn boundaries(case: &Case<'_>) -> Verdict {
    for tag in (0..BOUNDARIES).map(tag_of) {
        let wanted = tagged(case, &tag);
        let found = case.journal.reader().read(Query::all().tag(tag.as_str()));
        let found: Result<Vec<u64>, _> = found.map(|e| Ok(e?.sequence())).collect();
        let found = found.map_err(|e: factlog::Error| e.to_string())?;
        if found != wanted {
            return Err(format!("{tag} has the events {found:?}, not {wanted:?}"));
        }
        if let Some(first) = found.first() {
            moved(case.journal, *first, &tag).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

fn tagged(case: &Case<'_>, tag: &str) -> Vec<u64> {
    let has = |found: &Record| found.tags.iter().any(|one| one == tag);
    let found = (0..).zip(case.found);
    found
        .filter_map(|(at, one)| has(one).then_some(at))
        .collect()
}

/// The journal takes events, behind all that was there, also on the condition that all boundaries are as
/// they are.
fn appends_again(case: &Case<'_>) -> Verdict {
    let unmoved = (0..BOUNDARIES).map(tag_of).map(|tag| {
        let from = tagged(case, &tag).last().map_or(0, |last| last + 1);
        Condition::nothing(Query::all().tag(tag).from(from))
    });
    let unmoved: Vec<_> = unmoved.collect();
    let event = Plan::small(u64::MAX).event();
    let done = case.journal.append_if(&[event], &unmoved);
    let done = done.map_err(|e| e.to_string())?;
    let receipt = done.receipt(0).ok_or("there is no receipt")?;
    if receipt.sequence() != case.found.len() as u64 {
        return Err(format!(
            "event {} was given the place {}",
            case.found.len(),
            receipt.sequence()
        ));
    }
    let text = receipt.text().map_err(|e| e.to_string())?;
    case.log
        .verify_receipt(&text, &receipt.event_hash())
        .map(drop)
}

/// Receipts that are made now verify as those did that were released before.
fn released_receipts(case: &Case<'_>) -> Verdict {
    let reader = case.journal.reader();
    let (from, to) = (0, case.found.len() as u64 - 1);
    for sequence in [from, to / 2, to] {
        let text = reader
            .receipt(sequence)
            .map_err(|e| format!("receipt {sequence}: {e}"))?;
        let hash = case
            .found
            .get(sequence as usize)
            .map(|found| found.hash)
            .unwrap_or_default();
        let (size, root) = case.log.verify_receipt(&text, &hash)?;
        if reader.root_at(size).map_err(|e| e.to_string())? != root {
            return Err(format!(
                "the receipt of event {sequence} speaks of another tree"
            ));
        }
    }
    // Those released before the crash are strings that can't change; that their trees are still
    // prefixes of this one is what "released roots" shows.
    Ok(())
}

/// Nothing that only a crash explains is left lying about.
pub fn no_temporaries(lab: &Lab) -> Verdict {
    let left: Vec<_> = lab
        .fs
        .contents()
        .into_keys()
        .filter(|path| is_temporary(path))
        .collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("temporary files are left: {left:?}"))
    }
}

/// No file is left open, and no lock held.
pub fn no_handles(lab: &Lab) -> Verdict {
    match lab.fs.handles() {
        0 => Ok(()),
        left => Err(format!("{left} files or locks are left open")),
    }
}

/// Derived files made again from nothing are those that were kept, byte for byte, once the journal
/// has gone on and was closed.
pub fn derived_again(lab: &Lab) -> Verdict {
    let gone_on = |remove: bool| {
        let lab = Lab::later(lab.fs.kill_process(1), 77, 90);
        let kept = lab
            .fs
            .contents()
            .into_keys()
            .filter(|path| is_derived(path));
        for path in kept.filter(|_| remove) {
            lab.store().remove_file(&path).map_err(|e| e.to_string())?;
        }
        let journal = lab.open().map_err(|e| e.to_string())?;
        let event = Plan::small(u64::MAX - 1).event();
        journal.append(event).map_err(|e| e.to_string())?;
        journal.close().map_err(|e| e.to_string())?;
        let mut contents = lab.fs.contents();
        contents.retain(|path, bytes| is_derived(path) && !bytes.is_empty());
        Ok::<_, String>(contents)
    };
    let (kept, made) = (gone_on(false)?, gone_on(true)?);
    // Offsets of a sealed segment need no file: who wants one of them makes them in memory.
    let differs = |path: &&std::path::PathBuf| match made.get(*path) {
        None if path.extension().is_some_and(|e| e == "off") => false,
        made => made != kept.get(*path),
    };
    match kept.keys().chain(made.keys()).find(differs) {
        None => Ok(()),
        Some(path) => Err(format!("{} is made again as another", path.display())),
    }
}

/// What is not needed to know the events, and is made again.
pub fn is_derived(path: &std::path::Path) -> bool {
    let dir = std::path::Path::new(DIR);
    path.starts_with(dir.join("index"))
        || path.starts_with(dir.join("tree"))
        || path.extension().is_some_and(|e| e == "off")
}

fn is_temporary(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(factlog_fs::is_temporary)
}

/// A verification from the bytes alone finds nothing.
pub fn verifies(lab: &Lab, log: &Log, call: u64) -> Verdict {
    let mut options = VerifyOptions::new().file_system(lab.store());
    for (_, text) in log
        .receipts
        .iter()
        .rev()
        .filter(|(made, _)| *made <= call)
        .take(3)
    {
        options = options.receipt(text.clone());
    }
    let report = verify(DIR, &options).map_err(|e| e.to_string())?;
    if report.integrity == Integrity::Intact && report.findings.is_empty() {
        return Ok(());
    }
    let findings: Vec<String> = report
        .findings
        .iter()
        .map(|f| format!("{} {}: {}", f.code, f.path.display(), f.detail))
        .collect();
    Err(findings.join("; "))
}
