//! Segments that MANIFEST doesn't name.

use std::path::Path;

use factlog::{Journal, Options};
use factlog_fs::{Access, StoreFs};
use factlog_sim::SimFs;

use crate::support::{DIR, event};

/// After a directory sync that failed in an earlier process, the MANIFEST that is read need not be the
/// one on the disk, and no later sync tells. Were a segment removed on its word, a power cut could
/// bring back a MANIFEST that names what is gone.
#[test]
fn an_orphan_is_removed_only_after_manifest_was_replaced_in_this_session() {
    let fs = SimFs::new(1);
    let options = || {
        let options = Options::new().file_system(fs.store());
        options.dangerous().without_housekeeper()
    };
    let journal = Journal::create(DIR, options()).unwrap();
    journal.append(event("a", "1")).unwrap();
    journal.close().unwrap();
    let orphan = Path::new("j/segments/0000000000000002-00000009.seg");
    fs.create_new(orphan, Access::Shared).unwrap();

    let before = fs.calls();
    let journal = Journal::open(DIR, options()).unwrap();
    journal.append(event("a", "2")).unwrap();
    assert_eq!(fs.metadata(orphan).unwrap(), None, "the orphan stays");
    let trace = fs.trace();
    let calls: Vec<_> = trace
        .calls
        .iter()
        .filter(|call| call.number >= before)
        .collect();
    let place = |name: &str, path: &str, from: usize| {
        let found = calls.iter().skip(from).position(|call| {
            let path = Path::new(path);
            let to = call.to.as_ref().unwrap_or(&call.path);
            call.name.starts_with(name) && to.as_path() == path
        });
        found.map(|at| at + from)
    };
    let replaced = place("rename", "j/MANIFEST", 0).expect("MANIFEST is replaced");
    let synced = place("sync_dir", DIR, replaced).expect("its directory is synced");
    let removed = place("remove", orphan.to_str().unwrap(), 0).unwrap();
    assert!(synced < removed, "{trace}");
}
