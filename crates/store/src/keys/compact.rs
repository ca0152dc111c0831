//! Keeping the log of keys no longer than what is in it.

use factlog_keys::{Image, LogRecord, Mark, seal_record};

use super::{
    Keys,
    keyset::{Loaded, Open},
    log::damage,
};
use crate::{
    Error,
    config::{Bug, planted},
};

/// A log is not written anew for fewer keys than this that something else took the place of; in the tests of
/// this crate it is after a few, so that each of the steps can be crashed.
const WORTH: u64 = if cfg!(test) { 2 } else { 4096 };
/// How many bytes are written at once.
const PIECE: usize = 1 << 20;

impl Loaded {
    /// Whether most of the log is what something else took the place of.
    pub(super) fn is_mostly_gone(&self) -> bool {
        let live = self.index.live_count();
        self.index.written > live.saturating_mul(2).saturating_add(WORTH)
    }

    /// All that is left of a bucket, as it is wrapped.
    fn whole(&self, bucket: u32) -> Result<LogRecord, Error> {
        let mut image = Image {
            bucket,
            ..Image::default()
        };
        for number in self.index.of_bucket(bucket) {
            image.keys.extend(self.entry(number)?);
        }
        let tombstones = self.index.tombstones_of(bucket);
        image.tombstones.extend(tombstones.copied());
        Ok(LogRecord::Image(image))
    }
}

impl Keys {
    /// Writes all live keys into a file of their own, as they are wrapped, and lets that take the place of the
    /// log. Nothing may be pending.
    pub(super) fn compact(&self, open: &mut Open) -> Result<(), Error> {
        let (fs, layout) = (self.fs.as_ref(), &self.layout);
        let Some(loaded) = &mut open.loaded else {
            return Ok(());
        };
        let mut head = open.head.clone();
        let mut moved: Vec<(u32, Mark)> = Vec::new();
        let mut new = loaded.log.start_over(fs, layout, &self.journal)?;
        let mut bytes = Vec::new();
        let mut start = new.end();
        for (bucket, row) in (0..).zip(&mut head.buckets) {
            let record = loaded.whole(bucket)?;
            let at = seal_record(&self.journal, &record, start.at, &mut bytes)
                .map_err(|error| damage(error, &layout.keys()))?;
            let at = start.at + at as u64;
            row.image = Mark { at, ..start };
            moved.extend(record.key_places().map(|(key, inside)| {
                let at = at + inside as u64;
                (key.number, Mark { at, ..start })
            }));
            if bytes.len() > PIECE {
                new.write(&bytes)?;
                bytes.clear();
                start = new.end();
            }
        }
        new.write(&bytes)?;
        new.sync(fs, layout)?;
        head.mark = new.end();
        head.generation = head.generation.saturating_add(1);
        if planted(Bug::OldLogRemovedFirst) {
            loaded.log.take_over(fs, layout, new);
            return self.write_head(&head, &open.root);
        }
        self.write_head(&head, &open.root)?;
        loaded.log.take_over(fs, layout, new);
        loaded.index.written = 0;
        for (number, place) in moved {
            loaded.index.written += 1;
            loaded.index.set_place(number, place);
        }
        open.head = head;
        Ok(())
    }
}
