use std::sync::Arc;

use factlog_format::StreamId;

use super::shared::Shared;
use crate::{
    Error, Event,
    index::{Keys, Table},
    read::view::View,
};

/// One stream of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// The stream.
    pub stream_id: StreamId,
    /// Scope and entity; `None` if an erasure took every event that carried them.
    pub coordinate: Option<(String, String)>,
    /// How many events it has, stubs included.
    pub events: u64,
    /// Sequence of its last event.
    pub last_sequence: u64,
    /// When that was recorded, in microseconds since 1970-01-01 UTC.
    pub last_recorded_at: i64,
}

/// Every stream of a journal, in the order of stream ids; holds no more than a buffer.
#[derive(Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    view: Arc<View>,
    keys: Option<Keys>,
    failed: bool,
}

impl Streams {
    pub(super) fn new(shared: Arc<Shared>, view: Arc<View>) -> Self {
        Self {
            shared,
            view,
            keys: None,
            failed: false,
        }
    }

    fn step(&mut self) -> Result<Option<StreamInfo>, Error> {
        let keys = match &mut self.keys {
            Some(keys) => keys,
            None => self
                .keys
                .insert(self.shared.keys(&self.view, Table::Stream)?),
        };
        let Some((stream_id, last, count)) = keys.next().transpose()? else {
            return Ok(None);
        };
        let Some(event) = self.shared.get(&self.view, last)? else {
            return Err(self.shared.index_is_wrong(last).into());
        };
        if event.stream_id() != stream_id {
            return Err(self.shared.index_is_wrong(last).into());
        }
        let last_recorded_at = event.recorded_at();
        Ok(Some(StreamInfo {
            stream_id,
            coordinate: self.coordinate(event)?,
            events: count,
            last_sequence: last,
            last_recorded_at,
        }))
    }

    /// Scope and entity of the stream that ends with an event: of the last one that still tells.
    fn coordinate(&self, mut event: Event) -> Result<Option<(String, String)>, Error> {
        loop {
            if let Some(facts) = event.facts() {
                return Ok(Some((facts.scope.to_owned(), facts.entity.to_owned())));
            }
            let before = event.previous_sequence();
            let Some(before) = before.filter(|before| *before < event.sequence()) else {
                return Ok(None);
            };
            let found = self.shared.get(&self.view, before)?;
            event = found.ok_or_else(|| self.shared.index_is_wrong(before))?;
        }
    }
}

impl Iterator for Streams {
    type Item = Result<StreamInfo, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step().transpose();
        self.failed = !matches!(step, Some(Ok(_)));
        step
    }
}
