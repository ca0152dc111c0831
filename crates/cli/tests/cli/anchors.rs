//! Anchors: written as a journal goes, asked by a verification, never overwritten by less.

use std::fs;

use crate::{
    support::Place,
    trust::{json, place},
};

#[test]
fn anchors_are_written_by_appends_and_asked_by_verify() {
    let (place, vkey) = place();
    json(&place, &["witness", "init", "w", "--name", "w"], 0);
    json(&place, &["witness", "trust", "w", &vkey], 0);
    let command = "command:if [ $FACTLOG_ANCHOR = get ]; then cat kept 2>/dev/null || true; else cat > kept; fi";
    for anchor in ["file:anchored", "witness:w", command] {
        json(&place, &["anchor", "add", "j", anchor], 0);
    }
    let listed = json(&place, &["anchor", "list", "j"], 0);
    assert_eq!(listed["anchors"].as_array().unwrap().len(), 3);
    for file in ["anchored", "kept"] {
        let text = fs::read_to_string(place.path(file)).unwrap();
        assert_eq!(text.lines().nth(1), Some("4"), "{file}: at once");
    }
    json(&place, &["verify", "j"], 0);
    place.copy("j", "older");
    place.append("a/1", "x", "3");
    for file in ["anchored", "kept"] {
        let text = fs::read_to_string(place.path(file)).unwrap();
        assert_eq!(text.lines().nth(1), Some("5"), "{file}");
    }
    json(&place, &["verify", "j"], 0);
    // What was known is lost, the anchors are not.
    let older = ["verify", "older", "--known", "lost", "--vkey", &vkey];
    let report = json(&place, &older, 3);
    assert_eq!(report["completeness"], "rolled_back");
    let mut told: Vec<_> = report["findings"].as_array().unwrap().iter().collect();
    told.retain(|finding| finding["code"] == "history.rolled_back");
    assert_eq!(told.len(), 3, "{report}");
    assert!(
        told.iter()
            .all(|finding| finding["evidence"].as_str().unwrap().starts_with("anchor "))
    );
    // An anchor never takes a shorter history, and one that can't be read leaves things open.
    let kept = fs::read(place.path("anchored")).unwrap();
    place.write("anchored", "nonsense");
    let report = json(&place, &["verify", "j"], 4);
    assert_eq!(report["unchecked"][0]["code"], "anchor.unreadable");
    place.write("anchored", &kept);
    json(&place, &["anchor", "remove", "j", "witness:w"], 0);
    json(&place, &["anchor", "remove", "j", command], 0);
    assert_eq!(
        place
            .run(&["anchor", "remove", "j", command, "--json"])
            .exits(7)
            .error()["code"],
        "anchor.not_found"
    );
    place.run(&["anchor", "add", "j", "elsewhere"]).exits(2);
    json(&place, &["verify", "j"], 0);
}

/// A journal with an anchor that is a file.
fn anchored() -> (Place, String) {
    let (place, vkey) = place();
    json(&place, &["anchor", "add", "j", "file:anchored"], 0);
    (place, vkey)
}

fn unchecked(place: &Place, code: i32) -> Vec<String> {
    let report = json(place, &["verify", "j"], code);
    let told = report["unchecked"].as_array().unwrap().iter();
    told.map(|one| one["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Bug: an anchor whose disk wasn't there, or that was removed, counted as one that was never written.
#[test]
fn an_anchor_that_is_gone_leaves_things_open_and_is_not_made_again_by_itself() {
    let (place, _) = anchored();
    fs::remove_file(place.path("anchored")).unwrap();
    assert_eq!(unchecked(&place, 4), ["anchor.unreadable"]);
    let append = ["append", "j", "a/1", "x", "--data", "9"];
    let said = place.run(&append).exits(0).stderr;
    assert!(said.contains("is gone"), "{said}");
    assert!(!place.path("anchored").exists());
    json(&place, &["anchor", "add", "j", "file:anchored"], 0);
    json(&place, &["verify", "j"], 0);
    // The list itself can't be read.
    let lists = place.path("config/factlog/anchors");
    let list = crate::support::files(&lists).remove(0).0;
    let kept = fs::read(&list).unwrap();
    fs::write(&list, b"every \xff\n").unwrap();
    assert_eq!(unchecked(&place, 4), ["anchor.unreadable"]);
    fs::write(&list, kept).unwrap();
    // Where nothing can be put, nothing is listed.
    place
        .run(&["anchor", "add", "j", "file:nowhere/at-all"])
        .exits(7);
    assert_eq!(
        json(&place, &["anchor", "list", "j"], 0)["anchors"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

/// Bug: the older copy, appended to, put its own checkpoint over the larger one, or one of another history.
#[test]
fn what_an_anchor_holds_is_never_overwritten_by_less_or_by_something_else() {
    let (place, _) = anchored();
    place.copy("j", "older");
    let keys = crate::support::files(&place.path("config/factlog/keys"));
    for n in 0..3 {
        place.append("a/1", "x", &n.to_string());
    }
    let larger = fs::read(place.path("anchored")).unwrap();
    let key = keys
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "key"));
    let key = key.unwrap().0.to_str().unwrap().to_owned();
    for (path, bytes) in &keys {
        fs::write(path, bytes).unwrap();
    }
    fs::remove_dir_all(place.path("state")).unwrap();
    let append = |data: &str| {
        let args = [
            "append",
            "older",
            "a/1",
            "x",
            "--data",
            data,
            "--signing-key",
            &key,
        ];
        place.run(&args).exits(0).stderr
    };
    let said = append("9");
    assert!(said.contains("history.rolled_back"), "{said}");
    assert_eq!(fs::read(place.path("anchored")).unwrap(), larger);
    for _ in 0..3 {
        append("9");
    }
    let said = append("9");
    assert!(said.contains("history.forked"), "{said}");
    assert_eq!(fs::read(place.path("anchored")).unwrap(), larger);
}

/// What a command is, and what it says, may be a secret.
#[test]
fn messages_say_nothing_of_an_anchors_command() {
    let (place, _) = place();
    let command = "command:: SESAME; if [ $FACTLOG_ANCHOR = get ]; then cat kept 2>/dev/null || true; \
                   else cat > kept; fi; [ ! -e broken ] || { echo SESAME; exit 7; }";
    json(&place, &["anchor", "add", "j", command], 0);
    place.write("broken", "");
    let said = place
        .run(&["append", "j", "a/1", "x", "--data", "9"])
        .exits(0)
        .stderr;
    assert!(
        said.contains("command #1") && said.contains("exit status: 7"),
        "{said}"
    );
    let report = json(&place, &["verify", "j"], 4);
    assert_eq!(report["unchecked"][0]["code"], "anchor.unreadable");
    let report = report.to_string();
    assert!(
        !said.contains("SESAME") && !report.contains("SESAME"),
        "{said}{report}"
    );
}

/// Two at once: both are listed.
#[test]
fn anchors_that_are_added_at_once_are_all_listed() {
    let (place, _) = place();
    std::thread::scope(|scope| {
        for n in 0..6 {
            let place = &place;
            scope.spawn(move || {
                let anchor = format!("file:anchor-{n}");
                place.run(&["anchor", "add", "j", &anchor]).exits(0);
            });
        }
    });
    let listed = json(&place, &["anchor", "list", "j"], 0);
    assert_eq!(listed["anchors"].as_array().unwrap().len(), 6);
}
