//! Cursors in files, also through crashes.

use std::{path::Path, sync::Arc};

use factlog::{
    Ended, Error, Journal, NewEvent, Options, Query, Refusal, VerifyOptions, destroy, verify,
};
use factlog_fs::{Access, MemFs, OpenMode, StoreFs, read_file, write_all_at};
use factlog_sim::{Failure, Fault, PowerCut, SimFs, Unsynced};

use super::{event, options};

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("none", |error| error.code())
}

#[test]
fn a_cursor_is_where_it_was_left_and_only_goes_forward() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    for _ in 0..4 {
        journal.append(event("a", "x")).unwrap();
    }
    let mut cursor = journal.reader().cursor_file("mails").unwrap();
    assert_eq!(cursor.reached(), 0);
    assert!(cursor.advance(3).unwrap());
    assert!(!cursor.advance(2).unwrap() && !cursor.advance(3).unwrap());
    assert_eq!(code(cursor.advance(6)), "condition.invalid");
    assert_eq!(code(journal.reader().cursor_file("mails")), "cursor.in_use");
    for name in ["", "Mails", "a/b", "..", ".a", &"a".repeat(65)] {
        assert_eq!(
            code(journal.reader().cursor_file(name)),
            "cursor.name",
            "{name}"
        );
    }
    let status = journal.reader().cursor_files().unwrap().remove(0);
    assert_eq!((status.position, status.lag, status.held), (3, 2, true));
    cursor.end(&Ended::Stopped).unwrap();
    drop(cursor);
    let status = journal.reader().cursor_files().unwrap().remove(0);
    let ended = status.ended.unwrap();
    assert_eq!((ended.0.as_str(), status.held), ("stopped", false));
    journal.close().unwrap();
    // The journal's directory holds nothing that doesn't belong there.
    let checks = VerifyOptions::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    assert!(verify("j", &checks).unwrap().findings.is_empty());
    let reader = Journal::open_read_only("j", options(&fs)).unwrap();
    assert_eq!(reader.cursor_file("mails").unwrap().reached(), 3);
    destroy("j", &options(&fs)).unwrap();
    assert_eq!(fs.metadata(Path::new("j")).unwrap(), None);
}

#[test]
fn a_cursor_that_was_changed_or_belongs_elsewhere_is_never_taken_for_a_new_one() {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create("j", options(&fs)).unwrap();
    journal.append(event("a", "x")).unwrap();
    let advanced = || journal.reader().cursor_file("c").unwrap().advance(2);
    assert!(advanced().unwrap());
    let path = Path::new("j/cursors/c.cursor");
    let whole = read_file(fs.as_ref(), path, 1 << 16).unwrap();
    let put = |bytes: &[u8]| {
        let file = fs.open(path, OpenMode::Write).unwrap();
        file.set_len(0).unwrap();
        write_all_at(file.as_ref(), bytes, 0).unwrap();
    };
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        for bytes in [&changed, &whole[..at]] {
            put(bytes);
            assert_eq!(
                code(journal.reader().cursor_file("c")),
                "cursor.damaged",
                "{at}"
            );
        }
    }
    put(&whole);
    assert_eq!(journal.reader().cursor_file("c").unwrap().reached(), 2);
    let other = Journal::create("o", options(&fs).signing_key_file("other.key")).unwrap();
    other.reader().cursor_file("c").unwrap().advance(1).unwrap();
    put(&read_file(fs.as_ref(), Path::new("o/cursors/c.cursor"), 1 << 16).unwrap());
    assert_eq!(code(journal.reader().cursor_file("c")), "cursor.damaged");
}

#[test]
fn a_cursor_that_is_ahead_of_an_older_copy_says_so() {
    let disk = SimFs::new(1);
    let options = |disk: &SimFs| Options::new().file_system(disk.store());
    let journal = Journal::create("j", options(&disk)).unwrap();
    journal.append(event("a", "x")).unwrap();
    let older = disk.moment();
    journal.append(event("a", "y")).unwrap();
    journal
        .reader()
        .cursor_file("c")
        .unwrap()
        .advance(3)
        .unwrap();
    let path = Path::new("j/cursors/c.cursor");
    let moved = read_file(disk.store().as_ref(), path, 1 << 16).unwrap();
    let disk = older.kill_process(1);
    let store = disk.store();
    let folder = path.parent().unwrap();
    store.create_dir(folder, Access::Shared).unwrap();
    let file = store.create_new(path, Access::Shared).unwrap();
    write_all_at(file.as_ref(), &moved, 0).unwrap();
    let journal = Journal::open("j", options(&disk)).unwrap();
    assert_eq!(code(journal.reader().cursor_file("c")), "cursor.ahead");
}

#[test]
fn a_full_disk_leaves_a_cursor_where_it_was_and_lets_it_be_tried_again() {
    let disk = SimFs::new(1);
    let journal = Journal::create("j", Options::new().file_system(disk.store())).unwrap();
    journal.append(event("a", "x")).unwrap();
    let mut cursor = journal.reader().cursor_file("c").unwrap();
    cursor.advance(1).unwrap();
    disk.inject(Fault::from(disk.calls(), Failure::NoSpace));
    let full = cursor.advance(2);
    assert!(matches!(
        full,
        Err(Error::Refused(Refusal::DiskFull { .. }))
    ));
    assert_eq!(cursor.reached(), 1);
    disk.heal();
    assert!(cursor.advance(2).unwrap());
    drop(cursor);
    assert_eq!(journal.reader().cursor_file("c").unwrap().reached(), 2);
}

/// Whatever a crash takes, a cursor stands no earlier than where a move was acknowledged, and no later
/// than what its consumer had seen, in a journal that has all that it has passed.
#[test]
fn no_crash_makes_a_cursor_skip_or_go_back() {
    let options = |disk: &SimFs| {
        let options = Options::new().file_system(disk.store());
        options.dangerous().without_housekeeper()
    };
    let disk = SimFs::new(5);
    let journal = Journal::create("j", options(&disk)).unwrap();
    disk.record();
    let begun = disk.calls();
    // How many calls there had been when a position was seen, and when it was acknowledged.
    let (mut seen, mut acknowledged) = (Vec::new(), Vec::new());
    let mut cursor = journal.reader().cursor_file("c").unwrap();
    let mut events = journal.reader().subscribe(Query::all()).unwrap();
    for round in 0..12 {
        for number in 0..round % 4 {
            let entity = format!("e-{number}");
            journal.append(NewEvent::new("s", entity, "a.b")).unwrap();
        }
        if round % 5 == 0 {
            journal.housekeep().unwrap();
        }
        while let Some(event) = events.try_next().unwrap() {
            seen.push((disk.calls(), event.sequence() + 1));
        }
        cursor.advance(events.reached()).unwrap();
        acknowledged.push((disk.calls(), events.reached()));
    }
    let until = |list: &[(u64, u64)], calls| {
        let before = list.iter().take_while(|(at, _)| *at <= calls);
        before.map(|(_, position)| *position).last().unwrap_or(0)
    };
    let mut moved = 0;
    for moment in disk
        .moments()
        .into_iter()
        .filter(|moment| moment.calls() >= begun)
    {
        let least = until(&acknowledged, moment.calls());
        let most = until(&seen, moment.calls());
        for (seed, unsynced) in Unsynced::ALL.into_iter().enumerate() {
            let disk = moment.power_cut(&PowerCut::new(unsynced), seed as u64);
            let journal = Journal::open("j", options(&disk)).unwrap();
            let reached = journal.reader().cursor_file("c").unwrap().reached();
            assert!(
                (least..=most).contains(&reached),
                "{least} {reached} {most}"
            );
            assert!(reached <= journal.reader().len());
            moved += u64::from(reached > least);
        }
    }
    assert!(
        moved > 0,
        "no crash came between the move and its acknowledgement"
    );
}
