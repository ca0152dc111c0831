//! However many threads read, the verdict is the same.

use std::{num::NonZero, path::Path, sync::Arc};

use factlog::{Encoding, Journal, NewEvent, Options, VerifyOptions, verify};
use factlog_fs::{MemFs, StoreFs};

use crate::support;

const DIR: &str = "journal";

/// Some 6 MiB in segments of 2 MiB, with groups of one, of many, and one of 9 MiB.
fn filled() -> MemFs {
    let fs = MemFs::new();
    let options = Options::new().file_system(Arc::new(fs.clone()));
    let options = options
        .segment_len(2 << 20)
        .dangerous()
        .without_housekeeper();
    let journal = Journal::create(DIR, options).unwrap();
    let event = |at: usize, len| {
        let data = vec![at as u8; len];
        NewEvent::new("bank", format!("account-{}", at % 7), "money.moved")
            .data(Encoding::Raw, data)
    };
    for batch in 0..24usize {
        let batch: Vec<_> = (0..500).map(|at| event(batch + at, 100)).collect();
        journal.append_batch(&batch).unwrap();
        journal.append(event(batch.len(), 3000)).unwrap();
    }
    let large: Vec<_> = (0..9).map(|at| event(at, 1 << 20)).collect();
    journal.append_batch(&large).unwrap();
    journal.append(event(0, 10)).unwrap();
    journal.close().unwrap();
    fs
}

fn report(fs: &MemFs, threads: usize) -> String {
    let options = VerifyOptions::new().file_system(Arc::new(fs.clone()));
    let options = options.threads(NonZero::new(threads).unwrap());
    format!("{:#?}", verify(DIR, &options).unwrap())
}

fn segments(fs: &MemFs) -> Vec<std::path::PathBuf> {
    let dir = Path::new(DIR).join("segments");
    let names = fs.list(&dir).unwrap().into_iter().map(|entry| entry.name);
    let mut paths: Vec<_> = names.map(|name| dir.join(name)).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

#[test]
fn threads_say_of_a_damaged_journal_what_one_says() {
    let fs = filled();
    let whole = report(&fs, 1);
    assert!(whole.contains("integrity: Intact"), "{whole}");
    assert_eq!(report(&fs, 4), whole);
    let segments = segments(&fs);
    assert!(segments.len() > 3, "several segments");
    // At the start, in the middle and near the end, and in several segments at once.
    for (hurt, places) in [
        (&segments[..1], 1..2),
        (&segments[1..2], 3..9),
        (&segments[..], 7..8),
    ] {
        let fs = support::copy(&fs);
        for path in hurt {
            let mut bytes = support::content(&*fs, path);
            for place in places.clone() {
                let at = bytes.len() * place / 10;
                bytes[at] = !bytes[at];
            }
            support::overwrite(&*fs, path, &bytes);
        }
        let one = report(&fs, 1);
        assert!(one.contains("integrity: Damaged"), "{one}");
        for threads in [2, 5] {
            assert_eq!(report(&fs, threads), one, "{threads} threads, {places:?}");
        }
    }
}
