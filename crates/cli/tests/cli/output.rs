//! What is printed where, and in which form.

use std::io::Read;
use std::process::Stdio;

use crate::support::Place;

const COMMANDS: [&str; 23] = [
    "init",
    "append",
    "import",
    "log",
    "tail",
    "show",
    "streams",
    "receipt",
    "checkpoint",
    "verify",
    "verify-receipt",
    "stats",
    "keys",
    "anchor",
    "witness",
    "publish",
    "known",
    "inspect",
    "repair",
    "reset",
    "destroy",
    "demo",
    "completions",
];

#[test]
fn help_begins_with_examples() {
    let place = Place::new();
    for command in COMMANDS {
        let help = place.run(&[command, "--help"]).exits(0);
        assert!(
            help.stdout.starts_with("Examples:\n  factlog "),
            "{command}:\n{}",
            help.stdout
        );
        assert_eq!(help.stderr, "");
    }
    assert!(
        place
            .run(&["--help"])
            .exits(0)
            .stdout
            .starts_with("Examples:\n")
    );
    for action in ["list", "forget", "accept"] {
        let help = place.run(&["known", action, "--help"]).exits(0);
        assert!(help.stdout.starts_with("Examples:\n"), "{}", help.stdout);
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("verify-receipt"), "{shell}");
    }
    place.run(&["completions", "tcsh"]).exits(2);
}

#[test]
fn mistakes_in_the_arguments_end_in_2_in_json_too() {
    let place = Place::new();
    for args in [
        &[][..],
        &["no-such-command"],
        &["log"],
        &["log", "j", "--no-such"],
    ] {
        let ran = place.run(args).exits(2);
        assert_eq!(ran.stdout, "");
        let json = place.run(&[&["--json"], args].concat()).exits(2);
        let error = json.error();
        assert_eq!(
            (&error["schema"], &error["code"]),
            (&"factlog.error/1".into(), &"usage".into())
        );
    }
}

#[test]
fn errors_carry_their_code() {
    let place = Place::new();
    let ran = place.run(&["log", "nowhere"]).exits(7);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("(journal.not_found)"), "{}", ran.stderr);
    let error = place.run(&["log", "nowhere", "--json"]).exits(7).error();
    assert_eq!(
        (&error["code"], &error["exit"]),
        (&"journal.not_found".into(), &7.into())
    );
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let place = Place::with_journal();
    let lines: String = (0..5_000).map(|n| format!("{n}\n")).collect();
    place.write("f", lines);
    place
        .run(&["import", "j", "f", "--format", "jsonl"])
        .exits(0);
    let mut child = place
        .factlog(&["log", "j", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut head = [0; 64];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_tail_ends_with_the_last_and_goes_on_with_what_comes() {
    let place = Place::with_journal();
    for payload in ["1", "2", "3"] {
        place.append("a/1", "x", payload);
    }
    let last = place.run(&["tail", "j", "-n", "2", "--json"]).exits(0);
    let sequences = |text: &str| -> Vec<u64> {
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|event: serde_json::Value| event["sequence"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(sequences(&last.stdout), [2, 3]);
    let args = [
        "tail", "j", "-f", "-n", "1", "--kind", "x", "--limit", "2", "--json",
    ];
    let child = place.factlog(&args).stdout(Stdio::piped()).spawn().unwrap();
    for (kind, payload) in [("y", "4"), ("x", "5"), ("x", "6"), ("x", "7")] {
        place.append("a/1", kind, payload);
    }
    let output = child.wait_with_output().unwrap();
    let found = sequences(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(found.len(), 3);
    // It may have begun before or after any of them.
    assert!(
        found.is_sorted_by(|a, b| a < b) && !found.contains(&4),
        "{found:?}"
    );
}

#[test]
fn a_follower_prints_what_comes() {
    let place = Place::with_journal();
    let args = [
        "log", "j", "--follow", "--json", "--after", "0", "--limit", "2",
    ];
    let child = place
        .factlog(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    place.append("a/1", "x", "1");
    place.append("a/1", "x", "2");
    place.append("a/1", "x", "3");
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn people_get_no_colour_where_there_is_no_terminal_and_no_control_characters() {
    let place = Place::with_journal();
    place.append("a/1", "x", "\"\\u001b[31m\"");
    place.write("raw", "\u{1b}]0;title\u{7}");
    place
        .run(&["append", "j", "a/1", "x", "--file", "raw"])
        .exits(0);
    for args in [
        &["log", "j"][..],
        &["show", "j", "1"],
        &["show", "j", "2"],
        &["streams", "j"],
        &["stats", "j"],
        &["verify", "j"],
        &["known", "list"],
    ] {
        let ran = place.run(args).exits(0);
        assert!(!ran.stdout.is_empty());
        let printable = |c: char| c == '\n' || !c.is_control();
        assert!(ran.stdout.chars().all(printable), "{:?}", ran.stdout);
    }
}
