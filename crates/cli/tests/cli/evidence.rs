//! Evidence cases: made of a journal, checked without it, and told in words.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

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
    // What was not asked of it is no sign of tampering, and what was not compared is not said.
    make(&place, &["--from", "4", "-o", "lone"]);
    let lone = verified(&place, "lone", &["--after", "one"], 4);
    assert_eq!(lone["findings"][0]["code"], "case.not_compared");
    let says = |args: &[&str]| {
        let args = [&["verify-evidence"], args, &["--vkey", "vkey"]].concat();
        place.run(&args).exits(0).stdout
    };
    assert!(says(&["two", "--after", "one"]).contains("Compared with your one"));
    for lines in [says(&["two"]), says(&["two", "--after", "one"])] {
        assert!(lines.contains("only one of its kind"), "{lines}");
    }
    assert!(says(&["two"]).contains("not compared with one of yours"));
    assert!(says(&["two", "--after", "one"]).contains("begins where that of one ended"));
    make(
        &place,
        &["--from", "5", "--kind", "k", "--after", "one", "-o", "gap"],
    );
    let gap = says(&["gap", "--after", "one"]);
    assert!(
        gap.contains("1 events, 4 to 4, are in neither case"),
        "{gap}"
    );
    assert!(gap.contains("asked for something else"), "{gap}");
    make(&place, &["--from", "2", "--after", "one", "-o", "over"]);
    let over = says(&["over", "--after", "one"]);
    assert!(over.contains("before that of one ended"), "{over}");
    let same = ["verify-evidence", "one", "--vkey", "vkey", "--after", "one"];
    place.run(&same).exits(2);
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
    // Nor is it taken for a period in which nothing happened.
    assert!(
        page.stdout
            .contains("after this period: it can't hold anything"),
        "{}",
        page.stdout
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
    let sample = |n: &str, seed: &str| {
        let args = [
            "sample", "c", "--vkey", "vkey", "--n", n, "--seed", seed, "--json",
        ];
        place.run(&args)
    };
    let draw = |seed: &str| {
        let drawn = sample("2", seed).exits(0).objects();
        let events = drawn.iter().filter_map(|event| event["sequence"].as_u64());
        events.collect::<Vec<_>>()
    };
    let all = sample("99", "s").exits(0).objects();
    let said = all.last().unwrap();
    assert_eq!(
        (&said["drawn"], &said["wanted"], &said["population"]),
        (&5.into(), &99.into(), &5.into())
    );
    let bytes = fs::read(place.path("c")).unwrap();
    assert_eq!(said["sha256"], HEXLOWER.encode(&Sha256::digest(&bytes)));
    let words = said["statement"].to_string();
    for word in ["99 were wanted", "drawn by the seed \\\"s\\\"", "Proven: "] {
        assert!(words.contains(word), "{words}");
    }
    sample("2", " ").exits(2);
    sample("0", "s").exits(2);
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
fn numbers_add_up_and_nothing_is_claimed_of_a_checkpoint_that_nobody_signed() {
    let place = ledger();
    make(
        &place,
        &["--kind", "account.deposited", "--redact", "data", "-o", "c"],
    );
    let page = |vkey: &str, code| {
        let args = ["verify-evidence", "c", "--vkey", vkey];
        place.run(&args).exits(code).stdout
    };
    let good = page("vkey", 0);
    for words in [
        "4 events, of 6 in the period; the rest: 1 of the journal's own, 1 not asked for",
        "of what was asked for (kind account.deposited)",
        "Not shown: the sections data",
        "where the journal did when the case was made",
        "(events 0 to 5, recorded 2",
        "SHA-256",
    ] {
        let words = words.replace("(events", "events");
        assert!(good.contains(&words), "{words}: {good}");
    }
    let other = place.run(&["init", "other", "--json"]).exits(0).object();
    let bad = page(other["vkey"].as_str().unwrap(), 3);
    for words in ["Proven", "no event of the period is missing"] {
        assert!(!bad.contains(words), "{bad}");
    }
    assert_eq!(
        bad.matches("for which nobody you named vouches").count(),
        2,
        "{bad}"
    );
    make(&place, &["--to", "3", "-o", "c"]);
    assert!(page("vkey", 0).contains("because whoever asked said so"));
}

#[test]
fn checkpoints_that_were_kept_or_cosigned_elsewhere_are_put_in_and_compared() {
    let place = ledger();
    place.run(&["checkpoint", "j", "-o", "kept"]).exits(0);
    let cosigned = |request: &str, file: &str| {
        place.run(&["witness", "ask", "j", "-o", request]).exits(0);
        place
            .run(&["witness", "cosign", "w", request, "-o", file])
            .exits(0);
    };
    let key = fs::read_to_string(place.path("vkey")).unwrap();
    let args = [
        "witness",
        "init",
        "w",
        "--name",
        "witness.example/w",
        "--json",
    ];
    let witness = place.run(&args).exits(0).object();
    place.run(&["witness", "trust", "w", &key]).exits(0);
    cosigned("request", "seen");
    let policy = format!(
        "witness w {}\nquorum w\n",
        witness["vkey"].as_str().unwrap()
    );
    place.write("policy", policy);
    place.append("bank/a", "account.deposited", "{\"n\":6}");
    make(&place, &["--to", "5", "-o", "bare"]);
    let found = |case: &str, args: &[&str], code| {
        let report = verified(&place, case, args, code);
        finding(&report).to_owned()
    };
    assert_eq!(
        found("bare", &["--checkpoint", "kept"], 4),
        "case.not_compared"
    );
    assert_eq!(found("bare", &["--policy", "policy"], 3), "case.no_quorum");
    make(
        &place,
        &[
            "--to", "5", "--anchor", "kept", "--anchor", "seen", "-o", "c",
        ],
    );
    assert_eq!(
        found("c", &["--checkpoint", "kept", "--policy", "policy"], 0),
        "-"
    );
    let args = [
        "verify-evidence",
        "c",
        "--vkey",
        "vkey",
        "--policy",
        "policy",
    ];
    let page = place.run(&args).exits(0).stdout;
    assert!(page.contains("Witness witness.example/w saw"), "{page}");
    // Seen before the period was over.
    make(&place, &["--anchor", "seen", "-o", "late"]);
    assert_eq!(found("late", &["--policy", "policy"], 3), "case.no_quorum");
    let other = ledger();
    fs::copy(place.path("kept"), other.path("foreign")).unwrap();
    let args = ["evidence", "j", "--anchor", "foreign", "-o", "c", "--json"];
    assert_eq!(other.run(&args).exits(3).error()["code"], "history.forked");
    assert!(!other.path("c").exists());
}

#[test]
fn whoever_knows_any_key_of_the_journal_can_check_a_case_from_after_its_rotations() {
    let place = ledger();
    make(&place, &["-o", "before"]);
    let rotate = || {
        let rotated = place
            .run(&["keys", "rotate", "j", "--json"])
            .exits(0)
            .object();
        place.append("bank/a", "account.deposited", "{\"n\":7}");
        rotated["vkey"].as_str().unwrap().to_owned()
    };
    let (second, third) = (rotate(), rotate());
    make(&place, &["--from", "6", "--after", "before", "-o", "c"]);
    let check = |vkey: &str, more: &[&str]| {
        let args = [&["verify-evidence", "c", "--json", "--vkey", vkey], more].concat();
        let report = place.run(&args).object();
        (
            finding(&report).to_owned(),
            report["case"]["signers"][0].clone(),
        )
    };
    for vkey in ["vkey", &second, &third] {
        assert_eq!(
            check(vkey, &[]),
            ("-".to_owned(), third.clone().into()),
            "{vkey}"
        );
    }
    assert_eq!(check("vkey", &["--after", "before"]).0, "-");
    let other = place.run(&["init", "other", "--json"]).exits(0).object();
    assert_eq!(
        check(other["vkey"].as_str().unwrap(), &[]).0,
        "case.not_signed"
    );
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
    // A key that didn't sign vouches for nothing.
    place.run(&["init", "other"]).exits(0);
    let vkey = place.run(&["init", "third", "--json"]).exits(0).object();
    let args = ["explain", "r", "--vkey", vkey["vkey"].as_str().unwrap()];
    let page = place.run(&args).exits(3).stdout;
    assert!(page.contains("doesn't vouch for that"), "{page}");
    assert!(!page.contains("its signature says"), "{page}");
    assert!(page.contains("The payload is not in a receipt"), "{page}");
    make(&place, &["-o", "c"]);
    for args in [
        ["explain", "c"],
        ["verify-evidence", "j"],
        ["verify-evidence", "r"],
    ] {
        let ran = place.run(&[&args[..], &["--vkey", "vkey"]].concat());
        let said = ran.stdout + &ran.stderr;
        let hint = if args[1] == "r" {
            "verify-receipt"
        } else {
            "verify"
        };
        assert!(ran.code != 0 && said.contains(hint), "{args:?}: {said}");
    }
    let missing = place.run(&["verify-evidence", "c", "--vkey", "nowhere.vkey"]);
    let said = missing.exits(2).stderr;
    assert!(said.contains("there is no file nowhere.vkey"), "{said}");
}

/// The code of the first finding that decides; of the first, if none does.
fn finding(report: &Value) -> &str {
    let findings = report["findings"].as_array().unwrap();
    let decides = findings.iter().find(|found| found["undecided"] != true);
    let first = decides.or(findings.first());
    first.map_or("-", |found| found["code"].as_str().unwrap())
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
        let code = finding(&report);
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
    // What the page draws, too.
    let (case, key) = (cases.join("good-everything.case"), cases.join("log.vkey"));
    let (case, key) = (case.to_str().unwrap(), key.to_str().unwrap());
    let seed = ["--n", "3", "--seed", "3516426251", "--json"];
    let args = [&["sample", case, "--vkey", key][..], &seed].concat();
    let drawn = place.run(&args).exits(0).objects();
    let drawn: Vec<u64> = drawn
        .iter()
        .filter_map(|event| event["sequence"].as_u64())
        .collect();
    assert_eq!(drawn, [1, 2, 7]);
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
fn tables_say_what_of_a_payload_they_do_not_show() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cases");
    let (place, key) = (Place::new(), cases.join("log.vkey"));
    for (name, missing) in [
        (
            "good-everything",
            "\"customer (encrypted), note (encrypted)\"",
        ),
        ("good-redacted", "\"customer (left out), note (encrypted)\""),
        (
            "good-shredded",
            "\"customer (erased by 10), note (erased by 10)\"",
        ),
    ] {
        let case = cases.join(format!("{name}.case"));
        let (case, key) = (case.to_str().unwrap(), key.to_str().unwrap());
        let args = ["verify-evidence", case, "--vkey", key, "--csv", "t"];
        let page = place.run(&args).exits(0).stdout;
        let table = fs::read_to_string(place.path("t")).unwrap();
        assert!(table.contains(missing), "{name}: {table}");
        assert_eq!(
            page.contains("with the key that opens it"),
            name != "good-shredded"
        );
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
        let code = finding(&said);
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
