//! Checking the files of the tree against the log, for `verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use factlog_fs::{FileKind, StoreFs};
use factlog_proof::Hash;

use super::compare::{Compare, Compared};
use super::{CODE, HASH, PACK, UPPER, pack_name, parse_pack_name, upper_len};
use crate::{Damage, Error};

/// Compares packs and `upper` with the leaves of the log and the tiles that they fill, which it is fed in order.
///
/// A file that is missing or ends early is no finding; one finding is made per file.
#[derive(Debug)]
pub(crate) struct Checker {
    fs: Arc<dyn StoreFs>,
    dir: PathBuf,
    /// Lengths of the packs when the check began.
    packs: BTreeMap<u64, u64>,
    pack: Option<Compare>,
    upper: Option<Compare>,
    size: u64,
    findings: Vec<Damage>,
}

impl Checker {
    /// Looks at what files there are. To be called before the end of the log is looked at, which a
    /// live writer moves on.
    pub(crate) fn open(fs: Arc<dyn StoreFs>, dir: PathBuf) -> Result<Self, Error> {
        let mut packs = BTreeMap::new();
        let mut findings = Vec::new();
        let entries = match fs.list(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            entries => entries.map_err(Error::io("list", &dir))?,
        };
        for entry in entries {
            let path = dir.join(&entry.name);
            if entry.kind == FileKind::File && entry.name == UPPER {
                continue;
            }
            match parse_pack_name(&entry.name).filter(|_| entry.kind == FileKind::File) {
                Some(pack) => {
                    let metadata = fs.metadata(&path).map_err(Error::io("read", &path))?;
                    packs.insert(pack, metadata.map_or(0, |metadata| metadata.len));
                }
                None => {
                    let what = "nothing of this name belongs to the tree";
                    findings.push(Damage::new(CODE, &path, what));
                }
            }
        }
        let upper = Compare::open(fs.as_ref(), dir.join(UPPER))?;
        Ok(Self {
            fs,
            dir,
            packs,
            pack: None,
            upper,
            size: 0,
            findings,
        })
    }

    /// Compares the next leaf of the log.
    pub(crate) fn leaf(&mut self, leaf: &Hash) -> Result<(), Error> {
        if self.size.is_multiple_of(PACK) {
            self.pack = self.open_pack(self.size / PACK)?;
        }
        compare(&mut self.pack, leaf, self.size, &mut self.findings)?;
        self.size += 1;
        Ok(())
    }

    /// Compares the next leaves of the log.
    pub(crate) fn leaves(&mut self, mut leaves: &[Hash]) -> Result<(), Error> {
        while let Some((first, others)) = leaves.split_first() {
            if self.size.is_multiple_of(PACK) {
                self.leaf(first)?;
                leaves = others;
                continue;
            }
            let room = PACK - self.size % PACK;
            let some = leaves.len().min(AT_ONCE).min(room as usize);
            let (now, rest) = leaves.split_at(some);
            let hashes = now.iter().map(|leaf| *leaf.as_bytes());
            let pack = self.pack.as_mut();
            if pack.map_or(Ok(true), |pack| pack.pass(hashes))? {
                self.size += some as u64;
            } else {
                now.iter().try_for_each(|leaf| self.leaf(leaf))?;
            }
            leaves = rest;
        }
        Ok(())
    }

    /// Compares the root of the next tile that the leaves fill: the one that ends at this size.
    pub(crate) fn tile(&mut self, end: u64, root: &Hash) -> Result<(), Error> {
        compare(
            &mut self.upper,
            root,
            end.saturating_sub(1),
            &mut self.findings,
        )
    }

    fn open_pack(&self, pack: u64) -> Result<Option<Compare>, Error> {
        let Some(len) = self.packs.get(&pack) else {
            return Ok(None);
        };
        let mut file = Compare::open(self.fs.as_ref(), self.dir.join(pack_name(pack)))?;
        if let Some(file) = &mut file {
            file.limit(*len);
        }
        Ok(file)
    }

    /// The findings, once every leaf of the log was added.
    pub(crate) fn finish(mut self) -> Vec<Damage> {
        for (pack, len) in &self.packs {
            let path = self.dir.join(pack_name(*pack));
            let wanted = self.size.saturating_sub(pack * PACK).min(PACK) * HASH;
            self.findings.extend(surplus(path, *len, wanted));
        }
        if let Some(upper) = &self.upper {
            let wanted = upper_len(self.size) * HASH;
            self.findings
                .extend(surplus(upper.path().to_owned(), upper.len(), wanted));
        }
        self.findings
    }
}

/// How many leaves are compared at once.
const AT_ONCE: usize = 1024;

/// Compares a hash; after the first that differs the file is left alone.
fn compare(
    file: &mut Option<Compare>,
    hash: &Hash,
    sequence: u64,
    findings: &mut Vec<Damage>,
) -> Result<(), Error> {
    let Some(open) = file else {
        return Ok(());
    };
    let offset = open.offset();
    if open.next(hash.as_bytes())? == Compared::Differs {
        let damage = Damage::new(
            CODE,
            open.path(),
            "a hash is not the one that the log gives",
        );
        findings.push(damage.at(offset).sequence(sequence));
        *file = None;
    }
    Ok(())
}

fn surplus(path: PathBuf, len: u64, wanted: u64) -> Option<Damage> {
    (len > wanted).then(|| {
        Damage::new(
            CODE,
            &path,
            "the file is longer than the log gives it hashes",
        )
        .at(wanted)
    })
}
