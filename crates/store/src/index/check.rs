//! Checking the index against the log, for `verify`.

use std::io::ErrorKind;
use std::sync::Arc;

use factlog_fs::read_up_to;

use super::block::BLOCK;
use super::build::{Builder, Identity, Sink};
use super::cursor::RecordCursor;
use super::dir::IndexDir;
use super::item::{Entry, Key, Table, key_of};
use super::list::PostingReader;
use super::run::{Run, Value};
use super::{CHUNK, CODE};
use crate::{Damage, Error};

/// Compares every run with the log's entries, in memory for neither.
///
/// The entries of each run's range are summed up as keyed hashes, with a key that is drawn anew for
/// each check, so nobody can make a false run with the sum of the true one. Then every run is read
/// whole: its sum and count must be the log's, its order strict enough that there is one encoding,
/// and every byte that of this encoding.
#[derive(Debug)]
pub(crate) struct Checker {
    runs: Vec<Checked>,
    findings: Vec<Damage>,
    hash: SetHash,
    /// The last key of each table, as many events have that of the one before.
    keys: [(Key, KeyState); TABLES],
    /// What was summed up of the chunk that begins at `chunk`.
    chunk: u64,
    part: Sum,
}

#[derive(Debug)]
struct Checked {
    run: Arc<Run>,
    log: Sum,
}

/// A set of entries, as far as two are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    hash: u64,
    count: u64,
}

impl Sum {
    fn add(&mut self, hash: u64) {
        self.hash = self.hash.wrapping_add(hash);
        self.count += 1;
    }
}

impl Checker {
    /// Opens the runs there are. `secret` is drawn at random for this check.
    ///
    /// To be called before the end of the log is looked at: a live writer adds runs, of durable events
    /// only, and those opened here must not be ahead of the log that they are compared with.
    pub(crate) fn open(dir: &IndexDir, secret: [u8; 16]) -> Result<Self, Error> {
        let listing = dir.list()?;
        let strangers = listing.unknown.iter().map(|name| {
            Damage::new(
                CODE,
                &dir.path.join(name),
                "nothing of this name belongs into an index",
            )
        });
        let mut findings: Vec<Damage> = strangers.collect();
        let mut runs = Vec::new();
        for name in listing.runs {
            match dir.open(name) {
                Ok(run) => runs.push(Checked {
                    run,
                    log: Sum::default(),
                }),
                Err(Error::Damaged(damage)) => findings.push(damage),
                // A writer merged it away after it was listed.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let hash = SetHash::new(secret);
        Ok(Self {
            runs,
            findings,
            hash,
            keys: std::array::from_fn(|table| (0, hash.key(table as u8, 0))),
            chunk: 0,
            part: Sum::default(),
        })
    }

    /// Takes in an entry of the log; sequences never fall.
    pub(crate) fn add(&mut self, entry: &Entry) {
        let chunk = entry.sequence - entry.sequence % CHUNK;
        if chunk != self.chunk {
            self.end_chunk();
            self.chunk = chunk;
        }
        let (table, key) = (entry.table.number(), key_of(entry.key));
        let Some((last, state)) = self.keys.get_mut(usize::from(table)) else {
            return;
        };
        if *last != key {
            (*last, *state) = (key, self.hash.key(table, key));
        }
        self.part.add(state.of(entry.sequence));
    }

    fn end_chunk(&mut self) {
        let part = std::mem::take(&mut self.part);
        let covers = |run: &Run| run.first() <= self.chunk && self.chunk < run.end();
        for checked in self.runs.iter_mut().filter(|checked| covers(&checked.run)) {
            checked.log.hash = checked.log.hash.wrapping_add(part.hash);
            checked.log.count += part.count;
        }
    }

    /// What is to be read of the runs: at any time, also beside the log's entries.
    pub(crate) fn runs(&self) -> RunReader {
        RunReader {
            runs: self
                .runs
                .iter()
                .map(|checked| checked.run.clone())
                .collect(),
            hash: self.hash,
        }
    }

    /// Compares the runs, as they were read, with the log; `end` is the number of its events.
    ///
    /// # Errors
    /// Only that a file can't be read: then nothing is said of the index.
    pub(crate) fn finish(
        mut self,
        end: u64,
        read: Vec<Result<RunRead, Error>>,
    ) -> Result<Vec<Damage>, Error> {
        self.end_chunk();
        for (checked, read) in self.runs.iter().zip(read) {
            match check_run(&checked.run, read, checked.log, end) {
                Err(Error::Damaged(damage)) => self.findings.push(damage),
                checked => checked?,
            }
        }
        Ok(self.findings)
    }
}

/// Reads runs whole, without the log.
pub(crate) struct RunReader {
    runs: Vec<Arc<Run>>,
    hash: SetHash,
}

impl RunReader {
    /// Reads each run.
    pub(crate) fn read(self) -> Vec<Result<RunRead, Error>> {
        let runs = self.runs.iter();
        runs.map(|run| encode_again(run, self.hash)).collect()
    }
}

/// What a run holds.
#[derive(Debug)]
pub(crate) struct RunRead {
    sum: Sum,
    /// Offset of the first block that isn't encoded as it should be.
    differs: Option<u64>,
}

fn check_run(
    run: &Arc<Run>,
    read: Result<RunRead, Error>,
    log: Sum,
    end: u64,
) -> Result<(), Error> {
    if run.end() > end {
        let what = format!(
            "the run reaches to sequence {}, the log to {end}",
            run.end()
        );
        return Err(Damage::new("derived.index_ahead", run.path(), what)
            .sequence(end)
            .into());
    }
    let RunRead { sum, differs } = read?;
    if let Some(at) = differs {
        let what = "a block is not the one encoding of what the run holds";
        return Err(run.damage(at / BLOCK as u64, what).into());
    }
    if sum != log {
        let what = format!(
            "the run holds other entries than the log ({} instead of {})",
            sum.count, log.count
        );
        return Err(Damage::new(CODE, run.path(), what)
            .sequence(run.first())
            .into());
    }
    Ok(())
}

/// Encodes what a run holds once more and compares it with the file.
fn encode_again(run: &Arc<Run>, hash: SetHash) -> Result<RunRead, Error> {
    let identity = Identity {
        journal: run.journal(),
        first: run.first(),
        level: run.level(),
    };
    let mut builder = Builder::new(Compare::new(run.clone()), identity);
    let mut sum = Sum::default();
    let mut records = RecordCursor::all(run.clone());
    let mut postings = PostingReader::new(run.clone());
    let mut before = None;
    while let Some(record) = records.next()? {
        let here = (record.table, record.key);
        if before.is_some_and(|before| before >= here) {
            return Err(run.damage(record.block, "the keys are not in order").into());
        }
        before = Some(here);
        builder.key(record.table, record.key)?;
        let state = hash.key(record.table, record.key);
        let (part, mut at, end) = match record.value {
            Value::One(sequence) => {
                sum.add(state.of(sequence));
                builder.posting((sequence - run.first()) as u32)?;
                continue;
            }
            Value::Listed { part, start, count } => (part, start, start + count),
        };
        let mut last = 0;
        while at < end {
            let some = postings.some(part, at, end - at)?;
            for relative in some {
                let relative = u32::from_le_bytes(*relative);
                if relative < last {
                    return Err(run
                        .damage(record.block, "a key's sequences are not in order")
                        .into());
                }
                last = relative;
                sum.add(state.of(run.first() + u64::from(relative)));
                builder.posting(relative)?;
            }
            at += some.len() as u64;
        }
    }
    let differs = builder.finish()?.differs;
    Ok(RunRead { sum, differs })
}

/// Compares what would be written with what is there.
#[derive(Debug)]
struct Compare {
    run: Arc<Run>,
    at: u64,
    buf: Vec<u8>,
    /// Offset of the first block that differs.
    differs: Option<u64>,
}

impl Compare {
    fn new(run: Arc<Run>) -> Self {
        Self {
            run,
            at: BLOCK as u64,
            buf: Vec::new(),
            differs: None,
        }
    }

    fn compare(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        if self.differs.is_some() {
            return Ok(());
        }
        self.buf.resize(bytes.len(), 0);
        let read = read_up_to(self.run.file(), &mut self.buf, offset)
            .map_err(Error::io("read", self.run.path()))?;
        self.buf.truncate(read);
        if self.buf == bytes {
            return Ok(());
        }
        let same = self
            .buf
            .iter()
            .zip(bytes)
            .take_while(|(a, b)| a == b)
            .count();
        if same < bytes.len() {
            self.differs = Some(offset + same as u64);
        }
        Ok(())
    }
}

impl Sink for Compare {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.compare(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn put_header(&mut self, block: &[u8]) -> Result<(), Error> {
        self.compare(block, 0)
    }
}

/// One more than the highest number of a table.
const TABLES: usize = Table::Tag as usize + 1;

/// SipHash-1-3 of entries, over table, key and sequence: four words, so that their number needs no word.
#[derive(Clone, Copy, Debug)]
struct SetHash {
    state: [u64; 4],
}

impl SetHash {
    fn new(secret: [u8; 16]) -> Self {
        let secret = u128::from_le_bytes(secret);
        let (k0, k1) = (secret as u64, (secret >> 64) as u64);
        Self {
            state: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    /// What all entries of a key have in common.
    fn key(self, table: u8, key: Key) -> KeyState {
        let mut v = self.state;
        for word in [u64::from(table), (key >> 64) as u64, key as u64] {
            absorb(&mut v, word);
        }
        KeyState(v)
    }
}

/// A hash as far as table and key.
#[derive(Clone, Copy, Debug)]
struct KeyState([u64; 4]);

impl KeyState {
    fn of(self, sequence: u64) -> u64 {
        let Self(mut v) = self;
        absorb(&mut v, sequence);
        v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}
