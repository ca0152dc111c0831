use std::sync::Arc;

use factlog_format::{
    Identity, JournalCreated, JournalEvent, JournalId, Manifest, SigningPolicyCode,
};
use factlog_fs::{Access, StoreFs, replace_file, write_all_at};

use super::Found;
use crate::{
    Error, Misuse, Options, SigningPolicy,
    keys::Keys,
    layout::{JOURNAL, Layout, SUBDIRECTORIES, encode_secret},
    signer::KeyHistory,
};

/// The longest origin that a caller may choose; `/` and the id follow it.
const MAX_ORIGIN: usize = 200;

/// The origin of a journal: the caller's part, `/` and the id in hex.
pub(crate) fn origin_of(prefix: &str, journal: &JournalId) -> Result<String, Error> {
    let plain = !prefix.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
    if prefix.is_empty() || prefix.len() > MAX_ORIGIN || !plain {
        return Err(Misuse::Origin.into());
    }
    Ok(format!(
        "{prefix}/{}",
        data_encoding::HEXLOWER.encode(journal)
    ))
}

/// What a new journal will be, and its subdirectories, synced in it, with the secret inside.
pub(crate) fn create(
    options: &Options,
    layout: Layout,
    journal: JournalId,
    origin: String,
    keys: Vec<[u8; 32]>,
) -> Result<(Found, JournalEvent, Option<Arc<Keys>>), Error> {
    let fs: &Arc<dyn StoreFs> = &options.fs;
    make_dirs(fs.as_ref(), &layout)?;
    make_secret(options, &layout, &journal)?;
    let (secrets, encryption) = match Keys::create(options, &layout, &journal)? {
        Some((secrets, encryption)) => (Some(secrets), Some(encryption)),
        None => (None, None),
    };
    let created = JournalCreated {
        journal,
        origin: origin.clone(),
        created: options.clock.now_micros(),
        signing: match (keys.is_empty(), options.signing) {
            (true, _) => SigningPolicyCode::Unsigned,
            (false, SigningPolicy::Optional) => SigningPolicyCode::Optional,
            (false, SigningPolicy::Required) => SigningPolicyCode::Required,
        },
        keys,
        forked_from: None,
        encryption,
    };
    let history = KeyHistory::of(&created);
    if history.keys().len() < created.keys.len() {
        return Err(Misuse::Origin.into());
    }
    let features = factlog_format::Features::default();
    let identity = Identity {
        features,
        journal,
        origin,
        created: created.created,
    };
    let manifest = Manifest {
        features,
        journal,
        next_generation: 1,
        incarnation: 1,
        rows: Vec::new(),
        values: Vec::new(),
    };
    let event = JournalEvent::Created(created.clone());
    Ok((
        Found {
            layout,
            identity,
            created,
            key: history.live().cloned(),
            keys: history,
            manifest,
            damage: Vec::new(),
            unfinished: false,
        },
        event,
        secrets,
    ))
}

fn make_dirs(fs: &dyn StoreFs, layout: &Layout) -> Result<(), Error> {
    let dir = &layout.dir;
    for name in SUBDIRECTORIES {
        let path = dir.join(name);
        let access = if name == "keys" {
            Access::Private
        } else {
            Access::Shared
        };
        fs.create_dir(&path, access)
            .map_err(Error::io("create", &path))?;
    }
    fs.sync_dir(dir).map_err(Error::io("sync", dir))
}

fn make_secret(options: &Options, layout: &Layout, journal: &JournalId) -> Result<(), Error> {
    let mut secret = zeroize::Zeroizing::new([0u8; 32]);
    options.random.fill(secret.as_mut());
    let path = layout.secret();
    let file = options
        .fs
        .create_new(&path, Access::Private)
        .map_err(Error::io("create", &path))?;
    let content = zeroize::Zeroizing::new(encode_secret(journal, &secret));
    write_all_at(file.as_ref(), content.as_ref(), 0).map_err(Error::io("write", &path))?;
    file.sync_all().map_err(Error::io("sync", &path))?;
    let keys = layout.keys();
    options.fs.sync_dir(&keys).map_err(Error::io("sync", &keys))
}

/// Writes JOURNAL: from here on the journal exists.
pub(crate) fn finish(fs: &dyn StoreFs, found: &Found) -> Result<(), Error> {
    let text = found.identity.encode();
    replace_file(
        fs,
        &found.layout.dir,
        JOURNAL,
        text.as_bytes(),
        Access::Shared,
    )
    .map_err(Error::io("write", &found.layout.journal()))
}
