//! A process that appends with several threads is killed, again and again, on a real disk: whatever it
//! acknowledged is there afterwards.
//!
//! `FACTLOG_KILLS` says how often (`cargo xtask kill` sets it for longer runs), `FACTLOG_SEED` where
//! chance begins. What the kernel holds survives the death of a process, so this shows that nothing
//! is acknowledged before it is handed over, and that recovery works on a real file system; what a
//! power cut loses is for the simulation to show.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use factlog::{Encoding, Journal, NewEvent, Options, Query, VerifyOptions, verify};
use factlog_sim::Rng;

const KILLS: u64 = 200;
const THREADS: u64 = 4;
const TEST: &str = "what_was_acknowledged_survives_a_sigkill";
/// Set for the process that appends: the directory of its journal.
const APPENDER: &str = "FACTLOG_APPENDER";

#[test]
fn what_was_acknowledged_survives_a_sigkill() {
    if let Some(dir) = env::var_os(APPENDER) {
        append_until_killed(Path::new(&dir));
    }
    let (kills, seed) = (number("FACTLOG_KILLS", KILLS), number("FACTLOG_SEED", 1));
    let mut rng = Rng::new(seed);
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let mut acknowledged = BTreeMap::new();
    let mut recovered = 0;
    for kill in 0..kills {
        // A new journal now and then, so that small ones and creations are hit too.
        if kill % 50 == 0 {
            acknowledged.clear();
            for entry in std::fs::read_dir(home.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    std::fs::remove_dir_all(path).unwrap();
                } else {
                    std::fs::remove_file(path).unwrap();
                }
            }
            Journal::create(&dir, options(&dir))
                .unwrap()
                .close()
                .unwrap();
        }
        let mut child = appender(&dir, seed ^ kill);
        run_and_kill(&mut child, rng.below(60), &mut acknowledged);
        let journal = Journal::open(&dir, options(&dir)).unwrap();
        assert!(
            journal.read_only_reason().is_none(),
            "seed {seed}, kill {kill}: {:?}",
            journal.read_only_reason()
        );
        recovered += u64::from(journal.recovery().is_some());
        assert_all_there(
            &journal,
            &acknowledged,
            &format!("seed {seed}, kill {kill}"),
        );
        if rng.below(2) == 0 {
            journal.close().unwrap();
        }
        // Else it is dropped, which is a crash as far as the next open is concerned.
    }
    let report = verify(&dir, &VerifyOptions::new()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    println!(
        "{kills} kills, {} events acknowledged to the last journal, {recovered} recoveries",
        acknowledged.len()
    );
    assert!(
        kills < 100 || recovered > kills / 20,
        "hardly anything was interrupted"
    );
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn options(dir: &Path) -> Options {
    Options::new()
        .signing_key_file(dir.with_extension("key"))
        .segment_len(256 << 10)
}

fn appender(dir: &Path, seed: u64) -> Child {
    let arguments: [OsString; 3] = [TEST.into(), "--exact".into(), "--nocapture".into()];
    Command::new(env::current_exe().unwrap())
        .args(arguments)
        .env(APPENDER, dir)
        .env("FACTLOG_SEED", seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Appends with several threads, and tells each acknowledgement, until it is killed.
fn append_until_killed(dir: &Path) -> ! {
    let seed = number("FACTLOG_SEED", 0);
    let journal = Journal::open(dir, options(dir)).expect("the journal opens");
    let out = Mutex::new(std::io::stdout());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (journal, out) = (&journal, &out);
            scope.spawn(move || {
                let mut rng = Rng::new(seed << 8 | thread);
                loop {
                    let texts: Vec<String> = (0..1 + rng.below(4))
                        .map(|_| {
                            let len = [20, 300, 5_000][rng.below(3) as usize] as usize;
                            format!("{:x}{:0len$}", rng.next_u64(), 0)
                        })
                        .collect();
                    let events: Vec<NewEvent<'_>> =
                        texts.iter().map(|text| event(thread, text)).collect();
                    let batch = journal.append_batch(&events).expect("an append");
                    let mut out = out.lock().expect("no thread panics");
                    for (receipt, text) in batch.iter().zip(&texts) {
                        writeln!(out, "ack {} {text}", receipt.sequence()).expect("a pipe");
                    }
                    out.flush().expect("a pipe");
                }
            });
        }
    });
    unreachable!("the threads never end")
}

fn event(thread: u64, text: &str) -> NewEvent<'static> {
    NewEvent::new("kill", format!("thread-{thread}"), "kill.noted")
        .data(Encoding::Raw, text.as_bytes().to_vec())
}

/// Kills the process after some acknowledgements, and takes in all that it gave until then.
fn run_and_kill(child: &mut Child, after: u64, acknowledged: &mut BTreeMap<u64, String>) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < after {
        match lines.next() {
            Some(line) => seen += u64::from(take(&line.unwrap(), acknowledged)),
            None => panic!("the process ended by itself"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut, as the process was: what isn't told whole wasn't acknowledged.
    for line in lines.map_while(Result::ok) {
        take(&line, acknowledged);
    }
}

fn take(line: &str, acknowledged: &mut BTreeMap<u64, String>) -> bool {
    // The test harness prints before the first line, on the same line.
    let Some((_, ack)) = line.split_once("ack ") else {
        return false;
    };
    let Some((sequence, text)) = ack.split_once(' ') else {
        return false;
    };
    let Ok(sequence) = sequence.parse() else {
        return false;
    };
    acknowledged.insert(sequence, text.to_owned());
    true
}

fn assert_all_there(journal: &Journal, acknowledged: &BTreeMap<u64, String>, when: &str) {
    let events = journal.reader().read(Query::all().scope("kill"));
    let found: BTreeMap<u64, Vec<u8>> = events
        .map(|event| {
            let event = event.unwrap();
            let bytes = event.data().unwrap().bytes().unwrap().to_vec();
            (event.sequence(), bytes)
        })
        .collect();
    for (sequence, text) in acknowledged {
        let stored = found.get(sequence);
        assert!(
            // A cut last line is a prefix of what was written.
            stored.is_some_and(|stored| stored.starts_with(text.as_bytes())),
            "{when}: event {sequence} was acknowledged and is not there"
        );
    }
}
