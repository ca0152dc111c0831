//! A fingerprint of everything a machine holds, so that equal states need to be examined once.

use super::content::{Content, PAGE, Page};
use super::{EntryChange, Node, State};

/// Two sums over the same words, so that states are told apart by 128 bits. Against chance, not
/// against anyone.
struct Print(u64, u64);

impl Print {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        self.1 = (self.1.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words
            .iter()
            .for_each(|word| self.word(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.word(u64::from(*byte)));
    }

    fn page(&mut self, number: u64, page: Option<&Page>) {
        // A page of zeros and a hole read alike.
        if let Some(page) = page.filter(|page| **page != [0; PAGE]) {
            self.word(number);
            self.bytes(page);
        }
    }

    fn content(&mut self, content: &Content) {
        self.word(content.len());
        for number in content.numbers() {
            self.page(number, content.page(number).map(AsRef::as_ref));
        }
    }

    fn name(&mut self, name: &std::ffi::OsStr) {
        self.bytes(name.as_encoded_bytes());
    }

    fn change(&mut self, change: &EntryChange) {
        match change {
            EntryChange::Link(name, id) => {
                self.word(1);
                self.name(name);
                self.word(*id);
            }
            EntryChange::Unlink(name) => {
                self.word(2);
                self.name(name);
            }
            EntryChange::Rename(from, to, id) => {
                self.word(3);
                self.name(from);
                self.name(to);
                self.word(*id);
            }
        }
    }
}

impl State {
    /// Equal for states that hold the same bytes, in cache and on disk, under the same names.
    pub(crate) fn fingerprint(&self) -> u128 {
        let mut print = Print(1, 2);
        for (id, node) in &self.nodes {
            print.word(*id);
            match node.as_ref() {
                Node::File(file) => {
                    print.word(u64::from(file.private));
                    print.content(&file.cache);
                    print.content(&file.disk);
                    for change in &file.pending {
                        print.word(change.len);
                        print.word(u64::from(change.cut));
                        for (number, page) in &change.pages {
                            print.page(*number, page.as_deref());
                        }
                    }
                }
                Node::Dir(dir) => {
                    for entries in [&dir.entries, &dir.disk] {
                        print.word(entries.len() as u64);
                        for (name, id) in entries {
                            print.name(name);
                            print.word(*id);
                        }
                    }
                    dir.pending.iter().for_each(|change| print.change(change));
                }
            }
        }
        u128::from(print.0) << 64 | u128::from(print.1)
    }
}
