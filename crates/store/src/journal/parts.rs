//! What creating and opening a journal have in common.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
};

use factlog_format::{JournalId, journal_key};
use factlog_fs::{FileLock, LockError, StoreFs, read_file};
use zeroize::Zeroizing;

use crate::{
    Damage, Error, Options, Refusal,
    commit::{Anchors, Baton, Derived, DerivedFiles, Order, Pool, Writer, housekeeper::Signal},
    compact::Erasures,
    follow::Followers,
    keys::Keys,
    layout::{Layout, decode_secret},
    read::{
        Shared,
        view::{Resident, View},
    },
    recover::{Follower, Found},
    sync::{Condvar, Mutex},
};

/// Who will follow a journal, and who tells them.
pub(super) fn followers(options: &Options) -> Arc<Followers> {
    let clock = Arc::clone(&options.clock);
    Arc::new(Followers::new(options.following, clock))
}

pub(crate) fn shared(
    fs: &Arc<dyn StoreFs>,
    found: Found,
    view: View,
    follower: Option<Follower>,
    secrets: Option<Arc<Keys>>,
) -> Shared {
    Shared {
        secrets,
        is_encrypted: found.created.encryption.is_some(),
        fs: Arc::clone(fs),
        layout: found.layout,
        identity: found.identity,
        keys: arc_swap::ArcSwap::from_pointee(found.keys),
        view: arc_swap::ArcSwap::from_pointee(view),
        follower,
        followers: Arc::default(),
        damage: found.damage,
        resident: Resident::new(false),
        erasures: Erasures::default(),
        rescanned: std::sync::atomic::AtomicBool::new(false),
    }
}

pub(super) fn import_key(secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(journal_key(secret, "factlog 1 import id"))
}

pub(crate) fn take_lock(fs: &dyn StoreFs, layout: &Layout) -> Result<Box<dyn FileLock>, Error> {
    let path = layout.lock();
    fs.lock(&path).map_err(|error| match error {
        LockError::Held => Refusal::Locked(layout.dir.clone()).into(),
        LockError::Unsupported(why) => Refusal::FileSystem {
            path: layout.dir.clone(),
            detail: why.to_string(),
        }
        .into(),
        LockError::Io(error) => Error::io("lock", &path)(error),
        other => Error::io("lock", &path)(std::io::Error::other(other)),
    })
}

pub(crate) fn read_secret(
    fs: &dyn StoreFs,
    layout: &Layout,
    journal: &JournalId,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let path = layout.secret();
    let lost = |what: &str| {
        let detail = format!(
            "the journal's secret {what}; restore keys/journal.secret from a copy, since with another \
             one a repeated import would not know what it brought in before"
        );
        Error::from(Damage::new("journal.secret", &path, detail))
    };
    let bytes = match read_file(fs, &path, 64) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(lost("is missing"));
        }
        Err(error) if error.kind() == ErrorKind::FileTooLarge => {
            return Err(lost("is not what was written"));
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let secret = decode_secret(journal, &bytes).ok_or_else(|| lost("is not what was written"))?;
    let private = fs.metadata(&path).map_err(Error::io("examine", &path))?;
    if private.is_some_and(|metadata| !metadata.private) {
        let detail = "the journal's secret can be read by other users; set its mode to 0600";
        return Err(Damage::new("journal.secret_exposed", &path, detail).into());
    }
    Ok(Zeroizing::new(secret))
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Parts of a writer that begin empty.
pub(crate) fn new_writer(
    options: &Options,
    mut shared: Shared,
    order: Order,
    baton: Baton,
    derived: DerivedFiles,
    secret: &[u8; 32],
) -> Arc<Writer> {
    // Only who may write knows that nobody else does.
    shared.resident.maps = options.maps;
    shared.followers = followers(options);
    Arc::new(Writer {
        shared: Arc::new(shared),
        clock: Arc::clone(&options.clock),
        random: Arc::clone(&options.random),
        salt_key: journal_key(secret, "factlog 1 salts"),
        hold_key: journal_key(secret, "factlog 1 plain domain"),
        order: Mutex::new(order),
        ended: Condvar::default(),
        baton: Mutex::new(baton),
        derived: Derived::new(derived),
        commits: AtomicU64::new(0),
        remembered_at: AtomicI64::new(options.clock.now_micros()),
        signal: Arc::new(Signal::default()),
        anchors: Anchors::new(options.anchors.clone(), options.anchor_every),
        publish: Mutex::new(()),
        pool: Pool::new(),
        changing_keys: Mutex::default(),
        compacting: Mutex::default(),
    })
}
