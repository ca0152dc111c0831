//! The file that opens the rest: `keys/keyset`.

use std::{io::ErrorKind, sync::atomic::Ordering::Relaxed};

use factlog_format::{Encryption, JournalId};
use factlog_fs::{Access, OpenMode, Replacement, StoreFs, read_file, read_up_to};
use factlog_keys::{Head, KeysetError, MAX_HEAD_LEN, Root};

use super::{
    Keys,
    keyset::{State, fresh},
    log::damage,
};
use crate::{
    Damage, Error,
    config::{Bug, planted},
    layout::{KEYSET, Layout},
};

/// How many uses of a key in memory go by before another process's changes are looked for.
const USES: u32 = 256;

pub(super) fn check_head(head: &Head, encryption: &Encryption) -> Result<(), KeysetError> {
    if head.domain != encryption.domain.code() {
        return Err(KeysetError::OtherDomain);
    }
    if head.keyset_id != encryption.keyset {
        return Err(KeysetError::Forged);
    }
    Ok(())
}

pub(super) fn read_head(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
) -> Result<(Head, Vec<u8>), Error> {
    let path = layout.keyset();
    let bytes = match read_file(fs, &path, MAX_HEAD_LEN) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let detail = "the journal is encrypted, and its keyset is not there";
            return Err(Damage::new("keyset.missing", &path, detail).into());
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let head = Head::decode(&bytes, journal).map_err(|error| damage(error, &path))?;
    Ok((head, bytes))
}

impl Keys {
    /// Replaces the head's file by one that the recipients open; its root is a new one.
    pub(super) fn put_head(&self, head: &mut Head, root: &Root) -> Result<(), Error> {
        head.seal(root, || fresh(self.random.as_ref()))
            .map_err(|error| damage(error, &self.layout.keyset()))?;
        self.write_head(head, root)
    }

    /// Replaces the head's file.
    pub(super) fn write_head(&self, head: &Head, root: &Root) -> Result<(), Error> {
        let path = self.layout.keyset();
        let bytes = head.encode(root).map_err(|error| damage(error, &path))?;
        let fs = self.fs.as_ref();
        let dir = self.layout.keys();
        let replacement = Replacement::prepare(fs, &dir, KEYSET, &bytes, Access::Private);
        let replacement = replacement.map_err(Error::space("write", &path))?;
        replacement.put(fs).map_err(|error| {
            // The old one stands or the new one, and only the next open can tell.
            self.broken.store(true, Relaxed);
            Error::io("replace", &path)(error)
        })
    }

    /// At the end of a session: what the log holds is durable, and less of it is a loss from now on.
    pub(crate) fn state_end(&self) -> Result<(), Error> {
        let _flush = self.flush.lock();
        let mut state = self.state.lock();
        if self.is_follower || self.broken.load(Relaxed) || planted(Bug::EndNotStated) {
            return Ok(());
        }
        let Some(open) = &mut state.open else {
            return Ok(());
        };
        let Some(loaded) = &mut open.loaded else {
            return Ok(());
        };
        loaded.flush(self.fs.as_ref(), &self.layout, &self.journal)?;
        if loaded.is_mostly_gone() {
            return self.compact(open);
        }
        let end = loaded.log.end();
        if end == open.head.mark {
            return Ok(());
        }
        loaded.log.sync()?;
        let mut head = open.head.clone();
        head.mark = end;
        head.generation = head.generation.saturating_add(1);
        self.write_head(&head, &open.root)?;
        open.head = head;
        Ok(())
    }

    /// In a process that doesn't write the keyset: takes in what has changed of it. Gives whether anything
    /// has.
    pub(super) fn refresh(&self, state: &mut State) -> bool {
        let (fs, layout) = (self.fs.as_ref(), &self.layout);
        let (Some(provider), Some(open)) = (&self.follows, &mut state.open) else {
            return false;
        };
        let Ok((head, bytes)) = read_head(fs, layout, &self.journal) else {
            return false;
        };
        let loaded = open.loaded.as_ref();
        let grown = loaded.is_some_and(|loaded| loaded.log.has_grown(fs, layout));
        if head.generation == open.head.generation {
            // What the log says of buckets is found again with it.
            if !grown || head.authenticate(&bytes, &open.root).is_err() {
                return false;
            }
            open.head = head;
            open.loaded = None;
            return true;
        }
        let opened = match head.authenticate(&bytes, &open.root) {
            // Only how far it goes has changed, or who else can open it.
            Ok(()) => None,
            Err(_) => match provider
                .unlock(fs)
                .map(|unlock| head.unlock(&bytes, &unlock))
            {
                Ok(Ok(opened)) => Some(opened),
                _ => return false,
            },
        };
        if head.keyset_id != open.head.keyset_id {
            return false;
        }
        open.head = head;
        open.loaded = None;
        if let Some((root, names)) = opened {
            open.root = root;
            open.names = names;
        }
        // What was destroyed since must not go on from memory.
        self.forget(state);
        true
    }

    /// In a process that doesn't write the keyset: whether another's changes are to be looked for, now that a key
    /// in memory is used.
    pub(super) fn is_due(&self) -> bool {
        self.follows.is_some() && self.uses.fetch_add(1, Relaxed) % USES == USES - 1
    }

    /// Whether another process has changed the head.
    pub(super) fn has_moved(&self, state: &State) -> bool {
        let known = state.open.as_ref().map(|open| open.head.generation);
        known != self.generation_on_disk()
    }

    /// What the head's file says of its generation; nobody has looked whether that is true.
    fn generation_on_disk(&self) -> Option<u64> {
        let file = self.fs.open(&self.layout.keyset(), OpenMode::Read).ok()?;
        let mut start = [0; Head::GENERATION_AT + 8];
        let got = read_up_to(file.as_ref(), &mut start, 0).ok()?;
        let (_, generation) = start.get(..got)?.split_at_checked(Head::GENERATION_AT)?;
        Some(u64::from_le_bytes(generation.try_into().ok()?))
    }
}
