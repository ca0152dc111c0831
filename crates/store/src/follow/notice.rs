//! What is seen from other processes of projections whose position is kept elsewhere, and of subscriptions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{CursorFile, Ended};
use crate::{Reader, read::Shared};

/// How often it is written, at most: each time costs two syncs.
pub(super) const EVERY: Duration = Duration::from_secs(1);
const MAX_NAME: usize = 64;

/// How far one is, in a cursor's file that nobody goes on from. It tells what can be told: where it
/// can't be written, or another process has one of its name, nothing fails.
#[derive(Debug)]
pub(super) struct Notice {
    name: String,
    file: Option<CursorFile>,
    next: u64,
    moved_at: Option<i64>,
    trouble: Option<String>,
    /// Whether the file says something else, and when it was last tried to write it.
    changed: bool,
    tried: Option<Instant>,
    /// Whether it has ended, so that nothing more is written.
    over: bool,
}

impl Notice {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            file: None,
            next: 0,
            moved_at: None,
            trouble: None,
            changed: true,
            tried: None,
            over: false,
        }
    }

    pub(super) fn moved(&mut self, next: u64, at: Option<i64>, trouble: Option<&str>) {
        self.moved_at = at;
        if (self.next, self.trouble.as_deref()) != (next, trouble) {
            self.next = next;
            self.trouble = trouble.map(str::to_owned);
            self.changed = true;
        }
    }

    /// Writes what has changed, unless that was tried just now: then it says when it is to be tried again.
    pub(super) fn keep(&mut self, shared: &Arc<Shared>, now: Instant) -> Option<Instant> {
        if !self.changed || self.over {
            return None;
        }
        let due = self.tried.map(|tried| tried + EVERY);
        if due.is_none_or(|due| due <= now) {
            self.tried = Some(now);
            self.changed = !self.write(shared);
        }
        self.tried
            .filter(|_| self.changed)
            .map(|tried| tried + EVERY)
    }

    fn write(&mut self, shared: &Arc<Shared>) -> bool {
        self.open(shared);
        let Some(file) = &mut self.file else {
            return false;
        };
        let written = file.note(self.next, self.moved_at, self.trouble.clone());
        written.is_ok()
    }

    /// Has a file, unless there can't be one; an end is written only where there is one.
    pub(super) fn open(&mut self, shared: &Arc<Shared>) {
        if self.file.is_none() {
            let shared = Arc::clone(shared);
            self.file = Reader { shared }.cursor_file(&self.name).ok();
        }
    }

    /// Says why it ended, and lets others have its place.
    pub(super) fn end(&mut self, why: &Ended) {
        self.over = true;
        if let Some(mut file) = self.file.take() {
            // Who looks at it sees then that nobody holds it any more, if not why.
            let _ = file.note(self.next, self.moved_at, None);
            let _ = file.end(why);
        }
    }
}

/// The name under which one is seen, out of letters that such a name may have; `end` says of what sort it is.
pub(super) fn name_of(name: &str, end: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_') => c,
        _ => '-',
    };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let len = name.len().min(MAX_NAME - end.len());
    format!("{}{end}", name.get(..len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_one_of_a_file() {
        for (name, shown) in [
            ("orders", "orders.v1"),
            ("Orders of Zürich", "orders-of-z-rich.v1"),
            ("--x", "x.v1"),
        ] {
            assert_eq!(name_of(name, ".v1"), shown);
        }
        let longest = format!(".v{}", u32::MAX);
        assert_eq!(name_of(&"a".repeat(300), &longest).len(), MAX_NAME);
    }
}
