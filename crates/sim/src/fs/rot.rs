//! What disks do to bytes that were durable: rot, and sectors that are lost, misplaced or old.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::machine::Machine;
use super::{Moment, SimFs};
use crate::disk::{Content, FileState, PAGE};

impl SimFs {
    /// Flips bits of a byte, on the disk and in the cache: rot.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidInput` past the file's end.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        self.machine()
            .rot(path, offset, 1, |bytes, _| bytes[0] ^= mask)
    }

    /// Fills a stretch with zeros, on the disk and in the cache: a sector that was lost.
    ///
    /// # Errors
    /// As [`flip`](Self::flip).
    pub fn zero(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        self.machine()
            .rot(path, offset, len, |bytes, _| bytes.fill(0))
    }

    /// Puts the bytes of one stretch also where they don't belong: a write that was misdirected.
    ///
    /// # Errors
    /// As [`flip`](Self::flip), for both places.
    pub fn misdirect(&self, from: (&Path, u64), to: (&Path, u64), len: u64) -> io::Result<()> {
        let mut machine = self.machine();
        let id = machine.state.find(from.0)?;
        let content = machine.state.file(id)?.cache.clone();
        if from
            .1
            .checked_add(len)
            .is_none_or(|end| end > content.len())
        {
            return Err(ErrorKind::InvalidInput.into());
        }
        machine.rot(to.0, to.1, len, |bytes, at| {
            content.read(bytes, from.1 + (at - to.1));
        })
    }

    /// Brings back what a stretch held at an earlier moment, or zeros if it held nothing: writes
    /// that were acknowledged and lost, or a sector that went stale. The length stays.
    ///
    /// # Errors
    /// As [`flip`](Self::flip).
    pub fn stale(&self, path: &Path, offset: u64, len: u64, then: &Moment) -> io::Result<()> {
        let mut machine = self.machine();
        let id = machine.state.find(path)?;
        let before = match then.state.file(id) {
            Ok(file) => file.cache.clone(),
            Err(_) => Content::default(),
        };
        machine.rot(path, offset, len, |bytes, at| {
            bytes.fill(0);
            before.read(bytes, at);
        })
    }

    /// Exchanges what two files hold.
    ///
    /// # Errors
    /// `NotFound`, or `IsADirectory`.
    pub fn swap(&self, left: &Path, right: &Path) -> io::Result<()> {
        let mut machine = self.machine();
        let (left, right) = (machine.state.find(left)?, machine.state.find(right)?);
        let (mut here, mut there) = (
            machine.state.file(left)?.clone(),
            machine.state.file(right)?.clone(),
        );
        std::mem::swap(&mut here.private, &mut there.private);
        *machine.state.file_mut(left)? = there;
        *machine.state.file_mut(right)? = here;
        Ok(())
    }

    /// Puts back a copy of a directory that was taken at an earlier moment, durably: what stands
    /// elsewhere stays as it is.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory now or then.
    pub fn restore(&self, dir: &Path, then: &Moment) -> io::Result<()> {
        let mut machine = self.machine();
        let target = machine.state.find(dir)?;
        let source = then.state.find(dir)?;
        machine.state.graft(target, &then.state, source)
    }
}

impl Machine {
    /// Changes durable bytes behind everyone's back; the change is told where its bytes stand.
    fn rot(
        &mut self,
        path: &Path,
        offset: u64,
        len: u64,
        change: impl Fn(&mut [u8], u64),
    ) -> io::Result<()> {
        let id = self.state.find(path)?;
        let FileState { cache, disk, .. } = self.state.file_mut(id)?;
        if offset.checked_add(len).is_none_or(|end| end > cache.len()) {
            return Err(ErrorKind::InvalidInput.into());
        }
        for content in [cache, disk] {
            let mut at = offset;
            while at < (offset + len).min(content.len()) {
                let left = PAGE as u64 - at % PAGE as u64;
                let n = left.min(offset + len - at).min(content.len() - at);
                let mut bytes = vec![0; n as usize];
                content.read(&mut bytes, at);
                change(&mut bytes, at);
                content.write(&bytes, at);
                at += n;
            }
        }
        Ok(())
    }
}
