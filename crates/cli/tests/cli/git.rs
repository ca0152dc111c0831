//! Importing the history of real repositories, made here with the git command.

use data_encoding::BASE64;
use serde_json::Value;

use crate::support::Place;

/// Runs git in the repository `r`; gives what it prints.
fn git(place: &Place, args: &[&str]) -> Vec<u8> {
    let output = place
        .command("git")
        .args(["-C", "r"])
        .args(args)
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_AUTHOR_DATE", "1700000000 +0100")
        .env("GIT_COMMITTER_NAME", "Grace")
        .env("GIT_COMMITTER_EMAIL", "grace@example.com")
        .env("GIT_COMMITTER_DATE", "1700000001 +0000")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// `None`, said aloud, where there is no git.
fn repository(init: &[&str]) -> Option<Place> {
    let place = Place::with_journal();
    if place.command("git").arg("--version").output().is_err() {
        println!("not run: git is not installed");
        return None;
    }
    std::fs::create_dir(place.path("r")).unwrap();
    git(&place, &[&["init", "-q", "-b", "main"], init].concat());
    Some(place)
}

fn commit(place: &Place, file: &str, text: &str) {
    let path = place.path("r").join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    git(place, &["add", "."]);
    git(place, &["commit", "-qm", text]);
}

#[track_caller]
fn import(place: &Place, more: &[&str]) -> Value {
    let args = ["import", "j", "r", "--format", "git", "--json"];
    place.run(&[&args[..], more].concat()).exits(0).object()
}

fn events(place: &Place) -> Vec<Value> {
    let args = ["log", "j", "--scope", "git", "--json"];
    place.run(&args).exits(0).objects()
}

#[test]
fn a_history_is_imported_once_and_then_only_what_is_new() {
    let Some(place) = repository(&[]) else { return };
    commit(&place, "a/x", "one");
    commit(&place, "b/y", "two");
    assert_eq!(import(&place, &[])["added"], 2);
    let again = import(&place, &[]);
    assert_eq!(
        (&again["added"], &again["known"]),
        (&Value::from(0), &Value::from(2))
    );
    commit(&place, "c", "three");
    assert_eq!(import(&place, &[])["added"], 1);
    let events = events(&place);
    assert_eq!(events.len(), 3);
    let raw = git(&place, &["cat-file", "commit", "HEAD"]);
    let last = events.last().unwrap();
    assert_eq!(last["sections"][0]["name"], "commit");
    assert_eq!(last["sections"][0]["bytes"], BASE64.encode(&raw));
    assert_eq!(last["sections"][1]["value"]["subject"], "three");
    assert_eq!(
        (&last["entity"], &last["kind"]),
        (&Value::from("r"), &Value::from("git.commit"))
    );
    assert_eq!(last["occurred_at"], "2023-11-14T22:13:21.000000Z");
    assert_eq!(last["causation_id"], events[1]["event_id"]);
    assert_eq!(events[0]["causation_id"], Value::Null);
    // The author is the same stranger everywhere.
    let actor = last["actor"].as_str().unwrap();
    assert!(actor.starts_with("author-") && !actor.contains("Ada"));
    assert_eq!(events[0]["actor"], actor);
    place.run(&["verify", "j"]).exits(0);
}

#[test]
fn by_path_a_commit_is_an_event_of_each_path_it_touches() {
    let Some(place) = repository(&[]) else { return };
    commit(&place, "a/x", "one");
    std::fs::write(place.path("r/b"), "b").unwrap();
    commit(&place, "a/z é\n", "two");
    git(&place, &["commit", "-q", "--allow-empty", "-m", "three"]);
    assert_eq!(import(&place, &["--by-path"])["added"], 4);
    assert_eq!(import(&place, &["--by-path"])["added"], 0);
    let entities: Vec<String> = events(&place)
        .iter()
        .map(|event| event["entity"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(entities, ["a", "a", "b", "r"]);
    // The other way to import it has events of its own.
    assert_eq!(import(&place, &[])["added"], 3);
}

#[test]
fn merges_come_after_their_parents() {
    let Some(place) = repository(&[]) else { return };
    commit(&place, "a", "one");
    git(&place, &["checkout", "-q", "-b", "side"]);
    commit(&place, "b", "two");
    git(&place, &["checkout", "-q", "main"]);
    commit(&place, "c", "three");
    git(&place, &["merge", "-q", "--no-ff", "-m", "four", "side"]);
    assert_eq!(import(&place, &[])["added"], 4);
    assert_eq!(import(&place, &["--by-path"])["added"], 4);
    let events = events(&place);
    let merge = &events[3];
    let first = &merge["sections"][1]["value"]["parents"][0];
    let parent = events[..3]
        .iter()
        .find(|event| event["sections"][1]["value"]["commit"] == *first)
        .unwrap();
    assert_eq!(merge["causation_id"], parent["event_id"]);
}

#[test]
fn an_empty_repository_has_no_events() {
    let Some(place) = repository(&[]) else { return };
    assert_eq!(import(&place, &[])["added"], 0);
    assert_eq!(import(&place, &["--by-path"])["added"], 0);
}

#[test]
fn a_repository_of_sha256_names_is_imported() {
    let Some(place) = repository(&["--object-format=sha256"]) else {
        return;
    };
    commit(&place, "a", "one");
    assert_eq!(import(&place, &[])["added"], 1);
    assert_eq!(import(&place, &["--by-path"])["added"], 1);
}

#[test]
fn a_shallow_repository_starts_where_it_starts() {
    let Some(place) = repository(&[]) else { return };
    commit(&place, "a", "one");
    commit(&place, "a", "two");
    let from = format!("file://{}", place.path("r").display());
    git(&place, &["clone", "-q", "--depth=1", &from, "shallow"]);
    let args = ["import", "j", "r/shallow", "--format", "git", "--json"];
    assert_eq!(place.run(&args).exits(0).object()["added"], 1);
    assert_eq!(events(&place)[0]["causation_id"], Value::Null);
}

#[test]
fn a_commit_that_git_would_not_write_today_is_imported() {
    let Some(place) = repository(&[]) else { return };
    let tree = git(&place, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let tree = String::from_utf8(tree).unwrap();
    let raw = format!(
        "tree {}\nauthor \u{fffd}\ncommitter x <> y\n\n",
        tree.trim()
    );
    let mut raw = raw.into_bytes();
    raw.extend_from_slice(b"\xe9\xff");
    place.write("raw", &raw);
    let raw_path = place.path("raw");
    let args = ["hash-object", "-t", "commit", "--literally", "-w"];
    let oid = git(&place, &[&args[..], &[raw_path.to_str().unwrap()]].concat());
    git(
        &place,
        &[
            "update-ref",
            "refs/heads/main",
            String::from_utf8(oid).unwrap().trim(),
        ],
    );
    assert_eq!(import(&place, &[])["added"], 1);
    let event = &events(&place)[0];
    assert_eq!(event["sections"][0]["bytes"], BASE64.encode(&raw));
    assert_eq!(event["occurred_at"], Value::Null);
}

#[test]
fn a_folder_that_is_no_repository_is_refused() {
    let place = Place::with_journal();
    if place.command("git").arg("--version").output().is_err() {
        return;
    }
    std::fs::create_dir(place.path("r")).unwrap();
    let ran = place.run(&["import", "j", "r", "--format", "git", "--json"]);
    assert_eq!(ran.exits(1).error()["code"], "import.git");
}
