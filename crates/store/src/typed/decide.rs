use std::{fmt, marker::PhantomData};

use super::{Snapshot, Snapshots, Typed, TypedEvent};
use crate::{
    BatchReceipt, Condition, Conflict, Error, Event, Expect, Journal, Misuse, NewEvent, Query, Uuid,
};

/// How often a decision is made anew before it gives up, if nothing else is said.
const ATTEMPTS: u32 = 16;

/// A state that is made of events, and decides which events a command leads to.
///
/// It knows nothing of journals, so that it can be tested by itself; see [`testing`](crate::testing).
pub trait Decider: Default {
    /// The scope of the streams that its events are appended to.
    const SCOPE: &'static str;
    /// The version of the state's shape: one that is raised makes every older [`Snapshot`] stale.
    const SNAPSHOT: u16 = 1;

    /// The events that it is made of, and that it decides on.
    type Event: TypedEvent;
    /// What it is asked to do.
    type Command;
    /// Why it doesn't.
    type Refusal;

    /// Takes in an event.
    fn evolve(&mut self, event: Self::Event);

    /// The events that a command leads to: none if there is nothing to do. Called again with a newer state
    /// where somebody else was faster.
    ///
    /// # Errors
    /// Why the command is refused; nothing is appended then.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Whether an event that can't be read as [`Event`](Self::Event) may be passed over: of a kind or
    /// version that isn't known, or erased. Unless it may, nothing is decided: a state that lacks an event
    /// is a wrong one.
    fn passes_over(_event: &Event) -> bool {
        false
    }
}

/// A decision to be made; from [`Journal::stream`] or [`Journal::boundary`].
pub struct Decision<'d, D: Decider> {
    journal: &'d Journal,
    entity: String,
    /// What the decision rests on, if not on the stream.
    boundary: Option<Query<'static>>,
    attempts: u32,
    key: Option<Vec<u8>>,
    snapshots: Option<&'d Snapshots<D>>,
    dress: Box<dyn Fn(NewEvent<'static>) -> NewEvent<'static> + 'd>,
    decider: PhantomData<fn() -> D>,
}

/// A state, and how far it goes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded<D> {
    /// The state.
    pub state: D,
    /// Revision of the last event of its stream; `None` if there is no stream yet, and for a boundary.
    pub revision: Option<u64>,
    /// Where the journal ended when it was loaded.
    pub end: u64,
}

/// What a decision came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decided<D> {
    /// The state with the events that were appended.
    pub state: D,
    /// The receipts of these events; `None` if there was nothing to do.
    pub receipts: Option<BatchReceipt>,
}

/// Why a decision was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum DecideError<R> {
    /// The decider refused the command.
    Refused(R),
    /// Others were faster each time; nothing was appended.
    Contended {
        /// How often it was decided.
        attempts: u32,
    },
    /// The journal couldn't be read, or refused the append.
    Journal(Error),
}

impl<R: fmt::Display> fmt::Display for DecideError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the command is refused: {why}"),
            Self::Contended { attempts } => {
                write!(
                    f,
                    "others were faster each of {attempts} times; try again later"
                )
            }
            Self::Journal(error) => error.fmt(f),
        }
    }
}

impl<R: fmt::Display + fmt::Debug> std::error::Error for DecideError<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Journal(error) => error.source(),
            _ => None,
        }
    }
}

impl<R> From<Error> for DecideError<R> {
    fn from(error: Error) -> Self {
        Self::Journal(error)
    }
}

impl Journal {
    /// Decides on one stream: that of `entity` in the decider's scope. Events are appended only if
    /// nothing was appended to the stream since it was read.
    #[must_use]
    pub fn stream<D: Decider>(&self, entity: impl Into<String>) -> Decision<'_, D> {
        Decision {
            journal: self,
            entity: entity.into(),
            boundary: None,
            attempts: ATTEMPTS,
            key: None,
            snapshots: None,
            dress: Box::new(|event| event),
            decider: PhantomData,
        }
    }

    /// Decides on all events that a query of streams, kinds and tags takes, wherever they stand. Events
    /// are appended to the stream of `entity`, and only if nothing that the query takes was appended since
    /// it was read. An alternative without kinds asks for those of the decider's events.
    #[must_use]
    pub fn boundary<D: Decider>(
        &self,
        entity: impl Into<String>,
        query: Query<'_>,
    ) -> Decision<'_, D> {
        let mut query = query.into_owned();
        for item in query.items_mut().filter(|item| item.kinds.is_empty()) {
            let kinds = D::Event::TYPES.iter().map(|of| of.kind.into());
            item.kinds.extend(kinds);
        }
        Decision {
            boundary: Some(query),
            ..self.stream(entity)
        }
    }
}

impl<'d, D: Decider> Decision<'d, D> {
    /// How often it is decided anew where somebody else was faster; 16 times if nothing is said.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Makes the decision once: if one with this key was made before on this entity, its command is
    /// decided again on the state of that time and answered with the receipts of that time. A command that
    /// leads to other events then is [`Conflict::IdReused`] or
    /// [`Conflict::PartialRepeat`].
    #[must_use]
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        Self {
            key: Some(key.as_ref().to_owned()),
            ..self
        }
    }

    /// Begins with the snapshot kept of this stream, and keeps one of what it comes to.
    #[must_use]
    pub fn snapshots(self, snapshots: &'d Snapshots<D>) -> Self {
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    /// Adds to each event what the decider doesn't know: who did it, what caused it.
    #[must_use]
    pub fn each(self, dress: impl Fn(NewEvent<'static>) -> NewEvent<'static> + 'd) -> Self {
        Self {
            dress: Box::new(dress),
            ..self
        }
    }

    /// The state as it is now.
    ///
    /// # Errors
    /// [`Misuse::Unreadable`] for an event that can't be read and may not be passed over, or what reading
    /// comes to.
    pub fn load(&self) -> Result<Loaded<D>, Error>
    where
        D: Clone,
    {
        match self.snapshots.filter(|_| self.boundary.is_none()) {
            None => self.load_until(None),
            Some(snapshots) => self.load_from(snapshots),
        }
    }

    /// Decides, appends what was decided, and does so again where somebody else was faster.
    ///
    /// # Errors
    /// [`DecideError::Refused`] and [`DecideError::Contended`]: nothing was appended.
    /// [`DecideError::Journal`]: as [`load`](Self::load) and [`Journal::append_if`].
    pub fn decide(&self, command: D::Command) -> Result<Decided<D>, DecideError<D::Refusal>>
    where
        D: Clone,
    {
        for _ in 0..self.attempts {
            let before = self.made_before()?;
            let mut loaded = match before {
                None => self.load()?,
                at => self.load_until(at)?,
            };
            let events = loaded.state.decide(&command);
            let events = events.map_err(DecideError::Refused)?;
            if before.is_some() {
                self.refuse_fewer(events.len())?;
            }
            if events.is_empty() {
                let state = loaded.state;
                let receipts = None;
                return Ok(Decided { state, receipts });
            }
            match self.append(&loaded, &events) {
                // Somebody else made it under this key meanwhile; whether it is the same is seen next time.
                Ok(receipts) if receipts.already() && before.is_none() => {}
                Ok(receipts) => {
                    for event in events {
                        loaded.state.evolve(event);
                    }
                    self.keep(&loaded.state, &receipts);
                    return Ok(Decided {
                        state: loaded.state,
                        receipts: Some(receipts),
                    });
                }
                Err(Error::Conflict(_)) if before.is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        let attempts = self.attempts;
        Err(DecideError::Contended { attempts })
    }

    fn append(&self, loaded: &Loaded<D>, events: &[D::Event]) -> Result<BatchReceipt, Error> {
        let mut batch = Vec::with_capacity(events.len());
        for (number, event) in events.iter().enumerate() {
            let entity = self.entity.clone();
            let mut new = (self.dress)(self.journal.event(D::SCOPE, entity, event)?);
            if let Some(key) = &self.key {
                new = new.id(self.id(key, number)?);
            }
            if number == 0 && self.boundary.is_none() {
                new = new.expect(loaded.revision.map_or(Expect::NoStream, Expect::Revision));
            }
            batch.push(new);
        }
        match &self.boundary {
            None => self.journal.append_batch(&batch),
            Some(query) => {
                let since = query.clone().from(query.from.max(loaded.end));
                let unmoved = Condition::nothing(since);
                self.journal.append_if(&batch, &[unmoved])
            }
        }
    }

    fn id(&self, key: &[u8], number: usize) -> Result<Uuid, Error> {
        let number = (number as u64).to_le_bytes();
        let (scope, entity) = (D::SCOPE.as_bytes(), self.entity.as_bytes());
        self.journal
            .import_id(&[b"decision", scope, entity, key, &number])
    }

    /// Where the first event of a decision with this key stands, if it was made before.
    fn made_before(&self) -> Result<Option<u64>, Error> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let first = self.journal.reader().get_by_id(self.id(key, 0)?)?;
        Ok(first.map(|event| event.sequence()))
    }

    /// A decision that was made before and had more events than `count` was another one.
    fn refuse_fewer(&self, count: usize) -> Result<(), Error> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let id = self.id(key, count)?;
        match self.journal.reader().get_by_id(id)? {
            None => Ok(()),
            Some(event) => {
                let sequence = event.sequence();
                Err(Conflict::IdReused { id, sequence }.into())
            }
        }
    }

    fn query(&self) -> Query<'_> {
        match &self.boundary {
            Some(query) => query.clone(),
            None => Query::stream(D::SCOPE, &*self.entity),
        }
    }

    /// The state before a sequence, or now.
    fn load_until(&self, until: Option<u64>) -> Result<Loaded<D>, Error> {
        let query = match until {
            Some(sequence) => self.query().until(sequence),
            None => self.query(),
        };
        self.go_on(D::default(), None, query)
    }

    fn load_from(&self, snapshots: &Snapshots<D>) -> Result<Loaded<D>, Error>
    where
        D: Clone,
    {
        let reader = self.journal.reader();
        match snapshots.get(reader, D::SCOPE, &self.entity)? {
            None => self.load_until(None),
            Some(snapshot) => {
                let query = self.query().from(snapshot.sequence() + 1);
                let revision = Some(snapshot.revision());
                self.go_on(snapshot.into_state(), revision, query)
            }
        }
    }

    fn go_on(
        &self,
        mut state: D,
        mut revision: Option<u64>,
        query: Query<'_>,
    ) -> Result<Loaded<D>, Error> {
        let mut events = self.journal.reader().read(query);
        let end = events.end();
        while let Some(event) = events.next_ref()? {
            if self.boundary.is_none() {
                revision = Some(event.revision());
            }
            let found = match D::Event::read_ref(&event)? {
                Typed::Known(event) => {
                    state.evolve(event);
                    continue;
                }
                other => other,
            };
            let event = event.to_event()?;
            if !D::passes_over(&event) {
                return Err(unreadable(&event, &found).into());
            }
        }
        Ok(Loaded {
            state,
            revision,
            end,
        })
    }

    /// Keeps a snapshot of what an append came to.
    fn keep(&self, state: &D, receipts: &BatchReceipt)
    where
        D: Clone,
    {
        let Some(snapshots) = self.snapshots.filter(|_| self.boundary.is_none()) else {
            return;
        };
        let last = receipts.receipt(receipts.len() - 1);
        if let Some(last) = last.filter(|_| !receipts.already()) {
            let journal = self.journal.reader().id();
            let snapshot = Snapshot::of(state.clone(), journal, &last);
            snapshots.put(D::SCOPE, &self.entity, snapshot);
        }
    }
}

fn unreadable<E>(event: &Event, found: &Typed<E>) -> Misuse {
    let facts = event.facts();
    let kind = facts.as_ref().map_or("", |facts| facts.kind);
    let detail = match found {
        Typed::UnknownVersion { found, known } => format!(
            "it is of version {found} of {kind}, and this program knows versions up to {known}"
        ),
        Typed::Erased => "it was erased".to_owned(),
        Typed::Shredded { intent } => format!("it was shredded, as event {intent} tells"),
        _ => format!("its kind {kind} is not one of the type's"),
    };
    Misuse::Unreadable {
        sequence: event.sequence(),
        detail,
    }
}

impl<D: Decider> fmt::Debug for Decision<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("scope", &D::SCOPE)
            .field("entity", &self.entity)
            .field("boundary", &self.boundary)
            .finish_non_exhaustive()
    }
}
