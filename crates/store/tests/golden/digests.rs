//! What the stored journals came to when they were stored: a line for each in `fixtures/journals/digests.txt`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use data_encoding::HEXLOWER;
use factlog::{Event, Query, Reader};

use crate::journals::{Golden, fixtures};

const HEAD: &str = "# Name, files, events, what is read of them, root of the tree.\n";

/// What is known of a journal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    /// Over every file of the journal and beside it.
    pub(crate) files: String,
    pub(crate) events: u64,
    /// Over every event: spine, facts, and each section as it is read, or why it isn't.
    pub(crate) read: String,
    pub(crate) root: String,
}

impl Digests {
    pub(crate) fn of(golden: &Golden, reader: &Reader) -> Self {
        let mut read = blake3::Hasher::new();
        for event in reader.read(Query::all()) {
            add_event(&mut read, &event.unwrap());
        }
        let root = reader.root_at(reader.len()).unwrap();
        Self {
            files: files(golden),
            events: reader.len(),
            read: read.finalize().to_hex().to_string(),
            root: HEXLOWER.encode(root.as_bytes()),
        }
    }
}

/// Over every file of a journal and beside it.
pub(crate) fn files(golden: &Golden) -> String {
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in golden.files() {
        let path = path.to_str().unwrap();
        add(&mut hasher, path.as_bytes());
        add(&mut hasher, &bytes);
    }
    for (name, text) in &golden.beside {
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn add(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher
        .update(&(part.len() as u64).to_le_bytes())
        .update(part);
}

fn add_event(hasher: &mut blake3::Hasher, event: &Event) {
    add(hasher, &event.record().encode());
    for section in event.sections() {
        match (section.bytes(), section.sealed()) {
            (Some(bytes), _) => add(hasher, bytes),
            (None, Some(why)) => add(hasher, why.code().as_bytes()),
            (None, None) => add(hasher, b"erased"),
        }
    }
}

/// All that is stored, by the journal's name.
pub(crate) fn stored() -> BTreeMap<String, Digests> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || {
            words
                .next()
                .unwrap_or_else(|| panic!("a short line: {line}"))
        };
        let (name, files, events) = (word(), word(), word().parse().unwrap());
        let (read, root) = (word(), word());
        (
            name,
            Digests {
                files,
                events,
                read,
                root,
            },
        )
    });
    parsed.collect()
}

/// Stores those that aren't yet.
pub(crate) fn store(new: BTreeMap<String, Digests>) {
    let mut all = stored();
    for (name, digests) in new {
        all.entry(name).or_insert(digests);
    }
    let lines = all.iter().map(|(name, of)| {
        format!(
            "{name} {} {} {} {}\n",
            of.files, of.events, of.read, of.root
        )
    });
    fs::write(path(), HEAD.to_owned() + &lines.collect::<String>()).unwrap();
}

fn path() -> PathBuf {
    fixtures().join("journals/digests.txt")
}
