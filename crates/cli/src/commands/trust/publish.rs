use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use factlog::{Checkpoint, Hash, Reader, SignedCheckpoint, VerifiedReceipt, VerifierKey};
use factlog_proof::{
    NodeSource, PathError, consistency_path, node_hash, root_at, verify_consistency,
};
use serde::Serialize;

use crate::exit::{Exit, Problem};
use crate::output::Output;
use crate::{files, opening, paths};

/// Hashes of a full tile, and entries of a full bundle.
const WIDTH: u64 = 256;
const HASH_LEN: usize = 32;
const MAX_FILE: u64 = 64 << 10;

/// Publish a journal's tree for anyone to check: hashes alone, as C2SP tlog-tiles
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog publish ledger /srv/www/ledger
  factlog verify-receipt event-42.receipt --vkey ledger.vkey --from /srv/www/ledger")]
pub(crate) struct Args {
    /// The journal's directory
    dir: PathBuf,
    /// The folder to publish into; what is there is added to
    out: PathBuf,
}

#[derive(Serialize)]
struct Json {
    schema: &'static str,
    origin: String,
    size: u64,
    before: u64,
    files: u64,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let reader = opening::reader(&args.dir)?;
    let checkpoint = reader.checkpoint()?;
    let claimed = checkpoint.claimed();
    let size = claimed.size();
    let before = published(&reader, &args.out, &checkpoint)?;
    let mut written = 0;
    // Tiles first, the lowest first; the checkpoint that speaks of them last: whoever reads meanwhile finds
    // all that the checkpoint they got speaks of. What was published stays.
    for at in before / WIDTH..=(size - 1) / WIDTH {
        let width = (size - at * WIDTH).min(WIDTH);
        written += bundle(&reader, &args.out, at, width)?;
    }
    for level in 0..8 {
        let (old, new) = (before >> (8 * level), size >> (8 * level));
        if new == 0 {
            break;
        }
        for at in old / WIDTH..=(new - 1) / WIDTH {
            let width = (new - at * WIDTH).min(WIDTH);
            written += tile(&reader, &args.out, level, at, width)?;
        }
    }
    if before < size {
        files::write(
            &args.out.join("checkpoint"),
            checkpoint.to_string().as_bytes(),
        )?;
        written += 1;
    }
    if out.is_json() {
        out.object(&Json {
            schema: "factlog.publish/1",
            origin: claimed.origin().to_owned(),
            size,
            before,
            files: written,
        })?;
    } else {
        out.line(format!("{size} events published, {written} files written"))?;
    }
    Ok(Exit::Done)
}

/// How many events are published already, if those are this journal's.
fn published(reader: &Reader, out: &Path, new: &SignedCheckpoint) -> Result<u64> {
    let path = out.join("checkpoint");
    if !files::exists(&path) {
        files::make_dir(out)?;
        return Ok(0);
    }
    let old = SignedCheckpoint::parse(&files::read(&path, MAX_FILE)?)?;
    let (old, new) = (old.claimed(), new.claimed());
    let refuse = |code, why: &str| Problem::new(Exit::NotHolding, code, why);
    if old.origin() != new.origin() {
        return Err(refuse(
            "publish.other_journal",
            "another journal is published there",
        )
        .into());
    }
    if old.size() > new.size() {
        let why = "more events are published there than the journal has";
        return Err(refuse("history.rolled_back", why).into());
    }
    if reader.root_at(old.size())? != old.root() {
        let why = "the journal does not continue what is published there";
        return Err(refuse("history.forked", why).into());
    }
    Ok(old.size())
}

/// Event hashes, each with its length in front. Payloads and facts stay where they are.
fn bundle(reader: &Reader, out: &Path, at: u64, width: u64) -> Result<u64> {
    let mut bytes = Vec::new();
    for sequence in at * WIDTH..at * WIDTH + width {
        let event = reader.get(sequence)?.context("an event is missing")?;
        bytes.extend((HASH_LEN as u16).to_be_bytes());
        bytes.extend(event.hash());
    }
    put(&out.join(tile_path("entries", at, width)), &bytes)
}

fn tile(reader: &Reader, out: &Path, level: u32, at: u64, width: u64) -> Result<u64> {
    let mut bytes = Vec::new();
    for index in at * WIDTH..at * WIDTH + width {
        bytes.extend(reader.node(8 * level, index)?.as_bytes());
    }
    put(&out.join(tile_path(&level.to_string(), at, width)), &bytes)
}

fn put(path: &Path, bytes: &[u8]) -> Result<u64> {
    if let Some(dir) = path.parent() {
        files::make_dir(dir)?;
    }
    files::write(path, bytes)?;
    Ok(1)
}

/// `tile/0/x001/234`, and `tile/0/x001/234.p/5` of one that isn't full.
fn tile_path(level: &str, at: u64, width: u64) -> PathBuf {
    let mut groups = vec![format!("{:03}", at % 1000)];
    let mut rest = at / 1000;
    while rest > 0 {
        groups.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let mut path = Path::new("tile").join(level);
    path.extend(&groups);
    if width < WIDTH {
        path.as_mut_os_string().push(format!(".p/{width}"));
    }
    path
}

/// A published tree, read as anyone would. A tile is believed if it is the one that the tile above it
/// commits to; those that aren't full make the root of the checkpoint together.
struct Published {
    dir: PathBuf,
    size: u64,
}

impl Published {
    /// The hashes of a tile.
    fn tile(&self, level: u32, at: u64) -> Result<Vec<Hash>> {
        let nodes = self.size.checked_shr(8 * level).unwrap_or(0);
        let width = nodes.saturating_sub(at * WIDTH).min(WIDTH);
        let path = self.dir.join(tile_path(&level.to_string(), at, width));
        let damaged = |why: String| Problem::new(Exit::Undecided, "publish.damaged", why);
        if !files::is_there(&path)? {
            return Err(damaged(format!("{} is missing", paths::shown(&path))).into());
        }
        let bytes = files::read(&path, WIDTH * HASH_LEN as u64)?;
        if bytes.len() as u64 != width * HASH_LEN as u64 {
            let why = format!("{} is not of {width} hashes", paths::shown(&path));
            return Err(damaged(why).into());
        }
        let (hashes, _) = bytes.as_chunks::<HASH_LEN>();
        let hashes: Vec<Hash> = hashes.iter().copied().map(Hash::from_bytes).collect();
        if width == WIDTH {
            let above = self.tile(level + 1, at / WIDTH)?;
            if above.get((at % WIDTH) as usize) != Some(&folded(hashes.clone())) {
                let why = format!("{} is not the tile that was published", paths::shown(&path));
                return Err(damaged(why).into());
            }
        }
        Ok(hashes)
    }
}

impl NodeSource for Published {
    type Error = anyhow::Error;

    fn node(&self, level: u32, index: u64) -> Result<Hash> {
        let (tile_level, within) = (level / 8, level % 8);
        let first = index << within;
        let hashes = self.tile(tile_level, first / WIDTH)?;
        let hashes = hashes.into_iter().skip((first % WIDTH) as usize);
        let hashes: Vec<Hash> = hashes.take(1 << within).collect();
        if hashes.len() < 1 << within {
            return Err(anyhow::anyhow!("a tile is too short"));
        }
        Ok(folded(hashes))
    }
}

/// The proof that a smaller tree is a prefix of a larger one, from a copy of the journal or from what was
/// published of it. Whoever asks checks it.
pub(crate) fn consistency(dir: &Path, from: u64, to: u64) -> Result<Vec<Hash>> {
    let path = dir.join("checkpoint");
    if !files::is_there(&path)? {
        return Ok(opening::reader(dir)?.consistency(from, to)?);
    }
    let published = SignedCheckpoint::parse(&files::read(&path, MAX_FILE)?)?;
    let size = published.claimed().size();
    if size < to {
        let why = format!("{size} events are published, and {to} were signed");
        return Err(Problem::new(Exit::Undecided, "publish.behind", why).into());
    }
    let dir = dir.to_owned();
    consistency_path(&Published { dir, size }, from, to).map_err(|error| match error {
        PathError::Source(error) => error,
        other => Problem::new(Exit::Undecided, "publish.damaged", other.to_string()).into(),
    })
}

/// The root of a complete subtree.
fn folded(mut hashes: Vec<Hash>) -> Hash {
    while hashes.len() > 1 {
        let (pairs, _) = hashes.as_chunks::<2>();
        hashes = pairs
            .iter()
            .map(|[left, right]| node_hash(left, right))
            .collect();
    }
    hashes.first().copied().unwrap_or(Hash::from_bytes([0; 32]))
}

/// Checks that a receipt, which holds by itself, is of the history that is published. What can't be told
/// from what is there is no word against the receipt; a folder that can't be read is an error.
pub(crate) fn check(
    dir: &Path,
    receipt: VerifiedReceipt,
    key: &VerifierKey,
) -> Result<Result<VerifiedReceipt, Problem>> {
    match continues(dir, receipt.checkpoint(), key) {
        Ok(()) => Ok(Ok(receipt)),
        Err(error) => match error.downcast::<Problem>() {
            Ok(problem) => Ok(Err(problem)),
            Err(error) => Err(error),
        },
    }
}

fn continues(dir: &Path, own: &Checkpoint, key: &VerifierKey) -> Result<()> {
    let open = |code, why: &str| Problem::new(Exit::Undecided, code, why);
    let checkpoint = SignedCheckpoint::parse(&files::read(&dir.join("checkpoint"), MAX_FILE)?)
        .map_err(|error| open("publish.damaged", &error.to_string()))?;
    if checkpoint.claimed().origin() != own.origin() {
        let why = "another journal is published there";
        return Err(open("publish.other_journal", why).into());
    }
    let mut lines = checkpoint.signatures().iter();
    if !lines.any(|line| line.key_id() == key.key_id()) {
        let why = "what is published is signed by another key than the one given";
        return Err(open("publish.other_key", why).into());
    }
    let published = checkpoint
        .verify(key)
        .map_err(|error| open("publish.damaged", &error.to_string()))?;
    let tree = Published {
        dir: dir.to_owned(),
        size: published.size(),
    };
    if root_at(&tree, published.size())? != published.root() {
        let why = "the published tiles are not those of the published checkpoint";
        return Err(open("publish.damaged", why).into());
    }
    if own.size() > published.size() {
        let why = "fewer events are published than the receipt's checkpoint has";
        return Err(open("publish.behind", why).into());
    }
    let path = consistency_path(&tree, own.size(), published.size());
    let path = path.map_err(|error| match error {
        PathError::Source(error) => error,
        other => open("publish.damaged", &other.to_string()).into(),
    })?;
    let (root, newer) = (own.root(), published.root());
    verify_consistency(own.size(), &root, published.size(), &newer, &path).map_err(|_| {
        let why = "the key has signed two histories: the published one is not the receipt's";
        Problem::new(Exit::NotHolding, "history.forked", why)
    })?;
    Ok(())
}
