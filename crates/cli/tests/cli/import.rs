//! Importing: nothing lost, nothing twice, the source's bytes as they are.

use std::fs;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::support::{Place, Ran, files};

const ARGS: [&str; 10] = [
    "import", "j", "f", "--format", "jsonl", "--entity", "e", "--kind", "k", "--json",
];

fn import(place: &Place, more: &[&str]) -> Ran {
    place.run(&[&ARGS[..], more].concat())
}

/// Added, known, bad.
#[track_caller]
fn counts(ran: Ran) -> (u64, u64, u64) {
    let object = ran.exits(0).object();
    let count = |name: &str| object[name].as_u64().unwrap();
    (count("added"), count("known"), count("bad"))
}

/// The bytes of every imported line, in order.
fn lines(place: &Place) -> Vec<Vec<u8>> {
    let args = ["log", "j", "--scope", "jsonl", "--json"];
    let events = place.run(&args).exits(0).objects();
    let sequences = events.iter().map(|event| event["sequence"].to_string());
    sequences.map(|sequence| source(place, &sequence)).collect()
}

fn source(place: &Place, sequence: &str) -> Vec<u8> {
    let shown = place
        .run(&["show", "j", sequence, "--json"])
        .exits(0)
        .object();
    assert_eq!(shown["sections"][0]["name"], "source");
    BASE64
        .decode(shown["sections"][0]["bytes"].as_str().unwrap().as_bytes())
        .unwrap()
}

fn line(entity: usize, number: usize) -> String {
    format!("{{\"e\":\"e{entity}\",\"k\":\"a.b\",\"n\":{number}}}\n")
}

#[test]
fn importing_twice_adds_nothing_and_writes_nothing() {
    let place = Place::with_journal();
    let text: String = (0..10_000).map(|n| line(n % 7, n)).collect();
    place.write("f", &text);
    assert_eq!(counts(import(&place, &[])), (10_000, 0, 0));
    let before = files(&place.path("j"));
    assert_eq!(counts(import(&place, &[])), (0, 10_000, 0));
    assert_eq!(files(&place.path("j")), before);
    // What is new is added, and only that.
    place.write("f", text + &line(1, 10_000));
    assert_eq!(counts(import(&place, &[])).0, 1);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn a_changed_line_is_new_and_the_others_are_known() {
    let place = Place::with_journal();
    let text: Vec<String> = (0..50).map(|n| line(0, n)).collect();
    place.write("f", text.concat());
    import(&place, &[]).exits(0);
    let mut changed = text.clone();
    changed[10] = line(0, 1_000);
    place.write("f", changed.concat());
    let ran = import(&place, &[]).exits(0);
    assert!(ran.stderr.contains("does not go on"), "{}", ran.stderr);
    assert_eq!(counts(ran), (1, 49, 0));
    // A name of its own makes it another source.
    assert_eq!(counts(import(&place, &["--source", "other"])), (50, 0, 0));
}

#[test]
fn equal_lines_without_an_id_are_events_of_their_own() {
    let place = Place::with_journal();
    place.write("f", line(0, 0).repeat(3));
    assert_eq!(counts(import(&place, &[])), (3, 0, 0));
    assert_eq!(counts(import(&place, &[])), (0, 3, 0));
    let by_id = ["--id", "n", "--source", "by id"];
    assert_eq!(counts(import(&place, &by_id)), (1, 2, 0));
    assert_eq!(counts(import(&place, &by_id)), (0, 3, 0));
}

#[test]
fn an_import_that_was_cut_short_goes_on() {
    let place = Place::with_journal();
    let text: String = (0..30_000).map(|n| line(n % 3, n)).collect();
    // Ends in the middle of a line, as a stream does whose writer died.
    let cut = text.len() * 2 / 3 + 5;
    place.write("f", &text[..cut]);
    let ran = import(&place, &[]).exits(1);
    assert_eq!(ran.error()["code"], "import.bad_line");
    let kept = place.run(&["stats", "j", "--json"]).object()["events"]
        .as_u64()
        .unwrap();
    assert!(kept > 8_000, "{kept}");
    place.write("f", &text);
    let (added, known, _) = counts(import(&place, &[]));
    let positions = place
        .run(&["log", "j", "--scope", "import", "--json"])
        .objects()
        .len();
    let all = place.run(&["stats", "j", "--json"]).object()["events"]
        .as_u64()
        .unwrap();
    assert_eq!(all, 1 + 30_000 + positions as u64);
    assert!(added < 30_000);
    assert_eq!(added + known, 30_000);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn standard_input_is_deduplicated_line_by_line() {
    let place = Place::with_journal();
    let args = [
        "import", "j", "-", "--format", "jsonl", "--entity", "e", "--kind", "k", "--json",
    ];
    let text: String = (0..100).map(|n| line(0, n)).collect();
    assert_eq!(
        counts(place.run_with_input(&args, text.as_bytes())),
        (100, 0, 0)
    );
    let more = text + &line(0, 100);
    assert_eq!(
        counts(place.run_with_input(&args, more.as_bytes())),
        (1, 100, 0)
    );
}

#[test]
fn the_bytes_of_the_source_are_kept_as_they_are() {
    let odd: [&[u8]; 4] = [
        b"\xef\xbb\xbf{\"e\":1,\"k\":\"a\"}",
        b" {\"k\" : \"a\", \"e\":\"\\u00e9\" ,\"big\":1e400}\r",
        b"{\"e\":\"x\",\"k\":\"a\",\"s\":\"\xc3\xa9\"}",
        b"{\"e\":\"x\",\"k\":\"a\"}",
    ];
    let place = Place::with_journal();
    // Blank lines are no events, and the last line has no line feed.
    place.write("f", odd.join(&b"\n\n \r\n"[..]));
    assert_eq!(counts(import(&place, &[])), (4, 0, 0));
    assert_eq!(lines(&place), odd);
    assert_eq!(counts(import(&place, &[])), (0, 4, 0));
    let entities = place
        .run(&["log", "j", "--scope", "jsonl", "--json"])
        .objects();
    let entities: Vec<&Value> = entities.iter().map(|event| &event["entity"]).collect();
    assert_eq!(entities, ["1", "é", "x", "x"]);
}

#[test]
fn a_last_line_that_grows_is_a_new_event() {
    let place = Place::with_journal();
    let all = ["import", "j", "f", "--format", "jsonl", "--json"];
    place.write("f", "1\n2");
    assert_eq!(counts(place.run(&all)), (2, 0, 0));
    place.write("f", "1\n23\n");
    assert_eq!(counts(place.run(&all)), (1, 1, 0));
    assert_eq!(lines(&place), [&b"1"[..], b"2", b"23"]);
}

#[test]
fn a_bad_line_is_named_and_nothing_of_its_batch_is_kept() {
    for (bad, why) in [
        (&b"{\"e\":1,"[..], "EOF"),
        (b"nonsense", "expected"),
        (b"{\"e\":1}", "no field k"),
        (b"{\"e\":null,\"k\":\"a\"}", "field e"),
        (b"{\"e\":\"\\u0000\",\"k\":\"a\"}", "entity"),
        (b"{\"e\":1,\"k\":\"\xff\"}", "UTF-8"),
    ] {
        let place = Place::with_journal();
        let before = files(&place.path("j"));
        let good = line(0, 1);
        place.write("f", [good.as_bytes(), bad, b"\n", good.as_bytes()].concat());
        let error = import(&place, &[]).exits(1).error();
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("line 2: ") && message.contains(why),
            "{message}"
        );
        assert_eq!(files(&place.path("j")), before);
        let ran = import(&place, &["--skip-bad"]).exits(0);
        assert!(ran.stderr.contains("line 2: "), "{}", ran.stderr);
        assert_eq!(ran.object()["bad_lines"][0]["line"], 2);
        assert_eq!(counts(ran), (2, 0, 1));
    }
}

#[test]
fn a_line_longer_than_an_event_is_bad_and_read_over() {
    let place = Place::with_journal();
    let mut bytes = line(0, 1).into_bytes();
    bytes.resize(bytes.len() + (17 << 20), b'x');
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(line(0, 2).as_bytes());
    place.write("f", bytes);
    assert!(
        import(&place, &[]).exits(1).error()["message"]
            .as_str()
            .unwrap()
            .contains("line 2")
    );
    // The line before it was a batch of its own, and is not read again.
    assert_eq!(counts(import(&place, &["--skip-bad"])), (1, 1, 1));
    assert_eq!(lines(&place).len(), 2);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let place = Place::with_journal();
    place.write("f", line(0, 1) + &line(0, 2));
    let before = files(&place.path("j"));
    assert_eq!(counts(import(&place, &["--dry-run"])), (2, 0, 0));
    assert_eq!(
        counts(import(&place, &["--dry-run", "--id", "e"])),
        (2, 0, 0)
    );
    assert_eq!(files(&place.path("j")), before);
    assert_eq!(counts(import(&place, &[])), (2, 0, 0));
}

#[test]
fn fields_become_coordinates() {
    let place = Place::with_journal();
    place.write(
        "f",
        "{\"u\":{\"id\":7,\"who\":\"ada\"},\"type\":\"a.b\",\"at\":1500,\"id\":\"q\",\"t\":[\"x\",\"y\"]}\n",
    );
    let args = [
        "import",
        "j",
        "f",
        "--format",
        "jsonl",
        "--scope",
        "shop",
        "--entity",
        "/u/id",
        "--kind",
        "type",
        "--id",
        "id",
        "--time",
        "at",
        "--time-unit",
        "ms",
        "--actor",
        "/u/who",
        "--tag",
        "t",
        "--json",
    ];
    place.run(&args).exits(0);
    let event = place.run(&["show", "j", "1", "--json"]).exits(0).object();
    for (field, wanted) in [
        ("scope", json!("shop")),
        ("entity", json!("7")),
        ("kind", json!("a.b")),
        ("occurred_at", json!("1970-01-01T00:00:01.500000Z")),
        ("actor", json!("ada")),
        ("tags", json!(["x", "y"])),
    ] {
        assert_eq!(event[field], wanted, "{field}");
    }
    // The same under another journal's secret is another id.
    place.run(&["init", "k"]).exits(0);
    place.run(&[&["import", "k"], &args[2..]].concat()).exits(0);
    let other = place.run(&["show", "k", "1", "--json"]).exits(0).object();
    assert_ne!(other["event_id"], event["event_id"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::with_journal();
    place.write("f", "1\n");
    import(&place, &["--scope", "import"]).exits(2);
    import(&place, &["--by-path"]).exits(2);
    import(&place, &["--entity", ""]).exits(2);
    place
        .run(&["import", "j", "missing", "--format", "jsonl"])
        .exits(7);
    place
        .run(&["import", "j", ".", "--format", "jsonl"])
        .exits(1);
    place.run(&["import", "j", "-", "--format", "git"]).exits(2);
    place
        .run(&["import", "nowhere", "f", "--format", "jsonl"])
        .exits(7);
    fs::write(place.path("empty"), b"").unwrap();
    let ran = place.run(&["import", "j", "empty", "--format", "jsonl", "--json"]);
    assert_eq!(counts(ran), (0, 0, 0));
}
