//! Verification through the command: verdicts, evidence, exit codes.

use std::fs;

use serde_json::{Value, json};

use crate::support::Place;

fn verify(place: &Place, args: &[&str], code: i32) -> Value {
    place
        .run(&[&["verify"], args, &["--json"]].concat())
        .exits(code)
        .object()
}

/// A journal with evidence of it kept aside.
fn with_evidence() -> (Place, String) {
    let place = Place::new();
    let made = place.run(&["init", "j", "--json"]).exits(0).object();
    for n in 0..5 {
        place.append("a/1", "x", &n.to_string());
    }
    place.run(&["checkpoint", "j", "-o", "c"]).exits(0);
    place.run(&["receipt", "j", "3", "-o", "r"]).exits(0);
    let shown = place.run(&["show", "j", "3", "--json"]).exits(0);
    place.write("e", shown.stdout);
    (place, made["vkey"].as_str().unwrap().to_owned())
}

#[test]
fn verdicts_follow_from_the_evidence() {
    let (place, vkey) = with_evidence();
    let own = verify(&place, &["j"], 0);
    for (field, wanted) in [
        ("integrity", json!("intact")),
        ("authenticity", json!("signed")),
        ("signed_through", json!(5)),
        ("completeness", json!("anchored")),
        ("anchored_through", json!(5)),
        ("events", json!(6)),
        ("streams", json!(2)),
        ("findings", json!([])),
    ] {
        assert_eq!(own[field], wanted, "{field}");
    }
    let checkpoint = place.run(&["checkpoint", "j", "--json"]).exits(0).object();
    assert_eq!(own["root"], checkpoint["root"]);

    let alone = ["j", "--known", "none"];
    let nothing = verify(&place, &alone, 4);
    assert_eq!(nothing["authenticity"], "self_signed");
    assert_eq!(nothing["completeness"], "not_checked");
    assert_eq!(nothing["anchored_through"], json!(null));
    verify(&place, &[&alone[..], &["--internal"]].concat(), 0);
    let by_key = verify(&place, &[&alone[..], &["--vkey", &vkey]].concat(), 4);
    assert_eq!(by_key["authenticity"], "signed");
    let key = ["--vkey", &vkey];
    verify(
        &place,
        &[&alone[..], &key, &["--checkpoint", "c"]].concat(),
        0,
    );
    verify(&place, &[&alone[..], &key, &["--receipt", "r"]].concat(), 0);
    place.write("k", format!("{vkey}\n"));
    verify(
        &place,
        &[&alone[..], &["--vkey", "k", "--checkpoint", "c"]].concat(),
        0,
    );
    place.run(&["verify", "j", "--vkey", "nonsense"]).exits(2);
}

#[test]
fn a_key_given_by_hand_pins_the_journal() {
    let (place, vkey) = with_evidence();
    let elsewhere = ["--known", "k"];
    verify(&place, &[&["j"][..], &elsewhere].concat(), 4);
    assert!(!place.path("k").exists(), "a pin on the journal's own word");
    verify(
        &place,
        &[&["j", "--vkey", &vkey][..], &elsewhere].concat(),
        4,
    );
    verify(&place, &[&["j"][..], &elsewhere].concat(), 0);
    // It follows the journal on.
    place.append("a/1", "x", "9");
    let report = verify(&place, &[&["j"][..], &elsewhere].concat(), 0);
    assert_eq!(report["anchored_through"], 5);
    let report = verify(&place, &[&["j"][..], &elsewhere].concat(), 0);
    assert_eq!(report["anchored_through"], 6);
}

#[test]
fn a_shorter_copy_is_rolled_back() {
    let place = Place::with_journal();
    place.append("a/1", "x", "1");
    place.copy("j", "old");
    place.append("a/1", "x", "2");
    place.run(&["checkpoint", "j", "-o", "c"]).exits(0);
    let report = verify(&place, &["old"], 3);
    assert_eq!(report["completeness"], "rolled_back");
    assert_eq!(report["integrity"], "intact");
    let codes: Vec<&Value> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["code"])
        .collect();
    assert!(codes.contains(&&json!("history.rolled_back")), "{report}");
    verify(&place, &["old", "--known", "none", "--checkpoint", "c"], 3);
}

#[test]
fn evidence_that_is_no_evidence_does_not_hold() {
    let (place, _) = with_evidence();
    place.write("bad", "no checkpoint\n");
    place.write("bytes", b"\xff\xfe");
    for file in ["bad", "bytes"] {
        place.run(&["verify", "j", "--checkpoint", file]).exits(3);
        place.run(&["verify", "j", "--receipt", file]).exits(3);
    }
    place
        .run(&["verify", "j", "--checkpoint", "missing"])
        .exits(7);
    place.run(&["verify", "nowhere"]).exits(7);
}

#[test]
fn a_receipt_holds_on_its_own_and_against_a_journal_that_grew() {
    let (place, vkey) = with_evidence();
    let check = |file: &str, more: &[&str]| {
        let args = ["verify-receipt", file, "--vkey", &vkey, "--json"];
        place.run(&[&args[..], more].concat())
    };
    let held = check("r", &[]).exits(0).object();
    assert_eq!(
        (&held["holds"], &held["sequence"]),
        (&json!(true), &json!(3))
    );
    assert_eq!((&held["scope"], &held["kind"]), (&json!("a"), &json!("x")));
    assert_eq!(held["sections_checked"], json!([]));
    let held = check("r", &["--event", "e"]).exits(0).object();
    assert_eq!(held["sections_checked"], json!(["data"]));
    place.append("a/1", "x", "7");
    verify(&place, &["j", "--receipt", "r"], 0);

    // Needs no journal, and no folder of the user's.
    fs::remove_dir_all(place.path("j")).unwrap();
    fs::remove_dir_all(place.path("state")).unwrap();
    check("r", &["--event", "e"]).exits(0);

    let other = Place::new();
    let made = other.run(&["init", "j", "--json"]).exits(0).object();
    let key = made["vkey"].as_str().unwrap();
    let refused = place
        .run(&["verify-receipt", "r", "--vkey", key, "--json"])
        .exits(3)
        .object();
    assert_eq!(
        (&refused["holds"], &refused["sequence"]),
        (&json!(false), &json!(null))
    );
}

#[test]
fn every_bit_of_a_receipt_and_every_field_of_its_event_counts() {
    let (place, vkey) = with_evidence();
    let receipt = fs::read(place.path("r")).unwrap();
    // The binary for some of them; the library's own tests take every bit.
    for at in (0..receipt.len()).step_by(receipt.len() / 40) {
        let mut changed = receipt.clone();
        changed[at] ^= 1 << (at % 8);
        place.write("changed", &changed);
        let ran = place.run(&["verify-receipt", "changed", "--vkey", &vkey]);
        // A changed version number can't be told from a newer version.
        assert!(ran.code == 3 || ran.code == 4, "byte {at}: {ran:?}");
    }
    let event: Value = serde_json::from_slice(&fs::read(place.path("e")).unwrap()).unwrap();
    let check = |event: &Value| {
        place.write("changed", event.to_string());
        place.run(&[
            "verify-receipt",
            "r",
            "--vkey",
            &vkey,
            "--event",
            "changed",
            "--json",
        ])
    };
    check(&event).exits(0);
    for field in event.as_object().unwrap().keys() {
        // No hash covers the hint.
        if field == "previous_sequence" {
            continue;
        }
        let mut changed = event.clone();
        changed[field] = json!("other");
        check(&changed).exits(3);
    }
    for (field, value) in [
        ("bytes", json!("OQ==")),
        ("salt", json!("AAAAAAAAAAAAAAAAAAAAAA==")),
        ("value", json!(9)),
        ("name", json!("other")),
    ] {
        let mut changed = event.clone();
        changed["sections"][0][field] = value;
        check(&changed).exits(3);
    }
    // Another event's file is not this receipt's.
    let other = place.run(&["show", "j", "2", "--json"]).exits(0).object();
    let refused = check(&other).exits(3);
    assert!(refused.stdout.contains("receipt."), "{}", refused.stdout);
}

#[test]
fn a_self_test_shows_that_tampering_is_found_and_leaves_nothing() {
    let place = Place::new();
    let ran = place.run(&["verify", "--self-test", "--json"]).exits(0);
    let steps = ran.objects();
    assert_eq!(steps.len(), 4);
    for step in &steps {
        assert_eq!(step["found"], true, "{step}");
    }
    let page = place.run(&["verify", "--self-test"]).exits(0).stdout;
    assert_eq!(page.matches(" found by ").count(), 4, "{page}");
    assert!(!place.path("config").exists() && !place.path("state").exists());
    place.run(&["verify"]).exits(2);
    place.run(&["verify", "j", "--self-test"]).exits(2);
}

#[test]
fn a_walk_back_says_how_it_ended() {
    let place = Place::new();
    place.run(&["init", "j"]).exits(0);
    for n in 0..3 {
        place.append("a/1", "x", &n.to_string());
    }
    let walk = |args: &[&str]| {
        let all = [&["ancestry", "j"], args, &["--json"]].concat();
        let lines = place.run(&all).exits(0).objects();
        let (end, events) = lines.split_last().unwrap();
        let sequences: Vec<u64> = events
            .iter()
            .map(|e| e["sequence"].as_u64().unwrap())
            .collect();
        (sequences, end["end"].as_str().unwrap().to_owned())
    };
    assert_eq!(walk(&["3"]), (vec![3, 2, 1], "start".to_owned()));
    assert_eq!(
        walk(&["3", "--limit", "2"]),
        (vec![3, 2], "limit".to_owned())
    );
    place.run(&["ancestry", "j", "9"]).exits(7);
}

#[test]
fn a_verdict_says_what_it_rests_on_and_who_controls_that() {
    let (place, vkey) = with_evidence();
    let rests = |args: &[&str], code: i32| {
        let report = verify(&place, args, code);
        let by = report["anchored_by"]
            .as_str()
            .unwrap_or("nothing")
            .to_owned();
        (by, report["keeper_controls"].clone())
    };
    let key = ["j", "--known", "none", "--vkey", &vkey];
    assert_eq!(rests(&key, 4), ("nothing".to_owned(), json!(null)));
    assert_eq!(rests(&["j"], 0), ("known journals".to_owned(), json!(true)));
    let brought = ("checkpoint c".to_owned(), json!(false));
    assert_eq!(rests(&["j", "--checkpoint", "c"], 0), brought);
    let since = [&key[..], &["--since", "c"]].concat();
    assert_eq!(rests(&since, 0), brought);
    place.run(&["anchor", "add", "j", "file:anchored"]).exits(0);
    let (by, controlled) = rests(&["j"], 0);
    assert_eq!((by.starts_with("anchor"), controlled), (true, json!(true)));
    let command = "command:cat > /dev/null; [ $FACTLOG_ANCHOR = put ] || cat c";
    place
        .run(&["anchor", "remove", "j", "file:anchored"])
        .exits(0);
    place.run(&["anchor", "add", "j", command]).exits(0);
    let (by, controlled) = rests(&["j"], 0);
    assert_eq!((by.starts_with("anchor"), controlled), (true, json!(null)));
    let shown = place.run(&["verify", "j", "--since", "c"]).exits(0).stdout;
    assert!(
        shown.contains("rests on checkpoint c, which you brought"),
        "{shown}"
    );
}

#[test]
fn what_came_since_a_checkpoint_is_verified_alone() {
    let (place, vkey) = with_evidence();
    place.append("a/1", "x", "9");
    let key = ["j", "--known", "none", "--vkey", &vkey, "--since", "c"];
    let report = verify(&place, &key, 0);
    assert_eq!(report["resumed_from"], 6);
    assert_eq!(report["signed_through"], 6);
    assert_eq!(report["notes"][0]["code"], "since.not_read");
    let unknown = ["j", "--known", "none", "--since", "c"];
    let report = verify(&place, &unknown, 4);
    assert_eq!(
        report["resumed_from"], 0,
        "nobody vouches for the checkpoint"
    );
    place.run(&["verify", "j", "--since", "e"]).exits(3);
}
