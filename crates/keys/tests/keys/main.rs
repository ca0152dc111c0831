//! Sealed sections and the keyset's files: golden bytes, and everything that must be refused.
#![forbid(unsafe_code)]

mod head;
mod log;
mod sealing;

const JOURNAL: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Compares a file of the repository with what it should hold; writes it if `FACTLOG_BLESS` is set.
fn expect_file(path: &str, expected: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("FACTLOG_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code makes",
        path.display()
    );
}

/// The block on the format page behind `<!-- vector: name -->`.
fn on_the_page(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format.md");
    let page = std::fs::read_to_string(path).unwrap();
    let opening = format!("<!-- vector: {name} -->\n```text\n");
    let (_, rest) = page.split_once(&opening).expect("the vector on the page");
    rest.split_once("```").unwrap().0.to_owned()
}
