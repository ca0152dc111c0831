//! The demo finds every tampering, wherever it runs, and touches nothing of the user's.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Place;

/// Runs it and gives the steps.
fn demo(place: &Place) -> Vec<Value> {
    let start = Instant::now();
    let steps = place.run(&["demo", "--json"]).exits(0).objects();
    // Under 10 seconds as released; this build is not optimised.
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(!place.path("config").exists() && !place.path("state").exists());
    let left = std::fs::read_dir(place.path(".")).unwrap();
    let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(
        names
            .into_iter()
            .all(|name| !name.starts_with("factlog-demo"))
    );
    steps
}

#[test]
fn without_a_repository_a_sample_is_shown() {
    let steps = demo(&Place::new());
    assert_eq!(steps[0]["source"], "a sample of orders");
    assert_eq!(steps[1]["outcome"], "holds");
    let found: Vec<(&str, bool, Vec<&str>)> = steps[2..]
        .iter()
        .map(|step| {
            let verdicts = step["verdicts"].as_array().unwrap().iter();
            let by = verdicts
                .filter(|verdict| verdict["outcome"] == "fails")
                .map(|verdict| verdict["evidence"].as_str().unwrap());
            (
                step["tampering"].as_str().unwrap(),
                step["found"].as_bool().unwrap(),
                by.collect(),
            )
        })
        .collect();
    // A forger who re-signs everything is told by whoever knows the true key or a true checkpoint.
    let outside = vec!["known journals", "saved checkpoint", "receipt"];
    let all = vec![
        "the journal alone",
        "known journals",
        "saved checkpoint",
        "receipt",
    ];
    assert_eq!(
        found,
        [
            ("flipped byte", true, all),
            ("rewritten event", true, outside.clone()),
            ("dropped tail", true, outside.clone()),
            ("dropped stream", true, outside),
        ]
    );
}

#[test]
fn in_a_repository_its_history_is_shown() {
    let place = Place::new();
    let git = |args: &[&str]| {
        let mut command = place.command("git");
        command
            .args(["-c", "user.name=a", "-c", "user.email=b"])
            .args(args);
        command.status().is_ok_and(|status| status.success())
    };
    if !git(&["init", "-q"]) {
        println!("not run: git is not installed");
        return;
    }
    for file in ["a", "b", "c"] {
        place.write(file, file);
        assert!(git(&["add", file]) && git(&["commit", "-q", "-m", file]));
    }
    let steps = demo(&place);
    assert!(
        steps[0]["source"]
            .as_str()
            .unwrap()
            .starts_with("the git history of ")
    );
    assert!(steps[2..].iter().all(|step| step["found"] == true));
    assert_eq!(steps.len(), 6);
}

#[test]
fn people_see_tables_and_verdicts() {
    let place = Place::new();
    let ran = place.run(&["demo"]).exits(0);
    for text in [
        "a sample of orders",
        "c2sp.org/tlog-proof@v1",
        "It holds.",
        "one byte flipped",
        "Exposed by: known journals, saved checkpoint, receipt.",
        "Every tampering was found.",
    ] {
        assert!(ran.stdout.contains(text), "{text}\n{}", ran.stdout);
    }
}
