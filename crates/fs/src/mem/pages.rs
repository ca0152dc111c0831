//! The bytes of a file in memory, kept in pages so that holes cost nothing.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

const PAGE: usize = 4096;

/// The longest file: far more than memory holds, far less than would overflow.
const MAX_LEN: u64 = 1 << 50;

#[derive(Debug, Default)]
pub(crate) struct Pages {
    len: u64,
    /// Pages by number. A missing page reads as zeros; so does everything past `len`, which
    /// is kept zero here too.
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Pages {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Reads up to the end of the file; returns how many bytes were read.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.len.saturating_sub(offset);
        let count = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let mut done = 0;
        while done < count {
            let (page, start) = place(offset + done as u64);
            let n = (PAGE - start).min(count - done);
            let part = &mut buf[done..done + n];
            match self.pages.get(&page) {
                Some(page) => part.copy_from_slice(&page[start..start + n]),
                None => part.fill(0),
            }
            done += n;
        }
        count
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let end = end(offset, buf.len() as u64)?;
        let mut done = 0;
        while done < buf.len() {
            let (page, start) = place(offset + done as u64);
            let n = (PAGE - start).min(buf.len() - done);
            let page = self
                .pages
                .entry(page)
                .or_insert_with(|| Box::new([0; PAGE]));
            page[start..start + n].copy_from_slice(&buf[done..done + n]);
            done += n;
        }
        self.len = self.len.max(end);
        Ok(done)
    }

    pub(crate) fn set_len(&mut self, len: u64) -> io::Result<()> {
        end(0, len)?;
        if len < self.len {
            let (last, keep) = place(len);
            self.pages
                .split_off(&last.saturating_add(u64::from(keep > 0)));
            if let Some(page) = self.pages.get_mut(&last) {
                page[keep..].fill(0);
            }
        }
        self.len = len;
        Ok(())
    }

    /// Makes the file at least `offset + len` long.
    pub(crate) fn grow(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.len = self.len.max(end(offset, len)?);
        Ok(())
    }

    /// A copy of the whole file.
    pub(crate) fn copy(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).map_err(|_| ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(len)
            .map_err(|_| ErrorKind::OutOfMemory)?;
        bytes.resize(len, 0);
        self.read(&mut bytes, 0);
        Ok(bytes)
    }
}

/// The page of an offset, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

fn end(offset: u64, len: u64) -> io::Result<u64> {
    offset
        .checked_add(len)
        .filter(|end| *end <= MAX_LEN)
        .ok_or_else(|| ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pages: &Pages) -> Vec<u8> {
        pages.copy().unwrap()
    }

    #[test]
    fn writes_cross_pages() {
        let mut pages = Pages::default();
        let bytes: Vec<u8> = (0..3 * PAGE).map(|i| i as u8 ^ (i >> 8) as u8).collect();
        pages.write(&bytes, 100).unwrap();
        assert_eq!(pages.len(), 100 + bytes.len() as u64);
        assert_eq!(&all(&pages)[..100], [0; 100]);
        assert_eq!(&all(&pages)[100..], bytes);
    }

    #[test]
    fn what_was_cut_does_not_come_back() {
        for cut in [0, 1, PAGE as u64 - 1, PAGE as u64, PAGE as u64 + 1] {
            let mut pages = Pages::default();
            pages.write(&[7; 3 * PAGE], 0).unwrap();
            pages.set_len(cut).unwrap();
            pages.set_len(3 * PAGE as u64).unwrap();
            let bytes = all(&pages);
            let (kept, added) = bytes.split_at(cut as usize);
            assert!(kept.iter().all(|b| *b == 7), "cut at {cut}");
            assert!(added.iter().all(|b| *b == 0), "cut at {cut}");
        }
    }

    #[test]
    fn holes_cost_nothing_and_absurd_lengths_are_refused() {
        let mut pages = Pages::default();
        pages.grow(0, 1 << 40).unwrap();
        assert_eq!(pages.pages.len(), 0);
        for refused in [
            pages.set_len(u64::MAX),
            pages.grow(u64::MAX, 2),
            pages.write(b"x", u64::MAX).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::FileTooLarge);
        }
        assert_eq!(pages.len(), 1 << 40);
    }
}
