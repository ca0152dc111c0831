//! How much an event takes on the disk, and how much is written for it.

use std::{
    io::{self, IoSliceMut},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use factlog::{Encoding, Journal, NewEvent, Options};
use factlog_fs::{
    Access, DirEntry, FileLock, FileMap, LockError, MemFs, Metadata, OpenMode, StoreFile, StoreFs,
};
use factlog_sim::Rng;

const PAYLOAD: u64 = 256;
const STREAMS: u64 = 1000;
/// What an event may take besides its payload, in groups of 100 and more and in groups of one.
const GROUPED: f64 = 330.0;
const ALONE: f64 = 520.0;
/// So many times as much as it takes may be written for it, the preparation of files apart.
const WRITTEN: f64 = 1.3;

#[test]
fn an_event_takes_little_more_than_its_payload() {
    for (events, group, most) in [
        // Enough for the index to merge its runs.
        (140_000, 1000, GROUPED),
        (30_000, 100, GROUPED),
        (4000, 1, ALONE),
    ] {
        let (taken, written) = space_of(events, group);
        println!("groups of {group}: {taken:.0} bytes an event, {written:.0} written for it");
        assert!(
            taken - PAYLOAD as f64 <= most,
            "{taken} bytes an event in groups of {group}"
        );
        assert!(
            written <= WRITTEN * taken,
            "{written} bytes written for {taken} in groups of {group}"
        );
    }
}

/// Bytes on the disk, and bytes written, per event.
fn space_of(events: u64, group: u64) -> (f64, f64) {
    let counting = Arc::new(Counting::default());
    let fs: Arc<dyn StoreFs> = Arc::clone(&counting) as _;
    let options = || Options::new().file_system(Arc::clone(&fs));
    let journal = Journal::create("j", options().fresh_signing_key()).unwrap();
    let names: Vec<_> = (0..STREAMS)
        .map(|number| format!("stream-{number}"))
        .collect();
    let mut rng = Rng::new(group);
    for _ in 0..events / group {
        let batch: Vec<_> = (0..group).map(|_| event(&names, &mut rng)).collect();
        journal.append_batch(&batch).unwrap();
    }
    journal.close().unwrap();
    let written = counting.written.load(Relaxed);
    let reader = Journal::open_read_only("j", options()).unwrap();
    let bytes = reader.stats().unwrap().bytes;
    let taken = bytes.segments + bytes.derived + bytes.other;
    (taken as f64 / events as f64, written as f64 / events as f64)
}

fn event<'n>(names: &'n [String], rng: &mut Rng) -> NewEvent<'n> {
    let stream = &names[rng.below(STREAMS) as usize];
    let mut payload = vec![0; PAYLOAD as usize];
    for word in payload.chunks_exact_mut(8) {
        word.copy_from_slice(&rng.next_u64().to_le_bytes());
    }
    NewEvent::new("bench", stream, "bench.measured").data(Encoding::Raw, payload)
}

/// Files in memory that count what is written to them. Nothing but zeros is preparation.
#[derive(Debug, Default)]
struct Counting {
    inner: MemFs,
    written: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Counted {
    inner: Box<dyn StoreFile>,
    written: Arc<AtomicU64>,
}

impl Counting {
    fn count(&self, inner: Box<dyn StoreFile>) -> Box<dyn StoreFile> {
        let written = Arc::clone(&self.written);
        Box::new(Counted { inner, written })
    }
}

impl StoreFs for Counting {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoreFile>> {
        self.inner.open(path, mode).map(|file| self.count(file))
    }

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn StoreFile>> {
        let file = self.inner.create_new(path, access)?;
        Ok(self.count(file))
    }

    fn create_dir(&self, path: &Path, access: Access) -> io::Result<()> {
        self.inner.create_dir(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.inner.metadata(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn FileLock>, LockError> {
        self.inner.lock(path)
    }

    fn available_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_space(path)
    }
}

impl StoreFile for Counted {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.inner.read_vectored_at(bufs, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.inner.write_at(buf, offset)?;
        if buf.iter().any(|byte| *byte != 0) {
            self.written.fetch_add(written as u64, Relaxed);
        }
        Ok(written)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.preallocate(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.inner.sync_all()
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        self.inner.map()
    }
}
