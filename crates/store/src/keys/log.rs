//! The files of the log of minted keys: found, read through, and appended to.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_format::JournalId;
use factlog_fs::{Access, OpenMode, StoreFile, StoreFs, read_up_to, write_all_at};
use factlog_keys::{
    KeysetError, LOG_HEADER_LEN, LogHeader, LogRecord, LogStop, Mark, next_record, resync,
};

use crate::{
    Damage, Error,
    layout::{Layout, log_name as name, log_number},
};

/// A file of the log is never larger than this; another is begun then.
const MAX_FILE: u64 = 1 << 36;

/// The log, as far as it counts.
#[derive(Debug, Default)]
pub(super) struct Log {
    files: Vec<LogFile>,
    /// What stands behind the end can't be relied on, so the next bytes go into another file.
    torn: bool,
    /// The highest number that any file there has, whether it counts or not.
    highest: u32,
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
}

pub(super) fn damage(error: KeysetError, path: &Path) -> Error {
    Damage::new(error.code(), path, error.to_string()).into()
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
        let mut chain = Self::chain(fs, &dir, journal, &numbers)?;
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
            let end =
                log.read_file(file.as_ref(), &path, journal, (number, stated, floor), each)?;
            log.files.push(LogFile {
                number,
                path,
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
                Ok(header) if header.number == *number && header.previous < *number => {
                    chain.push((*number, header, file));
                    wanted = Some(header.previous);
                    if header.previous == 0 {
                        break;
                    }
                }
                Err(LogStop::Unsupported) => return Err(damage(KeysetError::Unsupported, &path)),
                _ if wanted.is_some() => return Err(damage(KeysetError::Damaged, &path)),
                // One that a crash left half made.
                _ => {}
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
    ) -> Result<u64, Error> {
        let len = file.len().map_err(Error::io("measure", path))?;
        let limit = stated.unwrap_or(len);
        if len < limit || len < floor || len > MAX_FILE {
            return Err(damage(KeysetError::Truncated, path));
        }
        let mut bytes = vec![0; usize::try_from(limit).unwrap_or(usize::MAX)];
        let got = read_up_to(file, &mut bytes, 0).map_err(Error::io("read", path))?;
        bytes.truncate(got);
        let mut at = LOG_HEADER_LEN;
        let stop = loop {
            match next_record(journal, bytes.get(at..).unwrap_or_default()) {
                Ok((record, _, record_len)) => {
                    let place = Mark {
                        file: number,
                        at: at as u64,
                    };
                    each(place, record).map_err(|error| damage(error, path))?;
                    at += record_len;
                }
                Err(stop) => break stop,
            }
        };
        let end = at as u64;
        match stop {
            LogStop::Unsupported => return Err(damage(KeysetError::Unsupported, path)),
            LogStop::End => {}
            LogStop::Broken => {
                let behind = resync(journal, bytes.get(at..).unwrap_or_default());
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
        Ok(end)
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
            .is_some_and(|last| last.file.len().is_ok_and(|len| len > last.end));
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
        match self.files.last_mut().filter(|_| !self.torn) {
            Some(last) => {
                let written = last.append(fs, bytes);
                self.torn |= written.is_err();
                written
            }
            None => self.begin_file(fs, layout, journal, place.file, bytes),
        }
    }

    fn begin_file(
        &mut self,
        fs: &dyn StoreFs,
        layout: &Layout,
        journal: &JournalId,
        number: u32,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let dir = layout.keys();
        let path = dir.join(name(number));
        let before = self.end();
        let header = LogHeader {
            number,
            previous: before.file,
            previous_end: before.at,
        };
        // Whatever becomes of it, its number is taken.
        self.highest = number;
        self.torn = true;
        let file = match fs.create_new(&path, Access::Private) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(damage(KeysetError::Damaged, &path));
            }
            file => file.map_err(Error::space("create", &path))?,
        };
        let mut content = header.encode(journal).to_vec();
        content.extend_from_slice(bytes);
        write_all_at(file.as_ref(), &content, 0).map_err(Error::space("write", &path))?;
        file.sync_all().map_err(Error::io("sync", &path))?;
        fs.sync_dir(&dir).map_err(Error::io("sync", &dir))?;
        self.torn = false;
        self.files.push(LogFile {
            number,
            path,
            file: Arc::from(file),
            writable: true,
            end: content.len() as u64,
        });
        Ok(())
    }

    /// Bytes from a place on, as many as there are up to the buffer's length.
    /// The file that a place is in.
    pub(super) fn path_of(&self, place: Mark) -> PathBuf {
        let found = self.files.iter().find(|file| file.number == place.file);
        found.map(|file| file.path.clone()).unwrap_or_default()
    }

    pub(super) fn read_at(&self, place: Mark, buffer: &mut [u8]) -> Result<usize, Error> {
        let found = self.files.iter().find(|file| file.number == place.file);
        let Some(found) = found else {
            return Ok(0);
        };
        read_up_to(found.file.as_ref(), buffer, place.at).map_err(Error::io("read", &found.path))
    }
}
