use std::ops::Range;

use factlog_format::Ordering;

use super::{shared::Shared, view::View};
use crate::Error;

impl Shared {
    /// The first event of a range that was recorded at a time or later, or the range's end.
    pub(crate) fn first_recorded_from(
        &self,
        view: &View,
        range: Range<u64>,
        micros: i64,
    ) -> Result<u64, Error> {
        // Times never step back along the sequences.
        let Range { start, end } = range;
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.recorded_at(view, middle)? < micros {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// When an event was recorded, whatever is left of it.
    pub(crate) fn recorded_at(&self, view: &View, sequence: u64) -> Result<i64, Error> {
        let found = self.look(view, sequence, &mut Vec::new(), |_, body| {
            Ordering::peek(body)
        })?;
        let order = found.ok_or_else(|| self.index_is_wrong(sequence))?;
        Ok(order.recorded_at)
    }
}
