//! Keys that change, and witnesses over files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::Place;

/// A journal of some events, and its vkey.
pub(crate) fn place() -> (Place, String) {
    let place = Place::new();
    let made = place.run(&["init", "j", "--json"]).exits(0).object();
    for n in 0..3 {
        place.append("a/1", "x", &n.to_string());
    }
    (place, made["vkey"].as_str().unwrap().to_owned())
}

pub(crate) fn json(place: &Place, args: &[&str], code: i32) -> Value {
    place
        .run(&[args, &["--json"]].concat())
        .exits(code)
        .object()
}

#[test]
fn a_rotated_journal_is_followed_without_a_word() {
    let (place, first) = place();
    let rotated = json(&place, &["keys", "rotate", "j"], 0);
    assert_eq!(rotated["sequence"], 4);
    let file = rotated["key_file"].as_str().unwrap();
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // The owner names nothing: the key is found, the pin has followed.
    place.append("a/1", "x", "4");
    assert_eq!(json(&place, &["verify", "j"], 0)["signed_through"], 5);
    let known = json(&place, &["known", "list", "j"], 0);
    assert_eq!(known["vkey"], rotated["vkey"]);
    // Someone else knows only the first key.
    place.run(&["checkpoint", "j", "-o", "c"]).exits(0);
    let other = [
        "verify",
        "j",
        "--known",
        "theirs",
        "--vkey",
        &first,
        "--checkpoint",
        "c",
    ];
    assert_eq!(json(&place, &other, 0)["signed_through"], 5);
    // And remembers what it found out.
    assert_eq!(
        json(&place, &["verify", "j", "--known", "theirs"], 0)["signed_through"],
        5
    );
    let keys = place
        .run(&["keys", "list", "j", "--json"])
        .exits(0)
        .objects();
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0]["vkey"], &keys[0]["retired"]),
        (&json!(first), &json!(4))
    );
    assert_eq!(
        (&keys[1]["since"], &keys[1]["retired"]),
        (&json!(4), &Value::Null)
    );
    json(&place, &["keys", "revoke", "j", &first, "--from", "2"], 0);
    json(&place, &["verify", "j"], 0);
    let live = rotated["vkey"].as_str().unwrap();
    let refused = place.run(&["keys", "revoke", "j", live, "--from", "2", "--json"]);
    assert_eq!(refused.exits(1).error()["code"], "key.refused");
}

#[test]
fn a_witness_cosigns_what_continues_and_a_policy_wants_it() {
    let (place, vkey) = place();
    let mut policy = format!("log {vkey}\n");
    for name in ["w1", "w2"] {
        let made = json(&place, &["witness", "init", name, "--name", name], 0);
        policy += &format!("witness {name} {}\n", made["vkey"].as_str().unwrap());
        json(&place, &["witness", "trust", name, &vkey], 0);
    }
    place.write("both", format!("{policy}group g all w1 w2\nquorum g\n"));
    place.write("one", format!("{policy}quorum w1\n"));
    place
        .run(&["witness", "ask", "j", "-o", "request"])
        .exits(0);
    let answer = place
        .run(&["witness", "cosign", "w1", "request", "-o", "c"])
        .exits(0);
    assert!(
        answer.stderr.contains("trust on first use"),
        "{}",
        answer.stderr
    );
    let with = |policy: &str, code: i32| {
        let args = [
            "verify",
            "j",
            "--known",
            "none",
            "--policy",
            policy,
            "--checkpoint",
            "c",
        ];
        json(&place, &args, code)
    };
    assert_eq!(with("one", 0)["completeness"], "anchored");
    let lacking = with("both", 4);
    assert_eq!(lacking["unchecked"][0]["code"], "checkpoint.no_quorum");
    // The second witness cosigns what the first one gave.
    let checkpoint = fs::read_to_string(place.path("c")).unwrap();
    place.write("again", format!("old 0\n\n{checkpoint}"));
    place
        .run(&["witness", "cosign", "w2", "again", "-o", "c"])
        .exits(0);
    with("both", 0);
    place.append("a/1", "x", "3");
    let ask = place.run(&["witness", "ask", "j", "--old", "4"]).exits(0);
    let answer = place.run_with_input(
        &["witness", "cosign", "w1", "-", "--json"],
        ask.stdout.as_bytes(),
    );
    let answer = answer.exits(0).object();
    assert_eq!(
        (&answer["size"], &answer["first_contact"]),
        (&json!(5), &json!(false))
    );
    // From elsewhere than where it stands, and back.
    let code = |request: &str, code: i32| {
        let ran = place
            .run(&["witness", "cosign", "w1", request, "--json"])
            .exits(code);
        ran.error()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("request", 3), "history.rolled_back");
    place
        .run(&["witness", "ask", "j", "-o", "conflict"])
        .exits(0);
    assert_eq!(code("conflict", 6), "witness.conflict");
}

#[test]
fn a_witness_notices_two_histories() {
    let (place, vkey) = place();
    json(&place, &["witness", "init", "w", "--name", "w"], 0);
    json(&place, &["witness", "trust", "w", &vkey], 0);
    place.copy("j", "k");
    let state = place.path("config/factlog/keys");
    let kept = crate::support::files(&state);
    place.append("a/1", "x", "3");
    place
        .run(&["witness", "ask", "j", "-o", "request"])
        .exits(0);
    place.run(&["witness", "cosign", "w", "request"]).exits(0);
    // Whoever restores the signer's state as well can sign a second history, but not have it witnessed.
    for (path, bytes) in kept {
        fs::write(path, bytes).unwrap();
    }
    let other = ["append", "k", "a/1", "x", "--data", "9", "--known", "none"];
    let mut files = fs::read_dir(&state)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let key = files
        .find(|path| path.extension().is_some_and(|e| e == "key"))
        .unwrap();
    let key = key.to_str().unwrap();
    place
        .run(&[&other[..], &["--signing-key", key]].concat())
        .exits(0);
    place
        .run(&["witness", "ask", "k", "--old", "5", "-o", "forked"])
        .exits(0);
    let ran = place
        .run(&["witness", "cosign", "w", "forked", "--json"])
        .exits(3);
    assert_eq!(ran.error()["code"], "history.forked");
}

/// What a witness keeps is never taken for less than it was.
#[test]
fn a_witness_whose_records_are_damaged_signs_nothing() {
    let (place, vkey) = place();
    json(&place, &["witness", "init", "w", "--name", "w"], 0);
    place
        .run(&["witness", "ask", "j", "-o", "request"])
        .exits(0);
    let cosign = ["witness", "cosign", "w", "request", "--json"];
    let unknown = place.run(&cosign).exits(4);
    assert_eq!(unknown.error()["code"], "witness.unknown_log");
    json(&place, &["witness", "trust", "w", &vkey], 0);
    place.run(&cosign).exits(0);
    let files = crate::support::files(&place.path("w"));
    let (log, good) = files
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "log"))
        .unwrap();
    for at in (0..good.len()).step_by(7).chain([good.len() - 1]) {
        let mut cut = good.clone();
        cut.truncate(at);
        fs::write(log, &cut).unwrap();
        let ran = place.run(&cosign);
        assert_eq!(ran.code, 1, "cut at {at}: {}", ran.stderr);
    }
    fs::write(log, good).unwrap();
    let key = place.path("w/witness.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        place.run(&cosign).exits(1).error()["code"],
        "signer.key_permissions"
    );
}

#[test]
fn a_witness_can_drop_a_key_and_forgets_nothing_by_it() {
    let (place, vkey) = place();
    json(&place, &["witness", "init", "w", "--name", "w"], 0);
    json(&place, &["witness", "trust", "w", &vkey], 0);
    place
        .run(&["witness", "ask", "j", "-o", "request"])
        .exits(0);
    place.run(&["witness", "cosign", "w", "request"]).exits(0);
    json(&place, &["witness", "untrust", "w", &vkey], 0);
    let cosign = |request: &str, code: i32| {
        let ran = place.run(&["witness", "cosign", "w", request, "--json"]);
        ran.exits(code).error()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(cosign("request", 4), "witness.unknown_log");
    let again = place.run(&["witness", "untrust", "w", &vkey, "--json"]);
    assert_eq!(again.exits(7).error()["code"], "witness.unknown_log");
    // Trusted again, it is no first contact.
    json(&place, &["witness", "trust", "w", &vkey], 0);
    place.append("a/1", "x", "3");
    place.run(&["witness", "ask", "j", "-o", "fresh"]).exits(0);
    assert_eq!(cosign("fresh", 6), "witness.conflict");
    place
        .run(&["witness", "ask", "j", "--old", "4", "-o", "later"])
        .exits(0);
    place.run(&["witness", "cosign", "w", "later"]).exits(0);
}

#[test]
fn a_witness_whose_creation_was_cut_short_can_be_made_again() {
    let (place, _) = place();
    fs::create_dir(place.path("w")).unwrap();
    place.write("w/new-keyAbCdEf", "PRIVATE");
    json(&place, &["witness", "init", "w", "--name", "w"], 0);
    place.run(&["witness", "init", "w", "--name", "w"]).exits(1);
    fs::create_dir(place.path("full")).unwrap();
    place.write("full/thesis", "years of work");
    place
        .run(&["witness", "init", "full", "--name", "w"])
        .exits(1);
    assert_eq!(fs::read_dir(place.path("full")).unwrap().count(), 1);
}

/// As the journal's own key files.
#[test]
fn a_private_key_that_others_can_read_is_refused_wherever_it_is_given() {
    let (place, _) = place();
    let made = place.run(&["init", "k", "--json"]).exits(0).object();
    let file = made["key_file"].as_str().unwrap().to_owned();
    let rotate = |file: &str, exit: i32| {
        let ran = place.run(&["keys", "rotate", "j", "--key", file, "--json"]);
        ran.exits(exit).error()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(rotate(&file, 1), "signer.other_journal", "it can be read");
    std::os::unix::fs::symlink(&file, place.path("link")).unwrap();
    assert_eq!(rotate("link", 1), "signer.key_permissions");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(rotate(&file, 1), "signer.key_permissions");
}

/// Bug: with a policy that wants witnesses, a verification that was shown no cosigned checkpoint moved what
/// is known on to the newest.
#[test]
fn what_no_witness_has_seen_is_not_remembered_where_a_policy_wants_them() {
    let (place, vkey) = place();
    let made = json(&place, &["witness", "init", "w", "--name", "w"], 0);
    json(&place, &["witness", "trust", "w", &vkey], 0);
    place.write(
        "policy",
        format!(
            "log {vkey}\nwitness w {}\nquorum w\n",
            made["vkey"].as_str().unwrap()
        ),
    );
    let verify = |more: &[&str], code: i32| {
        let base = [
            "verify", "j", "--known", "theirs", "--vkey", &vkey, "--policy", "policy",
        ];
        json(&place, &[&base[..], more].concat(), code);
        let known = place
            .run(&["known", "--known", "theirs", "list", "--json"])
            .exits(0)
            .objects();
        known.first().map(|journal| journal["size"].clone())
    };
    assert_eq!(verify(&[], 4), None);
    place
        .run(&["witness", "ask", "j", "-o", "request"])
        .exits(0);
    place
        .run(&["witness", "cosign", "w", "request", "-o", "c"])
        .exits(0);
    assert_eq!(verify(&["--checkpoint", "c"], 0), Some(json!(4)));
    place.append("a/1", "x", "3");
    assert_eq!(verify(&[], 4), Some(json!(4)));
    assert_eq!(
        verify(&["--checkpoint", "c"], 0),
        Some(json!(4)),
        "it has cosigned no more"
    );
}

/// The key moves out of the journal owner's reach; a command signs, and knows a journal that went back.
#[test]
fn a_command_signs_in_place_of_a_key() {
    let (place, _) = place();
    let keys = place.path("config/factlog/keys");
    fs::rename(&keys, place.path("vault")).unwrap();
    let files = crate::support::files(&place.path("vault"));
    let key = files
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "key"));
    let key = key.unwrap().0.display().to_string();
    place.copy("j", "older");
    let signer = format!("{} keys agent {key}", env!("CARGO_BIN_EXE_factlog"));
    let append = |dir: &str, signer: &str, code: i32| {
        let args = [
            "append", dir, "a/1", "x", "--data", "9", "--signer", signer, "--known", "none",
            "--json",
        ];
        place.run(&args).exits(code)
    };
    for _ in 0..3 {
        append("j", &signer, 0);
    }
    assert_eq!(json(&place, &["verify", "j"], 0)["signed_through"], 6);
    let refused = append("older", &signer, 3).error();
    assert_eq!(refused["code"], "signer.history_mismatch");
    let gone = append("j", "echo SESAME >/dev/null; exit 9", 1).error();
    assert_eq!(gone["code"], "signer.unavailable");
    assert!(!gone.to_string().contains("SESAME"), "{gone}");
    append("j", &signer, 0);
}

/// A restored copy that lacks events: it goes on only where what was published proves it a true prefix, and
/// their number is said. Back on, it is another history for all who saw the rest.
#[test]
fn a_restored_journal_is_written_again_only_where_it_is_adopted() {
    let (place, _) = place();
    place.copy("j", "backup");
    for data in ["3", "4"] {
        place.append("a/1", "x", data);
    }
    place.run(&["checkpoint", "j", "-o", "newest"]).exits(0);
    place.run(&["publish", "j", "out"]).exits(0);
    fs::rename(place.path("j"), place.path("lost")).unwrap();
    place.copy("backup", "j");
    let append = |code: i32| {
        let args = ["append", "j", "a/1", "x", "--data", "9", "--json"];
        place.run(&args).exits(code)
    };
    let mismatch = append(3).error();
    assert_eq!(mismatch["code"], "signer.history_mismatch");
    assert!(mismatch.to_string().contains("factlog keys adopt"));
    let adopt = |more: &[&str], code: i32| {
        let args = ["keys", "adopt", "j", "--json"];
        place.run(&[&args[..], more].concat()).exits(code)
    };
    let refused = |more: &[&str], why: &str| {
        let error = adopt(more, 3).error();
        assert_eq!(error["code"], "signer.not_adopted");
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&[], "name a newer copy");
    refused(&["--give-up", "2"], "name a newer copy");
    refused(&["--newer", "out"], "--give-up 2");
    refused(&["--newer", "lost"], "--give-up 2");
    refused(&["--newer", "out", "--give-up", "3"], "--give-up 2");
    refused(&["--newer", "backup", "--give-up", "2"], "can't be made");
    append(3);
    let adopted = adopt(&["--newer", "out", "--give-up", "2"], 0);
    assert!(
        adopted.stderr.contains("known accept"),
        "{}",
        adopted.stderr
    );
    assert_eq!(
        adopted.object(),
        json!({"schema": "factlog.keys-adopt/1", "adopted": "gave_up", "events": 2})
    );
    assert_eq!(append(3).error()["code"], "history.rolled_back");
    json(&place, &["known", "accept", "j"], 0);
    append(0);
    append(0);
    append(0);
    assert_eq!(adopt(&[], 0).object()["adopted"], "continues", "it is done");
    let seen = json(&place, &["verify", "j", "--checkpoint", "newest"], 3);
    assert_eq!(seen["completeness"], "forked");
}

#[test]
fn a_key_that_lost_its_memory_is_told_what_it_has_signed() {
    let (place, _) = place();
    let keys = place.path("config/factlog/keys");
    let state = crate::support::files(&keys);
    let state = state
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "state"));
    fs::remove_file(&state.unwrap().0).unwrap();
    let append = |code: i32| {
        let args = ["append", "j", "a/1", "x", "--data", "9", "--json"];
        place.run(&args).exits(code)
    };
    assert_eq!(append(1).error()["code"], "signer.state_unreadable");
    let key = crate::support::files(&keys);
    let key = key
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "key"));
    let key = key.unwrap().0.display().to_string();
    let blind = [
        "keys",
        "adopt",
        "j",
        "--known",
        "none",
        "--signing-key",
        &key,
        "--json",
    ];
    let refused = place.run(&blind).exits(3).error();
    assert!(
        refused.to_string().contains("show a checkpoint"),
        "{refused}"
    );
    let unsaid = place.run(&["keys", "adopt", "j", "--json"]).exits(3);
    let unsaid = unsaid.error().to_string();
    assert!(unsaid.contains("--nothing-past 4"), "{unsaid}");
    let said = ["keys", "adopt", "j", "--nothing-past", "4"];
    let adopted = json(&place, &said, 0);
    assert_eq!(
        (&adopted["adopted"], &adopted["events"]),
        (&json!("remembers"), &json!(4))
    );
    append(0);
}
