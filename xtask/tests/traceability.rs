//! Every promise in `traceability/` names the tests that bear witness to it, and they exist.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One file of `traceability/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promises {
    #[serde(default)]
    promise: Vec<Promise>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    id: String,
    promise: String,
    source: String,
    witnesses: Vec<String>,
}

#[test]
fn every_promise_has_a_witness() {
    let root = root();
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("traceability"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let findings = check(&texts, &|path| {
        std::fs::read_to_string(root.join(path)).ok()
    });
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// What is wrong with these promises; `read` gives the text of a file of the workspace.
fn check(files: &[(String, String)], read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen = BTreeMap::new();
    let mut count = 0;
    for (file, text) in files {
        let promises = match toml::from_str::<Promises>(text) {
            Ok(promises) => promises.promise,
            Err(e) => {
                findings.push(format!("{file}: {e}"));
                continue;
            }
        };
        count += promises.len();
        for promise in promises {
            let id = promise.id.clone();
            let mut finding = |what: &str| findings.push(format!("{file}: {id}: {what}"));
            if let Some(other) = seen.insert(promise.id.clone(), file.clone()) {
                finding(&format!("the id is taken, in {other}"));
            }
            for (field, text) in [
                ("id", &promise.id),
                ("promise", &promise.promise),
                ("source", &promise.source),
            ] {
                if text.trim().is_empty() {
                    finding(&format!("no {field}"));
                }
            }
            if promise.witnesses.is_empty() {
                finding("no witness");
            }
            for witness in &promise.witnesses {
                if let Err(why) = find(witness, read) {
                    finding(&format!("witness {witness}: {why}"));
                }
            }
        }
    }
    if count == 0 {
        findings.push("there are no promises at all".to_owned());
    }
    findings
}

/// A witness is `path/from/the/root.rs::test_function`, in a package whose tests are run.
fn find(witness: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<(), &'static str> {
    let (path, name) = witness.rsplit_once("::").ok_or("not `file::function`")?;
    if !(path.starts_with("crates/") || path.starts_with("xtask/")) {
        return Err("not in a package of the workspace");
    }
    let text = read(path).ok_or("no such file")?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let heads = [format!("fn {name}("), format!("async fn {name}(")];
    let at = lines
        .iter()
        .position(|line| heads.iter().any(|head| line.starts_with(head)))
        .ok_or("no such function")?;
    let above = lines[..at].iter().rev();
    let is_test = above
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .any(|line| ["#[test]", "#[proptest]", "#[property_test]"].contains(line));
    is_test.then_some(()).ok_or("not a test")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn a_promise_without_a_witness_is_found() {
    const TESTS: &str = "
        /// Why.
        #[test]
        fn holds() {}

        fn helper() {}

        proptest! {
            #[test]
            fn round_trips(x in 0..9) {}
        }
    ";
    let read = |path: &str| (path == "crates/a/tests/t.rs").then(|| TESTS.to_owned());
    let entry = |id: &str, witnesses: &str| {
        format!(
            "[[promise]]\nid = \"{id}\"\npromise = \"It holds.\"\nsource = \"README\"\n\
             witnesses = [{witnesses}]\n"
        )
    };
    let good = "\"crates/a/tests/t.rs::holds\", \"crates/a/tests/t.rs::round_trips\"";
    for (text, wanted) in [
        (entry("a", good), None),
        (entry("a", good) + &entry("b", good), None),
        (
            entry("a", good) + &entry("a", good),
            Some("the id is taken"),
        ),
        (entry("a", ""), Some("no witness")),
        (entry("", good), Some("no id")),
        (
            entry("a", "\"crates/a/tests/t.rs::gone\""),
            Some("no such function"),
        ),
        (
            entry("a", "\"crates/a/tests/t.rs::helper\""),
            Some("not a test"),
        ),
        (
            entry("a", "\"crates/a/tests/t.rs::hold\""),
            Some("no such function"),
        ),
        (
            entry("a", "\"crates/b/tests/t.rs::holds\""),
            Some("no such file"),
        ),
        (entry("a", "\"fuzz/t.rs::holds\""), Some("not in a package")),
        (entry("a", "\"holds\""), Some("not `file::function`")),
        (entry("a", good) + "witness = []\n", Some("unknown field")),
        (String::new(), Some("no promises at all")),
    ] {
        let findings = check(&[("a.toml".to_owned(), text.clone())], &read).join("\n");
        match wanted {
            None => assert_eq!(findings, "", "{text}"),
            Some(wanted) => assert!(findings.contains(wanted), "{text}\n{findings}"),
        }
    }
}
