use crate::{Query, index::kind_key};

pub(in crate::follow) type Key = [u8; 16];

/// By what the events can be recognised that a query may take: every such event has one of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::follow) enum Interest {
    /// Events have no key in common, so that every group may hold one.
    Any,
    /// Streams, kinds or tags.
    Keys(Vec<Key>),
}

impl Interest {
    /// Of nothing at all.
    pub(in crate::follow) fn none() -> Self {
        Self::Keys(Vec::new())
    }

    pub(in crate::follow) fn of(query: &Query<'_>) -> Self {
        if query.until.is_some() {
            // That its end is reached may be told by an event that it doesn't take.
            return Self::Any;
        }
        let mut keys = Vec::new();
        for item in query.items() {
            if !item.streams.is_empty() {
                let streams = item.streams.iter();
                keys.extend(
                    streams.map(|(scope, entity)| factlog_format::coordinate_key(scope, entity)),
                );
            } else if let Some(key) = item.tag_keys().last() {
                // All of an item's tags are on the event, so that one suffices.
                keys.push(key);
            } else if !item.kinds.is_empty() {
                keys.extend(item.kinds.iter().map(|kind| kind_key(kind)));
            } else {
                return Self::Any;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Self::Keys(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alternative_without_keys_makes_every_event_of_interest() {
        let keys = |query: Query<'_>| match Interest::of(&query) {
            Interest::Any => None,
            Interest::Keys(keys) => Some(keys.len()),
        };
        assert_eq!(keys(Query::all()), None);
        assert_eq!(keys(Query::all().scope("bank")), None);
        assert_eq!(keys(Query::all().category("account")), None);
        assert_eq!(keys(Query::all().kind("a.b").or().scope("bank")), None);
        assert_eq!(keys(Query::all().kind("a.b").until(7)), None);
        assert_eq!(
            keys(Query::all().kind("a.b").kind("a.c").scope("bank")),
            Some(2)
        );
        assert_eq!(
            keys(Query::all().tag("x:1").tag("y:1").kind("a.b")),
            Some(1)
        );
        assert_eq!(
            keys(Query::stream("s", "e").or().tag("x:1").or().tag("x:1")),
            Some(2)
        );
    }
}
