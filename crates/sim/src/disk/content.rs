//! The bytes of a file in pages that copies share until one of them is written.

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const PAGE: usize = 4096;

pub(crate) type Page = [u8; PAGE];

/// The bytes of a file. Cloning costs two words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    len: u64,
    /// A missing page reads as zeros; so does everything past `len`, which is kept zero.
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Numbers of the pages that are not all holes.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.pages.keys().copied()
    }

    pub(crate) fn page(&self, number: u64) -> Option<&Arc<Page>> {
        self.pages.get(&number)
    }

    pub(crate) fn set_page(&mut self, number: u64, page: Option<Arc<Page>>) {
        let pages = Arc::make_mut(&mut self.pages);
        match page {
            Some(page) => pages.insert(number, page),
            None => pages.remove(&number),
        };
    }

    /// Reads up to the end; returns how many bytes were read.
    pub(crate) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.len.saturating_sub(offset);
        let count = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        for (part, at) in parts(offset, count) {
            let (page, start) = place(at);
            let to = &mut buf[part.clone()];
            match self.pages.get(&page) {
                Some(page) => to.copy_from_slice(&page[start..start + part.len()]),
                None => to.fill(0),
            }
        }
        count
    }

    /// Writes, and returns the numbers of the pages that changed.
    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> Vec<u64> {
        let mut touched = Vec::new();
        let pages = Arc::make_mut(&mut self.pages);
        for (part, at) in parts(offset, buf.len()) {
            let (number, start) = place(at);
            let page = pages.entry(number).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[start..start + part.len()].copy_from_slice(&buf[part]);
            touched.push(number);
        }
        self.len = self.len.max(offset + buf.len() as u64);
        touched
    }

    /// Cuts or lengthens, and returns the numbers of the pages that changed.
    pub(crate) fn set_len(&mut self, len: u64) -> Vec<u64> {
        let mut touched = Vec::new();
        if len < self.len {
            let (last, keep) = place(len);
            let pages = Arc::make_mut(&mut self.pages);
            let gone = pages.split_off(&(last + u64::from(keep > 0)));
            touched.extend(gone.into_keys());
            if let Some(page) = pages.get_mut(&last).filter(|_| keep > 0) {
                Arc::make_mut(page)[keep..].fill(0);
                touched.push(last);
            }
        }
        self.len = len;
        touched
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Whether both hold the same bytes; pages that are shared are not looked at.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let zeros = Arc::new([0; PAGE]);
        let page = |content: &Self, number| content.page(number).cloned().unwrap_or(zeros.clone());
        let same = |number| {
            let (left, right) = (page(self, number), page(other, number));
            Arc::ptr_eq(&left, &right) || left == right
        };
        self.len == other.len
            && (Arc::ptr_eq(&self.pages, &other.pages)
                || (self.numbers().all(same) && other.numbers().all(same)))
    }
}

/// The page of an offset, and where in it.
fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

/// Ranges of a buffer that lie within one page each, and their offsets in the file.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (std::ops::Range<usize>, u64)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let n = (PAGE - place(at).1).min(len - done);
        let part = done..done + n;
        done += n;
        (n > 0).then_some((part, at))
    })
}
