//! Whatever a directory holds, opening, reading and verifying it ends in a value or an error.

#![forbid(unsafe_code)]

#[path = "anything/mod.rs"]
mod anything;

use factlog_sim::Rng;

/// What fuzzing found, and what it began with.
#[test]
fn directories_of_the_corpus_open_or_are_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/journal");
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        anything::open_it(&std::fs::read(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 5, "the corpus has only {seen} inputs");
}

#[test]
fn directories_changed_by_chance_open_or_are_refused() {
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let len = 1 + 8 * (1 + rng.below(4)) as usize;
        let input: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        anything::open_it(&input);
    }
}
