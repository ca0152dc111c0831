//! The one state behind all handles.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Moment;
use crate::disk::{NodeId, State};
use crate::fault::{Effect, Kind, eio, interrupts};
use crate::trace::Call;
use crate::{Fault, Rng, Trace};

/// The longest file: far more than memory holds, far less than would overflow.
pub(super) const MAX_LEN: u64 = 1 << 50;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) state: State,
    pub(super) locked: BTreeSet<NodeId>,
    /// Open files.
    pub(super) open: usize,
    pub(super) rng: Rng,
    pub(super) faults: Vec<Fault>,
    pub(super) hits: u64,
    pub(super) calls: u64,
    pub(super) space: Option<u64>,
    pub(super) trace: Trace,
    pub(super) moments: Option<Vec<Moment>>,
}

/// What a call is about, for the trace.
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) path: Arc<PathBuf>,
    pub(super) to: Option<Arc<PathBuf>>,
    pub(super) range: Option<(u64, u64)>,
}

impl About {
    pub(super) fn path(name: &'static str, kind: Kind, path: &Path) -> Self {
        Self {
            name,
            kind,
            path: Arc::new(path.to_owned()),
            to: None,
            range: None,
        }
    }

    pub(super) fn file(name: &'static str, kind: Kind, path: &Arc<PathBuf>) -> Self {
        Self {
            name,
            kind,
            path: Arc::clone(path),
            to: None,
            range: None,
        }
    }

    pub(super) fn range(self, at: u64, len: u64) -> Self {
        Self {
            range: Some((at, len)),
            ..self
        }
    }
}

impl Machine {
    pub(super) fn new(state: State, seed: u64) -> Self {
        Self {
            state,
            locked: BTreeSet::new(),
            open: 0,
            rng: Rng::new(seed),
            faults: Vec::new(),
            hits: 0,
            calls: 0,
            space: None,
            trace: Trace::default(),
            moments: None,
        }
    }

    /// Makes one call: counts it, lets a planned fault have its way, notes it.
    pub(super) fn call<T>(
        &mut self,
        about: About,
        work: impl FnOnce(&mut Self, Option<Effect>) -> io::Result<T>,
    ) -> io::Result<T> {
        let number = self.calls;
        self.calls += 1;
        let faults = self
            .faults
            .iter()
            .filter(|fault| fault.hits(number, about.kind));
        let effect = faults
            .filter_map(|fault| fault.failure.effect(about.kind))
            .next();
        self.hits += u64::from(effect.is_some());
        let result = match effect {
            // A write may do a part of its work first.
            Some(Effect::Before(code)) if about.kind != Kind::Write || interrupts(code) => {
                Err(io::Error::from_raw_os_error(code))
            }
            Some(Effect::After(code)) => {
                work(self, None).and(Err(io::Error::from_raw_os_error(code)))
            }
            effect => work(self, effect),
        };
        self.trace.calls.push(Call {
            number,
            name: about.name,
            path: about.path,
            to: about.to,
            range: about.range,
            error: result.as_ref().err().map(ToString::to_string),
            changes: about.kind.changes(),
        });
        if about.kind.changes()
            && let Some(moments) = &mut self.moments
        {
            moments.push(Moment {
                calls: self.calls,
                state: self.state.clone(),
            });
        }
        result
    }

    /// How many of `len` bytes from `offset` on a write does, by the space there is and by a
    /// planned fault; and the error behind them.
    pub(super) fn room(
        &mut self,
        file: NodeId,
        offset: u64,
        len: u64,
        effect: Option<Effect>,
    ) -> io::Result<(u64, Option<io::Error>)> {
        let have = self.state.file(file)?.cache.len();
        let end = offset.checked_add(len).filter(|end| *end <= MAX_LEN);
        let end = end.ok_or(ErrorKind::FileTooLarge)?;
        let (done, error) = match effect {
            Some(Effect::Before(code)) => (
                self.rng.below(len),
                Some(io::Error::from_raw_os_error(code)),
            ),
            Some(Effect::Short) if len > 1 => (1 + self.rng.below(len - 1), None),
            _ => (len, None),
        };
        let Some(space) = self.space else {
            return Ok((done, error));
        };
        let free = space.saturating_sub(self.state.used());
        let over = end.saturating_sub(have).saturating_sub(free);
        if over == 0 {
            return Ok((done, error));
        }
        let fits = len.saturating_sub(over);
        Ok((
            done.min(fits),
            error.or_else(|| (fits == 0).then(crate::fault::enospc)),
        ))
    }

    /// Bytes that can still be written.
    pub(super) fn free(&self) -> u64 {
        self.space
            .map_or(MAX_LEN, |space| space.saturating_sub(self.state.used()))
    }

    pub(super) fn sync_file(&mut self, file: NodeId, effect: Option<Effect>) -> io::Result<()> {
        if effect == Some(Effect::Lie) {
            self.state.file_mut(file)?.pending.clear();
            return Ok(());
        }
        if let Some(Effect::Sync(how)) = effect {
            let mut rng = self.rng;
            self.state.file_mut(file)?.fail_sync(how, &mut rng);
            self.rng = rng;
            return Err(eio());
        }
        if !self.state.file(file)?.pending.is_empty() {
            self.state.file_mut(file)?.sync();
        }
        Ok(())
    }
}
