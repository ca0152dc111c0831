//! What an open leaves behind that failed, and what a drop loses.

use std::path::{Path, PathBuf};

use factlog::{Journal, Options, Query, Recovery, destroy, repair};

use factlog_sim::SimFs;

use crate::support::{DIR, event, texts};

/// How many descriptors and threads this process has; `None` where the system doesn't tell.
fn held() -> Option<(usize, usize)> {
    let count = |folder: &str| std::fs::read_dir(folder).ok().map(Iterator::count);
    Some((count("/proc/self/fd")?, count("/proc/self/task")?))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// A child of this test program: other tests of it would open files and start threads meanwhile.
#[test]
fn opens_that_fail_release_every_file_lock_and_thread() {
    const CHILD: &str = "FACTLOG_COUNTS_HANDLES";
    if std::env::var_os(CHILD).is_some() {
        return open_broken_journals();
    }
    let name = "handles::opens_that_fail_release_every_file_lock_and_thread";
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(said.contains("1 passed"), "{said}");
}

fn open_broken_journals() {
    let place = tempfile::tempdir().unwrap();
    let key = place.path().join("key");
    let whole = place.path().join("whole");
    let options = || Options::new().signing_key_file(&key);
    let journal = Journal::create(&whole, options()).unwrap();
    for text in ["1", "2", "3"] {
        journal.append(event("a", text)).unwrap();
    }
    drop(journal);
    let segment = Path::new("segments/0000000000000000-00000001.seg");
    type Damage<'d> = (&'d str, Box<dyn Fn(&Path) + 'd>);
    let remove = |name: &'static str| -> Box<dyn Fn(&Path)> {
        Box::new(move |dir: &Path| std::fs::remove_file(dir.join(name)).unwrap())
    };
    let kinds: Vec<Damage<'_>> = vec![
        ("no MANIFEST", remove("MANIFEST")),
        ("no JOURNAL", remove("JOURNAL")),
        ("no secret", remove("keys/journal.secret")),
        (
            "rot in event 0",
            Box::new(|dir| flip(&dir.join(segment), 500)),
        ),
        (
            "a broken header",
            Box::new(|dir| flip(&dir.join(segment), 20)),
        ),
        (
            "no segment",
            Box::new(|dir| std::fs::remove_file(dir.join(segment)).unwrap()),
        ),
        (
            "a torn tail",
            Box::new(|dir| {
                let path = dir.join(segment);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.extend_from_slice(b"torn");
                std::fs::write(&path, bytes).unwrap();
            }),
        ),
        (
            "another journal's name",
            Box::new(|dir| {
                let other = dir.with_extension("other");
                Journal::create(&other, Options::new())
                    .unwrap()
                    .close()
                    .unwrap();
                std::fs::copy(other.join("JOURNAL"), dir.join("JOURNAL")).unwrap();
            }),
        ),
    ];
    let dirs: Vec<PathBuf> = (0..kinds.len())
        .map(|at| place.path().join(at.to_string()))
        .collect();
    for (dir, (_, damage)) in dirs.iter().zip(&kinds) {
        copy(&whole, dir);
        damage(dir);
    }
    let open = |at: usize, round: usize| {
        let dir = &dirs[at];
        match round % 3 {
            // Strictly, so that nothing is recovered and the next round meets the same.
            0 => drop(Journal::open(dir, options().recovery(Recovery::Strict))),
            1 => drop(Journal::open_read_only(dir, options())),
            _ => drop(Journal::open(dir, Options::new())),
        }
    };
    (0..30).for_each(|round| (0..kinds.len()).for_each(|at| open(at, round)));
    let before = held();
    if before.is_none() {
        println!("descriptors and threads are not counted: there is no /proc/self here");
    }
    for round in 0..10_000 / kinds.len() {
        for at in 0..kinds.len() {
            open(at, round);
        }
    }
    assert_eq!(held(), before, "something was left open");
    for (dir, (what, _)) in dirs.iter().zip(&kinds) {
        // Locks are free: what needs one goes on.
        let _ = repair(dir, &options());
        destroy(dir, &options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_drop_without_a_close_is_a_crash_that_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("j");
    let options = || Options::new().signing_key_file(place.path().join("key"));
    drop(Journal::create(&dir, options()).unwrap());
    let mut all = Vec::new();
    for round in 0..6 {
        let journal = Journal::open(&dir, options()).unwrap();
        assert_eq!(texts(&journal), all, "{round}");
        for text in 0..3 {
            journal
                .append(event("a", &format!("{round}.{text}")))
                .unwrap();
            all.push(format!("{round}.{text}"));
        }
        drop(journal);
    }
    let journal = Journal::open(&dir, options()).unwrap();
    assert_eq!(texts(&journal), all);
    journal.close().unwrap();
}

#[test]
fn a_lost_secret_is_said_and_keeps_nobody_from_reading() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("j");
    let options = || Options::new().signing_key_file(place.path().join("key"));
    let journal = Journal::create(&dir, options()).unwrap();
    journal.append(event("a", "1")).unwrap();
    let id = journal.import_id(&[b"x"]).unwrap();
    journal.close().unwrap();
    let secret = dir.join("keys/journal.secret");
    let good = std::fs::read(&secret).unwrap();
    let lose: [&dyn Fn(); 3] = [
        &|| flip(&secret, 3),
        &|| std::fs::remove_file(&secret).unwrap(),
        &|| std::fs::remove_dir(dir.join("keys")).unwrap(),
    ];
    for lose in lose {
        lose();
        let journal = Journal::open(&dir, options()).unwrap();
        let why = journal.read_only_reason().unwrap();
        assert_eq!(why.code(), "journal.secret");
        assert!(
            why.to_string().contains("restore keys/journal.secret"),
            "{why}"
        );
        assert_eq!(
            journal.append(event("a", "2")).unwrap_err().code(),
            "journal.secret"
        );
        assert_eq!(
            journal.import_id(&[b"x"]).unwrap_err().code(),
            "journal.secret"
        );
        assert_eq!(texts(&journal), ["1"]);
        journal.close().unwrap();
        assert_eq!(Journal::open_read_only(&dir, options()).unwrap().len(), 2);
    }
    std::fs::create_dir(secret.parent().unwrap()).unwrap();
    std::fs::write(&secret, good).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).unwrap();
    let journal = Journal::open(&dir, options()).unwrap();
    assert_eq!(journal.import_id(&[b"x"]).unwrap(), id);
    journal.append(event("a", "2")).unwrap();
}

/// Every sealed segment that was read from used to stay open, so that a journal of some hundred of them
/// used up what a process may have.
#[test]
fn reading_keeps_few_files_open_however_many_segments_there_are() {
    let fs = SimFs::new(7);
    let options = Options::new().file_system(fs.store()).segment_len(64 << 10);
    let options = options.dangerous().without_housekeeper();
    let journal = Journal::create(DIR, options).unwrap();
    let payload = "x".repeat(20_000);
    for number in 0..1200 {
        journal
            .append(event(&format!("a-{}", number % 5), &payload))
            .unwrap();
        if number % 50 == 0 {
            journal.housekeep().unwrap();
        }
    }
    let reader = journal.reader();
    assert!(
        reader.stats().unwrap().segments > 350,
        "more than may be open at once"
    );
    let most = |what: &str| assert!(fs.handles() < 300, "{} open after {what}", fs.handles());
    for sequence in 0..reader.len() {
        assert!(reader.get(sequence).unwrap().is_some());
    }
    most("reading event by event");
    let scan = reader.read(Query::all());
    assert_eq!(scan.map(Result::unwrap).count() as u64, reader.len());
    most("a scan");
    // Streams lead to and fro between the segments that are open and those that aren't any more.
    for stream in 0..5 {
        let stream = reader.read(Query::stream("bank", format!("a-{stream}")).reverse());
        assert_eq!(stream.map(Result::unwrap).count(), 240);
    }
    most("reading streams");
    journal.close().unwrap();
    assert_eq!(fs.handles(), 0);
}
