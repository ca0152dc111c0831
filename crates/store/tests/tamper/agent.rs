//! A journal whose key is held by an agent, which signs one history and no other.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use factlog::{
    Checkpoint, Error, ExternalSigner, Hash, Journal, Options, SignedCheckpoint, SigningAgent,
};
use factlog_fs::MemFs;
use factlog_proof::{SignAnswer, SignRequest};

use crate::{
    lab::{Lab, assert_holds},
    support::{DIR, event},
};

const KEY: &str = "signer.key";

/// The way to an agent that has its key in a file system of its own.
#[derive(Debug)]
struct Line {
    fs: Arc<MemFs>,
    cut: AtomicBool,
}

impl ExternalSigner for Line {
    fn ask(&self, request: &str) -> io::Result<String> {
        if self.cut.load(Relaxed) {
            return Err(io::Error::other("nobody there"));
        }
        let fs: Arc<MemFs> = Arc::clone(&self.fs);
        let agent = SigningAgent::open_in(fs, KEY).map_err(io::Error::other)?;
        agent.answer(request).map_err(io::Error::other)
    }
}

/// A journal, and the line to the agent that has taken its key over.
fn held() -> (Lab, Arc<Line>) {
    let lab = Lab::small();
    let fs = lab.copy().fs;
    let cut = AtomicBool::new(false);
    (lab, Arc::new(Line { fs, cut }))
}

fn options(lab: &Lab, line: &Arc<Line>) -> Options {
    let options = Lab::options(&lab.fs).external_signer(lab.key.clone(), line.clone());
    options.dangerous().without_housekeeper()
}

fn remembered(line: &Line) -> SignAnswer {
    let fs: Arc<MemFs> = Arc::clone(&line.fs);
    let agent = SigningAgent::open_in(fs, KEY).unwrap();
    let origin = agent.verifier_key().name().to_owned();
    let request = SignRequest {
        old: 0,
        path: Vec::new(),
        checkpoint: Checkpoint::new(&origin, 1, Hash::from_bytes([0; 32])).unwrap(),
    };
    SignAnswer::parse(&agent.answer(&request.to_string()).unwrap()).unwrap()
}

#[test]
fn an_agent_signs_what_is_appended_and_remembers_it() {
    let (lab, line) = held();
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    assert!(
        journal.read_only_reason().is_none(),
        "{:?}",
        journal.read_only_reason()
    );
    let mut receipts = Vec::new();
    for count in 1..5 {
        let many: Vec<_> = (0..count)
            .map(|n| event("account-1", &n.to_string()))
            .collect();
        receipts.push(
            journal
                .append_batch(&many)
                .unwrap()
                .receipt(0)
                .unwrap()
                .text()
                .unwrap(),
        );
        let size = journal.reader().len();
        assert_eq!(remembered(&line), SignAnswer::RolledBack(size));
    }
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let mut evidence = lab.bare().key(lab.key.clone()).checkpoint(checkpoint);
    for receipt in receipts {
        evidence = evidence.receipt(receipt);
    }
    assert_holds(&lab.verify(&evidence));
}

#[test]
fn without_its_agent_a_journal_keeps_what_was_written_and_takes_no_more() {
    let (lab, line) = held();
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    journal.append(event("account-1", "signed")).unwrap();
    line.cut.store(true, Relaxed);
    let unsigned = journal
        .append(event("account-1", "not signed"))
        .unwrap_err();
    assert_eq!(unsigned.code(), "signer.unavailable");
    assert!(
        unsigned.to_string().contains("durable and not yet signed"),
        "{unsigned}"
    );
    assert!(journal.append(event("account-1", "refused")).is_err());
    let _ = journal.close();
    // It isn't there yet: nothing is written.
    let before = lab.copy();
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    let why = journal.read_only_reason().map(Error::code);
    assert_eq!(why, Some("signer.unavailable"));
    drop(journal);
    drop(before);
    line.cut.store(false, Relaxed);
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    assert!(
        journal.read_only_reason().is_none(),
        "{:?}",
        journal.read_only_reason()
    );
    assert!(crate::support::texts(&journal).contains(&"not signed".to_owned()));
    assert!(!crate::support::texts(&journal).contains(&"refused".to_owned()));
    journal.append(event("account-1", "on")).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    assert_holds(&lab.verify(&lab.bare().key(lab.key.clone()).checkpoint(checkpoint)));
}

#[test]
fn a_journal_that_went_back_or_elsewhere_is_not_signed_for() {
    let (lab, line) = held();
    let older = lab.copy();
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    for text in ["one", "two"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    let why = |lab: &Lab| {
        let options = Options::new().file_system(lab.fs.clone());
        let options = options.external_signer(lab.key.clone(), line.clone());
        let journal = Journal::open(DIR, options.dangerous().without_housekeeper()).unwrap();
        journal.read_only_reason().map(Error::code)
    };
    assert_eq!(why(&lab), None);
    assert_eq!(why(&older), Some("signer.history_mismatch"), "shorter");
    // With a copy of the key it can go on, but the agent knows better.
    let journal = older.open();
    for text in ["a", "b", "c", "d"] {
        journal.append(event("account-1", text)).unwrap();
    }
    journal.close().unwrap();
    assert_eq!(
        why(&older),
        Some("signer.history_mismatch"),
        "longer, and another"
    );
}

/// An answer that is not the journal's own signature of just this is no answer.
#[test]
fn what_an_agent_answers_is_checked() {
    type Lie = Box<dyn Fn(&str) -> String + Send + Sync>;
    struct Liar(Lie);
    impl std::fmt::Debug for Liar {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Liar")
        }
    }
    impl ExternalSigner for Liar {
        fn ask(&self, request: &str) -> io::Result<String> {
            Ok((self.0)(request))
        }
    }
    let lab = Lab::small();
    let early: SignedCheckpoint = lab.early.clone();
    let stranger = factlog::SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let liars: [Lie; 5] = [
        Box::new(move |_| early.to_string()),
        Box::new(move |request| {
            let request = SignRequest::parse(request).unwrap();
            request.checkpoint.sign(&stranger).unwrap().to_string()
        }),
        Box::new(|_| "old 3\n".to_owned()),
        Box::new(|_| "old 99\n".to_owned()),
        Box::new(|_| String::new()),
    ];
    for (number, liar) in liars.into_iter().enumerate() {
        let options = Lab::options(&lab.fs).external_signer(lab.key.clone(), Arc::new(Liar(liar)));
        let journal = Journal::open(DIR, options.dangerous().without_housekeeper()).unwrap();
        let why = journal.read_only_reason().map(Error::code);
        assert_eq!(why, Some("signer.unavailable"), "{number}");
    }
}

/// What an attacker who reaches an agent asks of it, and what it says. Nothing of it is signed.
pub(crate) fn asked() -> Vec<(&'static str, &'static str)> {
    let (lab, line) = held();
    let journal = Journal::open(DIR, options(&lab, &line)).unwrap();
    journal.append(event("account-1", "one")).unwrap();
    let reader = journal.reader();
    let size = reader.len();
    let root = reader.root_at(size).unwrap();
    let path = |from| reader.consistency(from, size).unwrap();
    let checkpoint = |origin: &str, size, root| Checkpoint::new(origin, size, root).unwrap();
    let own = lab.key.name();
    let other = Hash::from_bytes([7; 32]);
    let request = |old, path, checkpoint| {
        let request = SignRequest {
            old,
            path,
            checkpoint,
        };
        request.to_string()
    };
    let good = request(size, Vec::new(), checkpoint(own, size, root));
    let requests = [
        (
            "a second root of the size that it signed last",
            request(size, Vec::new(), checkpoint(own, size, other)),
        ),
        (
            "a second root, as if it had signed nothing",
            request(0, Vec::new(), checkpoint(own, size, other)),
        ),
        (
            "a smaller size, with its true root",
            request(
                0,
                Vec::new(),
                checkpoint(own, 4, reader.root_at(4).unwrap()),
            ),
        ),
        (
            "more events, with the proof of others",
            request(size, path(4), checkpoint(own, size + 3, other)),
        ),
        (
            "more events, without a proof",
            request(size, Vec::new(), checkpoint(own, size + 3, other)),
        ),
        (
            "the checkpoint of another journal",
            request(0, Vec::new(), checkpoint("example.com/other/1", size, root)),
        ),
        (
            "a text that is no checkpoint",
            good.replace(&format!("\n{size}\n"), "\nall of it\n"),
        ),
        ("a size with a leading zero", good.replace("old ", "old 0")),
    ];
    let fs: Arc<MemFs> = Arc::clone(&line.fs);
    let agent = SigningAgent::open_in(fs, KEY).unwrap();
    let said = requests.map(|(name, request)| {
        let said = match agent.answer(&request) {
            Err(error) => error.code(),
            Ok(answer) => match SignAnswer::parse(&answer).unwrap() {
                SignAnswer::RolledBack(_) => "history.rolled_back",
                SignAnswer::Forked(_) => "history.forked",
                other => panic!("{name}: {other}"),
            },
        };
        (name, said)
    });
    let answer = agent.answer(&good).unwrap();
    let signed = SignAnswer::parse(&answer).unwrap();
    assert!(
        matches!(signed, SignAnswer::Signed(_)),
        "the same again: {answer}"
    );
    said.to_vec()
}

/// A new key has signed nothing, and a signature of nothing would show that it had signed something.
#[test]
fn an_agent_signs_no_journal_of_no_event() {
    let (lab, line) = held();
    let checkpoint = Checkpoint::new(lab.key.name(), 0, factlog_proof::empty_root()).unwrap();
    let request = SignRequest {
        old: 0,
        path: Vec::new(),
        checkpoint,
    };
    let fs: Arc<MemFs> = Arc::clone(&line.fs);
    let agent = SigningAgent::open_in(fs, KEY).unwrap();
    let refused = agent.answer(&request.to_string()).unwrap_err();
    assert!(refused.to_string().contains("no event"), "{refused}");
}
