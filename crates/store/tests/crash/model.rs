//! A journal as plain data: what it must hold, worked out without it.

use std::collections::BTreeMap;

use factlog::{Expect, Uuid};

use super::{run::Record, workload::Plan};

/// An event that a journal was asked to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub entity: String,
    pub revision: u64,
    pub tag: Option<String>,
    pub payload: Vec<u8>,
    /// The id, if the event brought its own.
    pub id: Option<Uuid>,
    /// Whether an erasure took all but its spine.
    pub bare: bool,
    /// How many streams its coordinate had before that of this event.
    pub stream: u64,
}

/// What an append must come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Appended,
    Already,
    Conflict,
}

/// Every event appended by a user, in order; the journal's own are left out.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub events: Vec<Kept>,
    /// Where batches end.
    ends: Vec<usize>,
}

impl Model {
    fn next_revision(&self, entity: &str) -> u64 {
        self.next_place(entity).1
    }

    /// Which of the coordinate's streams the next event is of, and its revision there: a stream ends when
    /// no event is left that tells of it.
    fn next_place(&self, entity: &str) -> (u64, u64) {
        let of_entity = || {
            self.events
                .iter()
                .rev()
                .filter(|kept| kept.entity == entity)
        };
        let Some(last) = of_entity().next() else {
            return (0, 0);
        };
        let mut of_stream = of_entity().filter(|kept| kept.stream == last.stream);
        match of_stream.any(|kept| !kept.bare) {
            true => (last.stream, last.revision + 1),
            false => (last.stream + 1, 0),
        }
    }

    /// Whether an event of the plan's id is there.
    pub fn knows(&self, plan: &Plan) -> bool {
        let id = plan.id();
        let mut events = self.events.iter().filter(|kept| !kept.bare);
        id.is_some() && events.any(|kept| kept.id == id)
    }

    /// Whether each of these is there, and nothing brought any of them back.
    pub fn knows_all(&self, plans: &[Plan]) -> bool {
        let told = |plan: &Plan| {
            let mut events = self.events.iter().filter(|kept| !kept.bare);
            events.any(|kept| kept.id == plan.id() && kept.payload == plan.payload())
        };
        plans.iter().all(told)
    }

    /// The same plans, with the expectations that hold now.
    pub fn resolved(&self, plans: &[Plan]) -> Vec<Plan> {
        let mut ahead = BTreeMap::<String, u64>::new();
        let resolve = |plan: &Plan| {
            let entity = plan.entity();
            let next = self.next_revision(&entity);
            let ahead = ahead.entry(entity).or_default();
            let expect = match (plan.exact, next + *ahead) {
                (false, _) => plan.expect,
                (true, 0) => Expect::NoStream,
                (true, next) => Expect::Revision(next - 1),
            };
            *ahead += 1;
            let mut plan = plan.clone();
            plan.expect = expect;
            plan
        };
        plans.iter().map(resolve).collect()
    }

    /// Appends a batch, or says why not.
    pub fn append(&mut self, plans: &[Plan]) -> Answer {
        if plans.iter().all(|plan| self.knows(plan)) {
            return Answer::Already;
        }
        let before = self.events.len();
        for plan in plans {
            let entity = plan.entity();
            let (stream, revision) = self.next_place(&entity);
            let holds = match plan.expect {
                Expect::Any => true,
                Expect::NoStream => revision == 0,
                Expect::Revision(wanted) => wanted + 1 == revision,
            };
            if !holds {
                self.events.truncate(before);
                return Answer::Conflict;
            }
            self.events.push(Kept {
                entity,
                revision,
                tag: plan.tag(),
                payload: plan.payload(),
                id: plan.id(),
                bare: false,
                stream,
            });
        }
        self.ends.push(self.events.len());
        Answer::Appended
    }

    /// Forgets what a crash took; what was found must end where a batch does.
    pub fn keep(&mut self, count: usize) {
        self.events.truncate(count);
        self.ends.retain(|end| *end <= count);
    }

    /// What is wrong with these records, if anything: users' events must be the first of this
    /// model's, at least `acked` of them, up to the end of a batch.
    pub fn judge(&self, found: &[Record], acked: usize) -> Result<(), String> {
        let mut count = 0;
        for record in found.iter().filter(|record| record.scope == super::SCOPE) {
            let Some(kept) = self.events.get(count) else {
                return Err(format!("event {count} of users' was never appended"));
            };
            let told = || {
                record.entity == kept.entity
                    && (record.erased || record.payload == kept.payload)
                    && record.tags.iter().eq(&kept.tag)
                    && (kept.id.is_none() || kept.id == record.id)
            };
            let same = record.revision == kept.revision && (record.bare || told());
            if !same {
                return Err(format!(
                    "event {count} of users' is not what was appended: {} at {} for {} at {}",
                    record.entity, record.revision, kept.entity, kept.revision
                ));
            }
            count += 1;
        }
        if count < acked {
            return Err(format!("{count} of {acked} acknowledged events are there"));
        }
        if count > 0 && !self.ends.contains(&count) {
            return Err(format!("a batch is cut after event {count} of users'"));
        }
        Ok(())
    }

    /// The payloads of the last stream of each coordinate, up to `count` events in all, and which of these they
    /// are.
    pub fn streams(&self, count: usize) -> BTreeMap<&str, Vec<(usize, &[u8])>> {
        let mut streams = BTreeMap::<_, (u64, Vec<_>)>::new();
        for (at, kept) in self.events.iter().take(count).enumerate() {
            let (stream, payloads) = streams.entry(kept.entity.as_str()).or_default();
            if *stream < kept.stream {
                (*stream, *payloads) = (kept.stream, Vec::new());
            }
            payloads.push((at, kept.payload.as_slice()));
        }
        let payloads = |(entity, (_, payloads))| (entity, payloads);
        streams.into_iter().map(payloads).collect()
    }
}
