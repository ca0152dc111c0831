//! Retention: which events are to be erased, by whose rules.

use factlog_format::{ErasureOrdered, JournalEvent};

use super::{
    Compaction, Pace, RetentionRule,
    erased::all_erasures,
    hold::holds,
    select::{Selected, select},
};
use crate::{
    Error, Journal, Misuse, Reader,
    commit::Writer,
    config::{Bug, planted},
    event::own,
};

/// What is to be erased: by the first of these rules that takes it, of those that take it [in full](RetentionRule::full)
/// if there are any.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    pub(super) rules: Vec<RetentionRule>,
    actor: Option<String>,
    how: Compaction,
}

impl Retention {
    /// By these rules.
    #[must_use]
    pub fn new(rules: Vec<RetentionRule>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Who wants it.
    #[must_use]
    pub fn actor(self, actor: impl Into<String>) -> Self {
        Self {
            actor: Some(actor.into()),
            ..self
        }
    }

    /// How segments are written anew.
    #[must_use]
    pub fn how(self, how: Compaction) -> Self {
        Self { how, ..self }
    }

    fn check(&self) -> Result<(), Error> {
        self.rules.iter().try_for_each(RetentionRule::check)
    }
}

/// What a rule takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleTakes {
    /// Name of the rule.
    pub rule: String,
    /// Its reason.
    pub reason: String,
    /// Whether facts go too.
    pub full: bool,
    /// How many events lose something by it.
    pub events: u64,
    /// Bytes of what they lose.
    pub bytes: u64,
    /// Sequences of the events that ordered it; none where that was only planned.
    pub erasures: Vec<u64>,
}

/// What a retention took, or would take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// By rule, in their order.
    pub rules: Vec<RuleTakes>,
    /// How many events a rule would take that a hold keeps.
    pub held: u64,
}

/// The erasure that took something of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedBy {
    /// Sequence of the event that ordered it.
    pub sequence: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Name of the rule.
    pub rule: String,
    /// Why.
    pub reason: String,
    /// Who wanted it.
    pub actor: Option<String>,
}

impl Reader {
    /// What took something of an event, the first that did; `None` where nothing was taken.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn erased_by(&self, sequence: u64) -> Result<Option<ErasedBy>, Error> {
        let all = all_erasures(&self.shared, sequence)?;
        let Some(first) = all.into_iter().find(|one| one.covers(sequence)) else {
            return Ok(None);
        };
        let Some(event) = self.get(first.sequence)? else {
            return Ok(None);
        };
        let facts = event.facts();
        Ok(Some(ErasedBy {
            sequence: first.sequence,
            at: event.recorded_at(),
            rule: first.ordered.policy,
            reason: first.ordered.reason,
            actor: facts.and_then(|facts| facts.actor.map(str::to_owned)),
        }))
    }
}

impl Journal {
    /// What [`retain`](Self::retain) would take now. Changes nothing.
    ///
    /// # Errors
    /// As [`retain`](Self::retain).
    pub fn retention_plan(&self, retention: &Retention) -> Result<Retained, Error> {
        let writer = self.writer()?;
        retention.check()?;
        let holds = holds(&writer.shared)?;
        let selected = select(writer, retention, &holds)?;
        Ok(selected.told(retention))
    }

    /// Takes the payloads of the events that rules name, and their facts where a rule says [so](RetentionRule::full),
    /// and gives their space back: an event of the journal's own says which, and why, before anything is taken; then
    /// every segment that holds some of it is written anew. Hashes, links and receipts stay, so that all
    /// verifies as before; see `docs/guide/retention.md`.
    ///
    /// Appends and reads go on meanwhile; readers give nothing of it as soon as it is ordered. What a
    /// [hold](Self::hold) covers is not taken, also if that comes during the run. What a crash or an error cuts short is
    /// finished by the next `retain` or [`compact`](Self::compact).
    ///
    /// ```
    /// use factlog::{Encoding, Journal, NewEvent, Retention, RetentionRule};
    ///
    /// let journal = Journal::in_memory()?;
    /// let receipt = journal.append(
    ///     NewEvent::new("support", "chat-1", "chat.said").data(Encoding::Raw, b"hello".as_slice()),
    /// )?;
    /// let rule = RetentionRule::new("chats", "kept for no longer than they are needed").kind("chat.said");
    /// let done = journal.retain(&Retention::new(vec![rule]))?;
    /// assert_eq!(done.rules[0].events, 1);
    /// let event = journal.reader().get(receipt.sequence())?.expect("a stub stands in its place");
    /// assert!(event.data().expect("the table stays").bytes().is_none());
    /// # Ok::<(), factlog::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse::Retention`]: nothing was changed; as an append and as [`compact`](Self::compact).
    pub fn retain(&self, retention: &Retention) -> Result<Retained, Error> {
        let writer = self.writer()?;
        retention.check()?;
        let _one = writer.compacting.lock();
        let mut pace = Pace::new(writer, &retention.how);
        let mut wait = |bytes| {
            pace.wait(writer, bytes, &|| true);
            Ok(())
        };
        writer.finish_erasures(&mut wait)?;
        let told = loop {
            let holds = holds(&writer.shared)?;
            let selected = select(writer, retention, &holds)?;
            let _none_comes = writer.changing_keys.lock();
            // One that came meanwhile may cover what was selected.
            if self::holds(&writer.shared)? == holds {
                break order(writer, retention, selected, &mut wait)?;
            }
        };
        writer.finish_erasures(&mut wait)?;
        Ok(told)
    }
}

/// Appends the events that order what was selected. From then on readers give nothing of it.
fn order(
    writer: &Writer,
    retention: &Retention,
    selected: Selected,
    pace: super::rewrite::Pace<'_>,
) -> Result<Retained, Error> {
    let mut told = selected.told(retention);
    if selected.batches.is_empty() {
        return Ok(told);
    }
    if !planted(Bug::ErasureUntold) {
        // Before the first is written, so that whoever opens after a crash looks for them.
        writer.tell_erasing(Some(writer.shared.view.load().durable))?;
    }
    for batch in selected.batches {
        let Some(rule) = retention.rules.get(batch.rule) else {
            continue;
        };
        let ordered = JournalEvent::ErasureOrdered(ErasureOrdered {
            level: batch.level,
            policy: rule.name.clone(),
            reason: rule.reason.clone(),
            set: batch.set,
            commitment: batch.hasher.digest(),
        });
        ordered.check().map_err(Misuse::Event)?;
        if planted(Bug::StubsBeforeOrder) {
            let next = writer.shared.view.load().durable;
            writer.shared.erasures.follow(next, ordered.clone());
            writer.take_all(&writer.shared.erasures.pending(), pace)?;
        }
        let mut event = own::event(&ordered);
        event.actor = retention.actor.clone().map(Into::into);
        let sequence = writer.append(&[event], &[], true)?.first_sequence();
        writer.shared.erasures.follow(sequence, ordered);
        if let Some(rule) = told.rules.get_mut(batch.rule) {
            rule.erasures.push(sequence);
        }
    }
    Ok(told)
}
