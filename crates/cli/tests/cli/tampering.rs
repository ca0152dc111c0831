//! Every byte of every file of a journal, flipped and cut away: verification with a checkpoint kept
//! elsewhere never says that it holds.

use std::fs;
use std::path::{Path, PathBuf};

use factlog::{Outcome, SignedCheckpoint, VerifierKey, VerifyOptions};

use crate::support::{Place, files};

/// Of larger files so many bytes and lengths are tried.
const SAMPLES: usize = 600;

struct Small {
    place: Place,
    options: VerifyOptions,
}

/// A small journal with a few streams, its key and a checkpoint of all of it.
fn small(sign_key: bool) -> Small {
    let place = Place::new();
    let made = place.run(&["init", "j", "--json"]).exits(0).object();
    place.append("a/1", "x", "1");
    place.append("b/1", "y", "{\"text\":\"some more bytes\"}");
    place.append("a/1", "x", "2");
    let text = place.run(&["checkpoint", "j"]).exits(0).stdout;
    place.write("c", &text);
    let mut options =
        VerifyOptions::new().checkpoint(SignedCheckpoint::parse(text.as_bytes()).unwrap());
    if sign_key {
        let vkey = made["vkey"].as_str().unwrap();
        options = options.key(VerifierKey::parse(vkey).unwrap());
    }
    Small { place, options }
}

impl Small {
    /// The files that verification is to judge, without the lock and empty ones.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = files(&self.place.path("j"));
        found.retain(|(path, bytes)| !path.ends_with("LOCK") && !bytes.is_empty());
        assert!(found.len() >= 4, "{found:?}");
        found
    }

    fn outcome(&self) -> Result<Outcome, factlog::Error> {
        let report = factlog::verify(self.place.path("j"), &self.options)?;
        Ok(report.outcome(false))
    }

    #[track_caller]
    fn must_not_hold(&self, what: &str, path: &Path) {
        let outcome = self.outcome();
        // What can't be looked at at all is an error, which ends in no good exit code either.
        let bad = !matches!(outcome, Ok(Outcome::Holds));
        assert!(bad, "{what} of {} goes unseen: {outcome:?}", path.display());
    }
}

fn sampled(len: usize) -> impl Iterator<Item = usize> {
    let step = len.div_ceil(SAMPLES).max(1);
    (0..len).step_by(step).chain(len.checked_sub(1))
}

#[test]
fn the_untouched_journal_holds() {
    assert_eq!(small(true).outcome().unwrap(), Outcome::Holds);
}

#[test]
fn every_flipped_byte_is_found() {
    let small = small(true);
    for (path, bytes) in small.files() {
        for at in sampled(bytes.len()) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, changed).unwrap();
            small.must_not_hold(&format!("byte {at} flipped"), &path);
        }
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(small.outcome().unwrap(), Outcome::Holds);
}

#[test]
fn every_truncation_is_found() {
    let small = small(true);
    for (path, bytes) in small.files() {
        for len in sampled(bytes.len()) {
            fs::write(&path, &bytes[..len]).unwrap();
            small.must_not_hold(&format!("cut to {len} bytes"), &path);
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn another_journals_files_are_found() {
    let (small, other) = (small(true), small(true));
    let theirs = other.files();
    let pairs = small.files().into_iter().filter_map(|(path, bytes)| {
        let folder = path.parent()?.file_name()?;
        // The same file by name, or by its place where names are drawn.
        let their = theirs.iter().find(|(their, _)| {
            their.file_name() == path.file_name()
                || their.extension().is_some()
                    && their.extension() == path.extension()
                    && their.parent().and_then(Path::file_name) == Some(folder)
        })?;
        Some((path, bytes, their.1.clone()))
    });
    let mut swapped = 0;
    for (path, bytes, their) in pairs {
        if bytes == their {
            continue;
        }
        fs::write(&path, their).unwrap();
        small.must_not_hold("another journal's file in place", &path);
        fs::write(&path, bytes).unwrap();
        swapped += 1;
    }
    assert!(swapped >= 3, "{swapped}");
}

#[test]
fn the_command_says_so_with_3_or_4() {
    let small = small(true);
    for (path, bytes) in small.files() {
        for at in [0, bytes.len() / 3, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            fs::write(&path, changed).unwrap();
            let ran = small
                .place
                .run(&["verify", "j", "--checkpoint", "c", "--json"]);
            let named = path.display();
            assert!(ran.code == 3 || ran.code == 4, "{named} byte {at}: {ran:?}");
        }
        fs::write(&path, bytes).unwrap();
    }
    small
        .place
        .run(&["verify", "j", "--checkpoint", "c"])
        .exits(0);
}
