use std::{path::Path, sync::Arc};

use factlog_format::{Digest, JournalId, StreamId, coordinate_key};
use factlog_fs::FileKind;
use factlog_proof::VerifierKey;
use uuid::Uuid;

use super::{Events, Query, Shared, Streams};
use crate::{Damage, Error, Event, index::Table, signer::LogKey};

/// Reads a journal: sees what is durable, never waits for the writer.
///
/// Cheap to clone; clones may be used by other threads.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
}

/// The last event of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream.
    pub stream_id: StreamId,
    /// Revision of its last event.
    pub revision: u64,
    /// Sequence of its last event.
    pub sequence: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub recorded_at: i64,
    /// Its event hash.
    pub hash: Digest,
}

/// How large a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// How many events there are, sequence 0 and other `$journal` events included.
    pub events: u64,
    /// How many streams there are, `$journal/journal` included.
    pub streams: u64,
    /// How many segments there are.
    pub segments: u64,
    /// What is on disk.
    pub bytes: StorageBytes,
    /// When sequence 0 was recorded, in microseconds since 1970-01-01 UTC.
    pub first_recorded_at: i64,
    /// When the last event was recorded.
    pub last_recorded_at: i64,
    /// Sequence of the last event that a stored signature covers.
    pub signed_through: Option<u64>,
}

/// Bytes on disk, by what holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageBytes {
    /// Segments.
    pub segments: u64,
    /// Derived offsets, index and tree.
    pub derived: u64,
    /// Everything else.
    pub other: u64,
}

impl Reader {
    /// The journal's id.
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.shared.identity.journal
    }

    /// The journal's public name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.identity.origin
    }

    /// When the journal was made, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.shared.identity.created
    }

    /// The key that signs now, as the journal itself names it; `None` if it isn't signed. A signature by
    /// it proves no more than that the journal is self-signed: compare it with one that you got
    /// elsewhere.
    #[must_use]
    pub fn verifier_key(&self) -> Option<VerifierKey> {
        self.shared.keys.load().live().cloned()
    }

    /// All keys that the journal has had, the oldest first; none if it isn't signed.
    #[must_use]
    pub fn keys(&self) -> Vec<LogKey> {
        self.shared.keys.load().keys().to_vec()
    }

    /// The journal's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.layout.dir
    }

    /// How many events are durable, sequence 0 included; and those that are
    /// [unproven](Self::unproven_from).
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a journal always has sequence 0"
    )]
    pub fn len(&self) -> u64 {
        self.shared.view.load().durable
    }

    /// What the open had to work around: a MANIFEST or `JOURNAL` that is missing or damaged, and what is
    /// missing of the segments then. Mostly empty; what stands in the segments is found by reading it,
    /// or by [`verify`](crate::verify).
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.shared.damage
    }

    /// From which sequence on events are shown that are whole but that nothing calls durable: a crash
    /// came before they were acknowledged, and an open for writing makes them durable. `None` where
    /// there are none, and where a writer may be at work.
    #[must_use]
    pub fn unproven_from(&self) -> Option<u64> {
        self.shared.view.load().unproven_from
    }

    /// The event of a sequence; `None` past the end.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Damaged`] if the event isn't what was written.
    pub fn get(&self, sequence: u64) -> Result<Option<Event>, Error> {
        let view = self.shared.view.load();
        let event = self.shared.get(&view, sequence)?;
        Ok(event.map(|event| self.shared.opened(&view, event)))
    }

    /// The event with an id; `None` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get), and for a damaged index.
    pub fn get_by_id(&self, id: Uuid) -> Result<Option<Event>, Error> {
        let view = self.shared.view.load_full();
        let event = self.shared.event_of_id(&view, id)?;
        Ok(event.map(|event| self.shared.opened(&view, event)))
    }

    /// Whether there is an event with an id.
    ///
    /// # Errors
    /// As [`get_by_id`](Self::get_by_id).
    pub fn contains_id(&self, id: Uuid) -> Result<bool, Error> {
        let view = self.shared.view.load_full();
        Ok(self.shared.sequence_of_id(&view, id)?.is_some())
    }

    /// The events that a query asks for, as they are durable now. Holds no more than a buffer.
    #[must_use]
    pub fn read(&self, query: Query<'_>) -> Events {
        Events::new(
            Arc::clone(&self.shared),
            self.shared.view.load_full(),
            query.into_owned(),
        )
    }

    /// The last event of a stream; `None` if there is no such stream.
    ///
    /// # Errors
    /// As [`get_by_id`](Self::get_by_id).
    pub fn stream_head(&self, scope: &str, entity: &str) -> Result<Option<StreamHead>, Error> {
        let view = self.shared.view.load_full();
        let head = self.shared.head(&view, &coordinate_key(scope, entity))?;
        Ok(head.map(|head| StreamHead {
            stream_id: head.stream,
            revision: head.revision,
            sequence: head.sequence,
            recorded_at: head.recorded_at,
            hash: head.hash,
        }))
    }

    /// Every stream, in the order of stream ids.
    #[must_use]
    pub fn streams(&self) -> Streams {
        Streams::new(Arc::clone(&self.shared), self.shared.view.load_full())
    }

    /// Looks for events that another process made durable since. Returns whether there are any. Does
    /// nothing where this process is the writer.
    ///
    /// # Errors
    /// As [`Journal::open_read_only`](crate::Journal::open_read_only).
    pub fn refresh(&self) -> Result<bool, Error> {
        match &self.shared.follower {
            Some(follower) => follower.refresh(&self.shared),
            None => Ok(false),
        }
    }

    /// How large the journal is; reads the index and lists the directory.
    ///
    /// # Errors
    /// As [`get_by_id`](Self::get_by_id).
    pub fn stats(&self) -> Result<Stats, Error> {
        let view = self.shared.view.load_full();
        let recorded = |sequence| -> Result<i64, Error> {
            Ok(self
                .shared
                .get(&view, sequence)?
                .map_or(0, |event| event.recorded_at()))
        };
        let mut streams = 0;
        for stream in self.shared.keys(&view, Table::Stream)? {
            stream?;
            streams += 1;
        }
        Ok(Stats {
            events: view.durable,
            streams,
            segments: view.segments.len() as u64,
            bytes: self.shared.bytes_on_disk()?,
            first_recorded_at: recorded(0)?,
            last_recorded_at: recorded(view.durable.saturating_sub(1))?,
            signed_through: view
                .signed
                .as_ref()
                .map(|signed| signed.claimed().size() - 1),
        })
    }
}

impl Shared {
    fn bytes_on_disk(&self) -> Result<StorageBytes, Error> {
        let mut bytes = StorageBytes::default();
        let mut dirs = vec![self.layout.dir.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in self.fs.list(&dir).map_err(Error::io("list", &dir))? {
                let path = dir.join(&entry.name);
                if entry.kind == FileKind::Dir {
                    dirs.push(path);
                    continue;
                }
                // A file may vanish between listing and measuring.
                let found = self
                    .fs
                    .metadata(&path)
                    .map_err(Error::io("measure", &path))?;
                let len = found.map_or(0, |metadata| metadata.len);
                let is_in = |folder: &Path| path.starts_with(folder);
                if path.extension().is_some_and(|extension| extension == "seg") {
                    bytes.segments += len;
                } else if [
                    self.layout.segments(),
                    self.layout.index(),
                    self.layout.tree(),
                ]
                .iter()
                .any(|folder| is_in(folder))
                {
                    bytes.derived += len;
                } else {
                    bytes.other += len;
                }
            }
        }
        Ok(bytes)
    }
}
