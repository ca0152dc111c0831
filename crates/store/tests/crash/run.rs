//! Doing a workload, and noting what was promised meanwhile.

use factlog::{
    Compaction, Condition, Conflict, Digest, Error, Expect, Hash, Journal, NewEvent, Policy, Query,
    Reader, Retention, RetentionRule, UnverifiedReceipt, Uuid,
};
use factlog_sim::Moment;

use super::{
    lab::Lab,
    model::{Answer, Model},
    workload::{BOUNDARIES, Plan, Step, Workload, tag_of},
};

/// An event as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub scope: String,
    pub entity: String,
    pub revision: u64,
    pub recorded_at: i64,
    pub hash: Digest,
    pub id: Option<Uuid>,
    pub tags: Vec<String>,
    pub payload: Vec<u8>,
    /// Whether an erasure took the payload.
    pub erased: bool,
    /// Whether it took all but the spine: only users' events lose that.
    pub bare: bool,
}

impl Record {
    /// Whether it is the other, or what an erasure that is to come makes of it.
    pub fn becomes(&self, other: &Self) -> bool {
        let erased = |record: &Self| match other.bare {
            false => Self {
                payload: Vec::new(),
                erased: true,
                ..record.clone()
            },
            true => Self {
                revision: record.revision,
                recorded_at: record.recorded_at,
                hash: record.hash,
                ..other.clone()
            },
        };
        self == other || (other.erased && erased(self) == *other)
    }
}

/// What an event says.
pub fn record_of(event: &factlog::Event) -> Record {
    let facts = event.facts();
    let data = event.data().and_then(|data| data.bytes());
    Record {
        scope: facts.map_or(super::SCOPE.to_owned(), |f| f.scope.to_owned()),
        entity: facts.map(|f| f.entity.to_owned()).unwrap_or_default(),
        revision: event.revision(),
        recorded_at: event.recorded_at(),
        hash: event.hash(),
        id: event.id(),
        tags: facts
            .map(|f| f.tags.iter().map(str::to_owned).collect())
            .unwrap_or_default(),
        payload: data.unwrap_or_default().to_vec(),
        erased: data.is_none(),
        bare: facts.is_none(),
    }
}

/// Every event of a journal, in order.
pub fn read_all(reader: &Reader) -> Result<Vec<Record>, Error> {
    let mut found = Vec::new();
    for sequence in 0..reader.len() {
        let event = reader.get(sequence)?;
        let Some(event) = event else { break };
        found.push(record_of(&event));
    }
    Ok(found)
}

/// An append that was acknowledged.
#[derive(Clone, Debug)]
pub struct Ack {
    /// How many calls there had been when it was.
    pub call: u64,
    pub first: u64,
    pub plans: Vec<Plan>,
    pub hashes: Vec<Digest>,
}

/// A root that a released signature vouches for.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub call: u64,
    pub size: u64,
    pub root: Hash,
}

/// What was promised, and when.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// When creation returned.
    pub created: Option<u64>,
    pub acks: Vec<Ack>,
    pub evidence: Vec<Evidence>,
    /// Signed receipts, as text, and when they were released.
    pub receipts: Vec<(u64, String)>,
    pub policy: Option<Policy>,
    /// Sequences of events whose payloads were said to be gone, and when.
    pub retained: Vec<(u64, Vec<u64>)>,
    /// What users were told is kept, and what they tried last.
    pub model: Model,
    /// How many calls there had been when each step began.
    pub steps: Vec<u64>,
    /// Whether calls failed: a segment more or less then draws from chance and clock, so that later
    /// events say the same with other salts and times than they do without a fault.
    pub under_faults: bool,
}

impl Log {
    /// One of a run in which calls fail.
    pub fn under_faults() -> Self {
        Self {
            under_faults: true,
            ..Self::default()
        }
    }

    /// The same promises, all of them made before a machine's first call.
    pub fn settled(&self, call: u64) -> Self {
        let mut log = self.clone();
        log.created = log.created.filter(|created| *created <= call).map(|_| 0);
        log.acks.retain(|ack| ack.call <= call);
        log.evidence.retain(|evidence| evidence.call <= call);
        log.receipts.retain(|(made, _)| *made <= call);
        log.retained.retain(|(made, _)| *made <= call);
        log.retained.iter_mut().for_each(|(made, _)| *made = 0);
        log.steps.clear();
        log.acks.iter_mut().for_each(|ack| ack.call = 0);
        log.evidence
            .iter_mut()
            .for_each(|evidence| evidence.call = 0);
        log.receipts.iter_mut().for_each(|(made, _)| *made = 0);
        log
    }

    fn note_created(&mut self, lab: &Lab, journal: &Journal) {
        self.created = Some(lab.fs.calls());
        self.policy = journal.reader().verifier_key().map(Policy::from);
    }

    /// All but the last event of each stream have lost their payloads, or all events; `full`: and more.
    fn note_retained(&mut self, lab: &Lab, found: &[Record], keep: bool, full: bool) {
        let of_users = |(_, record): &(u64, &Record)| record.scope == super::SCOPE;
        let all: Vec<_> = (0..).zip(found).filter(of_users).collect();
        let is_last = |record: &Record| {
            let later = all.iter().filter(|(_, one)| one.entity == record.entity);
            keep && !record.bare
                && later
                    .max_by_key(|(_, one)| one.revision)
                    .is_some_and(|(_, one)| *one == record)
        };
        if full {
            for ((_, record), kept) in all.iter().zip(&mut self.model.events) {
                kept.bare |= !is_last(record);
            }
        }
        let gone = all.iter().filter(|(_, record)| !is_last(record));
        let gone = gone.map(|(sequence, _)| *sequence).collect();
        self.retained.push((lab.fs.calls(), gone));
    }

    fn note_checkpoint(&mut self, lab: &Lab, journal: &Journal) {
        if let Ok(signed) = journal.reader().checkpoint() {
            let (size, root) = (signed.claimed().size(), signed.claimed().root());
            self.evidence.push(Evidence {
                call: lab.fs.calls(),
                size,
                root,
            });
        }
    }

    /// What had been promised up to a call, as far as an oracle could tell.
    pub fn promises(&self, call: u64) -> [usize; 4] {
        let created = self.created.is_some_and(|created| created <= call);
        let acks = self.acks.iter().filter(|ack| ack.call <= call).count();
        let evidence = self.evidence.iter().filter(|e| e.call <= call).count();
        let receipts = self.receipts.iter().filter(|(made, _)| *made <= call);
        [usize::from(created), acks, evidence, receipts.count()]
    }

    /// How many of users' events were acknowledged up to a call.
    pub fn acked(&self, call: u64) -> usize {
        let acks = self.acks.iter().filter(|ack| ack.call <= call);
        acks.map(|ack| ack.plans.len()).sum()
    }

    pub fn append(&mut self, lab: &Lab, journal: &Journal, plans: &[Plan]) -> Result<(), Error> {
        let plans = &self.model.resolved(plans);
        assert_eq!(self.model.append(plans), Answer::Appended);
        let events: Vec<NewEvent<'_>> = plans.iter().map(Plan::event).collect();
        let done = journal.append_if(&events, &conditions(journal, plans)?)?;
        let call = lab.fs.calls();
        let hashes = done.iter().map(|receipt| receipt.event_hash()).collect();
        let plans = plans.to_vec();
        self.acks.push(Ack {
            call,
            first: done.first_sequence(),
            plans,
            hashes,
        });
        let receipt = done.receipt(0).expect("a batch is never empty");
        let text = receipt.text()?;
        self.verify_receipt(&text, &receipt.event_hash())
            .expect("a new receipt verifies");
        self.receipts.push((call, text));
        self.note_checkpoint(lab, journal);
        Ok(())
    }

    /// Checks a receipt's text as a third party would.
    pub fn verify_receipt(&self, text: &str, hash: &Digest) -> Result<(u64, Hash), String> {
        let policy = self.policy.as_ref().ok_or("the journal has no key")?;
        let receipt = UnverifiedReceipt::parse(text.as_bytes()).map_err(|e| e.to_string())?;
        let verified = receipt.verify(policy).map_err(|e| e.to_string())?;
        if verified.event_hash() != hash {
            return Err("the receipt is of another event".to_owned());
        }
        Ok((verified.checkpoint().size(), verified.checkpoint().root()))
    }
}

/// A run without faults, and every moment of it.
pub struct Run {
    pub workload: Workload,
    pub log: Log,
    pub moments: Vec<Moment>,
    /// Every event that there was in the end.
    pub truth: Vec<Record>,
}

impl Run {
    /// Creates a journal and does the workload, with a moment kept after every change.
    pub fn record(workload: Workload, lab: &Lab) -> Result<Self, Error> {
        lab.fs.record();
        let mut log = Log::default();
        let (result, truth) = perform(&workload, lab, &mut log, None);
        result?;
        Ok(Self {
            workload,
            log,
            moments: lab.fs.moments(),
            truth,
        })
    }

    /// Goes on with a journal after a crash.
    pub fn go_on(workload: Workload, lab: &Lab, log: Log) -> Result<Self, Error> {
        lab.fs.record();
        let mut log = log;
        let journal = lab.open()?;
        let (result, truth) = perform(&workload, lab, &mut log, Some(journal));
        result?;
        Ok(Self {
            workload,
            log,
            moments: lab.fs.moments(),
            truth,
        })
    }
}

/// Does a workload up to the first failure. Also gives the events as they were last seen.
pub fn perform(
    workload: &Workload,
    lab: &Lab,
    log: &mut Log,
    journal: Option<Journal>,
) -> (Result<(), Error>, Vec<Record>) {
    let mut truth = Vec::new();
    let result = perform_steps(workload, lab, log, journal, &mut truth);
    (result, truth)
}

fn perform_steps(
    workload: &Workload,
    lab: &Lab,
    log: &mut Log,
    journal: Option<Journal>,
    truth: &mut Vec<Record>,
) -> Result<(), Error> {
    let mut journal = match journal {
        Some(journal) => {
            // What a crash took is settled now.
            let found = read_all(journal.reader())?;
            let of_users = found.iter().filter(|record| record.scope == super::SCOPE);
            log.model.keep(of_users.count());
            journal
        }
        None => {
            let journal = lab.create()?;
            log.note_created(lab, &journal);
            journal
        }
    };
    for (at, step) in workload.steps.iter().enumerate() {
        log.steps.push(lab.fs.calls());
        match step {
            Step::Append(_) | Step::Fill { .. } | Step::Pose => {
                let number = workload.seed << 8 | 0x80 | at as u64;
                let plans = match step {
                    Step::Append(plans) => plans.clone(),
                    Step::Fill { multiple, beyond } => {
                        vec![Plan::sized(number, fill(lab, *multiple, *beyond))]
                    }
                    _ => vec![Plan::posing(number, journal.reader().id())],
                };
                if let Err(error) = log.append(lab, &journal, &plans) {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
            }
            Step::Repeat(which) => repeat(log, &journal, *which)?,
            Step::Conflict => conflict(&journal)?,
            Step::Housekeep => {
                if let Err(error) = journal.housekeep() {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
                log.note_checkpoint(lab, &journal);
            }
            Step::Reopen => {
                journal.close()?;
                journal = writable(lab.open()?)?;
            }
            Step::Abandon => {
                drop(journal);
                journal = writable(lab.open()?)?;
            }
            Step::Clock(micros) => lab.jump(*micros),
            Step::Retain => {
                let rule = RetentionRule::new("test", "no longer needed");
                let rule = rule.scope(super::SCOPE).keep_last(1);
                if let Err(error) = journal.retain(&Retention::new(vec![rule])) {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
                log.note_retained(lab, &read_all(journal.reader())?, true, false);
            }
            Step::RetainFully | Step::Forget => {
                let keep = matches!(step, Step::RetainFully);
                let rule = RetentionRule::new("test", "no longer needed").full();
                let rule = rule.scope(super::SCOPE);
                let rule = if keep { rule.keep_last(1) } else { rule };
                if let Err(error) = journal.retain(&Retention::new(vec![rule])) {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
                let found = read_all(journal.reader())?;
                log.note_retained(lab, &found, keep, true);
            }
            Step::BringBack => {
                let gone = log.acks.iter().flat_map(|ack| &ack.plans);
                let mut gone = gone.filter(|plan| !log.model.knows(plan)).cloned();
                // The last, so that no payload comes twice.
                let Some(plan) = gone.next_back() else {
                    continue;
                };
                let before = journal.reader().len();
                let appended = log.append(lab, &journal, &[plan.brought_back()]);
                if let Err(error) = appended {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
                assert!(journal.reader().len() > before, "the id wasn't free");
            }
            Step::Compact => {
                if let Err(error) = journal.compact(&Compaction::new()) {
                    refuses_after_failure(lab, journal, &error);
                    return Err(error);
                }
            }
        }
    }
    log.steps.push(lab.fs.calls());
    *truth = read_all(journal.reader())?;
    let done = log.model.judge(truth, log.model.events.len());
    assert_eq!(done, Ok(()), "without a crash");
    journal.close()
}

/// A group of one event with a payload of no bytes, in bytes.
const GROUP: u64 = 400;

/// How long a payload must be for the segment to end at a boundary.
fn fill(lab: &Lab, multiple: u64, beyond: i64) -> usize {
    let calls = lab.fs.trace().calls;
    let mut writes = calls.iter().rev().filter(|call| call.name == "write");
    let last = writes.find(|call| call.path.extension().is_some_and(|e| e == "seg"));
    let end = last
        .and_then(|call| call.range)
        .map_or(0, |(at, len)| at + len);
    let least = end + GROUP;
    let wanted = least
        .next_multiple_of(multiple)
        .saturating_add_signed(beyond);
    let wanted = if wanted < least {
        wanted + multiple
    } else {
        wanted
    };
    (wanted - least) as usize
}

/// An open that comes out read-only ends a workload like one that failed.
pub fn writable(journal: Journal) -> Result<Journal, Error> {
    match journal.read_only_reason() {
        None => Ok(journal),
        Some(_) => {
            // What a journal that is only read must survive as well.
            let refused = journal.append(Plan::small(1).event()).map(drop);
            let _ = journal.housekeep();
            let _ = journal.close();
            refused.map(|()| unreachable!("a read-only journal took an append"))?
        }
    }
}

/// After a failed write the writer takes nothing more, and nothing panics. Derived files of what
/// is durable may still be written.
fn refuses_after_failure(lab: &Lab, journal: Journal, error: &Error) {
    if !matches!(error, Error::Writer(_)) {
        // A read failed, and nothing was written.
        return;
    }
    let before = lab.fs.moment();
    let again = journal.append(Plan::small(2).event());
    let code = again.err().map_or("an append", |error| error.code());
    assert!(
        matches!(code, "writer.poisoned" | "disk.full" | "io.failed"),
        "after a failed write: {code}"
    );
    let _ = journal.housekeep();
    assert!(journal.close().is_err(), "a poisoned writer closed");
    let mut changed = lab.fs.differences(&before);
    changed
        .retain(|path| path.ends_with("MANIFEST") || path.extension().is_some_and(|e| e == "seg"));
    assert!(changed.is_empty(), "a poisoned writer changed {changed:?}");
}

fn repeat(log: &Log, journal: &Journal, which: u64) -> Result<(), Error> {
    let own = log.acks.iter().filter(|ack| repeatable(ack));
    let own: Vec<&Ack> = own.filter(|ack| log.model.knows_all(&ack.plans)).collect();
    let Some(ack) = own.get((which % own.len().max(1) as u64) as usize) else {
        return Ok(());
    };
    let events: Vec<NewEvent<'_>> = ack.plans.iter().map(Plan::event).collect();
    assert_eq!(log.model.clone().append(&ack.plans), Answer::Already);
    let again = journal.append_batch(&events)?;
    assert!(again.already(), "a repeat was appended anew");
    assert_eq!(again.first_sequence(), ack.first);
    Ok(())
}

/// Whether the journal can know the batch when it meets it again.
pub fn repeatable(ack: &Ack) -> bool {
    ack.plans.iter().all(|plan| plan.id().is_some())
}

/// What the boundaries of these plans rest on: each is as it was read just now.
fn conditions(journal: &Journal, plans: &[Plan]) -> Result<Vec<Condition<'static>>, Error> {
    let mut conditions = Vec::new();
    for tag in plans.iter().filter_map(Plan::tag) {
        let last = Query::all().tag(tag.clone()).reverse().limit(1);
        let last = journal.reader().read(last).next().transpose()?;
        let from = last.map_or(0, |event| event.sequence() + 1);
        conditions.push(Condition::nothing(Query::all().tag(tag).from(from)));
    }
    Ok(conditions)
}

/// An append that rests on a boundary which an event has moved.
pub fn moved(journal: &Journal, sequence: u64, tag: &str) -> Result<(), Error> {
    let event = Plan::small(4).event().id(Uuid::from_u128(4));
    let nothing = Condition::nothing(Query::all().tag(tag));
    match journal.append_if(&[event], &[nothing]) {
        Err(Error::Conflict(Conflict::Boundary { sequence: at, .. })) if at == sequence => Ok(()),
        Err(error) => Err(error),
        Ok(_) => panic!("a boundary that was moved was passed over"),
    }
}

fn conflict(journal: &Journal) -> Result<(), Error> {
    for tag in (0..BOUNDARIES).map(tag_of) {
        let first = journal.reader().read(Query::all().tag(tag.clone())).next();
        if let Some(first) = first.transpose()? {
            moved(journal, first.sequence(), &tag)?;
        }
    }

    let event = Plan::small(3)
        .event()
        .id(Uuid::from_u128(3))
        .expect(Expect::Revision(1 << 40));
    match journal.append(event) {
        Err(Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => panic!("an expectation that fails was passed over"),
    }
}
