//! Changes of who can open the keyset, and what a crash or a copy of before makes of them.

use std::{path::Path, sync::Arc};

use factlog_fs::{Access, StoreFs, replace_file};
use factlog_keys::Identity;
use factlog_sim::SimFs;

use super::{DIR, Log, options, with_one_event};
use crate::{
    Error, Journal, OldSecrets, Provider, Rewrap, SecretFate, Selector, Shred, ShredGrade,
    crash::campaign::Crash,
};

fn by(seed: u8) -> Identity {
    Identity::generate(&[seed; 32])
}

fn open_by(store: &Arc<dyn StoreFs>, seed: u8) -> Option<Journal> {
    let options = options(store).unlock(Provider::Key(by(seed)));
    let journal = Journal::open(DIR, options).unwrap();
    journal.read_only_reason().is_none().then_some(journal)
}

/// Whether the report of a shred that was to replace the recipients says of them what is so, wherever a crash
/// came.
pub(super) fn a_wish_outlives_a_crash() -> bool {
    let fs = SimFs::new(7);
    with_one_event(&fs);
    let journal = open_by(&fs.store(), 7).unwrap();
    let others = Rewrap::new()
        .provider(Provider::Key(by(9)))
        .old_secrets(OldSecrets::Attested);
    let stream = Selector::Stream {
        scope: "s".to_owned(),
        entity: "a".to_owned(),
    };
    let shred = Shred::new(vec![stream], "because").replace_recipients(others);
    fs.record();
    journal.shred(&shred).unwrap();
    let mut seen = [0; 2];
    for (number, moment) in fs.moments().into_iter().enumerate() {
        for crash in Crash::ALL {
            let after = crash.of(&moment, number as u64);
            let (replaced, journal) = match open_by(&after.store(), 7) {
                Some(journal) => (false, journal),
                None => (true, open_by(&after.store(), 9).unwrap()),
            };
            for erasure in journal.reader().erasures().unwrap() {
                seen[usize::from(replaced)] += 1;
                let (_, done) = erasure.completed.unwrap();
                let (grade, fate) = match replaced {
                    true => (ShredGrade::RecipientsReplaced, SecretFate::Attested),
                    false => (ShredGrade::Removed, SecretFate::Kept),
                };
                if !erasure.replacing
                    || done.grade != grade
                    || done.recipients != [(by(7).public().id(), fate)]
                {
                    return false;
                }
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
    true
}

/// Whether a keyset of before its recipients were changed makes the journal read-only, until it is accepted.
pub(super) fn recipients_of_before_stay_away() -> bool {
    let fs = SimFs::new(7);
    with_one_event(&fs);
    let store = fs.store();
    let head = Path::new(DIR).join("keys/keyset");
    let older = fs.contents()[&head].clone();
    let journal = open_by(&store, 7).unwrap();
    let others = Rewrap::new().provider(Provider::Key(by(9)));
    journal.rewrap_keyset(&others).unwrap();
    journal.close().unwrap();
    let keys = Path::new(DIR).join("keys");
    replace_file(store.as_ref(), &keys, "keyset", &older, Access::Private).unwrap();
    let before = fs.contents();
    let journal = Journal::open(DIR, options(&store)).unwrap();
    let why = journal.read_only_reason().map(Error::code);
    if why != Some("keyset.rolled_back") {
        return false;
    }
    let appended = Log::default().append(&fs, &journal, &["a"]);
    assert_eq!(appended.unwrap_err().code(), "keyset.rolled_back");
    drop(journal);
    assert_eq!(fs.contents(), before);
    let journal = Journal::open(DIR, options(&store).accept_older_keyset()).unwrap();
    Log::default().append(&fs, &journal, &["a"]).unwrap();
    journal.close().unwrap();
    open_by(&store, 7).is_some()
}

/// Whether a key that is minted after a change of recipients is under a bucket key that none of before knows.
pub(super) fn a_former_recipient_opens_nothing_new() -> bool {
    let fs = SimFs::new(7);
    with_one_event(&fs);
    let journal = open_by(&fs.store(), 7).unwrap();
    let mut log = Log::default();
    log.append(&fs, &journal, &["b"]).unwrap();
    let keys = journal.reader().shared.secrets.as_ref().unwrap();
    let known = {
        let state = keys.opened().unwrap();
        let open = state.open.as_ref().unwrap();
        open.bucket_key(&keys.journal, 0).unwrap()
    };
    let opens = |number| {
        let state = keys.opened().unwrap();
        let key = state.open.as_ref().unwrap().entry(number).unwrap().unwrap();
        known
            .unwrap(&keys.journal, &key.tag, &key.id, 0, &key.wrapped)
            .is_some()
    };
    assert!(opens(1));
    let others = Rewrap::new().provider(Provider::Key(by(9)));
    journal.rewrap_keyset(&others).unwrap();
    log.append(&fs, &journal, &["c"]).unwrap();
    !opens(2)
}
