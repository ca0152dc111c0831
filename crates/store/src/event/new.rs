use std::borrow::Cow;

use factlog_format::{Encoding, TraceContext};
use serde::Serialize;
use uuid::Uuid;

use super::{Expect, Payload};
use crate::Misuse;

/// The name of the section that [`NewEvent::data`] fills; most events have no other.
pub const DATA_SECTION: &str = "data";

/// An event to be appended.
///
/// It borrows what it can, so that a batch of events costs no copy before it is encoded.
///
/// ```
/// use factlog::{Encoding, Expect, NewEvent};
///
/// let event = NewEvent::new("bank", "account-7", "account.deposited")
///     .data(Encoding::Json, br#"{"amount":5}"#)
///     .tag("branch:zurich")
///     .expect(Expect::NoStream);
/// ```
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    pub(crate) scope: Cow<'a, str>,
    pub(crate) entity: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) payload_version: u16,
    pub(crate) tags: Vec<Cow<'a, str>>,
    pub(crate) id: Option<Uuid>,
    pub(crate) occurred_at: Option<i64>,
    pub(crate) actor: Option<Cow<'a, str>>,
    pub(crate) correlation: Option<Uuid>,
    pub(crate) causation: Option<Uuid>,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) sections: Sections<'a>,
    pub(crate) expect: Expect,
}

/// A payload section to be appended.
#[derive(Clone, Debug)]
pub(crate) struct NewSection<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Whom or what it is about, where keys are by subject.
    pub(crate) subject: Option<Cow<'a, str>>,
}

/// The sections of an event: most have one, which so needs no memory of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sections<'a> {
    first: Option<NewSection<'a>>,
    more: Vec<NewSection<'a>>,
}

impl<'a> Sections<'a> {
    fn push(&mut self, section: NewSection<'a>) {
        match &self.first {
            None => self.first = Some(section),
            Some(_) => self.more.push(section),
        }
    }

    fn last_mut(&mut self) -> Option<&mut NewSection<'a>> {
        self.more.last_mut().or(self.first.as_mut())
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &NewSection<'a>> {
        self.first.iter().chain(&self.more)
    }
}

impl<'a> NewEvent<'a> {
    /// An event of `kind` about `entity` in `scope`: names of 1 to 255 bytes of UTF-8 without control
    /// characters, compared as bytes; the scope without `/` and not starting with `$`. They are
    /// checked at the append.
    #[must_use]
    pub fn new(
        scope: impl Into<Cow<'a, str>>,
        entity: impl Into<Cow<'a, str>>,
        kind: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            scope: scope.into(),
            entity: entity.into(),
            kind: kind.into(),
            payload_version: 1,
            tags: Vec::new(),
            id: None,
            occurred_at: None,
            actor: None,
            correlation: None,
            causation: None,
            trace: None,
            sections: Sections::default(),
            expect: Expect::Any,
        }
    }

    /// Adds the payload, as the section [`DATA_SECTION`]; at most 16 MiB with all other sections.
    #[must_use]
    pub fn data(self, encoding: Encoding, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        self.section(DATA_SECTION, encoding, bytes)
    }

    /// Adds a value as JSON, as the section [`DATA_SECTION`].
    ///
    /// # Errors
    /// [`Misuse::Payload`] for a value that wouldn't come out as it went in, such as a NaN.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Misuse> {
        Ok(self.payload(Payload::json(value)?))
    }

    /// Adds a payload, as the section [`DATA_SECTION`].
    #[must_use]
    pub fn payload(self, payload: Payload<'a>) -> Self {
        self.section(DATA_SECTION, payload.encoding, payload.bytes)
    }

    /// Adds a part of the payload that is erased and disclosed on its own; at most 16, with different
    /// names.
    #[must_use]
    pub fn section(
        mut self,
        name: impl Into<Cow<'a, str>>,
        encoding: Encoding,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        self.sections.push(NewSection {
            name: name.into(),
            encoding,
            bytes: bytes.into(),
            subject: None,
        });
        self
    }

    /// Says whom or what the section that was added last is about: in a journal that is encrypted by
    /// [subject](crate::KeyDomain::Subject), every section needs one, and its key is that subject's. The
    /// name is kept nowhere but, encrypted, in the keyset.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<Cow<'a, str>>) -> Self {
        if let Some(section) = self.sections.last_mut() {
            section.subject = Some(subject.into());
        }
        self
    }

    /// Adds a key by which the event can be found; at most 32. A tag given twice counts once.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Cow<'a, str>>) -> Self {
        let tag = tag.into();
        if let Err(place) = self
            .tags
            .binary_search_by(|other| other.as_bytes().cmp(tag.as_bytes()))
        {
            self.tags.insert(place, tag);
        }
        self
    }

    /// The event's id; a fresh UUIDv7 if none is given. An append with a known id and the same content
    /// is answered with the first event's receipt; with other content it is an error.
    #[must_use]
    pub fn id(self, id: Uuid) -> Self {
        Self {
            id: Some(id),
            ..self
        }
    }

    /// Version of the payload's shape; 1 if not given.
    #[must_use]
    pub fn payload_version(self, version: u16) -> Self {
        Self {
            payload_version: version,
            ..self
        }
    }

    /// When it happened, in microseconds since 1970-01-01 UTC; nothing is derived from it.
    #[must_use]
    pub fn occurred_at(self, micros: i64) -> Self {
        Self {
            occurred_at: Some(micros),
            ..self
        }
    }

    /// Who did it. It stays readable even where the payload is erased.
    #[must_use]
    pub fn actor(self, actor: impl Into<Cow<'a, str>>) -> Self {
        Self {
            actor: Some(actor.into()),
            ..self
        }
    }

    /// Groups events that belong to one piece of work.
    #[must_use]
    pub fn correlation(self, id: Uuid) -> Self {
        Self {
            correlation: Some(id),
            ..self
        }
    }

    /// The id of the event that caused this one.
    #[must_use]
    pub fn causation(self, id: Uuid) -> Self {
        Self {
            causation: Some(id),
            ..self
        }
    }

    /// Where in a distributed trace it was made.
    #[must_use]
    pub fn trace(self, trace: TraceContext) -> Self {
        Self {
            trace: Some(trace),
            ..self
        }
    }

    /// What the append expects of the stream; [`Expect::Any`] if not given.
    #[must_use]
    pub fn expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }
}
