use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use factlog_format::JournalId;
use factlog_fs::OpenMode;

use super::{
    Floors, Found,
    contents::{Contents, Standing},
    find,
};
use crate::{
    Damage, Error, Misuse, Options, Reader,
    journal::{read_secret, shared},
    layout::Layout,
    open::{
        check_writable, read_view,
        writable::{check_roots, rolled_back},
    },
    segment::SegmentFile,
};

/// Whether, and how, a journal can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opens {
    /// For writing, as it is.
    Writable,
    /// For writing, after a recovery that loses nothing acknowledged.
    AfterRecovery,
    /// For reading alone.
    ReadOnly,
    /// Not at all.
    Not,
}

/// What a directory holds of a journal, found without opening it and without writing.
///
/// It looks at every file's start and at the segment being written. What is wrong inside of sealed
/// segments only [`verify`](crate::verify) finds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// How it can be opened, keys apart.
    pub opens: Opens,
    /// A creation that was cut short: without event 0 there is nothing to open; with it an open for
    /// writing finishes it.
    pub unfinished: bool,
    /// The journal's id, if anything readable tells.
    pub id: Option<JournalId>,
    /// Its public name, if anything readable tells.
    pub origin: Option<String>,
    /// Whether it is signed, so that writing wants its key.
    pub signed: bool,
    /// Whether a process has it open for writing now.
    pub in_use: bool,
    /// How many events are there and durable.
    pub events: u64,
    /// How many events are whole behind those, and called durable by nothing; a recovery keeps them.
    pub unproven: u64,
    /// How many bytes of a write that was never acknowledged a recovery sets aside.
    pub torn: u64,
    /// How many segments there are.
    pub segments: u64,
    /// What is damaged or missing.
    pub damage: Vec<Damage>,
    /// What is in the directory and no journal's.
    pub strangers: Vec<PathBuf>,
}

/// Looks at a journal in whatever state: damaged, of a newer version, unfinished or in use.
///
/// Of the options it uses the file system. It writes nothing; to find out whether a writer is at work it
/// holds the journal's lock for a moment.
///
/// # Errors
/// [`Misuse::NotAJournal`] if there is nothing of a journal, and [`Error::Io`].
pub fn inspect(dir: impl AsRef<Path>, options: &Options) -> Result<Inspection, Error> {
    let fs = &options.fs;
    let layout = Layout::new(dir.as_ref());
    let contents = Contents::list(fs.as_ref(), &layout)?;
    let standing = contents.standing(fs.as_ref(), &layout)?;
    if matches!(standing, Standing::Nothing | Standing::Stranger) {
        return Err(Misuse::NotAJournal(layout.dir).into());
    }
    let lock = layout.lock();
    let mut inspection = Inspection {
        opens: Opens::Not,
        unfinished: standing == Standing::Unfinished,
        id: None,
        origin: None,
        signed: false,
        in_use: contents.files.contains(&lock) && is_held(options, &lock),
        events: 0,
        unproven: 0,
        torn: 0,
        segments: contents.segments.len() as u64,
        damage: Vec::new(),
        strangers: contents.strangers,
    };
    if inspection.unfinished {
        return Ok(inspection);
    }
    match find(fs, &layout.dir) {
        Ok(found) => examine(options, found, &mut inspection)?,
        Err(Error::Damaged(damage)) => inspection.damage.push(damage),
        Err(error) => return Err(error),
    }
    Ok(inspection)
}

fn is_held(options: &Options, lock: &Path) -> bool {
    matches!(options.fs.lock(lock), Err(factlog_fs::LockError::Held))
}

fn examine(options: &Options, found: Found, inspection: &mut Inspection) -> Result<(), Error> {
    let fs = &options.fs;
    inspection.id = Some(found.identity.journal);
    inspection.origin = Some(found.identity.origin.clone());
    inspection.signed = found.key.is_some();
    inspection.unfinished = found.unfinished;
    inspection.damage.clone_from(&found.damage);
    let mut writable = found.damage.is_empty();
    if let Err(Error::Damaged(damage)) = check_writable(fs.as_ref(), &found) {
        inspection.damage.push(damage);
        writable = false;
    }
    examine_sealed(options, &found, inspection)?;
    let rows = found.manifest.rows.iter();
    let named: Vec<_> = rows
        .map(|row| (row.first_sequence, row.generation))
        .collect();
    let mut floors = Floors::kept(fs.as_ref(), &found.layout, &found.keys);
    let journal = &found.identity.journal;
    if !inspection.in_use && found.damage.is_empty() {
        floors.consider_orphans(fs.as_ref(), &found.layout, journal, &named)?;
    }
    if let Err(Error::Damaged(damage)) = read_secret(fs.as_ref(), &found.layout, journal) {
        inspection.damage.push(damage);
        writable = false;
    }
    let (view, survey) = match read_view(fs, &found, &floors, &|| false) {
        Ok(found) => found,
        Err(Error::Damaged(damage)) => {
            inspection.damage.push(damage);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    inspection.events = survey.proven;
    // What a writer is just writing looks torn, and is nobody's damage.
    if !inspection.in_use {
        let history = rolled_back(&survey, &floors);
        let shared = shared(fs, found.clone(), view, None, None);
        let reader = Reader {
            shared: Arc::new(shared),
        };
        let forked = match check_roots(&reader, &floors) {
            Ok(Some(Error::Damaged(damage))) => Some(damage),
            _ => None,
        };
        let of_survey = survey.damage.iter().chain(&survey.bad_signature);
        for damage in of_survey.chain(&history).chain(&forked) {
            writable = false;
            inspection.damage.push(damage.clone());
        }
        let unproven = survey.unproven.as_ref();
        inspection.unproven = unproven.map_or(0, |group| u64::from(group.header.count));
        inspection.torn = survey.torn;
    }
    inspection.opens = match writable {
        false => Opens::ReadOnly,
        true if inspection.torn > 0 || inspection.unproven > 0 => Opens::AfterRecovery,
        true => Opens::Writable,
    };
    Ok(())
}

/// Headers and lengths of the sealed segments.
fn examine_sealed(
    options: &Options,
    found: &Found,
    inspection: &mut Inspection,
) -> Result<(), Error> {
    let sealed = found.manifest.rows.iter().filter(|row| row.count.is_some());
    for row in sealed {
        let path = found.layout.segment(row.first_sequence, row.generation);
        let fs = options.fs.as_ref();
        match SegmentFile::open(fs, &path, OpenMode::Read, &found.identity.journal) {
            Ok(segment) => {
                let len = segment.len()?;
                if len < row.sealed_end {
                    let detail = format!("the file has {len} of {} bytes", row.sealed_end);
                    let damage = Damage::new("segment.truncated", &path, detail).at(len);
                    inspection.damage.push(damage.sequence(row.first_sequence));
                }
            }
            Err(Error::Damaged(damage)) => {
                let damage = damage.sequence(row.first_sequence);
                inspection.damage.push(damage);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
