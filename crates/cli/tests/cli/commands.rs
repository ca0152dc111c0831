//! Each command does what it says, and ends in the exit code that fits.

use std::fs;
use std::fs::File;

use serde_json::json;

use crate::support::{Place, files};

#[test]
fn init_prints_origin_and_verifier_key_and_keeps_the_private_one_out_of_the_journal() {
    let place = Place::new();
    let ran = place.run(&["init", "j", "--origin", "example.com/ledger", "--json"]);
    let made = ran.exits(0).object();
    let (origin, id) = (
        made["origin"].as_str().unwrap(),
        made["id"].as_str().unwrap(),
    );
    assert_eq!(origin, format!("example.com/ledger/{id}"));
    assert!(
        made["vkey"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{origin}+"))
    );
    let key = place.path(&format!("config/factlog/keys/{id}.key"));
    assert_eq!(made["key_file"], key.to_str().unwrap());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read(&key).unwrap();
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(
        files(&place.path("j"))
            .iter()
            .all(|(_, bytes)| !holds(bytes))
    );
    assert!(place.path("state/factlog/known_journals").exists());
    // Nothing of it is written over.
    let again = place.run(&["init", "j", "--json"]).exits(1).error();
    assert_eq!(again["code"], "journal.exists");
}

#[test]
fn a_key_and_known_journals_can_be_named_by_hand() {
    let place = Place::new();
    let known = ["--known", "k"];
    let init = [&["init", "j", "--signing-key", "my.key"][..], &known].concat();
    place.run(&init).exits(0);
    assert!(!place.path("config").exists() && !place.path("state").exists());
    let append = ["append", "j", "s/e", "k", "--data", "1"];
    // The known journals say where the key is.
    place.run(&[&append[..], &known].concat()).exits(0);
    let refused = place.run(&[&append[..], &["--known", "none", "--json"]].concat());
    assert_eq!(refused.exits(4).error()["code"], "signer.key_missing");
    let by_hand = ["--known", "none", "--signing-key", "my.key"];
    place.run(&[&append[..], &by_hand].concat()).exits(0);
    place
        .run(&[&append[..], &["--signing-key", "no.key"]].concat())
        .exits(7);
}

#[test]
fn append_answers_expectations_and_repeats() {
    let place = Place::with_journal();
    let id = "0198b5a0-7c1e-7cc3-9d0b-5f0a3a9e2f11";
    let opened = [
        "append",
        "j",
        "bank/a",
        "account.opened",
        "--data",
        "{\"owner\":\"Ada\"}",
        "--expect",
        "none",
        "--id",
        id,
        "--occurred-at",
        "2026-01-02T03:04:05Z",
        "--actor",
        "ada",
        "--tag",
        "new",
        "--json",
    ];
    let first = place.run(&opened).exits(0).object();
    assert_eq!(
        (&first["sequence"], &first["revision"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&first["event_id"], &first["already"]),
        (&json!(id), &json!(false))
    );
    let again = place.run(&opened).exits(0).object();
    assert_eq!(again["already"], true);
    assert_eq!(again["event_hash"], first["event_hash"]);

    let append = |more: &[&str]| {
        let args = [
            "append",
            "j",
            "bank/a",
            "account.deposited",
            "--data",
            "5",
            "--json",
        ];
        place.run(&[&args[..], more].concat())
    };
    append(&["--expect", "0"]).exits(0);
    let conflict = append(&["--expect", "0"]).exits(6).error();
    assert_eq!(conflict["code"], "conflict.expectation");
    append(&["--expect", "none"]).exits(6);
    assert_eq!(
        append(&["--id", id]).exits(6).error()["code"],
        "conflict.id_reused"
    );
    for wrong in [
        &["--expect", "soon"][..],
        &["--id", "7"],
        &["--occurred-at", "soon"],
        &["--encoding", "json"],
    ] {
        append(wrong).exits(2);
    }
}

#[test]
fn a_payload_comes_from_an_argument_a_file_or_standard_input() {
    let place = Place::with_journal();
    let section = |sequence: &str| {
        let shown = place
            .run(&["show", "j", sequence, "--json"])
            .exits(0)
            .object();
        let sections = shown["sections"].as_array().unwrap();
        assert!(sections.len() <= 1);
        sections.first().cloned().unwrap_or_default()
    };
    place.append("s/e", "k", "{\"n\": 12345678901234567890}");
    assert_eq!(
        section("1")["value"].to_string(),
        "{\"n\":12345678901234567890}"
    );
    place.write("bytes", b"\0\xff");
    place
        .run(&["append", "j", "s/e", "k", "--file", "bytes"])
        .exits(0);
    assert_eq!(section("2")["encoding"], "raw");
    assert_eq!(section("2")["bytes"], "AP8=");
    let stdin = ["append", "j", "s/e", "k", "--encoding", "json"];
    place.run_with_input(&stdin, b"[1,\n2]").exits(0);
    assert_eq!(section("3")["value"], json!([1, 2]));
    place
        .run_with_input(&["append", "j", "s/e", "k"], b"")
        .exits(0);
    assert_eq!(section("4"), json!(null));
    place
        .run(&["append", "j", "s/e", "k", "--data", "{"])
        .exits(2);
    place.run_with_input(&stdin, b"\xff").exits(2);
    place
        .run(&["append", "j", "s/e", "k", "--file", "no"])
        .exits(7);
    place
        .run(&["append", "j", "$journal/e", "k", "--data", "1"])
        .exits(2);
    place
        .run(&["append", "j", "se", "k", "--data", "1"])
        .exits(2);
}

#[test]
fn log_filters_and_show_finds() {
    let place = Place::with_journal();
    place.append("a/1", "x.one", "1");
    place.append("a/2", "x.two", "2");
    place.append("b/1", "x.one", "3");
    let tagged = ["append", "j", "b/1", "y", "--data", "4", "--tag", "t"];
    place.run(&tagged).exits(0);
    let sequences = |more: &[&str]| -> Vec<u64> {
        let args = [&["log", "j", "--json"][..], more].concat();
        let objects = place.run(&args).exits(0).objects();
        objects
            .iter()
            .map(|object| object["sequence"].as_u64().unwrap())
            .collect()
    };
    for (args, wanted) in [
        (&[][..], &[0, 1, 2, 3, 4][..]),
        (&["--stream", "b/1"], &[3, 4]),
        (&["--scope", "a"], &[1, 2]),
        (&["--kind", "x.one"], &[1, 3]),
        (&["--tag", "t"], &[4]),
        (&["--after", "2"], &[3, 4]),
        (&["--since", "1h"], &[0, 1, 2, 3, 4]),
        (&["--since", "2100-01-01T00:00:00Z"], &[]),
        (&["--limit", "2"], &[0, 1]),
        (&["--reverse", "--limit", "2"], &[4, 3]),
        (&["--after", "18446744073709551615"], &[]),
        (&["--stream", "no/such"], &[]),
    ] {
        assert_eq!(sequences(args), wanted, "{args:?}");
    }
    place.run(&["log", "j", "--since", "soon"]).exits(2);
    place.run(&["log", "j", "--stream", "x"]).exits(2);
    place.run(&["log", "nowhere"]).exits(7);
    let shown = place.run(&["show", "j", "4", "--json"]).exits(0).object();
    let id = shown["event_id"].as_str().unwrap();
    assert_eq!(
        place.run(&["show", "j", id, "--json"]).exits(0).object(),
        shown
    );
    let error = place.run(&["show", "j", "5", "--json"]).exits(7).error();
    assert_eq!(
        (&error["code"], &error["exit"]),
        (&json!("event.not_found"), &json!(7))
    );
    place.run(&["show", "j", "five"]).exits(2);
}

#[test]
fn stats_tell_how_far_consumers_are_and_why_they_ended() {
    let place = Place::with_journal();
    place.append("a/1", "x", "1");
    place.append("a/1", "x", "2");
    let reader = factlog::Journal::open_read_only(place.path("j"), factlog::Options::new());
    let reader = reader.unwrap();
    let mut cursor = reader.cursor_file("mails").unwrap();
    cursor.advance(1).unwrap();
    let consumers = || place.run(&["stats", "j", "--json"]).exits(0).object()["consumers"].clone();
    let running = consumers();
    assert_eq!(
        (&running[0]["lag"], &running[0]["running"]),
        (&json!(2), &json!(true))
    );
    assert!(running[0]["lag_seconds"].as_f64().unwrap() > 0.0);
    cursor.end(&factlog::Ended::Closed).unwrap();
    drop(cursor);
    let ended = consumers();
    assert_eq!(ended[0]["ended"]["reason"], "closed");
    assert_eq!(
        (&ended[0]["name"], &ended[0]["position"]),
        (&json!("mails"), &json!(1))
    );
    let page = place.run(&["stats", "j"]).exits(0).stdout;
    assert!(page.contains("mails: at 1, 2 events"), "{page}");
}

#[test]
fn streams_stats_receipts_and_checkpoints_are_given() {
    let place = Place::with_journal();
    place.append("a/1", "x", "1");
    place.append("a/1", "x", "2");
    place.append("b/é", "x", "3");
    let streams = place.run(&["streams", "j", "--json"]).exits(0).objects();
    assert_eq!(streams.len(), 3);
    let streams = place
        .run(&["streams", "j", "--json", "--scope", "a"])
        .exits(0)
        .object();
    assert_eq!(
        (&streams["entity"], &streams["events"]),
        (&json!("1"), &json!(2))
    );
    let stats = place.run(&["stats", "j", "--json"]).exits(0).object();
    assert_eq!(
        (&stats["events"], &stats["streams"]),
        (&json!(4), &json!(3))
    );
    assert_eq!(stats["signed_through"], 3);

    let receipt = place.run(&["receipt", "j", "2"]).exits(0).stdout;
    assert!(receipt.starts_with("c2sp.org/tlog-proof@v1\n"));
    place.run(&["receipt", "j", "2", "-o", "r"]).exits(0);
    assert_eq!(fs::read_to_string(place.path("r")).unwrap(), receipt);
    assert_eq!(
        place.run(&["receipt", "j", "2", "--json"]).object()["receipt"],
        receipt
    );
    assert_eq!(
        place.run(&["receipt", "j", "9", "--json"]).exits(7).error()["code"],
        "event.not_found"
    );

    let checkpoint = place
        .run(&["checkpoint", "j", "--json", "-o", "c"])
        .exits(0)
        .object();
    assert_eq!(checkpoint["size"], 4);
    assert_eq!(
        fs::read_to_string(place.path("c")).unwrap(),
        checkpoint["checkpoint"]
    );
}

#[test]
fn reading_commands_write_nothing() {
    let place = Place::with_journal();
    place.append("a/1", "x", "1");
    let before = files(&place.path("j"));
    for args in [
        &["log", "j"][..],
        &["show", "j", "1"],
        &["streams", "j"],
        &["stats", "j"],
        &["receipt", "j", "1"],
        &["checkpoint", "j"],
        &["verify", "j"],
        &["verify", "j", "--internal"],
    ] {
        place.run(args).exits(0);
    }
    assert_eq!(files(&place.path("j")), before);
}

#[test]
fn a_journal_that_is_open_for_writing_is_locked() {
    let place = Place::with_journal();
    let lock = File::options()
        .write(true)
        .open(place.path("j/LOCK"))
        .unwrap();
    lock.lock().unwrap();
    let args = ["append", "j", "a/1", "x", "--data", "1", "--json"];
    assert_eq!(place.run(&args).exits(5).error()["code"], "journal.locked");
    // Readers need no lock.
    place.run(&["log", "j"]).exits(0);
}

#[test]
fn an_unsigned_journal_has_no_receipts() {
    let place = Place::new();
    let made = place
        .run(&["init", "j", "--no-sign", "--json"])
        .exits(0)
        .object();
    assert_eq!(
        (&made["vkey"], &made["key_file"]),
        (&json!(null), &json!(null))
    );
    place.append("a/1", "x", "1");
    for args in [
        &["receipt", "j", "1", "--json"][..],
        &["checkpoint", "j", "--json"],
    ] {
        assert_eq!(place.run(args).exits(1).error()["code"], "journal.unsigned");
    }
    let verified = place.run(&["verify", "j", "--json"]).exits(4).object();
    assert_eq!(verified["authenticity"], "unsigned");
    place.run(&["verify", "j", "--internal"]).exits(0);
}

#[test]
fn known_journals_are_listed_forgotten_and_accepted() {
    let place = Place::with_journal();
    place.append("a/1", "x", "1");
    let listed = place.run(&["known", "list", "--json"]).exits(0).object();
    assert_eq!(listed["size"], 2);
    let id = listed["id"].as_str().unwrap();
    place.run(&["known", "forget", id]).exits(0);
    assert_eq!(place.run(&["known", "list", "--json"]).exits(0).stdout, "");
    assert_eq!(
        place
            .run(&["known", "forget", id, "--json"])
            .exits(7)
            .error()["code"],
        "known.not_found"
    );
    place.run(&["verify", "j"]).exits(4);
    place.run(&["known", "accept", "j"]).exits(0);
    place.run(&["verify", "j"]).exits(0);
    let listed = place
        .run(&["known", "list", "j", "--json"])
        .exits(0)
        .object();
    assert_eq!(listed["size"], 2);
    place.run(&["known", "forget", "j"]).exits(0);
    place.run(&["known", "list", "--known", "none"]).exits(2);
}

#[test]
fn what_is_shredded_is_gone_and_its_receipt_still_verifies() {
    let place = Place::new();
    place.write("pass", "correct horse\n");
    let kek = ["--kek", "command:cat pass"];
    let with = |args: &[&str], code| place.run(&[args, &kek[..]].concat()).exits(code);
    let init = with(
        &[
            "init",
            "j",
            "--encrypt",
            "stream",
            "--recovery-key",
            "recovery.key",
            "--json",
        ],
        0,
    );
    let vkey = init.object()["vkey"].as_str().unwrap().to_owned();
    for entity in ["a/1", "a/2"] {
        with(&["append", "j", entity, "x", "--data", "{\"n\":1}"], 0);
    }
    with(&["receipt", "j", "1", "-o", "r"], 0);
    let shown = with(&["show", "j", "1", "--json"], 0);
    assert_eq!(shown.object()["sections"][0]["value"]["n"], 1);
    place.write("e", shown.object().to_string());
    place
        .run(&["verify-receipt", "r", "--vkey", &vkey, "--event", "e"])
        .exits(0);
    // Without what unlocks it, it is locked and not shredded.
    let locked = place.run(&["show", "j", "1", "--json"]).exits(0);
    assert_eq!(locked.object()["sections"][0]["sealed"], "keyset.locked");
    place
        .run(&["append", "j", "a/1", "x", "--data", "{}"])
        .exits(4);
    with(
        &["shred", "j", "--stream", "a/1", "--reason", "request 17"],
        2,
    );
    with(
        &["hold", "add", "j", "--stream", "a/1", "--reason", "case"],
        0,
    );
    with(
        &[
            "shred",
            "j",
            "--stream",
            "a/1",
            "--reason",
            "request 17",
            "--yes",
        ],
        1,
    );
    with(&["hold", "remove", "j", "3", "--reason", "settled"], 0);
    with(
        &[
            "shred",
            "j",
            "--stream",
            "a/1",
            "--reason",
            "request 17",
            "--yes",
        ],
        0,
    );
    for kek in ["command:cat pass", "file:recovery.key"] {
        let read = |sequence| {
            place
                .run(&["show", "j", sequence, "--json", "--kek", kek])
                .exits(0)
        };
        assert_eq!(
            read("1").object()["sections"][0]["sealed"],
            "section.shredded"
        );
        assert_eq!(read("2").object()["sections"][0]["value"]["n"], 1);
    }
    let report = place.run(&["erasure-report", "j", "--json"]).exits(0);
    assert_eq!(report.object()["reason"], "request 17");
    place
        .run(&["verify-receipt", "r", "--vkey", &vkey])
        .exits(0);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn retention_takes_the_payloads_that_a_policy_names() {
    let place = Place::with_journal();
    for (kind, data) in [("chat.said", "\"first\""), ("chat.said", "\"last\"")] {
        place.append("support/chat-1", kind, data);
    }
    let last = place.append("support/chat-1", "chat.closed", "\"bye\"");
    let last = last["sequence"].as_u64().unwrap();
    place.write(
        "policy",
        "[[rule]]\nname = 'chats'\nreason = 'not needed'\nkind = 'chat.said'\n",
    );
    let run = |more: &[&str]| {
        let args = ["retain", "j", "--policy", "policy", "--json"];
        place.run(&[&args, more].concat()).exits(0).object()
    };
    let planned = run(&["--dry-run"]);
    assert_eq!(planned["rules"][0]["events"], 2);
    let payload = |sequence: u64| {
        let sequence = sequence.to_string();
        let shown = place.run(&["show", "j", &sequence, "--json"]).exits(0);
        shown.object()["sections"][0]["value"].clone()
    };
    assert_eq!(payload(last - 1), "last");
    let done = run(&["--actor", "office"]);
    assert_eq!(done["rules"][0]["bytes"], planned["rules"][0]["bytes"]);
    assert_eq!(done["rules"][0]["reason"], "not needed");
    assert_eq!(payload(last), "bye");
    assert!(payload(last - 1).is_null());
    for (path, bytes) in files(&place.path("j")) {
        let found = bytes.windows(7).any(|bytes| bytes == b"\"first\"");
        assert!(!found, "{}", path.display());
    }
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn a_policy_of_level_full_leaves_the_spine_and_gives_the_id_back() {
    let place = Place::with_journal();
    let id = "019a3c5e-7b1a-7c3d-8e4f-a0b1c2d3e4f5";
    let append = || {
        let args = [
            "append",
            "j",
            "people/ada",
            "chat.said",
            "--data",
            "\"first\"",
            "--id",
            id,
        ];
        place
            .run(&[&args[..], &["--json"]].concat())
            .exits(0)
            .object()
    };
    let first = append();
    assert_eq!(append()["already"], true);
    place.append("people/eve", "chat.said", "\"other\"");
    let rule =
        "[[rule]]\nname = 'forget'\nreason = 'a request'\nscope = 'people'\nlevel = 'full'\n";
    place.write("policy", rule);
    let args = ["retain", "j", "--policy", "policy"];
    let planned = place.run(&[&args[..], &["--dry-run"]].concat()).exits(0);
    assert!(
        planned
            .stdout
            .starts_with("forget, full: 2 events would lose "),
        "{}",
        planned.stdout
    );
    let done = place
        .run(&[&args[..], &["--json"]].concat())
        .exits(0)
        .object();
    assert_eq!(
        (&done["rules"][0]["level"], &done["rules"][0]["events"]),
        (&"full".into(), &2.into())
    );
    for (path, bytes) in files(&place.path("j")) {
        let found = bytes.windows(6).any(|bytes| bytes == b"people");
        assert!(!found, "{}", path.display());
    }
    let sequence = first["sequence"].to_string();
    let shown = place
        .run(&["show", "j", &sequence, "--json"])
        .exits(0)
        .object();
    assert_eq!(shown["sequence"], first["sequence"]);
    assert!(shown["scope"].is_null() && shown["id"].is_null(), "{shown}");
    place.run(&["show", "j", id]).exits(7);
    place.run(&["log", "j"]).exits(0);
    let back = append();
    assert_eq!(
        (&back["already"], &back["revision"]),
        (&false.into(), &0.into())
    );
    assert_ne!(back["sequence"], first["sequence"]);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn a_policy_with_a_mistake_changes_nothing() {
    let place = Place::with_journal();
    place.append("support/chat-1", "chat.said", "\"first\"");
    let before = files(&place.path("j"));
    let rule = "[[rule]]\nname = 'chats'\nreason = 'not needed'\nkind = 'chat.said'\n";
    place.write(
        "policy",
        format!("{rule}[[rule]]\nname = 'b'\nkinds = 'x'\n"),
    );
    let ran = place.run(&["retain", "j", "--policy", "policy", "--json"]);
    let error = ran.exits(2).error();
    assert_eq!(error["code"], "retention.invalid");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("policy, line 7, column 1: "), "{message}");
    assert!(before == files(&place.path("j")), "something was written");
}
