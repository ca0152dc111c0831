use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, ensure};

use crate::{
    event::{Event, Stream},
    store::{Each, Setup, Store},
};

/// The raw machine: records of one length in one file, each with a CRC, written and synced; as many
/// bytes as factlog writes. The file grows, or is full of zeros before the clock starts.
pub(crate) struct Raw<const ZEROED: bool> {
    file: File,
    record: usize,
    next: Mutex<u64>,
    streams: OnceLock<Vec<Vec<u64>>>,
}

/// Length, CRC, stream and kind.
const HEADER: usize = 16;
const BUFFER: usize = 1 << 20;

struct Record<'a> {
    crc: u32,
    stream: u32,
    kind: u8,
    payload: &'a [u8],
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let payload = bytes.get(HEADER..)?.get(..word(bytes, 0)? as usize)?;
    let (crc, stream, kind) = (word(bytes, 4)?, word(bytes, 8)?, word(bytes, 12)? as u8);
    (!payload.is_empty()).then_some(Record {
        crc,
        stream,
        kind,
        payload,
    })
}

fn file_of(dir: &Path) -> PathBuf {
    dir.join("records")
}

impl<const ZEROED: bool> Raw<ZEROED> {
    fn fill(path: &Path, length: u64) -> anyhow::Result<()> {
        let file = File::create_new(path)?;
        let zeros = vec![0; BUFFER];
        let mut at = 0;
        while at < length {
            file.write_all_at(&zeros, at)?;
            at += BUFFER as u64;
        }
        Ok(file.sync_all()?)
    }

    /// Shows every record up to the end; `each` says whether to go on.
    fn records(&self, mut each: impl FnMut(u64, Record<'_>) -> bool) -> anyhow::Result<()> {
        let per_buffer = (BUFFER / self.record).max(1);
        let mut buffer = vec![0; per_buffer * self.record];
        let end = self.file.metadata()?.len();
        let mut sequence = 0;
        loop {
            let at = sequence * self.record as u64;
            let length = (end.saturating_sub(at)).min(buffer.len() as u64) as usize;
            let bytes = &mut buffer[..length];
            self.file.read_exact_at(bytes, at)?;
            if bytes.len() < self.record {
                return Ok(());
            }
            for record in bytes.chunks_exact(self.record) {
                let Some(record) = decode(record) else {
                    return Ok(());
                };
                if !each(sequence, record) {
                    return Ok(());
                }
                sequence += 1;
            }
        }
    }

    /// Checks every CRC and returns how many records there are.
    fn check(&self) -> anyhow::Result<u64> {
        let mut count = 0;
        let mut intact = true;
        let per_record = |_, record: Record<'_>| {
            intact &= crc32fast::hash(record.payload) == record.crc;
            count += 1;
            intact
        };
        self.records(per_record)?;
        ensure!(intact, "a CRC doesn't fit");
        Ok(count)
    }
}

impl<const ZEROED: bool> Store for Raw<ZEROED> {
    const GROUPED: bool = true;

    fn open(dir: &Path, setup: Setup) -> anyhow::Result<Self> {
        let path = file_of(dir);
        let stated = dir.join("record-length");
        let mut record = setup.record;
        if path.try_exists()? {
            record = fs::read_to_string(stated)?.parse()?;
        } else {
            fs::write(stated, record.to_string())?;
            let length = if ZEROED {
                setup.events * record as u64
            } else {
                0
            };
            Self::fill(&path, length)?;
        }
        let file = File::options().read(true).write(true).open(path)?;
        let (next, streams) = (Mutex::new(0), OnceLock::new());
        let store = Self {
            file,
            record,
            next,
            streams,
        };
        let count = store.check()?;
        *store.next.lock().unwrap_or_else(PoisonError::into_inner) = count;
        Ok(store)
    }

    fn append(&self, events: &[Event]) -> anyhow::Result<()> {
        let mut bytes = vec![0; events.len() * self.record];
        for (event, record) in events.iter().zip(bytes.chunks_exact_mut(self.record)) {
            let (header, rest) = record.split_at_mut(HEADER);
            let words = [
                event.payload.len() as u32,
                crc32fast::hash(event.payload),
                event.stream.number,
                u32::from(event.kind),
            ];
            for (place, word) in header.chunks_exact_mut(4).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            rest.get_mut(..event.payload.len())
                .context("the record is shorter than its payload")?
                .copy_from_slice(event.payload);
        }
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&bytes, *next * self.record as u64)?;
        self.file.sync_data()?;
        *next += events.len() as u64;
        Ok(())
    }

    fn get(&self, sequence: u64) -> anyhow::Result<usize> {
        let mut buffer = vec![0; self.record];
        self.file
            .read_exact_at(&mut buffer, sequence * self.record as u64)?;
        Ok(decode(&buffer).context("no such record")?.payload.len())
    }

    fn read_stream(&self, stream: Stream, each: Each<'_>) -> anyhow::Result<()> {
        if self.streams.get().is_none() {
            let mut places: Vec<Vec<u64>> = Vec::new();
            self.records(|sequence, record| {
                let number = record.stream as usize;
                places.resize_with(places.len().max(number + 1), Vec::new);
                places[number].push(sequence);
                true
            })?;
            let _ = self.streams.set(places);
        }
        let places = self
            .streams
            .get()
            .and_then(|streams| streams.get(stream.number as usize));
        let mut buffer = vec![0; self.record];
        for place in places.into_iter().flatten() {
            self.file
                .read_exact_at(&mut buffer, place * self.record as u64)?;
            if !each(decode(&buffer).context("no such record")?.payload) {
                break;
            }
        }
        Ok(())
    }

    fn scan(&self, kind: Option<u8>, each: Each<'_>) -> anyhow::Result<()> {
        self.records(|_, record| {
            let wanted = kind.is_none_or(|kind| kind == record.kind);
            !wanted || each(record.payload)
        })
    }

    /// The CRCs, which the opening has checked.
    fn verify(dir: &Path, setup: Setup) -> anyhow::Result<()> {
        Self::open(dir, setup).map(drop)
    }
}
