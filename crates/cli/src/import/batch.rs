//! What a source hands over at a time.

use std::ops::Range;

use anyhow::Result;
use factlog::{Encoding, NewEvent, Uuid};

use super::Ids;

/// A text of an event: a part of the batch's bytes, or one that all events share.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Span(Range<usize>),
    Shared,
    Own(String),
}

/// A payload section: a part of the batch's bytes.
#[derive(Clone, Debug)]
pub(crate) struct SectionSpan {
    pub(crate) name: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Range<usize>,
}

/// One event to be.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: Uuid,
    /// It can't be in the journal yet, so nobody needs to look.
    pub(crate) is_new: bool,
    pub(crate) entity: Text,
    pub(crate) kind: Text,
    pub(crate) actor: Option<Text>,
    pub(crate) tags: Vec<Text>,
    pub(crate) occurred_at: Option<i64>,
    pub(crate) causation: Option<Uuid>,
    pub(crate) section: SectionSpan,
    /// A second section, for what the source itself derived.
    pub(crate) extra: Option<SectionSpan>,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: u64,
    pub(crate) detail: String,
}

/// Events that are appended together, with the position after them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) items: Vec<Item>,
    /// For each item whether it was in the journal when the batch was filled; earlier batches may not
    /// have been appended by then.
    pub(crate) in_journal: Vec<bool>,
    pub(crate) bad: Vec<BadLine>,
    /// Events that the source itself found to be in the journal already.
    pub(crate) known: u64,
    /// What [`Source::resume`](super::Source::resume) is told if this batch is the last one kept.
    pub(crate) position: Vec<u8>,
    /// How much of the source was read by the end of this batch.
    pub(crate) read: u64,
}

impl Batch {
    /// Whether the source had nothing more to give.
    pub(crate) fn is_end(&self) -> bool {
        self.items.is_empty() && self.bad.is_empty() && self.known == 0
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.in_journal.clear();
        self.bad.clear();
        self.known = 0;
        self.position.clear();
    }

    /// Notes which items are in the journal already.
    pub(crate) fn look_up(&mut self, ids: &Ids<'_>) -> Result<()> {
        for item in &self.items {
            self.in_journal.push(!item.is_new && ids.knows(item.id)?);
        }
        Ok(())
    }

    /// The event of an item.
    pub(crate) fn event<'a>(&'a self, item: &'a Item, shared: &'a Shared) -> NewEvent<'a> {
        let entity = self.text(&item.entity, &shared.entity);
        let kind = self.text(&item.kind, &shared.kind);
        let mut event = NewEvent::new(shared.scope.as_str(), entity, kind).id(item.id);
        for section in std::iter::once(&item.section).chain(&item.extra) {
            let bytes = self.bytes.get(section.bytes.clone()).unwrap_or_default();
            event = event.section(section.name, section.encoding, bytes);
        }
        if let Some(actor) = &item.actor {
            event = event.actor(self.text(actor, ""));
        }
        for tag in &item.tags {
            event = event.tag(self.text(tag, ""));
        }
        if let Some(micros) = item.occurred_at {
            event = event.occurred_at(micros);
        }
        if let Some(id) = item.causation {
            event = event.causation(id);
        }
        event
    }

    fn text<'a>(&'a self, text: &'a Text, shared: &'a str) -> &'a str {
        match text {
            Text::Shared => shared,
            Text::Own(text) => text,
            // Sources make spans of what they have checked to be text.
            Text::Span(range) => self
                .bytes
                .get(range.clone())
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
        }
    }
}

/// What all events of an import have in common.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) scope: String,
    /// For items whose entity is [`Text::Shared`].
    pub(crate) entity: String,
    /// For items whose kind is [`Text::Shared`].
    pub(crate) kind: String,
}
