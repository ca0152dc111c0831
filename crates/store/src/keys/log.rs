//! The files of the log of minted keys: found, read through, and appended to.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_format::JournalId;
use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, read_up_to, write_all_at};
use factlog_keys::{
    KeysetError, LOG_HEADER_LEN, LogHeader, LogRecord, LogStop, MAX_LOG_NUMBER, MAX_RECORD_LEN,
    Mark, Resync, next_record,
};

use crate::{
    Damage, Error,
    layout::{Layout, log_name as name, log_number},
};

/// A file of the log is never larger than this; another is begun then.
const MAX_FILE: u64 = 1 << 36;
/// How much of a file is in memory while it is read through.
const PIECE: usize = 1 << 20;

/// The log, as far as it counts.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: Vec<LogFile>,
    /// What stands behind the end can't be relied on, so the next bytes go into another file.
    torn: bool,
    /// The highest number that any file there has, whether it counts or not.
    highest: u32,
}

/// A file that doesn't count before the head says so.
#[derive(Debug)]
pub(super) struct StartedOver(LogFile);

impl StartedOver {
    /// Where the next bytes will stand.
    pub(super) fn end(&self) -> Mark {
        Mark {
            file: self.0.number,
            at: self.0.end,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write(bytes)
    }

    /// Makes it durable.
    pub(super) fn sync(&self, fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
        self.0.sync_new(fs, layout)
    }
}

#[derive(Debug)]
struct LogFile {
    number: u32,
    path: PathBuf,
    file: Arc<dyn StoreFile>,
    /// Whether it was opened for writing.
    writable: bool,
    /// Where it ends: all before is durable.
    end: u64,
    /// How long it was when it was read.
    seen: u64,
}

/// A file that is read from its start to its end, a piece at a time.
struct Pieces<'f> {
    file: &'f dyn StoreFile,
    path: &'f Path,
    /// Where in the file `bytes` begin.
    start: u64,
    bytes: Vec<u8>,
    /// Where the file ends.
    end: u64,
}

impl Pieces<'_> {
    /// What stands from `at` on, which never goes back: enough for any record, or all there is.
    fn from(&mut self, at: u64) -> Result<&[u8], Error> {
        let have = self.start + self.bytes.len() as u64;
        if have < self.end && have.saturating_sub(at) < MAX_RECORD_LEN as u64 {
            let gone = usize::try_from(at - self.start).unwrap_or(usize::MAX);
            self.bytes.drain(..gone.min(self.bytes.len()));
            self.start = at;
            let old = self.bytes.len();
            let more = usize::try_from(self.end - at - old as u64).unwrap_or(usize::MAX);
            self.bytes.resize(old + more.min(PIECE), 0);
            let wanted = self.bytes.get_mut(old..).unwrap_or_default();
            let got = read_up_to(self.file, wanted, at + old as u64)
                .map_err(Error::io("read", self.path))?;
            if got < wanted.len() {
                self.bytes.truncate(old + got);
                self.end = at + (old + got) as u64;
            }
        }
        let skip = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }

    /// How much of the file any record from `at` on calls durable.
    fn durable_behind(&mut self, journal: &JournalId, mut at: u64) -> Result<u64, Error> {
        let mut resync = Resync::default();
        while at < self.end {
            let bytes = self.from(at)?;
            let len = bytes.len() as u64;
            // Where more follows, what starts late in this piece may reach beyond it.
            let whole = (bytes.len().saturating_sub(MAX_RECORD_LEN)).next_multiple_of(8);
            let starts = match whole {
                0 => bytes.len(),
                whole => whole,
            };
            resync.take(journal, bytes, starts);
            if len == 0 || resync.durable() == u64::MAX {
                break;
            }
            at += (starts as u64).next_multiple_of(8);
        }
        Ok(resync.durable())
    }
}

pub(super) fn damage(error: KeysetError, path: &Path) -> Error {
    Damage::new(error.code(), path, error.to_string()).into()
}

/// Refuses a newest file whose header can't be read, if a record in it was written when another before it
/// was durable: so it isn't one whose first write was cut short.
fn refuse_rot(file: &dyn StoreFile, path: &Path, journal: &JournalId) -> Result<(), Error> {
    let end = file.len().map_err(Error::io("measure", path))?;
    if end > MAX_FILE {
        return Err(damage(KeysetError::Damaged, path));
    }
    let mut pieces = Pieces {
        file,
        path,
        start: 0,
        bytes: Vec::new(),
        end,
    };
    let first = LOG_HEADER_LEN as u64;
    match pieces.durable_behind(journal, first)? > first {
        true => Err(damage(KeysetError::Damaged, path)),
        false => Ok(()),
    }
}

impl LogFile {
    fn append(&mut self, fs: &dyn StoreFs, bytes: &[u8]) -> Result<(), Error> {
        if !self.writable {
            let file = fs.open(&self.path, OpenMode::Write);
            self.file = Arc::from(file.map_err(Error::space("open", &self.path))?);
            self.writable = true;
        }
        let written = write_all_at(self.file.as_ref(), bytes, self.end);
        written.map_err(Error::space("write", &self.path))?;
        let synced = self.file.sync_data();
        synced.map_err(Error::io("sync", &self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes a new file durable.
    fn sync_new(&self, fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
        let dir = layout.keys();
        let synced = self.file.sync_all();
        synced.map_err(Error::io("sync", &self.path))?;
        fs.sync_dir(&dir).map_err(Error::io("sync", &dir))
    }

    /// Writes to a file that is being made.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = write_all_at(self.file.as_ref(), bytes, self.end);
        written.map_err(Error::space("write", &self.path))?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

impl Log {
    /// Finds the files that count, and hands on every record in them.
    pub(super) fn read(
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        mark: Mark,
        each: &mut dyn FnMut(Mark, LogRecord) -> Result<(), KeysetError>,
    ) -> Result<Self, Error> {
        let dir = layout.keys();
        let mut numbers = Vec::new();
        for entry in fs.list(&dir).map_err(Error::io("list", &dir))? {
            numbers.extend(entry.name.to_str().and_then(log_number));
        }
        numbers.sort_unstable();
        let highest = numbers.last().copied().unwrap_or(0);
        let mut log = Self {
            highest,
            ..Self::default()
        };
        let mut chain = Self::chain(fs, &dir, journal, &numbers, mark)?;
        chain.reverse();
        // What the head speaks of must be there.
        let reaches = chain
            .last()
            .is_some_and(|(number, _, _)| *number >= mark.file);
        if mark.file > 0 && !reaches {
            return Err(damage(KeysetError::Truncated, &dir.join(name(mark.file))));
        }
        let ends: Vec<Option<u64>> = chain
            .iter()
            .skip(1)
            .map(|(_, header, _)| Some(header.previous_end))
            .chain([None])
            .collect();
        for ((number, _, file), stated) in chain.into_iter().zip(ends) {
            let path = dir.join(name(number));
            let floor = if number == mark.file { mark.at } else { 0 };
            let (end, seen) =
                log.read_file(file.as_ref(), &path, journal, (number, stated, floor), each)?;
            log.files.push(LogFile {
                number,
                path,
                seen,
                file,
                writable: false,
                end,
            });
        }
        // A file behind the last that counts was never finished.
        log.torn |= log.files.last().is_none_or(|last| last.number < highest) && highest > 0;
        Ok(log)
    }

    /// The files from the newest with a good header back to the first.
    #[expect(
        clippy::type_complexity,
        reason = "number, header and handle of a file"
    )]
    fn chain(
        fs: &dyn StoreFs,
        dir: &Path,
        journal: &JournalId,
        numbers: &[u32],
        mark: Mark,
    ) -> Result<Vec<(u32, LogHeader, Arc<dyn StoreFile>)>, Error> {
        let mut chain = Vec::new();
        let mut wanted: Option<u32> = None;
        for number in numbers.iter().rev() {
            if wanted.is_some_and(|wanted| wanted != *number) {
                continue;
            }
            let path = dir.join(name(*number));
            let file: Arc<dyn StoreFile> = Arc::from(
                fs.open(&path, OpenMode::Read)
                    .map_err(Error::io("open", &path))?,
            );
            let mut bytes = [0; LOG_HEADER_LEN];
            let got = read_up_to(file.as_ref(), &mut bytes, 0).map_err(Error::io("read", &path))?;
            let header = LogHeader::decode(bytes.get(..got).unwrap_or_default(), journal);
            match header {
                // What was to take the place of the others, and doesn't yet.
                Ok(header) if header.starts_over && *number > mark.file && wanted.is_none() => {}
                Ok(header) if header.number == *number && header.previous < *number => {
                    chain.push((*number, header, file));
                    wanted = Some(header.previous);
                    if header.previous == 0 {
                        break;
                    }
                }
                Err(LogStop::Unsupported) => return Err(damage(KeysetError::Unsupported, &path)),
                _ if wanted.is_some() => return Err(damage(KeysetError::Damaged, &path)),
                // One that a crash left half made; but not if anything in it was written later than its start.
                _ => refuse_rot(file.as_ref(), &path, journal)?,
            }
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted != 0) {
            return Err(damage(KeysetError::Truncated, &dir.join(name(wanted))));
        }
        Ok(chain)
    }

    fn read_file(
        &mut self,
        file: &dyn StoreFile,
        path: &Path,
        journal: &JournalId,
        (number, stated, floor): (u32, Option<u64>, u64),
        each: &mut dyn FnMut(Mark, LogRecord) -> Result<(), KeysetError>,
    ) -> Result<(u64, u64), Error> {
        let len = file.len().map_err(Error::io("measure", path))?;
        let limit = stated.unwrap_or(len);
        if len < limit || len < floor || len > MAX_FILE {
            return Err(damage(KeysetError::Truncated, path));
        }
        let mut pieces = Pieces {
            file,
            path,
            start: 0,
            bytes: Vec::new(),
            end: limit,
        };
        let mut end = LOG_HEADER_LEN as u64;
        let stop = loop {
            match next_record(journal, pieces.from(end)?) {
                Ok((record, _, record_len)) => {
                    let place = Mark {
                        file: number,
                        at: end,
                    };
                    each(place, record).map_err(|error| damage(error, path))?;
                    end += record_len as u64;
                }
                Err(stop) => break stop,
            }
        };
        match stop {
            LogStop::Unsupported => return Err(damage(KeysetError::Unsupported, path)),
            LogStop::End => {}
            LogStop::Broken => {
                let behind = pieces.durable_behind(journal, end)?;
                let torn = stated.is_none() && floor <= end && behind <= end;
                if !torn {
                    let found = Damage::new(
                        KeysetError::Damaged.code(),
                        path,
                        KeysetError::Damaged.to_string(),
                    );
                    return Err(found.at(end).into());
                }
                self.torn = true;
            }
        }
        if end < floor {
            return Err(damage(KeysetError::Truncated, path));
        }
        Ok((end, len))
    }

    /// Where the next bytes will stand, and how much of that file is known to be durable then.
    pub(super) fn place(&self) -> Mark {
        match self.files.last() {
            Some(last) if !self.torn => Mark {
                file: last.number,
                at: last.end,
            },
            _ => Mark {
                file: self.highest + 1,
                at: LOG_HEADER_LEN as u64,
            },
        }
    }

    /// Where the log ends.
    pub(super) fn end(&self) -> Mark {
        self.files.last().map_or(Mark::default(), |last| Mark {
            file: last.number,
            at: last.end,
        })
    }

    /// Whether files have grown or come since.
    pub(super) fn has_grown(&self, fs: &dyn StoreFs, layout: &Layout) -> bool {
        let next = layout.keys().join(name(self.highest + 1));
        let grown = self
            .files
            .last()
            .is_some_and(|last| last.file.len().is_ok_and(|len| len != last.seen));
        grown || matches!(fs.metadata(&next), Ok(Some(_)))
    }

    /// Appends bytes that begin at [`place`](Self::place); durable when it returns. After an error
    /// nothing of them counts, and the next ones go into another file: what a failed sync left behind is
    /// never relied on.
    pub(super) fn append(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let place = self.place();
        if place.file > MAX_LOG_NUMBER {
            return Err(damage(
                KeysetError::Invalid("number of a log file"),
                &layout.keys(),
            ));
        }
        match self.files.last_mut().filter(|_| !self.torn) {
            Some(last) => {
                let written = last.append(fs, bytes);
                self.torn |= written.is_err();
                written
            }
            None => self.begin_file(fs, layout, journal, bytes),
        }
    }

    fn begin_file(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let before = self.end();
        let mut new = self.new_file(fs, layout, journal, before, false)?;
        new.write(bytes)?;
        new.sync_new(fs, layout)?;
        self.torn = false;
        self.files.push(new);
        Ok(())
    }

    /// Creates the next file, with its header.
    fn new_file(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        before: Mark,
        starts_over: bool,
    ) -> Result<LogFile, Error> {
        // Whatever becomes of it, its number is taken.
        let number = self.highest + 1;
        self.highest = number;
        self.torn = true;
        let header = LogHeader {
            number,
            previous: before.file,
            previous_end: before.at,
            starts_over,
        };
        let path = layout.keys().join(name(number));
        let file = match fs.create_new(&path, Access::Private) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(damage(KeysetError::Damaged, &path));
            }
            file => file.map_err(Error::space("create", &path))?,
        };
        write_all_at(file.as_ref(), &header.encode(journal), 0)
            .map_err(Error::space("write", &path))?;
        Ok(LogFile {
            number,
            path,
            file: Arc::from(file),
            writable: true,
            end: LOG_HEADER_LEN as u64,
            seen: 0,
        })
    }

    /// Begins a file that is to take the place of all others. Until the head says so, the log goes on as it was.
    pub(super) fn start_over(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
    ) -> Result<StartedOver, Error> {
        let torn = self.torn;
        let new = self.new_file(fs, layout, journal, Mark::default(), true);
        self.torn = torn;
        Ok(StartedOver(new?))
    }

    /// Lets a file take the place of all others, now that the head says so. What can't be removed is left for
    /// the next time.
    pub(super) fn take_over(&mut self, fs: &dyn StoreFs, layout: &Layout, new: StartedOver) {
        let dir = layout.keys();
        let newest = new.0.number;
        self.files = vec![new.0];
        self.torn = false;
        let listed = fs.list(&dir).unwrap_or_default();
        let numbers = listed
            .iter()
            .filter_map(|entry| entry.name.to_str().and_then(log_number));
        for number in numbers.filter(|number| *number < newest) {
            let _ = fs.remove_file(&dir.join(name(number)));
        }
        let _ = fs.sync_dir(&dir);
    }

    /// Whether bytes stand behind the end that are no record: a write that was cut short, as far as can be
    /// told.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Makes durable what was read behind `mark`, by writing it once more: a sync alone would not do it where
    /// that of another process failed.
    pub(super) fn write_again(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        mark: Mark,
    ) -> Result<(), Error> {
        for file in self
            .files
            .iter_mut()
            .filter(|file| file.number >= mark.file)
        {
            let mut at = if file.number == mark.file { mark.at } else { 0 };
            if at >= file.end {
                continue;
            }
            let mut piece = vec![0; PIECE];
            let writable = fs.open(&file.path, OpenMode::Write);
            file.file = Arc::from(writable.map_err(Error::space("open", &file.path))?);
            file.writable = true;
            while at < file.end {
                let left = usize::try_from(file.end - at).unwrap_or(PIECE).min(PIECE);
                let wanted = piece.get_mut(..left).unwrap_or_default();
                let got = read_up_to(file.file.as_ref(), wanted, at);
                let got = got.map_err(Error::io("read", &file.path))?;
                if got < left {
                    return Err(damage(KeysetError::Truncated, &file.path));
                }
                let written = write_all_at(file.file.as_ref(), wanted, at);
                written.map_err(Error::space("write", &file.path))?;
                at += left as u64;
            }
            file.sync_new(fs, layout)?;
        }
        Ok(())
    }

    /// Makes sure that what was read is on the disk, and not only in the system's memory.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let Some(last) = self.files.last() else {
            return Ok(());
        };
        last.file.sync_data().map_err(Error::io("sync", &last.path))
    }

    /// The file that a place is in.
    pub(super) fn path_of(&self, place: Mark) -> PathBuf {
        let found = self.files.iter().find(|file| file.number == place.file);
        found.map(|file| file.path.clone()).unwrap_or_default()
    }

    /// Bytes from a place on, as many as there are up to the buffer's length.
    pub(super) fn read_at(&self, place: Mark, buffer: &mut [u8]) -> Result<usize, Error> {
        let found = self.files.iter().find(|file| file.number == place.file);
        let Some(found) = found else {
            return Ok(0);
        };
        read_up_to(found.file.as_ref(), buffer, place.at).map_err(Error::io("read", &found.path))
    }
}
