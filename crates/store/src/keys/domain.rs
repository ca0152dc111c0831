//! What one data key encrypts, by name.

use factlog_format::{FactsRef, KeyDomain, category_of};
use uuid::Uuid;

/// A domain, as an event or a caller names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Domain<'n> {
    Stream(&'n str, &'n str),
    Scope(&'n str),
    Category(&'n str),
    Kind(&'n str),
    Event([u8; 16]),
    Subject(&'n str),
}

impl<'n> Domain<'n> {
    /// The domain of a sort that an event is in, as far as its facts tell.
    pub(crate) fn of(sort: KeyDomain, facts: &FactsRef<'n>) -> Option<Self> {
        Some(match sort {
            KeyDomain::Stream => Self::Stream(facts.scope, facts.entity),
            KeyDomain::Scope => Self::Scope(facts.scope),
            KeyDomain::Category => Self::Category(category_of(facts.kind)),
            KeyDomain::Kind => Self::Kind(facts.kind),
            KeyDomain::Event => Self::Event(facts.event_id),
            _ => return None,
        })
    }

    /// Its sort.
    pub(crate) fn sort(self) -> KeyDomain {
        match self {
            Self::Stream(..) => KeyDomain::Stream,
            Self::Scope(_) => KeyDomain::Scope,
            Self::Category(_) => KeyDomain::Category,
            Self::Kind(_) => KeyDomain::Kind,
            Self::Event(_) => KeyDomain::Event,
            Self::Subject(_) => KeyDomain::Subject,
        }
    }

    /// Its canonical name: its sort, and its parts with their lengths.
    pub(crate) fn name(self) -> Vec<u8> {
        let parts: [Option<&[u8]>; 2] = match &self {
            Self::Stream(scope, entity) => [Some(scope.as_bytes()), Some(entity.as_bytes())],
            Self::Scope(name) | Self::Category(name) | Self::Kind(name) | Self::Subject(name) => {
                [Some(name.as_bytes()), None]
            }
            Self::Event(id) => [Some(id), None],
        };
        let mut name = vec![self.sort().code()];
        for part in parts.into_iter().flatten() {
            name.extend_from_slice(&(part.len() as u32).to_le_bytes());
            name.extend_from_slice(part);
        }
        name
    }

    /// The events of it, where events tell.
    #[cfg(feature = "encryption")]
    pub(super) fn query(self) -> Option<crate::Query<'static>> {
        use crate::Query;

        let query = match self {
            Self::Stream(scope, entity) => Query::stream(scope, entity),
            Self::Scope(scope) => Query::all().scope(scope),
            Self::Category(category) => Query::all().category(category),
            Self::Kind(kind) => Query::all().kind(kind),
            Self::Event(_) | Self::Subject(_) => return None,
        };
        Some(query.into_owned())
    }
}

/// What is to be shredded or held; in an encrypted journal domains of the sort that its keys are of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// The stream of an entity in a scope.
    Stream {
        /// The scope.
        scope: String,
        /// The entity.
        entity: String,
    },
    /// All that is in a scope.
    Scope(String),
    /// All of a category.
    Category(String),
    /// All of a kind.
    Kind(String),
    /// A single event, by its id.
    Event(Uuid),
    /// All that is about a subject.
    Subject(String),
}

impl Selector {
    pub(crate) fn domain(&self) -> Domain<'_> {
        match self {
            Self::Stream { scope, entity } => Domain::Stream(scope, entity),
            Self::Scope(name) => Domain::Scope(name),
            Self::Category(name) => Domain::Category(name),
            Self::Kind(name) => Domain::Kind(name),
            Self::Event(id) => Domain::Event(id.into_bytes()),
            Self::Subject(name) => Domain::Subject(name),
        }
    }
}

/// A domain's name as people read it.
#[cfg(feature = "encryption")]
pub(super) fn shown(name: &[u8]) -> String {
    let mut rest = name.get(1..).unwrap_or_default();
    let mut parts = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some((part, after)) = after.split_at_checked(len) else {
            break;
        };
        parts.push(match str::from_utf8(part) {
            Ok(part) if name.first() != Some(&KeyDomain::Event.code()) => part.to_owned(),
            _ => part.try_into().map_or_else(
                |_| data_encoding::HEXLOWER.encode(part),
                |id| uuid::Uuid::from_bytes(id).to_string(),
            ),
        });
        rest = after;
    }
    parts.join("/")
}
