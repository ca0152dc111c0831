//! Power cuts under a journal whose signer is on another machine, which keeps what it has signed.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use factlog::{ExternalSigner, Journal, Options, SigningAgent, VerifyOptions, verify};
use factlog_fs::{Access, MemFs, StoreFs, write_all_at};
use factlog_sim::{PowerCut, SimFs};

use crate::support::{DIR, copy, event, texts};

const KEY: &str = "signer.key";

/// The way to an agent, which notes what its machine holds after each answer.
#[derive(Debug)]
struct Line {
    journal: SimFs,
    /// At which call of the journal's disk, and what the agent's machine holds since.
    states: Mutex<Vec<(u64, Arc<MemFs>)>>,
}

impl Line {
    fn new(journal: &SimFs, agent: Arc<MemFs>) -> Arc<Self> {
        Arc::new(Self {
            journal: journal.clone(),
            states: Mutex::new(vec![(0, agent)]),
        })
    }

    fn at(&self, call: u64) -> Arc<MemFs> {
        let states = self.states.lock().unwrap();
        let found = states.iter().rfind(|(since, _)| *since <= call);
        copy(&found.unwrap().1)
    }
}

impl ExternalSigner for Line {
    fn ask(&self, request: &str) -> io::Result<String> {
        let now = self.at(u64::MAX);
        let fs: Arc<MemFs> = Arc::clone(&now);
        let agent = SigningAgent::open_in(fs, KEY).map_err(io::Error::other)?;
        let answer = agent.answer(request).map_err(io::Error::other)?;
        let mut states = self.states.lock().unwrap();
        states.push((self.journal.calls(), now));
        Ok(answer)
    }
}

/// A journal whose key has moved to a machine of its own.
fn moved() -> (SimFs, Arc<MemFs>, factlog::VerifierKey) {
    let fs = SimFs::new(11);
    let options = Options::new().file_system(fs.store()).signing_key_file(KEY);
    let journal = Journal::create(DIR, options.dangerous().without_housekeeper()).unwrap();
    let key = journal.reader().verifier_key().unwrap();
    journal.close().unwrap();
    let agent = MemFs::new();
    for name in [KEY, "signer.key.state"] {
        let bytes = &fs.contents()[Path::new(name)];
        let file = agent.create_new(Path::new(name), Access::Private).unwrap();
        write_all_at(file.as_ref(), bytes, 0).unwrap();
        fs.store().remove_file(Path::new(name)).unwrap();
    }
    (fs, Arc::new(agent), key)
}

fn open(fs: &SimFs, key: &factlog::VerifierKey, line: &Arc<Line>) -> Journal {
    let options = Options::new().file_system(fs.store()).segment_len(64 << 10);
    let options = options.external_signer(key.clone(), line.clone());
    Journal::open(DIR, options.dangerous().without_housekeeper()).unwrap()
}

/// Whatever the cut leaves: all that the agent has signed is there, so it goes on signing, and nothing
/// acknowledged is missing.
#[test]
fn after_a_power_cut_a_signer_elsewhere_never_remembers_more_than_there_is() {
    let (fs, agent, key) = moved();
    let line = Line::new(&fs, agent);
    let mut acknowledged = Vec::new();
    fs.record();
    let journal = open(&fs, &key, &line);
    for number in 0..4 {
        // Large enough for a roll in between.
        let text = format!("{number}").repeat(20_000);
        journal.append(event("a", &text)).unwrap();
        acknowledged.push((fs.calls(), text));
    }
    journal.close().unwrap();
    let moments = fs.moments();
    assert!(moments.len() > 40, "{}", moments.len());
    for (place, moment) in moments.iter().enumerate() {
        for cut in [PowerCut::lost(), PowerCut::torn()] {
            let left = moment.power_cut(&cut, place as u64);
            let line = Line::new(&left, line.at(moment.calls()));
            let journal = open(&left, &key, &line);
            let why = journal.read_only_reason().map(ToString::to_string);
            assert_eq!(why, None, "call {}", moment.calls());
            let there = texts(&journal);
            for (_, text) in acknowledged.iter().filter(|(at, _)| *at <= moment.calls()) {
                assert!(there.contains(text), "call {}", moment.calls());
            }
            journal.append(event("a", "on")).unwrap();
            let checkpoint = journal.reader().checkpoint().unwrap();
            journal.close().unwrap();
            let options = VerifyOptions::new().file_system(left.store());
            let report = verify(DIR, &options.key(key.clone()).checkpoint(checkpoint)).unwrap();
            assert!(report.findings.is_empty(), "{:?}", report.findings);
            assert_eq!(report.anchored_through, Some(report.events - 1));
        }
    }
}
