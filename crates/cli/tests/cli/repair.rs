//! What can be done with a journal that doesn't open: inspect, repair, reset, destroy.

use std::fs;

use crate::support::{Place, files};

fn place() -> Place {
    let place = Place::with_journal();
    for number in 0..3 {
        place.append("a/1", "x", &format!("{{\"number\":{number}}}"));
    }
    place
}

#[test]
fn an_inspection_says_what_is_wrong_and_ends_so() {
    let place = place();
    let look = |code| place.run(&["inspect", "j", "--json"]).exits(code).object();
    assert_eq!(
        (&look(0)["opens"], &look(0)["events"]),
        (&"writable".into(), &4.into())
    );
    fs::remove_file(place.path("j/MANIFEST")).unwrap();
    let before = files(&place.path("j"));
    let found = look(3);
    assert_eq!(found["opens"], "read_only");
    assert_eq!(found["damage"][0]["code"], "manifest.missing");
    let page = place.run(&["inspect", "j"]).exits(3).stdout;
    assert!(
        page.contains("for reading alone") && page.contains("manifest.missing"),
        "{page}"
    );
    assert_eq!(files(&place.path("j")), before);
    place.run(&["inspect", "no-journal"]).exits(7);
}

#[test]
fn a_repair_makes_a_journal_writable_again() {
    let place = place();
    fs::remove_file(place.path("j/MANIFEST")).unwrap();
    let refused = ["append", "j", "a/1", "x", "--data", "1", "--json"];
    let error = place.run(&refused).exits(3).error();
    assert_eq!(error["code"], "manifest.missing");
    assert_eq!(error["file"], "j/MANIFEST");
    let written = place.run(&["repair", "j", "--json"]).exits(0).object();
    assert_eq!(written["written"][0], "j/MANIFEST");
    place.run(&refused).exits(0);
    place.run(&["verify", "j"]).exits(0);
    let again = place.run(&["repair", "j", "--json"]).exits(0).object();
    assert_eq!(again["written"].as_array().unwrap().len(), 0);
}

#[test]
fn a_salvage_says_what_was_lost_and_leaves_the_damaged_journal_alone() {
    let place = place();
    let segment = "j/segments/0000000000000000-00000001.seg";
    let mut bytes = fs::read(place.path(segment)).unwrap();
    let at = bytes
        .windows(10)
        .position(|part| part == b"\"number\":1")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(place.path(segment), bytes).unwrap();
    let before = files(&place.path("j"));
    let report = place
        .run(&["repair", "j", "--out", "new", "--json"])
        .exits(3)
        .object();
    assert_eq!(
        (&report["copied"], &report["lost_events"]),
        (&2.into(), &1.into()),
        "{report}"
    );
    assert_eq!(report["lost"][0]["code"], "segment.corrupt");
    assert_eq!(report["lost"][0]["sequence"], 2);
    assert_eq!(files(&place.path("j")), before);
    let log = place
        .run(&["log", "new", "--scope", "a", "--json"])
        .exits(0)
        .objects();
    assert_eq!(log.len(), 2);
    place.run(&["verify", "new"]).exits(0);
    place.run(&["repair", "j", "--out", "new"]).exits(1);
    place.run(&["repair", "j", "--origin", "x"]).exits(2);
}

#[test]
fn nothing_is_removed_without_a_yes_nor_from_a_strangers_directory() {
    let place = place();
    for command in ["destroy", "reset"] {
        let before = files(&place.path("j"));
        let ran = place.run(&[command, "j"]).exits(2);
        assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
        assert_eq!(files(&place.path("j")), before);
        place.run(&[command, "home", "--yes"]).exits(7);
    }
    place.copy("j", "copy");
    place.write("copy/notes.txt", "mine");
    let removed = place
        .run(&["destroy", "copy", "--yes", "--json"])
        .exits(0)
        .object();
    assert_eq!(removed["left"][0], "copy/notes.txt");
    assert_eq!(files(&place.path("copy")).len(), 1);
    place.run(&["reset", "j", "--yes", "--keep-dir"]).exits(0);
    assert_eq!(fs::read_dir(place.path("j")).unwrap().count(), 0);
    place.run(&["init", "j", "--known", "none"]).exits(0);
    place.run(&["destroy", "j", "--yes"]).exits(0);
    assert!(!place.path("j").exists());
}
