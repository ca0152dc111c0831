use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::{Failure, Projection};
use crate::{EventRef, Query, sync::Mutex};

/// A projection whose state is a value of this process: begins at the journal's beginning with each start.
///
/// Readers see it through [`Shown`], always as it was after some event. Where the function that applies
/// events returns an error it must have left the state as it was. After a panic it may be half changed: it
/// is built again beside the one that is shown, and shown once it has come as far.
pub struct InMemory<S, F> {
    name: String,
    version: u32,
    query: Query<'static>,
    initial: Box<dyn Fn() -> S + Send>,
    fold: F,
    working: Arc<Held<S>>,
    shown: Shown<S>,
    /// Whether an event is being applied, or was when something panicked.
    torn: bool,
    /// Whether the state that is shown is an older one of its own.
    rebuilds: bool,
}

/// A state, and the first event that isn't in it.
struct Held<S>(Mutex<(S, u64)>);

/// What readers see of an [`InMemory`] projection, whichever version of it is the one to show.
pub struct Shown<S>(Arc<ArcSwap<Held<S>>>);

impl<S> Clone for Shown<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Shown<S> {
    /// Looks at the state and the sequence of the first event that isn't in it. No event is applied
    /// meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&S, u64) -> T) -> T {
        let held = self.0.load_full();
        let held = held.0.lock();
        look(&held.0, held.1)
    }
}

impl<S> fmt::Debug for Shown<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl<S, F> InMemory<S, F>
where
    S: Send + 'static,
    F: FnMut(&mut S, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    /// A projection that begins with what `initial` gives and applies each event with `fold`; and where its
    /// state is read.
    pub fn new(
        name: impl Into<String>,
        version: u32,
        query: Query<'_>,
        initial: impl Fn() -> S + Send + 'static,
        fold: F,
    ) -> (Self, Shown<S>) {
        let working = Arc::new(Held(Mutex::new((initial(), 0))));
        let shown = Shown(Arc::new(ArcSwap::new(Arc::clone(&working))));
        let projection = Self {
            name: name.into(),
            version,
            query: query.into_owned(),
            initial: Box::new(initial),
            fold,
            working,
            shown: shown.clone(),
            torn: false,
            rebuilds: false,
        };
        (projection, shown)
    }

    /// A further version, read at the same place: `shown` gives the version before until this one has come
    /// as far.
    pub fn next_version(
        shown: &Shown<S>,
        name: impl Into<String>,
        version: u32,
        query: Query<'_>,
        initial: impl Fn() -> S + Send + 'static,
        fold: F,
    ) -> Self {
        let (projection, _) = Self::new(name, version, query, initial, fold);
        Self {
            shown: shown.clone(),
            ..projection
        }
    }

    fn is_shown(&self) -> bool {
        Arc::ptr_eq(&self.working, &self.shown.0.load())
    }
}

impl<S, F> Projection for InMemory<S, F>
where
    S: Send + 'static,
    F: FnMut(&mut S, &EventRef<'_>) -> Result<(), Failure> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn query(&self) -> Query<'static> {
        self.query.clone()
    }

    fn position(&mut self) -> Result<u64, Failure> {
        Ok(self.working.0.lock().1)
    }

    fn apply(&mut self, event: &EventRef<'_>) -> Result<(), Failure> {
        let mut held = self.working.0.lock();
        self.torn = true;
        let applied = (self.fold)(&mut held.0, event);
        self.torn = false;
        if applied.is_ok() {
            held.1 = event.sequence() + 1;
        }
        applied
    }

    fn commit(&mut self, next: u64) -> Result<(), Failure> {
        self.working.0.lock().1 = next;
        if self.rebuilds && next >= self.shown.read(|_, position| position) {
            self.activate()?;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        if std::mem::take(&mut self.torn) {
            let rebuilt = Arc::new(Held(Mutex::new(((self.initial)(), 0))));
            self.rebuilds |= self.is_shown();
            self.working = rebuilt;
        }
    }

    fn activate(&mut self) -> Result<(), Failure> {
        self.rebuilds = false;
        self.shown.0.store(Arc::clone(&self.working));
        Ok(())
    }
}

impl<S, F> fmt::Debug for InMemory<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
