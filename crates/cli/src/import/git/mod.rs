//! The history of a git repository, through the git command.

mod commit;
mod history;
mod objects;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use anyhow::Result;
use data_encoding::HEXLOWER;
use factlog::{Encoding, Uuid};
use serde::{Deserialize, Serialize};

use super::{BATCH_BYTES, BATCH_EVENTS, Batch, Ids, Item, SectionSpan, Source, Text};
use crate::exit::{Exit, Problem};
use commit::Commit;
use history::{Entry, History};
use objects::Objects;

/// The kind of the events of commits.
pub(crate) const KIND: &str = "git.commit";
/// The section that holds the raw commit.
const COMMIT_SECTION: &str = "commit";
const DATA_SECTION: &str = factlog::DATA_SECTION;
/// So many objects are asked for at a time: few enough for their names to fit into a pipe.
const WINDOW: usize = 256;

/// What is to be read of a repository.
#[derive(Clone, Debug)]
pub(crate) struct GitOptions {
    /// One stream per top-level path that a commit touches.
    pub(crate) by_path: bool,
    /// Only the newest so many commits.
    pub(crate) newest: Option<u64>,
}

/// A repository's history up to `HEAD`, parents before children.
pub(crate) struct Git {
    name: String,
    tip: String,
    history: Option<History>,
    objects: Option<Objects>,
    total: u64,
    done: u64,
    dir: PathBuf,
    options: GitOptions,
}

/// The payload of a position event.
#[derive(Deserialize, Serialize)]
struct Position {
    format: String,
    version: u32,
    /// What `HEAD` was.
    tip: String,
    /// The last commit taken.
    commit: String,
    /// Whether it was the last there was.
    complete: bool,
}

impl Git {
    pub(crate) fn open(dir: &Path, name: String, options: GitOptions) -> Result<Self> {
        let tip = history::tip(dir)?;
        let total = match (&tip, options.newest) {
            (None, _) => 0,
            (Some(tip), None) => history::count(dir, tip)?,
            (Some(tip), Some(newest)) => history::count(dir, tip)?.min(newest),
        };
        // The two ways to import one repository have events of their own.
        let name = if options.by_path {
            format!("{name} by path")
        } else {
            name
        };
        Ok(Self {
            name,
            tip: tip.unwrap_or_default(),
            history: None,
            objects: None,
            total,
            done: 0,
            dir: dir.to_owned(),
            options,
        })
    }

    /// The id of a commit's first event. The commit's name stands for its bytes.
    fn id(&self, ids: &Ids<'_>, oid: &str) -> Uuid {
        ids.id(&[self.name.as_bytes(), b"commit", oid.as_bytes()])
    }

    /// The commits of the next window that have events which are not known, with what is new of them.
    fn window(
        &mut self,
        batch: &mut Batch,
        ids: &Ids<'_>,
    ) -> Result<VecDeque<(Entry, Vec<Place>)>> {
        let mut window = VecDeque::new();
        while window.len() < WINDOW {
            let Some(entry) = self.next_entry()? else {
                break;
            };
            self.done += 1;
            let mut places = Vec::new();
            for (index, path) in entry.places().enumerate() {
                let id = match (index, path) {
                    (0, _) | (_, None) => self.id(ids, &entry.oid),
                    (_, Some(path)) => {
                        let oid = entry.oid.as_bytes();
                        ids.id(&[self.name.as_bytes(), b"commit", oid, path.as_bytes()])
                    }
                };
                if ids.knows(id)? {
                    batch.known += 1;
                } else {
                    let path = path.map(str::to_owned);
                    places.push(Place { id, path });
                }
            }
            if places.is_empty() {
                if batch.known >= BATCH_EVENTS as u64 {
                    break;
                }
            } else {
                window.push_back((entry, places));
            }
        }
        Ok(window)
    }

    fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.tip.is_empty() {
            return Ok(None);
        }
        let history = match &mut self.history {
            Some(history) => history,
            empty => empty.insert(History::start(&self.dir, &self.tip, &self.options)?),
        };
        history.next()
    }

    fn add(&self, entry: &Entry, places: Vec<Place>, raw: &[u8], batch: &mut Batch, ids: &Ids<'_>) {
        let commit = Commit::parse(raw);
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(raw);
        let section = SectionSpan {
            name: COMMIT_SECTION,
            encoding: Encoding::Raw,
            bytes: start..batch.bytes.len(),
        };
        let data_start = batch.bytes.len();
        batch.bytes.extend_from_slice(&commit.data(&entry.oid));
        let extra = SectionSpan {
            name: DATA_SECTION,
            encoding: Encoding::Json,
            bytes: data_start..batch.bytes.len(),
        };
        // A keyed hash: the same author is the same name here, and nobody can look it up.
        let pseudonym = |author: &[u8]| {
            let id = ids.id(&[b"git author", author]);
            format!("author-{}", HEXLOWER.encode(id.as_bytes()))
        };
        for place in places {
            batch.items.push(Item {
                id: place.id,
                is_new: true,
                entity: place.path.map_or(Text::Shared, Text::Own),
                kind: Text::Shared,
                actor: commit.author.map(|author| Text::Own(pseudonym(author))),
                tags: Vec::new(),
                occurred_at: commit.committed_at,
                causation: entry.parent.as_deref().map(|parent| self.id(ids, parent)),
                section: section.clone(),
                extra: Some(extra.clone()),
            });
        }
    }
}

/// One event of a commit: its id, and the path that is its entity.
struct Place {
    id: Uuid,
    path: Option<String>,
}

impl Source for Git {
    fn name(&self) -> &str {
        &self.name
    }

    /// Nothing to do if `HEAD` is where it was; else known commits are left out by their names,
    /// without reading them.
    fn resume(&mut self, position: &[u8], _: &Ids<'_>) -> Result<()> {
        if let Ok(position) = serde_json::from_slice::<Position>(position)
            && position.format == "git"
            && position.complete
            && position.tip == self.tip
            && self.options.newest.is_none()
        {
            self.history = Some(History::nothing(self.total));
        }
        Ok(())
    }

    fn fill(&mut self, batch: &mut Batch, ids: &Ids<'_>) -> Result<()> {
        if let Some(skipped) = self.history.as_mut().and_then(History::take_skipped) {
            batch.known = skipped;
            return Ok(());
        }
        let mut last = String::new();
        while batch.items.len() < BATCH_EVENTS && batch.bytes.len() < BATCH_BYTES {
            let mut window = self.window(batch, ids)?;
            if window.is_empty() {
                break;
            }
            let objects = match &mut self.objects {
                Some(objects) => objects,
                empty => empty.insert(Objects::start(&self.dir)?),
            };
            let oids: Vec<&str> = window.iter().map(|(entry, _)| entry.oid.as_str()).collect();
            objects.ask(&oids)?;
            // Every object asked for is read, so that a full batch is filled a little more.
            while let Some((entry, places)) = window.pop_front() {
                let Some(objects) = &mut self.objects else {
                    break;
                };
                let raw = objects.read(&entry.oid)?;
                self.add(&entry, places, &raw, batch, ids);
                last = entry.oid;
            }
        }
        batch.read = self.done;
        let position = Position {
            format: "git".to_owned(),
            version: 1,
            tip: self.tip.clone(),
            complete: self.done >= self.total,
            commit: last,
        };
        batch.position = serde_json::to_vec(&position)?;
        Ok(())
    }

    fn total(&self) -> u64 {
        self.total
    }
}

/// The name of the repository that a folder stands in: that of its top folder.
pub(crate) fn repository_name(dir: &Path) -> Result<Option<String>> {
    history::repository_name(dir)
}

fn failed(what: &str, detail: &str) -> anyhow::Error {
    let detail = detail.trim();
    let message = if detail.is_empty() {
        format!("git {what} failed")
    } else {
        format!("git {what} failed: {detail}")
    };
    Problem::new(Exit::Failed, "import.git", message).into()
}
