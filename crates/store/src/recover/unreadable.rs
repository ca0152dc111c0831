use std::{
    io::{self, ErrorKind, IoSliceMut},
    sync::Arc,
};

use factlog_fs::{FileMap, StoreFile};

use crate::sync::Mutex;

/// What a disk can't read is lost in stretches of this length.
const STRETCH: u64 = 4096;

/// A file of which what can't be read reads as zeros, which are never a frame, and is noted.
#[derive(Debug)]
pub(super) struct Readable {
    inner: Box<dyn StoreFile>,
    noted: Arc<Noted>,
}

/// What could not be read.
#[derive(Debug, Default)]
pub(super) struct Noted(Mutex<Option<Failed>>);

/// The first place that could not be read, and why.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) offset: u64,
    pub(super) why: String,
}

impl Noted {
    /// The first failure, if there was any.
    pub(super) fn take(&self) -> Option<Failed> {
        self.0.lock().take()
    }

    fn note(&self, offset: u64, why: &io::Error) {
        let mut first = self.0.lock();
        if first.as_ref().is_none_or(|first| offset < first.offset) {
            let why = why.to_string();
            *first = Some(Failed { offset, why });
        }
    }
}

impl Readable {
    /// A view of a file, and what it will note.
    pub(super) fn over(inner: Box<dyn StoreFile>) -> (Box<dyn StoreFile>, Arc<Noted>) {
        let noted = Arc::<Noted>::default();
        let file = Self {
            inner,
            noted: Arc::clone(&noted),
        };
        (Box::new(file), noted)
    }
}

impl StoreFile for Readable {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.inner.read_at(buf, offset) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {}
            read => return read,
        }
        // No more than the stretch that may be to blame, so that all around it is read.
        let left = (STRETCH - offset % STRETCH).min(self.inner.len()?.saturating_sub(offset));
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..want).unwrap_or_default();
        match self.inner.read_at(buf, offset) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                self.noted.note(offset, &error);
                buf.fill(0);
                Ok(want)
            }
            read => read,
        }
    }

    fn read_vectored_at(&self, bufs: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.read_at(buf, offset),
            None => Ok(0),
        }
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn preallocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self) -> io::Result<Box<dyn FileMap>> {
        Err(ErrorKind::Unsupported.into())
    }
}
