//! What is seen from other processes of a projection whose position is kept elsewhere.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::{CursorFile, Ended};
use crate::{Reader, read::Shared};

/// How often it is written, at most: each time costs two syncs.
const EVERY: Duration = Duration::from_secs(1);
const MAX_NAME: usize = 64;

/// How far a projection is, in a cursor's file that nobody goes on from. It tells what can be told: where it
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
        if !self.changed {
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
        if self.file.is_none() {
            let shared = Arc::clone(shared);
            self.file = Reader { shared }.cursor_file(&self.name).ok();
        }
        let Some(file) = &mut self.file else {
            return false;
        };
        let written = file.note(self.next, self.moved_at, self.trouble.clone());
        written.is_ok()
    }

    /// Says why it ended, and lets others have its place.
    pub(super) fn end(&mut self, why: &Ended) {
        if let Some(mut file) = self.file.take() {
            // Who looks at it sees then that nobody holds it any more, if not why.
            let _ = file.note(self.next, self.moved_at, None);
            let _ = file.end(why);
        }
    }
}

/// The name under which a projection is seen, out of letters that such a name may have.
pub(super) fn name_of(name: &str, version: u32) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_') => c,
        _ => '-',
    };
    let end = format!(".v{version}");
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
            assert_eq!(name_of(name, 1), shown);
        }
        assert_eq!(name_of(&"a".repeat(300), u32::MAX).len(), MAX_NAME);
    }
}
