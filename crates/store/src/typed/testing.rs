//! For tests of deciders: given these events, when this command comes, then those events follow.
//!
//! ```
//! use factlog::{Event, testing::given, typed::Decider};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, Event)]
//! enum Light {
//!     #[event(kind = "light.switched_on")]
//!     On,
//!     #[event(kind = "light.switched_off")]
//!     Off,
//! }
//!
//! #[derive(Clone, Default)]
//! struct Lamp { on: bool }
//!
//! impl Decider for Lamp {
//!     const SCOPE: &'static str = "lamps";
//!     type Event = Light;
//!     type Command = bool;
//!     type Refusal = &'static str;
//!
//!     fn evolve(&mut self, event: Light) {
//!         self.on = event == Light::On;
//!     }
//!
//!     fn decide(&self, on: &bool) -> Result<Vec<Light>, &'static str> {
//!         match (self.on, *on) {
//!             (false, true) => Ok(vec![Light::On]),
//!             (true, false) => Ok(vec![Light::Off]),
//!             _ => Err("it is already so"),
//!         }
//!     }
//! }
//!
//! given::<Lamp>([Light::On]).when(false).then([Light::Off]);
//! given::<Lamp>([Light::On]).when(true).then_refused("it is already so");
//! ```
//!
//! The events go through a journal in memory, so that whatever could not be stored or read back is found
//! too.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use factlog_fs::MemFs;

use crate::{
    Clock, Journal, Options, Query, Random,
    typed::{DecideError, Decider, TypedEvent},
};

/// The only time that a clock of these journals knows: 2026-01-01 00:00 UTC, in microseconds.
pub const NOW: i64 = 1_767_225_600_000_000;

/// The stream that [`given`] speaks of.
const ENTITY: &str = "it";

/// A journal in memory whose time stands still at [`NOW`] and whose ids are the same in each run.
///
/// # Panics
/// If it can't be created, such as when the program's event types contradict each other.
#[must_use]
pub fn journal() -> Journal {
    let options = Options::new()
        .file_system(Arc::new(MemFs::new()))
        .dangerous()
        .clock(Arc::new(Still))
        .dangerous()
        .random(Arc::new(Same::default()))
        .dangerous()
        .without_housekeeper();
    match Journal::create("journal", options) {
        Ok(journal) => journal,
        Err(error) => panic!("no journal for the test: {error}"),
    }
}

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now_micros(&self) -> i64 {
        NOW
    }
}

/// Numbers that never repeat and can be foretold.
#[derive(Debug, Default)]
struct Same(AtomicU64);

impl Random for Same {
    fn fill(&self, out: &mut [u8]) {
        let number = self.0.fetch_add(1, Relaxed);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&number.to_le_bytes());
        hasher.finalize_xof().fill(out);
    }
}

/// What was before the command.
#[derive(Debug)]
pub struct Given<D: Decider> {
    journal: Journal,
    events: u64,
    decider: std::marker::PhantomData<fn() -> D>,
}

/// What the command came to.
#[derive(Debug)]
pub struct Outcome<D: Decider> {
    appended: Vec<D::Event>,
    refused: Option<D::Refusal>,
}

/// Begins a test with the events that were before.
///
/// # Panics
/// If the events can't be stored.
pub fn given<D: Decider>(events: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let journal = journal();
    let mut count = 0;
    for event in events {
        let appended = journal
            .event(D::SCOPE, ENTITY, &event)
            .and_then(|event| journal.append(event));
        if let Err(error) = appended {
            panic!("event {count} of those given can't be stored: {error}");
        }
        count += 1;
    }
    Given {
        journal,
        events: count,
        decider: std::marker::PhantomData,
    }
}

impl<D: Decider + Clone> Given<D> {
    /// Lets the command come.
    ///
    /// # Panics
    /// If the events can't be read back, or what was decided can't be stored.
    #[must_use]
    pub fn when(self, command: D::Command) -> Outcome<D> {
        let decided = self.journal.stream::<D>(ENTITY).decide(command);
        let refused = match decided {
            Ok(_) => None,
            Err(DecideError::Refused(why)) => Some(why),
            Err(DecideError::Contended { .. }) => panic!("nobody else is there to be faster"),
            Err(DecideError::Journal(error)) => panic!("{error}"),
        };
        let stored = self.journal.reader().read(Query::stream(D::SCOPE, ENTITY));
        let new = stored.skip(usize::try_from(self.events).unwrap_or(usize::MAX));
        let read = |event| match event {
            Ok(event) => match D::Event::read(&event).map(super::Typed::known) {
                Ok(Some(event)) => event,
                Ok(None) => panic!("what was decided is of no kind that is known"),
                Err(error) => panic!("what was decided can't be read back: {error}"),
            },
            Err(error) => panic!("what was decided can't be read: {error}"),
        };
        Outcome {
            appended: new.map(read).collect(),
            refused,
        }
    }
}

impl<D: Decider> Outcome<D>
where
    D::Event: Debug + PartialEq,
    D::Refusal: Debug,
{
    /// Holds that exactly these events followed.
    ///
    /// # Panics
    /// If others did, with the lines in which they differ.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = D::Event>) {
        let expected: Vec<D::Event> = events.into_iter().collect();
        if let Some(why) = &self.refused {
            panic!("the command was refused: {why:?}");
        }
        if self.appended != expected {
            let diff = diff(&pretty(&expected), &pretty(&self.appended));
            panic!("other events followed (- expected, + found):\n{diff}");
        }
    }

    /// Holds that the command was refused for this reason.
    ///
    /// # Panics
    /// If it was not, or for another reason.
    #[track_caller]
    pub fn then_refused(self, why: D::Refusal)
    where
        D::Refusal: PartialEq,
    {
        match self.refused {
            None => panic!("the command was not refused:\n{}", pretty(&self.appended)),
            Some(found) if found != why => {
                let diff = diff(&pretty(&why), &pretty(&found));
                panic!("it was refused for another reason (- expected, + found):\n{diff}");
            }
            Some(_) => {}
        }
    }
}

fn pretty(value: &impl Debug) -> String {
    format!("{value:#?}")
}

/// The lines of both, those of one alone marked.
fn diff(expected: &str, found: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    // The longest common run of lines from each pair of places on.
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = match a[i] == b[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push(format!("  {}", a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j >= b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", a[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", b[j]));
            j += 1;
        }
    }
    lines.join("\n")
}
