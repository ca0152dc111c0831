use std::borrow::Cow;

use super::Expect;
use crate::Query;

/// What an append rests on besides the streams it writes to; see
/// [`Journal::append_if`](crate::Journal::append_if).
///
/// Conditions speak of the journal before the append: its own events don't count.
///
/// ```
/// use factlog::{Condition, Expect, Query};
///
/// // Nobody has taken the name, ever.
/// let free = Condition::nothing(Query::all().kind("user.registered").tag("name:ada"));
/// // Nothing of this course has come since the events up to 1,041 were read.
/// let unmoved = Condition::nothing(Query::all().tag("course:c1").from(1042));
/// // The tariff is still the one that the price was computed with.
/// let tariff = Condition::stream("tariff", "2026", Expect::Revision(3));
/// ```
#[derive(Clone, Debug)]
pub struct Condition<'a>(pub(crate) Rests<'a>);

#[derive(Clone, Debug)]
pub(crate) enum Rests<'a> {
    Nothing(Query<'a>),
    Stream {
        scope: Cow<'a, str>,
        entity: Cow<'a, str>,
        expect: Expect,
    },
}

impl<'a> Condition<'a> {
    /// There is no event that the query takes: none at all, or none from the sequence on that it names
    /// with [`from`](Query::from), as [`Events::end`](crate::Events::end) gives it. A query of streams,
    /// kinds and tags alone.
    #[must_use]
    pub fn nothing(query: Query<'a>) -> Self {
        Self(Rests::Nothing(query))
    }

    /// A stream is as expected, whether the append writes to it or not.
    #[must_use]
    pub fn stream(
        scope: impl Into<Cow<'a, str>>,
        entity: impl Into<Cow<'a, str>>,
        expect: Expect,
    ) -> Self {
        Self(Rests::Stream {
            scope: scope.into(),
            entity: entity.into(),
            expect,
        })
    }
}
