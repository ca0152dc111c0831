//! Evidence cases: made of a journal, checked without it, and told in words.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::Place;

/// A journal of a few accounts, and its verifier key in the file `vkey`.
fn ledger() -> Place {
    let place = Place::new();
    let made = place.run(&["init", "j", "--json"]).exits(0).object();
    place.write("vkey", made["vkey"].as_str().unwrap());
    for account in ["a", "b", "a", "c"] {
        let data = format!("{{\"account\":\"{account}\"}}");
        place.append(&format!("bank/{account}"), "account.deposited", &data);
    }
    place.append("bank/a", "account.closed", "{\"why\":\"moved\"}");
    place
}

fn verified(place: &Place, case: &str, more: &[&str], code: i32) -> Value {
    let args = [&["verify-evidence", case, "--vkey", "vkey", "--json"], more].concat();
    place.run(&args).exits(code).object()
}

fn make(place: &Place, args: &[&str]) -> Value {
    let args = [&["evidence", "j", "--json"], args].concat();
    place.run(&args).exits(0).object()
}

#[test]
fn a_case_holds_what_was_asked_for_and_the_journal_says_that_it_was_given() {
    let place = ledger();
    let made = make(&place, &["--kind", "account.deposited", "-o", "c"]);
    assert_eq!((&made["selected"], &made["end"]), (&4.into(), &6.into()));
    let report = verified(&place, "c", &[], 0);
    assert_eq!(report["outcome"], "holds");
    assert_eq!(report["case"]["kind_counts"][0]["events"], 4);
    let manifest = report["case"]["manifest"].to_string();
    let event = place
        .run(&["show", "j", &manifest, "--json"])
        .exits(0)
        .object();
    assert_eq!(event["kind"], "case.exported");
    // Nobody can read out of the journal what was asked for.
    let journal = crate::support::files(&place.path("j"));
    let deposits = journal.iter().map(|(_, bytes)| {
        let windows = bytes.windows(17);
        windows
            .filter(|window| window == b"account.deposited")
            .count()
    });
    assert_eq!(deposits.sum::<usize>(), 4);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn a_case_continues_the_one_before_and_none_of_another_journal() {
    let place = ledger();
    make(&place, &["--to", "4", "-o", "one"]);
    make(&place, &["--from", "4", "--after", "one", "-o", "two"]);
    assert_eq!(
        verified(&place, "two", &["--after", "one"], 0)["outcome"],
        "holds"
    );
    let alone = verified(&place, "one", &["--after", "two"], 3);
    assert_eq!(alone["findings"][0]["code"], "case.after");
    let other = ledger();
    fs::copy(place.path("one"), other.path("foreign")).unwrap();
    let args = [
        "evidence", "j", "--after", "foreign", "-o", "three", "--json",
    ];
    assert_eq!(other.run(&args).exits(3).error()["code"], "case.not_signed");
    assert!(!other.path("three").exists());
}

#[test]
fn an_unlogged_export_writes_nothing_and_says_what_it_is() {
    let place = ledger();
    let before = crate::support::files(&place.path("j"));
    let made = make(&place, &["--unlogged", "--to", "5", "-o", "c"]);
    assert_eq!(made["manifest"], Value::Null);
    assert_eq!(crate::support::files(&place.path("j")), before);
    let page = place
        .run(&["verify-evidence", "c", "--vkey", "vkey"])
        .exits(0);
    assert!(page.stdout.contains("unlogged export"), "{}", page.stdout);
}

#[test]
fn an_empty_period_is_a_positive_statement() {
    let place = ledger();
    make(
        &place,
        &["--from", "2001-01-01", "--to", "2001-02-01", "-o", "c"],
    );
    let page = place
        .run(&["verify-evidence", "c", "--vkey", "vkey"])
        .exits(0);
    assert!(page.stdout.contains("EMPTY"), "{}", page.stdout);
    assert!(
        page.stdout.contains("The period is closed") || page.stdout.contains("no event at all")
    );
}

#[test]
fn a_period_that_is_not_over_or_ends_before_it_begins_is_refused() {
    let place = ledger();
    for (args, code) in [
        (["--to", "2999-01-01"], "case.invalid"),
        (["--to", "99"], "event.not_found"),
        (["--to", "then"], "usage"),
    ] {
        let args = [&["evidence", "j", "-o", "c", "--json"][..], &args].concat();
        let ran = place.run(&args);
        assert_eq!(ran.error()["code"], code);
    }
    let reversed = [
        "evidence", "j", "--from", "4", "--to", "2", "-o", "c", "--json",
    ];
    assert_eq!(place.run(&reversed).error()["code"], "case.invalid");
    assert!(!place.path("c").exists());
}

#[test]
fn what_is_redacted_is_not_in_the_file_and_still_seen_to_be_there() {
    let place = ledger();
    make(
        &place,
        &["--redact", "data", "-o", "c", "--jsonl", "c.jsonl"],
    );
    let bytes = fs::read(place.path("c")).unwrap();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(!holds(b"moved") && holds(b"account.closed"));
    let lines = fs::read_to_string(place.path("c.jsonl")).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let section = &first["sections"][0];
    assert_eq!(
        (&section["left_out"], &section["erased"]),
        (&true.into(), &false.into())
    );
    verified(&place, "c", &[], 0);
}

#[test]
fn tables_and_samples_are_made_of_cases_that_hold_and_of_no_others() {
    let place = ledger();
    make(&place, &["-o", "c"]);
    verified(&place, "c", &["--csv", "c.csv"], 0);
    let table = fs::read_to_string(place.path("c.csv")).unwrap();
    assert_eq!(table.lines().count(), 6);
    let draw = |seed: &str| {
        let args = [
            "sample", "c", "--vkey", "vkey", "--n", "2", "--seed", seed, "--json",
        ];
        let drawn = place.run(&args).exits(0).objects();
        drawn
            .iter()
            .map(|event| event["sequence"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(draw("s").len(), 2);
    assert_eq!(draw("s"), draw("s"));
    assert!((0..20).any(|seed: u8| draw(&seed.to_string()) != draw("s")));
    let mut bytes = fs::read(place.path("c")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.write("bad", bytes);
    verified(&place, "bad", &["--csv", "bad.csv"], 3);
    place
        .run(&["sample", "bad", "--vkey", "vkey", "--seed", "s"])
        .exits(3);
    assert!(!place.path("bad.csv").exists());
}

#[test]
fn a_receipt_is_explained_up_to_the_root() {
    let place = ledger();
    place.run(&["receipt", "j", "3", "-o", "r"]).exits(0);
    let args = ["explain", "r", "--vkey", "vkey", "--json"];
    let told = place.run(&args).exits(0).object();
    assert_eq!(
        (&told["holds"], &told["sequence"]),
        (&true.into(), &3.into())
    );
    assert_eq!(told["steps"][0]["side"], "leaf");
    let page = place.run(&["explain", "r"]).exits(4);
    assert!(page.stdout.contains("which is the root"), "{}", page.stdout);
}

#[test]
fn the_command_says_of_every_vector_what_is_to_be_said() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases");
    let table = fs::read_to_string(cases.join("table.txt")).unwrap();
    let place = Place::new();
    let key = cases.join("log.vkey");
    for row in table.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = row.split(' ').collect();
        let file = cases.join(format!("{}.case", words[0]));
        let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
        let ran = place.run(&["verify-evidence", file, "--vkey", key, "--json"]);
        let report = ran.object();
        let code = report["findings"]
            .get(0)
            .map_or("-", |finding| finding["code"].as_str().unwrap());
        let found = ["integrity", "authenticity", "completeness"]
            .map(|name| report[name].as_str().unwrap());
        assert_eq!((&found[..], code), (&words[1..4], words[4]), "{row}");
        let exit = if words[1..4].contains(&"fails") {
            3
        } else if words[1..4].contains(&"undecided") {
            4
        } else {
            0
        };
        assert_eq!(ran.code, exit, "{row}");
    }
}

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs another program, unless it or what it needs is missing.
fn other(program: &str, args: &[&str], needs: bool) -> Option<String> {
    let ran = Command::new(program)
        .current_dir(workspace())
        .args(args)
        .output();
    match ran {
        Ok(ran) if needs => {
            let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
            let stderr = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.code().is_some(), "{program} was ended");
            assert!(stderr.is_empty(), "{program}: {stderr}");
            Some(stdout)
        }
        _ => {
            eprintln!("not run: {program} or what it needs is not here");
            None
        }
    }
}

#[test]
fn the_verifier_in_python_says_of_every_vector_what_is_to_be_said() {
    let probe = Command::new("python3")
        .args(["-c", "import blake3, cryptography"])
        .output();
    let there = probe.is_ok_and(|ran| ran.status.success());
    let folder = workspace().join("fixtures/cases");
    let table = fs::read_to_string(folder.join("table.txt")).unwrap();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let files = rows.iter().map(|row| {
        let name = row.split(' ').next().unwrap();
        format!("fixtures/cases/{name}.case")
    });
    let files: Vec<String> = files.collect();
    let fixed = [
        "-B",
        "fixtures/verify_case.py",
        "--vkey",
        "fixtures/cases/log.vkey",
    ];
    let args: Vec<&str> = fixed
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let Some(said) = other("python3", &args, there) else {
        return;
    };
    let said: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), rows.len());
    for (row, said) in rows.iter().zip(said) {
        let words: Vec<&str> = row.split(' ').collect();
        let found =
            ["integrity", "authenticity", "completeness"].map(|name| said[name].as_str().unwrap());
        let code = said["findings"]
            .get(0)
            .map_or("-", |finding| finding["code"].as_str().unwrap());
        assert_eq!((&found[..], code), (&words[1..4], words[4]), "{row}");
    }
}

/// In Chromium, with the network off: verdicts, words, red, keyboard, and that nothing is asked of the network.
#[test]
fn the_page_says_of_every_vector_what_is_to_be_said() {
    let there = workspace().join("page/node_modules").exists();
    for script in [
        "page/build.mjs",
        "page/test/vectors.mjs",
        "page/test/browser.mjs",
    ] {
        let Some(said) = other("node", &[script, "--check"], there) else {
            return;
        };
        eprint!("{said}");
        let fine = ["is what src/ gives", " 0 wrong", " 0 failures", "not run"];
        assert!(
            fine.iter().any(|word| said.contains(word)),
            "{script}: {said}"
        );
    }
}
