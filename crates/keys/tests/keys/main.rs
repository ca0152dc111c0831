//! Sealed sections and the keyset's files: golden bytes, and everything that must be refused.
#![forbid(unsafe_code)]

mod canonical;
mod corpus;
mod head;
mod log;
mod sealing;

use std::{
    fs,
    path::{Path, PathBuf},
};

use canonical::JOURNAL;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares a file of the repository with what it should hold; writes it if `FACTLOG_BLESS` is set.
fn expect_file(path: &str, expected: &[u8]) {
    let path = root().join(path);
    if std::env::var_os("FACTLOG_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, expected).unwrap();
    }
    let found = fs::read(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code makes",
        path.display()
    );
}

/// The block on the format page behind `<!-- vector: name -->`.
fn on_the_page(name: &str) -> String {
    let page = fs::read_to_string(root().join("docs/format.md")).unwrap();
    let opening = format!("<!-- vector: {name} -->\n```text\n");
    let (_, rest) = page.split_once(&opening).expect("the vector on the page");
    rest.split_once("```").unwrap().0.to_owned()
}
