//! Through the index, from event to event.

use factlog_format::{Ordering, StreamId};

use super::{
    Query,
    scan::examine,
    shared::{Located, Shared},
};
use crate::{Error, index::Postings, read::view::View};

/// The sequences of several keys in one order, each once.
#[derive(Debug)]
pub(super) struct Merged {
    sources: Vec<(Option<u64>, Postings)>,
    reverse: bool,
    begun: bool,
    /// The one stream that all of them are of, where nothing else is asked for.
    pub(super) stream: Option<StreamId>,
}

impl Merged {
    pub(super) fn new(postings: Vec<Postings>, reverse: bool) -> Self {
        Self {
            sources: postings.into_iter().map(|one| (None, one)).collect(),
            reverse,
            begun: false,
            stream: None,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<u64>, Error> {
        if let [(_, only)] = self.sources.as_mut_slice() {
            return only.next().transpose();
        }
        if !self.begun {
            self.begun = true;
            for (head, postings) in &mut self.sources {
                *head = postings.next().transpose()?;
            }
        }
        let heads = self.sources.iter().filter_map(|(head, _)| *head);
        let next = if self.reverse {
            heads.max()
        } else {
            heads.min()
        };
        if next.is_some() {
            for (head, postings) in &mut self.sources {
                // A key can have one event twice.
                while *head == next {
                    *head = postings.next().transpose()?;
                }
            }
        }
        Ok(next)
    }

    /// The next event that the index leads to and the query takes, where it stands.
    pub(super) fn next_located(
        &mut self,
        shared: &Shared,
        view: &View,
        query: &Query<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<(Located, Ordering)>, Error> {
        while let Some(sequence) = self.next()? {
            let wrong = || Error::from(shared.index_is_wrong(sequence));
            let located = shared.locate(view, sequence, buffer)?.ok_or_else(wrong)?;
            let body = located.body(view, buffer);
            let examined = match self.stream {
                // Cheaper than a look at the facts, and says as much.
                Some(_) => {
                    Ordering::peek(body).map(|order| (order, query.takes_time(order.recorded_at)))
                }
                None => examine(query, located.kind, body, |_| ()),
            };
            let (order, takes) = examined.map_err(|error| shared.corrupt(view, sequence, error))?;
            if self.stream.is_some_and(|stream| order.stream != stream) {
                return Err(wrong());
            }
            if takes {
                return Ok(Some((located, order)));
            }
        }
        Ok(None)
    }
}
