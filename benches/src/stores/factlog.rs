use std::path::Path;

use anyhow::{Context, ensure};
use factlog::{Encoding, Integrity, Journal, NewEvent, Options, Query, Uuid, VerifyOptions};

use crate::{
    event::{Event, Stream, kind_name},
    store::{Each, Id, Setup, Store},
};

/// factlog, with a signature for every commit or without any.
pub(crate) struct Factlog<const SIGNED: bool>(Journal);

fn options<const SIGNED: bool>(dir: &Path) -> Options {
    let options = Options::new();
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

/// Sequence 0 is the journal's own.
const FIRST: u64 = 1;

impl<const SIGNED: bool> Store for Factlog<SIGNED> {
    fn open(dir: &Path, _: Setup) -> anyhow::Result<Self> {
        let journal = dir.join("journal");
        let open = if journal.try_exists()? {
            Journal::open
        } else {
            Journal::create
        };
        Ok(Self(open(journal, options::<SIGNED>(dir))?))
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
        for event in self.0.reader().read(Query::stream("bench", stream.name())) {
            if !each(payload(&event?)?) {
                break;
            }
        }
        Ok(())
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        let all = Query::all().from(FIRST);
        let query = match kind {
            Some(kind) => all.kind(kind_name(kind)),
            None => all.scope("bench"),
        };
        for event in self.0.reader().read(query) {
            if !each(payload(&event?)?) {
                break;
            }
        }
        Ok(())
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
