use std::{io, path::Path};

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use crate::{
    event::Event,
    store::{Setup, Store, unsupported},
};

/// OkayWAL, told to keep everything. It is the log of other stores, which empty it when they open it,
/// so it appends and nothing else.
pub(crate) struct OkayWal(WriteAheadLog);

#[derive(Debug)]
struct Keep;

impl LogManager for Keep {
    fn recover(&mut self, _: &mut Entry<'_>) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

impl Store for OkayWal {
    fn open(dir: &Path, setup: Setup) -> anyhow::Result<Self> {
        let log = dir.join("wal");
        if log.try_exists()? {
            return unsupported();
        }
        let bytes = u32::try_from(setup.events * setup.record as u64).unwrap_or(u32::MAX);
        let configuration = Configuration::default_for(log)
            .preallocate_bytes(bytes)
            .checkpoint_after_bytes(u64::MAX);
        Ok(Self(configuration.open(Keep)?))
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut entry = self.0.begin_entry()?;
        for event in events {
            entry.write_chunk(event.payload)?;
        }
        entry.commit()?;
        Ok(())
    }

    fn close(self) -> anyhow::Result<()> {
        Ok(self.0.shutdown()?)
    }
}
