//! `fixtures/verify.py`, written from the format's page alone, says of golden journals and receipts,
//! good and tampered, what the library says. Where Python or its packages are missing it isn't run.
#![forbid(unsafe_code)]

#[path = "golden/journals.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod journals;
#[path = "tamper/lab.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod lab;
mod support;
#[path = "golden/tampered.rs"]
mod tampered;
#[path = "tamper/wire.rs"]
#[allow(dead_code, reason = "each test program uses a part")]
mod wire;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use data_encoding::BASE64;
use factlog::{
    Compaction, Encoding, Journal, NewEvent, Options, Outcome, Policy, Report, Retention,
    RetentionRule, Rotation, UnverifiedReceipt, VerifyOptions, verify,
};
use factlog_format::Manifest;
use journals::{CHECKPOINT, Golden, NAMES, READ, VKEY, fixtures, signing_key, stored};
use lab::Lab;
use serde_json::{Value, json};
use support::DIR;
use tampered::TAMPERED;
use tempfile::TempDir;
use wire::Forgery;

const HOLDS: i32 = 0;
const FAILS: i32 = 3;
const UNDECIDED: i32 = 4;

/// Whether it can be run; says so if not.
fn python() -> bool {
    let probe = Command::new("python3")
        .args(["-c", "import blake3, cryptography"])
        .output();
    let why = match probe {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("not run: python3 with the packages blake3 and cryptography: {why}");
    false
}

/// A golden journal in a folder of its own, for another program to look at.
struct Shown<'a> {
    golden: &'a Golden,
    folder: TempDir,
}

impl<'a> Shown<'a> {
    fn new(golden: &'a Golden) -> Self {
        let folder = tempfile::tempdir().unwrap();
        golden.write(folder.path());
        Self { golden, folder }
    }

    /// Asks about the journal, with that of `vkey` and `checkpoint` which is named.
    fn journal(&self, evidence: &[&str]) -> (i32, String) {
        let mut args = vec!["journal".to_owned(), self.path(self.golden.name)];
        for end in evidence {
            args.extend([
                format!("--{end}"),
                self.path(&format!("{}.{end}", self.golden.name)),
            ]);
        }
        run(&args)
    }

    /// Asks about receipts; a line for each.
    fn receipts<'t>(
        &self,
        texts: impl IntoIterator<Item = &'t String>,
        vkey: &str,
    ) -> (i32, String) {
        let vkey = vkey.trim_end().to_owned();
        let mut args = vec!["receipt".to_owned(), "--vkey".to_owned(), vkey];
        for (number, text) in texts.into_iter().enumerate() {
            args.push(self.path(&format!("{number}.receipt")));
            fs::write(args.last().unwrap(), text).unwrap();
        }
        run(&args)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

fn run(args: &[String]) -> (i32, String) {
    let mut command = Command::new("python3");
    let command = command
        .arg("-B")
        .arg(fixtures().join("verify.py"))
        .args(args);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(stderr.is_empty(), "{args:?}: {stderr}");
    let said = String::from_utf8(stdout).unwrap();
    (status.code().unwrap(), said)
}

/// What the library says of the same.
fn library(golden: &Golden, evidence: &[&str]) -> Report {
    let fs: Arc<factlog_fs::MemFs> = Arc::clone(&golden.fs);
    let mut options = VerifyOptions::new().file_system(fs);
    if evidence.contains(&VKEY) {
        options = options.key(golden.key());
    }
    if evidence.contains(&CHECKPOINT) {
        options = options.checkpoint(golden.checkpoint());
    }
    verify(DIR, &options).unwrap()
}

fn exit(report: &Report) -> i32 {
    match report.outcome(false) {
        Outcome::Holds => HOLDS,
        Outcome::Fails => FAILS,
        Outcome::Undecided => UNDECIDED,
    }
}

/// The verdicts of a report as the script words them.
fn verdicts(report: &Report) -> Value {
    json!({
        "integrity": report.integrity.name(),
        "authenticity": report.authenticity.name(),
        "signed_through": report.signed_through,
        "completeness": report.completeness.name(),
        "anchored_through": report.anchored_through,
        "events": report.events,
        "streams": report.streams,
        "root": BASE64.encode(report.root.as_bytes()),
    })
}

#[test]
fn golden_journals_hold() {
    if !python() {
        return;
    }
    for name in NAMES.into_iter().chain(READ) {
        let golden = stored(name);
        let shown = Shown::new(&golden);
        let unsigned = name == "unsigned";
        for (evidence, expected) in [
            (&[VKEY, CHECKPOINT][..], HOLDS),
            (&[VKEY], UNDECIDED),
            (&[CHECKPOINT], UNDECIDED),
            (&[], UNDECIDED),
        ] {
            if unsigned && !evidence.is_empty() {
                continue;
            }
            let (code, said) = shown.journal(evidence);
            assert_eq!(code, expected, "{name} with {evidence:?}: {said}");
            let said: Value = serde_json::from_str(&said).unwrap();
            for (verdict, value) in verdicts(&library(&golden, evidence)).as_object().unwrap() {
                assert_eq!(
                    said[verdict], *value,
                    "{verdict} of {name} with {evidence:?}"
                );
            }
        }
    }
}

#[test]
fn tampered_journals_do_not_hold() {
    if !python() {
        return;
    }
    let mut wrong = Vec::new();
    for row in TAMPERED {
        let golden = row.apply();
        let (code, said) = Shown::new(&golden).journal(&[VKEY, CHECKPOINT]);
        let library = exit(&library(&golden, &[VKEY, CHECKPOINT]));
        if (code, library) != (row.exit, row.exit) {
            wrong.push(format!(
                "{}: {code}, the library says {library}: {said}",
                row.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// Whoever knows the first or second key follows to the third; but the first was revoked.
#[test]
fn an_older_key_leads_to_the_newest_unless_it_was_revoked() {
    if !python() {
        return;
    }
    for (end, expected) in [("second.vkey", HOLDS), ("first.vkey", UNDECIDED)] {
        let mut golden = stored("rotated");
        let key = golden.beside[end].clone();
        golden.beside.insert(VKEY.to_owned(), key);
        let (code, said) = Shown::new(&golden).journal(&[VKEY, CHECKPOINT]);
        let report = library(&golden, &[VKEY, CHECKPOINT]);
        assert_eq!((code, exit(&report)), (expected, expected), "{end}: {said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        for (verdict, value) in verdicts(&report).as_object().unwrap() {
            assert_eq!(said[verdict], *value, "{verdict} with {end}");
        }
    }
}

#[test]
fn a_manifest_that_lies_about_keys_is_found_twice() {
    if !python() {
        return;
    }
    let golden = stored("rotated");
    let path = Path::new(DIR).join("MANIFEST");
    let mut manifest = Manifest::decode(&golden.files()[Path::new("MANIFEST")]).unwrap();
    manifest.values.remove(0);
    support::overwrite(golden.fs.as_ref(), &path, &manifest.encode());
    let (code, said) = Shown::new(&golden).journal(&[VKEY, CHECKPOINT]);
    let library = exit(&library(&golden, &[VKEY, CHECKPOINT]));
    assert_eq!((code, library), (FAILS, FAILS), "{said}");
}

/// One forgery: its name, what it does, and the exits with key alone and with key and checkpoint.
type Forged = (&'static str, fn(&mut Forgery), (i32, i32));

const FORGED: [Forged; 8] = [
    ("nothing but put together again", |_| (), (UNDECIDED, HOLDS)),
    (
        "a payload rewritten with all hashes",
        rewrite,
        (FAILS, FAILS),
    ),
    (
        "the same, signatures stripped",
        |journal| {
            rewrite(journal);
            journal.unsign();
        },
        (FAILS, FAILS),
    ),
    (
        "the same, signed by the key itself",
        |journal| {
            rewrite(journal);
            journal.sign(&signing_key("signed"));
        },
        (UNDECIDED, FAILS),
    ),
    ("one signature left out", strip, (FAILS, FAILS)),
    (
        "one signature left out, as if a session had begun there",
        |journal| {
            strip(journal);
            begin_sessions(journal);
        },
        (FAILS, FAILS),
    ),
    (
        "all signatures left out, each commit a session",
        |journal| {
            journal.unsign();
            begin_sessions(journal);
        },
        (FAILS, FAILS),
    ),
    (
        "a stream dropped with all hashes",
        drop_stream,
        (FAILS, FAILS),
    ),
];

/// Strips a commit of the signature of the one before, which has events.
fn strip(journal: &mut Forgery) {
    let mut groups = journal.segments.iter_mut().flat_map(|s| &mut s.groups);
    let mut before = groups.next().unwrap().events.len();
    for group in groups {
        if before > 0 && group.header.first_sequence > 1 {
            group.header.signatures.clear();
            return;
        }
        before = group.events.len();
    }
    panic!("no commit follows one with events");
}

fn begin_sessions(journal: &mut Forgery) {
    let groups = journal.segments.iter_mut().flat_map(|s| &mut s.groups);
    for (number, group) in (1..).zip(groups) {
        group.header.incarnation += number;
    }
    journal.manifest.incarnation += 1000;
}

fn rewrite(journal: &mut Forgery) {
    journal.event(1).repay(|bytes| bytes[0] ^= 1);
    journal.relink();
    journal.restate();
}

fn drop_stream(journal: &mut Forgery) {
    let stream = journal.event(1).stream();
    journal.retain(|event| event.stream() != stream);
    journal.relink();
    journal.restate();
}

#[test]
fn forgeries_are_found_by_signature_or_checkpoint() {
    if !python() {
        return;
    }
    for (name, tamper, (without, with)) in FORGED {
        let golden = stored("signed");
        let lab = Lab {
            fs: Arc::clone(&golden.fs),
            key: golden.key(),
            checkpoint: golden.checkpoint(),
            early: golden.checkpoint(),
            receipt: String::new(),
            events: 0,
        };
        let mut forgery = Forgery::read(&lab);
        tamper(&mut forgery);
        forgery.write(&lab);
        lab.remove_checkpoints();
        let shown = Shown::new(&golden);
        let (code, said) = shown.journal(&[VKEY]);
        assert_eq!(code, without, "{name}: {said}");
        let (code, said) = shown.journal(&[VKEY, CHECKPOINT]);
        assert_eq!(
            (code, exit(&library(&golden, &[VKEY, CHECKPOINT]))),
            (with, with),
            "{name}: {said}"
        );
    }
}

#[test]
fn a_wrong_key_never_vouches() {
    if !python() {
        return;
    }
    let (golden, other) = (stored("signed"), stored("rolled"));
    let mut strangers = golden.clone();
    strangers
        .beside
        .insert(VKEY.to_owned(), other.beside[VKEY].clone());
    let (code, said) = Shown::new(&strangers).journal(&[VKEY, CHECKPOINT]);
    assert_eq!(
        (code, exit(&library(&strangers, &[VKEY, CHECKPOINT]))),
        (UNDECIDED, UNDECIDED),
        "{said}"
    );
    let (code, said) = Shown::new(&strangers).journal(&[VKEY]);
    assert_eq!(code, UNDECIDED, "{said}");
    let texts = golden.receipts().map(|(_, text)| text);
    let (code, said) = Shown::new(&golden).receipts(texts, &other.beside[VKEY]);
    assert_eq!(code, UNDECIDED, "{said}");
    assert!(
        said.lines()
            .all(|line| line.contains(r#""outcome": "undecided""#)),
        "{said}"
    );
}

#[test]
fn golden_receipts_hold_and_changed_ones_do_not() {
    if !python() {
        return;
    }
    let golden = stored("signed");
    let policy = Policy::from(golden.key());
    for golden in NAMES
        .map(stored)
        .iter()
        .filter(|golden| golden.name != "unsigned")
    {
        let texts = golden.receipts().map(|(_, text)| text);
        let (code, said) = Shown::new(golden).receipts(texts, &golden.beside[VKEY]);
        assert_eq!(
            (code, said.lines().count()),
            (HOLDS, 3),
            "{}: {said}",
            golden.name
        );
    }
    let text = &golden.beside["9.receipt"];
    let changed = changed(text);
    for changed in &changed {
        assert_ne!(changed, text);
        let parsed = UnverifiedReceipt::parse(changed.as_bytes());
        assert!(
            parsed.is_err() || parsed.unwrap().verify(&policy).is_err(),
            "{changed}"
        );
    }
    let (code, said) = Shown::new(&golden).receipts(&changed, &golden.beside[VKEY]);
    assert_eq!(
        (code, said.lines().count()),
        (FAILS, changed.len()),
        "{said}"
    );
    assert!(!said.contains(r#""outcome": "holds""#), "{said}");
}

/// Each line with another letter or digit in its middle and at its end, each line missing, and others.
fn changed(text: &str) -> Vec<String> {
    let mut all = vec![
        format!("{text}\n"),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
    ];
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        let with = |new: &str| {
            [&lines[..index], &[new], &lines[index + 1..]]
                .concat()
                .concat()
        };
        all.push(with(""));
        let content = line.trim_end();
        let last = content
            .char_indices()
            .rfind(|(_, c)| c.is_ascii_alphanumeric());
        let middle = content.char_indices().nth(content.chars().count() / 2);
        for (at, c) in last.into_iter().chain(middle) {
            let other = if c == '7' { "8" } else { "7" };
            all.push(with(&format!(
                "{}{other}{}",
                &line[..at],
                &line[at + c.len_utf8()..]
            )));
        }
    }
    all
}

#[test]
fn what_is_no_journal_or_key_is_said_to_be_that() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (code, said) = run(&["journal".to_owned(), missing("nothing")]);
    assert_eq!(code, UNDECIDED, "{said}");
    let args = [
        "receipt".to_owned(),
        missing("nothing"),
        "--vkey".to_owned(),
        "a+b".to_owned(),
    ];
    assert_eq!(run(&args).0, FAILS);
}

#[test]
fn a_compacted_journal_with_a_replaced_key_holds() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("j");
    let options = || Options::new().signing_key_file(folder.path().join("key"));
    let small = options().segment_len(64 << 10).dangerous();
    let journal = Journal::create(&dir, small.without_housekeeper()).unwrap();
    let vkey = journal.reader().verifier_key().unwrap().to_string();
    for number in 0..60 {
        let event = NewEvent::new("bank", "account-1", "account.noted");
        let event = event.data(Encoding::Raw, vec![number; 4000]);
        journal.append(event).unwrap();
        if number == 20 {
            journal.rotate_key(Rotation::new()).unwrap();
        }
    }
    journal.close().unwrap();
    let segments = || fs::read_dir(dir.join("segments")).unwrap().count();
    let before = segments();
    let journal = Journal::open(&dir, options().dangerous().without_housekeeper()).unwrap();
    journal.compact(&Compaction::new()).unwrap();
    let event = NewEvent::new("bank", "account-1", "account.closed");
    journal.append(event).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap().to_string();
    fs::write(folder.path().join("checkpoint"), checkpoint).unwrap();
    journal.close().unwrap();
    assert!(segments() < before, "nothing was compacted");

    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut args = vec!["journal".to_owned(), path("j"), "--vkey".to_owned(), vkey];
    args.extend(["--checkpoint".to_owned(), path("checkpoint")]);
    let (code, said) = run(&args);
    assert_eq!(code, HOLDS, "{said}");
}

#[test]
fn what_retention_took_holds_and_what_was_put_back_does_not() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("j");
    let options = Options::new().signing_key_file(folder.path().join("key"));
    let options = options
        .segment_len(64 << 10)
        .dangerous()
        .without_housekeeper();
    let journal = Journal::create(&dir, options).unwrap();
    for number in 0..60 {
        let event = NewEvent::new("bank", "account-1", "account.noted");
        let event = event.data(Encoding::Raw, vec![number; 4000]);
        journal.append(event).unwrap();
    }
    let manifest = || Manifest::decode(&fs::read(dir.join("MANIFEST")).unwrap()).unwrap();
    let segment = |row: &factlog_format::ManifestRow| {
        let name = format!("{:016x}-{:08x}.seg", row.first_sequence, row.generation);
        dir.join("segments").join(name)
    };
    let old = manifest().rows.remove(0);
    let bytes = fs::read(segment(&old)).unwrap();
    let rule = RetentionRule::new("old", "no longer needed").only_if(|event| event.sequence() < 4);
    journal.retain(&Retention::new(vec![rule])).unwrap();
    let vkey = journal.reader().verifier_key().unwrap().to_string();
    let checkpoint = folder.path().join("checkpoint");
    fs::write(
        &checkpoint,
        journal.reader().checkpoint().unwrap().to_string(),
    )
    .unwrap();
    journal.close().unwrap();
    let ask = || {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args = vec!["journal".to_owned(), path(&dir), "--vkey".to_owned()];
        args.extend([vkey.clone(), "--checkpoint".to_owned(), path(&checkpoint)]);
        run(&args)
    };
    let (code, said) = ask();
    assert_eq!(code, HOLDS, "{said}");

    let mut changed = manifest();
    fs::remove_file(segment(&changed.rows[0])).unwrap();
    fs::write(segment(&old), bytes).unwrap();
    changed.rows[0] = old;
    fs::write(dir.join("MANIFEST"), changed.encode()).unwrap();
    let (code, said) = ask();
    assert_eq!(code, FAILS, "{said}");
    assert!(said.contains("erasure.not_applied"), "{said}");
}

#[cfg(feature = "encryption")]
#[test]
fn a_journal_that_was_encrypted_shredded_retained_and_compacted_with_a_replaced_key_holds() {
    use factlog::{KeyDomain, Provider, Selector, Shred};

    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("j");
    let options = Options::new()
        .signing_key_file(folder.path().join("key"))
        .unlock(Provider::KeyFile(folder.path().join("kek")))
        .encrypt(KeyDomain::Stream)
        .segment_len(64 << 10);
    let journal = Journal::create(&dir, options.dangerous().without_housekeeper()).unwrap();
    let vkey = journal.reader().verifier_key().unwrap().to_string();
    for number in 0..60u8 {
        let entity = ["ada", "eve", "kim"][usize::from(number % 3)];
        let event = NewEvent::new("people", entity, "person.noted");
        journal
            .append(event.data(Encoding::Raw, vec![number; 4000]))
            .unwrap();
        if number == 20 {
            journal.rotate_key(Rotation::new()).unwrap();
        }
    }
    let ada = Selector::Stream {
        scope: "people".to_owned(),
        entity: "ada".to_owned(),
    };
    journal.shred(&Shred::new(vec![ada], "request 17")).unwrap();
    let rules = vec![
        RetentionRule::new("shredded", "can't be read any more").shredded(),
        RetentionRule::new("old", "no longer needed").only_if(|event| event.sequence() < 45),
    ];
    let done = journal.retain(&Retention::new(rules)).unwrap();
    assert_eq!((done.rules[0].events, done.rules[1].events), (20, 28));
    let steps = journal.compact(&Compaction::new()).unwrap();
    assert!(!steps.is_empty(), "nothing was compacted");
    let checkpoint = journal.reader().checkpoint().unwrap().to_string();
    fs::write(folder.path().join("checkpoint"), checkpoint).unwrap();
    journal.close().unwrap();

    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut args = vec!["journal".to_owned(), path("j"), "--vkey".to_owned(), vkey];
    args.extend(["--checkpoint".to_owned(), path("checkpoint")]);
    let (code, said) = run(&args);
    assert_eq!(code, HOLDS, "{said}");
}
