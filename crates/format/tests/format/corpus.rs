//! The corpora of the fuzz targets run as ordinary tests, through the same properties.

use std::{collections::BTreeSet, fs};

use crate::{
    canonical::{ALL, body_of},
    golden::{self, expect_file, root},
    refused,
};

/// The golden files, good and bad, as seeds: target, name, bytes.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, bytes, target) in golden::all() {
        let Some(target) = target else { continue };
        if target == "frame" {
            let inner = if name == "commit-header" {
                "commit_header"
            } else {
                "event_body"
            };
            seeds.push((inner, name.to_owned(), body_of(&bytes).to_vec()));
        }
        seeds.push((target, name.to_owned(), bytes));
    }
    for case in refused::cases() {
        let target = match case.decoder {
            "event" | "payload-stub" | "full-stub" | "commit-header" => "frame",
            "facts" => "facts",
            "spine" | "event-record" => "event_record",
            "segment-header" => "segment_header",
            "manifest" => "manifest",
            "journal-file" => "identity",
            _ => "journal_event",
        };
        // A seed should be small: mutation does the rest.
        if case.bytes.len() <= 4096 {
            seeds.push((target, format!("bad-{}", case.name), case.bytes));
        }
    }
    seeds
}

#[test]
fn golden_files_are_seeds_of_the_fuzz_targets() {
    for (target, name, bytes) in seeds() {
        expect_file(&format!("fuzz/corpus/{target}/{name}"), &bytes);
    }
}

#[test]
fn every_corpus_holds_to_its_property_and_reaches_its_decoder() {
    for (target, property) in ALL {
        let mut decoded = 0;
        for entry in fs::read_dir(root().join("fuzz/corpus").join(target)).expect("a corpus") {
            let data = fs::read(entry.expect("an entry").path()).expect("a file");
            decoded += usize::from(property(&data));
        }
        assert!(decoded > 0, "no file of the corpus of {target} decodes");
    }
}

#[test]
fn every_property_has_its_fuzz_target() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the fuzz workspace");
    let names: BTreeSet<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .collect();
    for (target, _) in ALL {
        assert!(names.contains(target), "no fuzz target {target}");
        let source = root().join(format!("fuzz/targets/{target}.rs"));
        assert!(source.exists(), "no source of {target}");
    }
}
