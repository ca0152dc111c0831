//! What a machine may change about itself, and still be the same: by `fixtures/machines`, each as a system
//! describes itself.

use std::{fs, path::Path, sync::Arc};

use factlog::{Identity, Journal, KeyDomain, Options, Provider, Rewrap};
use factlog_fs::{Access, MemFs, OpenMode, StoreFs, write_all_at};

use crate::encrypted::{SECRET, event, read};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/machines");
/// What a machine says of itself, before anything else is on it.
const PLACES: [&str; 5] = ["/etc", "/var", "/sys", "/proc", "/home"];

fn put(disk: &MemFs, path: &Path, text: &str) {
    let parents: Vec<_> = path.ancestors().skip(1).collect();
    for dir in parents.into_iter().rev() {
        let _ = disk.create_dir(dir, Access::Shared);
    }
    let file = match disk.open(path, OpenMode::Write) {
        Ok(file) => file,
        Err(_) => disk.create_new(path, Access::Shared).unwrap(),
    };
    file.set_len(0).unwrap();
    write_all_at(file.as_ref(), text.as_bytes(), 0).unwrap();
}

fn clear(disk: &MemFs, dir: &Path) {
    for entry in disk.list(dir).unwrap_or_default() {
        let path = dir.join(&entry.name);
        clear(disk, &path);
        let _ = disk.remove_file(&path).or_else(|_| disk.remove_dir(&path));
    }
}

/// Lets the machine be the one of a fixture, its own files aside.
fn become_machine(disk: &MemFs, name: &str) {
    for place in PLACES {
        clear(disk, Path::new(place));
    }
    let text = fs::read_to_string(format!("{FIXTURES}/{name}.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    for (path, content) in lines.map(|line| line.split_once('\t').unwrap()) {
        put(
            disk,
            Path::new(path),
            &format!("{}\n", content.replace("\\n", "\n")),
        );
    }
}

fn machine(disk: &Arc<MemFs>) -> Options {
    let options = Options::new().file_system(Arc::clone(disk) as Arc<dyn StoreFs>);
    options.unlock(Provider::Machine("machine.secret".into()))
}

/// A journal on the laptop, with a recovery recipient.
fn on_a_laptop() -> Arc<MemFs> {
    let disk = Arc::new(MemFs::new());
    become_machine(&disk, "laptop");
    let recovery = Identity::generate(&[9; 32]).public();
    let options = machine(&disk).encrypt(KeyDomain::Stream);
    let journal = Journal::create("journal", options.recovery_recipient(recovery)).unwrap();
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    disk
}

fn opened(disk: &Arc<MemFs>) -> Result<Vec<u8>, &'static str> {
    let reader = Journal::open_read_only("journal", machine(disk)).unwrap();
    read(&reader, "a").map_err(|why| why.code())
}

#[test]
fn a_machine_is_the_same_whatever_hangs_on_it_and_another_when_it_was_installed_anew() {
    let disk = on_a_laptop();
    for (name, expected) in [
        ("laptop", None),
        ("laptop-docked", None),
        ("laptop-vpn", None),
        ("laptop-renamed", None),
        ("laptop-repaired", None),
        ("laptop-dbus", None),
        ("clone", Some("machine.changed")),
        ("image", Some("machine.no_id")),
        ("container", Some("machine.no_id")),
    ] {
        become_machine(&disk, name);
        assert_eq!(opened(&disk).err(), expected, "{name}");
    }
}

#[test]
fn the_id_alone_opens_nothing_and_no_new_secret_is_made_for_it() {
    let disk = on_a_laptop();
    disk.remove_file(Path::new("machine.secret")).unwrap();
    assert_eq!(opened(&disk).unwrap_err(), "keyset.key_missing");
    assert!(
        disk.metadata(Path::new("machine.secret"))
            .unwrap()
            .is_none()
    );
    let journal = Journal::open("journal", machine(&disk)).unwrap();
    assert_eq!(
        journal.append(event("b")).unwrap_err().code(),
        "keyset.key_missing"
    );
}

#[test]
fn a_machine_that_changed_is_bound_anew_with_another_secret() {
    let disk = on_a_laptop();
    become_machine(&disk, "clone");
    let journal = Journal::open("journal", machine(&disk)).unwrap();
    assert_eq!(
        journal.append(event("b")).unwrap_err().code(),
        "machine.changed"
    );
    drop(journal);
    let options = machine(&disk).unlock(Provider::Key(Identity::generate(&[9; 32])));
    let journal = Journal::open("journal", options).unwrap();
    let here = Rewrap::new().rebind("machine.secret".into());
    let info = journal.rewrap_keyset(&here).unwrap();
    assert!(info.has_recovery() && info.recipients.len() == 2);
    journal.close().unwrap();
    assert_eq!(opened(&disk).unwrap(), SECRET);
    become_machine(&disk, "laptop");
    assert_eq!(opened(&disk).unwrap_err(), "machine.changed");
}

/// It used to take the place of whatever was not for recovery: of a passphrase too.
#[test]
fn a_machine_takes_the_place_of_a_machine_alone() {
    let disk = on_a_laptop();
    let key = Identity::generate(&[8; 32]);
    let options = machine(&disk).unlock(Provider::Key(Identity::generate(&[9; 32])));
    let journal = Journal::open("journal", options).unwrap();
    let others = Rewrap::new().provider(Provider::Key(key.clone()));
    journal.rewrap_keyset(&others).unwrap();
    let before = journal.reader().len();
    let here = Rewrap::new().rebind("machine.secret".into());
    let refused = journal.rewrap_keyset(&here).unwrap_err();
    assert_eq!(refused.code(), "machine.no_recipient");
    assert_eq!(journal.reader().len(), before);
    journal.close().unwrap();
    let options = machine(&disk).unlock(Provider::Key(key));
    let reader = Journal::open_read_only("journal", options).unwrap();
    assert_eq!(read(&reader, "a").unwrap(), SECRET);
}
