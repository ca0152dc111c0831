use std::{
    collections::VecDeque,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use factlog::{Encoding, Integrity, Journal, NewEvent, Options, Query, Uuid, VerifyOptions};

use crate::{
    event::{Event, Stream, kind_name},
    store::{Each, Id, Setup, Store},
};

/// factlog, with a signature for every commit or without any, its sealed segments mapped or not.
pub(crate) struct Factlog<const SIGNED: bool, const MAPPED: bool>(Journal);

fn options<const SIGNED: bool, const MAPPED: bool>(dir: &Path) -> Options {
    let options = Options::new().map_segments(MAPPED);
    if SIGNED {
        options.signing_key_file(dir.join("signer.key"))
    } else {
        options
    }
}

fn new_event(event: &Event) -> NewEvent<'_> {
    NewEvent::new("bench", event.stream.name(), kind_name(event.kind))
        .data(Encoding::Raw, event.payload)
}

fn length(event: Option<factlog::Event>) -> anyhow::Result<usize> {
    Ok(payload(&event.context("no such event")?)?.len())
}

fn payload(event: &factlog::Event) -> anyhow::Result<&[u8]> {
    event
        .data()
        .and_then(|data| data.bytes())
        .context("an event without a payload")
}

/// Gives payloads where they stand.
fn give(mut events: factlog::Events, each: Each<'_>) -> anyhow::Result<()> {
    while let Some(event) = events.next_ref()? {
        if let Some(payload) = event.data()?
            && !each(payload)
        {
            break;
        }
    }
    Ok(())
}

/// Sequence 0 is the journal's own.
const FIRST: u64 = 1;

impl<const SIGNED: bool, const MAPPED: bool> Store for Factlog<SIGNED, MAPPED> {
    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let journal = dir.join("journal");
        let open = if journal.try_exists()? {
            Journal::open
        } else {
            Journal::create
        };
        Ok(Self(open(journal, options::<SIGNED, MAPPED>(dir))?))
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        if let [event] = events {
            self.0.append(new_event(event))?;
            return Ok(());
        }
        let events: Vec<_> = events.iter().map(new_event).collect();
        self.0.append_batch(&events)?;
        Ok(())
    }

    fn append_many(
        &self,
        events: &mut dyn Iterator<Item = Event>,
        in_flight: usize,
        took: &mut dyn FnMut(Duration) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut tickets = VecDeque::with_capacity(in_flight);
        let mut wait = |(start, ticket): (Instant, factlog::Ticket<'_>)| {
            ticket.wait()?;
            took(start.elapsed())
        };
        for event in events {
            if tickets.len() == in_flight
                && let Some(oldest) = tickets.pop_front()
            {
                wait(oldest)?;
            }
            tickets.push_back((Instant::now(), self.0.submit(&[new_event(&event)])?));
        }
        tickets.into_iter().try_for_each(wait)
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        length(self.0.reader().get(sequence + FIRST)?)
    }

    fn id_at(&self, sequence: u64) -> anyhow::Result<Id> {
        let event = self.0.reader().get(sequence + FIRST)?;
        Ok(event
            .and_then(|event| event.id())
            .context("no such event")?
            .into_bytes())
    }

    fn get_by_id(&self, id: &Id) -> anyhow::Result<usize> {
        length(self.0.reader().get_by_id(Uuid::from_bytes(*id))?)
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        give(
            self.0.reader().read(Query::stream("bench", stream.name())),
            each,
        )
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        let all = Query::all().from(FIRST);
        let query = match kind {
            Some(kind) => all.kind(kind_name(kind)),
            None => all,
        };
        give(self.0.reader().read(query), each)
    }

    fn verify(dir: &Path, _: Setup) -> anyhow::Result<()> {
        let report = factlog::verify(dir.join("journal"), &VerifyOptions::new())?;
        ensure!(
            report.integrity == Integrity::Intact,
            "the journal doesn't verify"
        );
        Ok(())
    }

    fn close(self) -> anyhow::Result<()> {
        Ok(self.0.close()?)
    }

    fn log_bytes(dir: &Path) -> anyhow::Result<Option<u64>> {
        let reader = Journal::open_read_only(dir.join("journal"), Options::new())?;
        Ok(Some(reader.stats()?.bytes.segments))
    }
}
