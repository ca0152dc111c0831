use factlog_format::{Encoding, FoundSection, FrameType};

use super::{Value, value};
use crate::{
    DATA_SECTION, Error, Event, EventRef, Misuse, NewEvent, Payload, Sealed, SealedCause,
    event::Opened,
};

/// A Rust type that stands for one or more kinds of events; made by `#[derive(Event)]`, see the
/// [module](super).
pub trait TypedEvent: Sized {
    /// The kinds: one for a struct, one for each variant of an enum.
    const TYPES: &'static [EventType];

    /// Which of [`TYPES`](Self::TYPES) this value is.
    fn number(&self) -> usize;

    /// The tags that its fields make.
    fn tags(&self) -> Vec<String>;

    /// The payload.
    ///
    /// # Errors
    /// [`Misuse::Payload`] for a value that wouldn't come out as it went in.
    fn encode(&self, encoding: Encoding) -> Result<Payload<'static>, Misuse>;

    /// The value of a payload of the current version; `number` says which of [`TYPES`](Self::TYPES) it is.
    ///
    /// # Errors
    /// [`Misuse::PayloadType`] if the bytes are no such value.
    fn decode(number: usize, payload: &Payload<'_>) -> Result<Self, Misuse>;

    /// Kind and version of this value.
    fn event_type(&self) -> &'static EventType {
        // A number out of range is one of a hand-made implementation.
        Self::TYPES.get(self.number()).unwrap_or(&NOTHING)
    }

    /// Reads a stored event, through upcasts if it is of an earlier version.
    ///
    /// # Errors
    /// [`Misuse::PayloadType`] if the payload is no such value, [`Misuse::Upcast`] if a step fails.
    fn read(event: &Event) -> Result<Typed<Self>, Misuse> {
        let Some(found) = event.find_data() else {
            return Ok(Typed::Erased);
        };
        match read_found(&found, event.opened())? {
            Typed::Erased if event.is_without_payload() => Err(Misuse::PayloadType {
                wanted: std::any::type_name::<Self>(),
                detail: "the event was read without its payload".to_owned(),
            }),
            read => Ok(read),
        }
    }

    /// As [`read`](Self::read), of an event where it stands: the payload is not copied, and of the facts
    /// only kind and version are looked at.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::Damaged`] for facts that nobody could have appended.
    fn read_ref(event: &EventRef<'_>) -> Result<Typed<Self>, Error> {
        if event.kind == FrameType::FullStub {
            return Ok(Typed::Erased);
        }
        Ok(read_found(&event.find_data()?, event.opened)?)
    }
}

fn read_found<E: TypedEvent>(
    found: &FoundSection<'_>,
    opened: &[Opened],
) -> Result<Typed<E>, Misuse> {
    let mut types = E::TYPES.iter().enumerate();
    let is_it = |one: &EventType| one.kind.as_bytes() == found.kind;
    let Some((number, of)) = types.find(|(_, one)| is_it(one)) else {
        return Ok(Typed::UnknownKind);
    };
    let (found, version) = (found.section, found.payload_version);
    if version == 0 || version > of.version {
        let known = of.version;
        return Ok(Typed::UnknownVersion {
            found: version,
            known,
        });
    }
    let Some((index, (row, content))) = found else {
        return Err(Misuse::PayloadType {
            wanted: of.rust_type,
            detail: format!("the event has no section {DATA_SECTION:?}"),
        });
    };
    let Some((_, stored)) = content else {
        return Ok(Typed::Erased);
    };
    let bytes = match (row.sealed, opened.get(index)) {
        (None, _) => stored,
        (Some(_), Some(Some(Ok(plain)))) => plain,
        (Some(_), Some(Some(Err(Sealed::Shredded { intent })))) => {
            return Ok(Typed::Shredded { intent: *intent });
        }
        (Some(_), Some(Some(Err(why)))) => return Err(Misuse::Locked(SealedCause(why.clone()))),
        (Some(_), _) => return Err(Misuse::Locked(SealedCause(Sealed::Locked))),
    };
    let payload = Payload {
        encoding: row.encoding,
        bytes: bytes.into(),
    };
    if version == of.version {
        return E::decode(number, &payload).map(Typed::Known);
    }
    E::decode(number, &of.upcast(version, &payload)?).map(Typed::Known)
}

const NOTHING: EventType = EventType {
    kind: "",
    version: 0,
    rust_type: "",
    upcasts: &[],
};

/// What reading a stored event as a type came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Typed<E> {
    /// The value.
    Known(E),
    /// The event's kind isn't one of the type's.
    UnknownKind,
    /// The payload is of a version that this program doesn't know: a newer program wrote it.
    UnknownVersion {
        /// The event's version.
        found: u16,
        /// The newest version that the type knows.
        known: u16,
    },
    /// An erasure took the payload, or all of the event but its place.
    Erased,
    /// The payload's key was destroyed, as the event of this sequence demanded.
    Shredded {
        /// Sequence of the `shred.intended` event.
        intent: u64,
    },
}

impl<E> Typed<E> {
    /// The value, if there is one.
    pub fn known(self) -> Option<E> {
        match self {
            Self::Known(event) => Some(event),
            _ => None,
        }
    }
}

/// One kind of events, and how payloads of its earlier versions are read.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// The kind.
    pub kind: &'static str,
    /// The current version of the payload's shape, from 1.
    pub version: u16,
    /// The Rust type, and the variant if it is an enum, for people.
    pub rust_type: &'static str,
    /// The steps from version 1 on, in order.
    pub upcasts: &'static [Upcast],
}

/// A step from one version of a payload to the next.
#[derive(Clone, Copy, Debug)]
pub struct Upcast {
    /// The version that it takes.
    pub from: u16,
    /// Makes a payload of the next version; the error is a sentence.
    pub step: fn(Value) -> Result<Value, String>,
}

inventory::collect!(EventType);

impl EventType {
    /// A payload of version `found` as one of the current version, in the same encoding.
    fn upcast(&self, found: u16, payload: &Payload<'_>) -> Result<Payload<'static>, Misuse> {
        let failed = |from: u16, detail: String| Misuse::Upcast {
            kind: self.kind,
            from,
            detail,
        };
        let mut value = value::carried(payload).map_err(|detail| failed(found, detail))?;
        for from in found..self.version {
            let step = self.upcasts.iter().find(|step| step.from == from);
            let step = step.ok_or_else(|| failed(from, "there is no such step".to_owned()))?;
            value = (step.step)(value).map_err(|detail| failed(from, detail))?;
        }
        Payload::encoded(payload.encoding, &value)
    }
}

/// What the derive calls where no type has the number; a value never gives such a number.
#[doc(hidden)]
pub fn no_such_type<E>() -> Result<E, Misuse> {
    Err(Misuse::PayloadType {
        wanted: std::any::type_name::<E>(),
        detail: "it has no kind of this number".to_owned(),
    })
}

impl<'a> NewEvent<'a> {
    /// A typed event about `entity` in `scope`, with kind, version, payload and tags as its type says.
    ///
    /// # Errors
    /// [`Misuse::Payload`] for a value that wouldn't come out as it went in.
    pub fn typed<E: TypedEvent>(
        scope: impl Into<std::borrow::Cow<'a, str>>,
        entity: impl Into<std::borrow::Cow<'a, str>>,
        encoding: Encoding,
        event: &E,
    ) -> Result<Self, Misuse> {
        let of = event.event_type();
        let new = Self::new(scope, entity, of.kind)
            .payload_version(of.version)
            .payload(event.encode(encoding)?);
        Ok(event.tags().into_iter().fold(new, Self::tag))
    }
}

impl crate::Journal {
    /// A typed event to be appended, its payload in the journal's
    /// [encoding](crate::Options::payload_encoding).
    ///
    /// # Errors
    /// [`Misuse::Payload`] for a value that wouldn't come out as it went in.
    pub fn event<'a, E: TypedEvent>(
        &self,
        scope: impl Into<std::borrow::Cow<'a, str>>,
        entity: impl Into<std::borrow::Cow<'a, str>>,
        event: &E,
    ) -> Result<NewEvent<'a>, Error> {
        Ok(NewEvent::typed(scope, entity, self.encoding(), event)?)
    }
}

impl<'a> crate::Query<'a> {
    /// Only events of the kinds of this type, or of others that this alternative names.
    #[must_use]
    pub fn kinds_of<E: TypedEvent>(self) -> Self {
        E::TYPES.iter().fold(self, |query, of| query.kind(of.kind))
    }
}
