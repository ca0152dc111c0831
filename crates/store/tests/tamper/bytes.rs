//! Bytes changed and files cut, without any repair of checksums.

use factlog::{Outcome, Report, verify};

use crate::{
    lab::{Lab, show},
    support::DIR,
};

/// Files longer than this are sampled.
const ALL_BYTES: usize = 6_000;

fn places(len: usize) -> impl Iterator<Item = usize> {
    let step = len / ALL_BYTES + 1;
    // A step that is no multiple of a power of two comes by every kind of place.
    (0..len).step_by(if step == 1 { 1 } else { step | 1 })
}

/// Never holds, and never ends in a panic or an error but one that says that there's no journal.
#[track_caller]
fn check(result: Result<Report, factlog::Error>, what: &str) {
    match result {
        Ok(report) => {
            let outcome = report.outcome(false);
            assert_ne!(outcome, Outcome::Holds, "{what}: {}", show(&report));
        }
        Err(error) => assert_eq!(error.code(), "journal.not_found", "{what}: {error}"),
    }
}

fn flip_every_byte(lab: &Lab) {
    let options = lab.evidence();
    for path in lab.files() {
        let bytes = lab.read(&path);
        for place in places(bytes.len()) {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            lab.write(&path, &changed);
            check(
                verify(DIR, &options),
                &format!("{} byte {place}", path.display()),
            );
        }
        lab.write(&path, &bytes);
    }
    crate::lab::assert_holds(&lab.verify(&options));
}

fn cut_everywhere(lab: &Lab) {
    let options = lab.evidence();
    for path in lab.files() {
        let bytes = lab.read(&path);
        for len in places(bytes.len()) {
            lab.write(&path, &bytes[..len]);
            check(
                verify(DIR, &options),
                &format!("{} cut to {len}", path.display()),
            );
        }
        lab.write(&path, &bytes);
    }
    crate::lab::assert_holds(&lab.verify(&options));
}

#[test]
fn no_byte_of_a_small_journal_can_change() {
    flip_every_byte(&Lab::small());
}

#[test]
fn no_file_of_a_small_journal_can_be_cut() {
    cut_everywhere(&Lab::small());
}

#[test]
fn no_sampled_byte_of_a_rolled_journal_can_change() {
    let lab = Lab::rolled();
    let options = lab.evidence();
    for path in lab.files() {
        let bytes = lab.read(&path);
        for place in (0..bytes.len()).step_by(bytes.len() / 60 + 1) {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            lab.write(&path, &changed);
            check(
                verify(DIR, &options),
                &format!("{} byte {place}", path.display()),
            );
        }
        for len in (0..bytes.len()).step_by(bytes.len() / 20 + 1) {
            lab.write(&path, &bytes[..len]);
            check(
                verify(DIR, &options),
                &format!("{} cut to {len}", path.display()),
            );
        }
        lab.write(&path, &bytes);
    }
}

#[test]
fn files_of_another_journal_are_found() {
    for (ours, theirs) in [(Lab::small(), Lab::small()), (Lab::rolled(), Lab::rolled())] {
        let mut swapped = 0;
        for path in ours.files() {
            let others: Vec<_> = theirs
                .files()
                .into_iter()
                .filter(|other| *other == path)
                .collect();
            for other in others {
                let content = theirs.read(other);
                if content == ours.read(&path) {
                    continue;
                }
                let lab = ours.copy();
                lab.write(&path, &content);
                check(
                    verify(DIR, &lab.evidence()),
                    &format!("{} swapped", path.display()),
                );
                swapped += 1;
            }
        }
        assert!(swapped > 3);
    }
}

#[test]
fn arbitrary_bytes_in_any_file_end_in_a_report() {
    let lab = Lab::small();
    let options = lab.evidence();
    let patterns: [fn(usize) -> u8; 4] = [
        |_| 0,
        |_| 0xff,
        |place| place as u8,
        |place| (place as u8).wrapping_mul(197) >> 1,
    ];
    for path in lab.files() {
        let bytes = lab.read(&path);
        for pattern in patterns {
            for len in [0, 1, 7, 16, 64, 500, 100_000] {
                let noise: Vec<u8> = (0..len).map(pattern).collect();
                if noise != bytes {
                    lab.write(&path, &noise);
                    check(
                        verify(DIR, &options),
                        &format!("noise in {}", path.display()),
                    );
                }
                // Behind what was there, a longer file.
                let longer = [&bytes[..], &noise[..]].concat();
                lab.write(&path, &longer);
                let report = verify(DIR, &options);
                assert!(report.is_ok(), "{}", path.display());
            }
        }
        lab.write(&path, &bytes);
    }
}

/// Pieces of a segment cut out, doubled, exchanged and overwritten, by a fixed sequence of pseudo-random
/// numbers.
#[test]
fn segments_put_together_at_random_never_hold() {
    let sound = Lab::of(12, 60, 64 << 10);
    let options = |lab: &Lab| lab.evidence();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let path = crate::support::segment(sound.fs.as_ref());
    let bytes = sound.read(&path);
    for round in 0..400 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random(4) {
            // Half of the time at multiples of 8, where frames begin.
            let mask = if random(2) == 0 { !7 } else { !0 };
            let from = random(changed.len()) & mask;
            let to = ((from + random(600)) & mask).min(changed.len());
            let piece = changed[from..to].to_vec();
            let at = random(changed.len()) & mask;
            match random(4) {
                0 => drop(changed.drain(from..to)),
                1 => drop(changed.splice(at..at, piece)),
                2 => changed[from..to].fill(0),
                _ => {
                    let end = (at + piece.len()).min(changed.len());
                    changed[at..end].copy_from_slice(&piece[..end - at]);
                }
            }
        }
        if changed != bytes {
            sound.write(&path, &changed);
            check(verify(DIR, &options(&sound)), &format!("round {round}"));
        }
    }
}
