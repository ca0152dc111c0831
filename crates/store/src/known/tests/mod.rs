mod advance;
mod file;
mod pins;
mod standing;

use std::{path::Path, sync::Arc};

use data_encoding::HEXLOWER;
use factlog_fs::{Access, MemFs, StoreFs, read_file, replace_file};
use factlog_proof::{
    Checkpoint, Hash, NodeSource, SignedCheckpoint, SigningKey, consistency_path, leaf_hash,
    node_hash, root_at,
};

use super::{KnownJournal, KnownJournals};
use crate::Error;

const FILE: &str = "/user/state/factlog/known_journals";

fn known(fs: &MemFs) -> KnownJournals {
    KnownJournals::with_fs(Arc::new(fs.clone()), FILE)
}

fn origin(id: u8) -> String {
    format!("example.com/ledger/{}", HEXLOWER.encode(&[id; 16]))
}

fn key(id: u8) -> SigningKey {
    SigningKey::generate(&origin(id), [id; 32]).unwrap()
}

fn journal(id: u8, path: &str) -> KnownJournal {
    KnownJournal {
        id: [id; 16],
        origin: origin(id),
        key: Some(key(id).verifier().clone()),
        retired: Vec::new(),
        next: None,
        key_file: None,
        checkpoints: Vec::new(),
        paths: vec![path.into()],
    }
}

/// A history whose leaf at each index tells on which branch it is: branches differ from the
/// index on that they name.
#[derive(Clone, Copy)]
struct History {
    parts_at: u64,
}

const TRUE: History = History { parts_at: u64::MAX };

impl NodeSource for History {
    type Error = std::convert::Infallible;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error> {
        if level == 0 {
            let branch = u64::from(index >= self.parts_at);
            return Ok(leaf_hash(
                &[index.to_le_bytes(), branch.to_le_bytes()].concat(),
            ));
        }
        Ok(node_hash(
            &self.node(level - 1, 2 * index)?,
            &self.node(level - 1, 2 * index + 1)?,
        ))
    }
}

impl History {
    fn root(self, size: u64) -> Hash {
        root_at(&self, size).unwrap()
    }

    fn path(self, from: u64, to: u64) -> Vec<Hash> {
        consistency_path(&self, from, to).unwrap()
    }

    fn checkpoint(self, id: u8, size: u64) -> SignedCheckpoint {
        signed(&key(id), &origin(id), size, self.root(size))
    }
}

fn signed(key: &SigningKey, origin: &str, size: u64, root: Hash) -> SignedCheckpoint {
    Checkpoint::new(origin, size, root)
        .unwrap()
        .sign(key)
        .unwrap()
}

fn sizes(known: &KnownJournals, id: u8) -> Vec<u64> {
    let journal = known.find(&[id; 16]).unwrap().unwrap();
    journal.known_roots().map(|(size, _)| size).collect()
}

fn read(fs: &MemFs) -> String {
    String::from_utf8(read_file(fs, Path::new(FILE), 1 << 20).unwrap()).unwrap()
}

fn write(fs: &MemFs, text: &[u8]) {
    let path = Path::new(FILE);
    let name = path.file_name().unwrap().to_str().unwrap();
    crate::signer::create_private_dirs(fs as &dyn StoreFs, path.parent().unwrap()).unwrap();
    replace_file(fs, path.parent().unwrap(), name, text, Access::Private).unwrap();
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}
