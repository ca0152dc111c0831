//! The house rules that no lint of the compiler or of clippy checks.
//!
//! Each rule is a function from all files to what is wrong, with an example of what it must
//! refuse and one of what it must let pass.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::Path;

/// This file holds examples of everything that is forbidden.
const THIS: &str = "xtask/tests/tidy.rs";

/// Who may touch the file system by other means than `StoreFs`, beside tests: the crate
/// that implements it, chores, and the command where it reads and writes files of its
/// user's that belong to no journal.
const MAY_TOUCH_FILES: [&str; 5] = [
    "crates/fs/",
    "xtask/",
    "benches/",
    "crates/cli/src/files.rs",
    "crates/cli/src/files/",
];

/// The only file that may hold unsafe code.
const MAY_BE_UNSAFE: &str = "crates/fs/src/map.rs";

/// The crates that users of the library get; each dependency of theirs needs a reason.
const LIBRARY: [&str; 6] = [
    "crates/fs/Cargo.toml",
    "crates/format/Cargo.toml",
    "crates/keys/Cargo.toml",
    "crates/macros/Cargo.toml",
    "crates/proof/Cargo.toml",
    "crates/store/Cargo.toml",
];

const ARCHITECTURE: &str = "docs/architecture.md";
const MAX_LINES: usize = 1_000;
const MAX_ENTRIES: usize = 20;

/// A file one line too long.
const LONG: &str = match std::str::from_utf8(&[b'\n'; MAX_LINES + 1]) {
    Ok(lines) => lines,
    Err(_) => "",
};

struct Rule {
    name: &'static str,
    check: fn(&[Source]) -> Vec<String>,
    /// A file (path, text) that the rule must refuse.
    bites: (&'static str, &'static str),
    /// One that it must let pass.
    passes: (&'static str, &'static str),
}

const RULES: &[Rule] = &[
    Rule {
        name: "only factlog-fs touches the file system",
        check: |all| {
            rust(all)
                .filter(|s| !MAY_TOUCH_FILES.iter().any(|p| s.path.starts_with(p)))
                .flat_map(|s| s.statements(Part::Program, touches_files))
                .collect()
        },
        bites: ("crates/store/src/a.rs", "use std::{\n    fs,\n    io,\n};"),
        passes: (
            "crates/store/src/a.rs",
            "// std::fs is not for us\nuse std::{io, fmt};\nlet k = FileKind::File;\n\
             #[cfg(test)]\nmod tests {\n    use std::fs;\n}",
        ),
    },
    Rule {
        name: "unsafe code stands in one file",
        check: |all| {
            rust(all)
                .filter(|s| s.path != MAY_BE_UNSAFE)
                .flat_map(|s| s.lines(Part::All, |line| has_word(code_of(line), "unsafe")))
                .collect()
        },
        bites: ("crates/fs/src/real.rs", "let x = unsafe { y() };"),
        passes: ("crates/a/src/b.rs", "#![forbid(unsafe_code)] // unsafe"),
    },
    Rule {
        name: "every crate but factlog-fs forbids unsafe code in its root",
        check: |all| {
            rust(all)
                .filter(|s| is_root(&s.path) && !s.path.starts_with("crates/fs/"))
                .filter(|s| !s.text.lines().any(|l| l == "#![forbid(unsafe_code)]"))
                .map(|s| s.path.clone())
                .collect()
        },
        bites: ("crates/store/src/lib.rs", "//! #![forbid(unsafe_code)]\n"),
        passes: (
            "crates/store/src/lib.rs",
            "//! Docs.\n#![forbid(unsafe_code)]\n",
        ),
    },
    Rule {
        name: "files are short",
        check: |all| {
            rust(all)
                .map(|s| (s, s.of(Part::Program).count()))
                .filter(|(_, lines)| *lines > MAX_LINES)
                .map(|(s, lines)| format!("{}: {lines} lines", s.path))
                .collect()
        },
        bites: ("crates/a/src/b.rs", LONG),
        passes: ("crates/a/src/b.rs", "fn a() {}\n"),
    },
    Rule {
        name: "folders are small",
        check: crowded,
        bites: (
            "crates/a/src/{b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v}.rs",
            "",
        ),
        passes: ("crates/a/src/{b,c,d}.rs", ""),
    },
    Rule {
        name: "nothing is left to be done",
        check: |all| {
            rust(all)
                .flat_map(|s| {
                    s.lines(Part::All, |l| {
                        holds(code_of(l), &["todo!(", "unimplemented!("])
                    })
                })
                .chain(all.iter().flat_map(|s| {
                    s.lines(Part::All, |l| has_word(l, "TODO") || has_word(l, "FIXME"))
                }))
                .collect()
        },
        bites: ("crates/a/src/b.rs", "todo!()"),
        passes: ("crates/a/src/b.rs", "let todo = TODOS;"),
    },
    Rule {
        name: "no test is ignored",
        check: |all| {
            rust(all)
                .flat_map(|s| s.lines(Part::All, |l| code_of(l).contains("#[ignore")))
                .collect()
        },
        bites: ("crates/a/tests/b.rs", "#[ignore = \"slow\"]"),
        passes: ("crates/a/tests/b.rs", "#[test]"),
    },
    Rule {
        name: "no test waits for time to pass",
        check: |all| {
            rust(all)
                .flat_map(|s| s.lines(Part::Tests, |l| code_of(l).contains("thread::sleep")))
                .collect()
        },
        bites: (
            "crates/a/src/b.rs",
            "#[cfg(test)]\nmod tests { fn a() { thread::sleep(x) } }",
        ),
        passes: ("crates/a/src/b.rs", "fn a() { thread::sleep(x) }"),
    },
    Rule {
        name: "every dependency of the library has a reason",
        check: unexplained,
        bites: (
            "crates/store/Cargo.toml",
            "[dependencies]\nleft-pad = \"1\"",
        ),
        passes: (
            "crates/store/Cargo.toml",
            "[dependencies]\nfactlog-fs.workspace = true\n[dev-dependencies]\nleft-pad = \"1\"",
        ),
    },
    Rule {
        name: "bytes have a stated order",
        check: |all| {
            rust(all)
                .flat_map(|s| s.lines(Part::All, |l| holds(l, &["to_ne_bytes", "from_ne_bytes"])))
                .collect()
        },
        bites: ("crates/a/src/b.rs", "x.to_ne_bytes()"),
        passes: ("crates/a/src/b.rs", "x.to_le_bytes()"),
    },
    Rule {
        name: "no path of anyone's machine",
        check: |all| {
            all.iter()
                .flat_map(|s| s.lines(Part::All, names_a_home))
                .collect()
        },
        bites: ("docs/a.md", "see `/home/me/factlog`"),
        passes: ("docs/a.md", "see example.com/home/ and src/root/a"),
    },
    Rule {
        name: "an allowed lint has a reason",
        check: |all| rust(all).flat_map(unreasoned).collect(),
        bites: ("crates/a/src/b.rs", "#![allow(\n    dead_code,\n)]"),
        passes: (
            "crates/a/src/b.rs",
            "#[allow(\n    dead_code,\n    reason = \"later\",\n)]",
        ),
    },
];

#[test]
fn the_tree_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    read(root, root, &mut all);
    assert!(all.len() > 20, "the tree wasn't read");
    let findings: Vec<String> = RULES
        .iter()
        .flat_map(|rule| {
            let found = (rule.check)(&all).into_iter();
            found.map(|what| format!("{}: {what}", rule.name))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn every_rule_bites_and_lets_pass() {
    for rule in RULES {
        let found = |(path, text)| (rule.check)(&examples(path, text));
        assert!(
            !found(rule.bites).is_empty(),
            "{}: does not bite",
            rule.name
        );
        let passes = found(rule.passes);
        assert!(passes.is_empty(), "{}: {}", rule.name, passes.join(", "));
    }
    for line in [
        "use std::fs;",
        "std::fs::read(path)",
        "use std::{fmt, fs::File};",
        "File::open(path)",
        "if path.exists() {",
        "rustix::fs::statvfs(path)",
    ] {
        assert!(touches_files(line), "{line}");
    }
}

/// A text file of the workspace.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    All,
    /// What isn't tests.
    Program,
    /// Files of tests, and modules of tests, which stand last in their file.
    Tests,
}

impl Source {
    /// The numbered lines of a part.
    fn of(&self, part: Part) -> impl Iterator<Item = (usize, &str)> {
        let tests_from = if self.is_test() {
            0
        } else {
            let lines: Vec<&str> = self.text.lines().collect();
            lines
                .windows(2)
                .position(|w| {
                    w[0] == "#[cfg(test)]" && w[1].starts_with("mod ") && w[1].contains('{')
                })
                .unwrap_or(lines.len())
        };
        let wanted = move |at: &usize| match part {
            Part::All => true,
            Part::Program => *at < tests_from,
            Part::Tests => *at >= tests_from,
        };
        let lines = self.text.lines().enumerate();
        lines
            .filter(move |(at, _)| wanted(at))
            .map(|(at, line)| (at + 1, line))
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Where a line of this part is refused.
    fn lines(&self, part: Part, refused: impl Fn(&str) -> bool) -> Vec<String> {
        let bad = self.of(part).filter(|(_, line)| refused(line));
        bad.map(|(at, line)| format!("{}:{at}: {}", self.path, line.trim()))
            .collect()
    }

    /// The same, with every `use` on one line and without comments.
    fn statements(&self, part: Part, refused: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        let mut open: Option<(usize, String)> = None;
        for (at, line) in self.of(part) {
            let line = code_of(line).trim();
            let (at, statement) = match open.take() {
                Some((at, start)) => (at, start + " " + line),
                None => (at, line.to_owned()),
            };
            if has_word(&statement, "use") && !statement.contains(';') {
                open = Some((at, statement));
            } else if refused(&statement) {
                found.push(format!("{}:{at}: {statement}", self.path));
            }
        }
        found
    }
}

fn read(root: &Path, dir: &Path, all: &mut Vec<Source>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            // Hidden folders are tools' own, but for the one with the checks.
            let hidden = name.as_encoded_bytes().starts_with(b".") && name != ".ci";
            if name != "target" && name != "node_modules" && !hidden {
                read(root, &path, all);
            }
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap();
            let path = path.to_string_lossy().replace('\\', "/");
            if path != THIS {
                all.push(Source { path, text });
            }
        }
    }
}

/// `a/{b,c}.rs` stands for two files of the same text.
fn examples(path: &str, text: &str) -> Vec<Source> {
    let source = |path: String| Source {
        path,
        text: text.to_owned(),
    };
    match path.split_once('{').zip(path.split_once('}')) {
        None => vec![source(path.to_owned())],
        Some(((before, rest), (_, after))) => rest
            .trim_end_matches(after)
            .trim_end_matches('}')
            .split(',')
            .map(|name| source(format!("{before}{name}{after}")))
            .collect(),
    }
}

fn rust(all: &[Source]) -> impl Iterator<Item = &Source> {
    all.iter().filter(|s| s.path.ends_with(".rs"))
}

fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts[..],
        ["crates", _, "src", "lib.rs" | "main.rs"]
            | ["crates", _, "src", "bin", _]
            | ["xtask", "src", "main.rs"]
    )
}

/// A line without its comment; a `//` after a colon is part of an address.
fn code_of(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn holds(line: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| line.contains(needle))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

fn touches_files(statement: &str) -> bool {
    let imported = statement
        .split_once("std::{")
        .is_some_and(|(_, names)| has_word(names, "fs"));
    let called = statement.match_indices("File::").any(|(at, _)| {
        let before = statement[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    imported
        || called
        || holds(
            statement,
            &[
                "std::fs",
                "rustix::fs",
                "memmap2",
                "::unix::fs",
                ".exists()",
                ".try_exists()",
                ".is_dir()",
                ".is_file()",
                ".is_symlink()",
                ".read_dir()",
                ".read_link()",
                ".canonicalize()",
                ".symlink_metadata()",
            ],
        )
}

fn names_a_home(line: &str) -> bool {
    ["/home/", "/Users/", "/root/"].iter().any(|home| {
        line.match_indices(home).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c))
        })
    })
}

/// Folders with source in them that hold too much.
fn crowded(all: &[Source]) -> Vec<String> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in rust(all) {
        let mut path = source.path.as_str();
        while let Some((folder, name)) = path.rsplit_once('/') {
            let entries = folders.entry(folder).or_default();
            if !entries.contains(&name) {
                entries.push(name);
            }
            path = folder;
        }
    }
    folders
        .into_iter()
        .filter(|(_, entries)| entries.len() > MAX_ENTRIES)
        .map(|(folder, entries)| format!("{folder}: {} entries", entries.len()))
        .collect()
}

/// Dependencies that the architecture page's table doesn't explain.
fn unexplained(all: &[Source]) -> Vec<String> {
    let page = all.iter().find(|s| s.path == ARCHITECTURE);
    let explained = |name: &str| {
        let row = format!("| `{name}` |");
        let mut lines = page.iter().flat_map(|s| s.text.lines());
        lines.any(|line| {
            let cells: Vec<&str> = line.trim_end_matches('|').split('|').collect();
            line.starts_with(&row) && cells.last().is_some_and(|reason| reason.trim().len() > 10)
        })
    };
    let mut found = Vec::new();
    for source in all.iter().filter(|s| LIBRARY.contains(&s.path.as_str())) {
        let manifest: toml::Table = source.text.parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(|d| d.as_table());
        for name in dependencies.into_iter().flat_map(|d| d.keys()) {
            if !name.starts_with("factlog") && !explained(name) {
                found.push(format!("{}: {name}: not in {ARCHITECTURE}", source.path));
            }
        }
    }
    found
}

/// `allow` attributes without a reason; they may go over several lines.
fn unreasoned(source: &Source) -> Vec<String> {
    let attributes = ["#[allow(", "#![allow("];
    let starts = attributes.iter().flat_map(|a| source.text.match_indices(a));
    starts
        .filter(|(at, _)| {
            let rest = &source.text[*at..];
            let end = rest.find(")]").unwrap_or(rest.len());
            !has_word(&rest[..end], "reason")
        })
        .map(|(at, _)| {
            let line = source.text[..at].lines().count();
            format!("{}:{line}", source.path)
        })
        .collect()
}
