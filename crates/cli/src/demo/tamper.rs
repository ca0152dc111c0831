//! Ways to tamper with a copy of the journal.

use std::path::Path;

use anyhow::{Context, Result};
use factlog::SigningKey;

use super::forge::{Fate, forge};
use super::setting::Setting;
use crate::files;

pub(super) struct Tampering {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) act: fn(&Setting, &Path) -> Result<()>,
}

pub(super) const ALL: [Tampering; 4] = [
    Tampering {
        name: "flipped byte",
        title: "A copy with one byte flipped",
        act: flip_byte,
    },
    Tampering {
        name: "rewritten event",
        title: "A copy with one event rewritten, all checksums, hashes and roots recomputed, and signed \
                with the forger's own key",
        act: rewrite_event,
    },
    Tampering {
        name: "dropped tail",
        title: "A copy without its last events: a true prefix, with the true signature over it",
        act: drop_tail,
    },
    Tampering {
        name: "dropped stream",
        title: "A copy without one whole stream, everything made to fit and signed with the forger's own key",
        act: drop_stream,
    },
];

fn flip_byte(_: &Setting, dir: &Path) -> Result<()> {
    let segments = files::list(&dir.join("segments"))?;
    let segment = segments
        .iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .context("there is no segment")?;
    files::edit(segment, |bytes| {
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
    })
}

fn rewrite_event(setting: &Setting, dir: &Path) -> Result<()> {
    let sequence = setting.sequence;
    forge(dir, Some(forgers_key(setting)?), |event| {
        let content = event.sections().next().and_then(|(_, content)| content);
        match content {
            Some((_, stored)) if event.order.sequence == sequence => Fate::Rewrite(altered(stored)),
            _ => Fate::Keep,
        }
    })
}

/// The same with one letter or digit changed, so that it still reads well.
fn altered(stored: &[u8]) -> Vec<u8> {
    let mut bytes = stored.to_vec();
    match bytes
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_alphanumeric())
    {
        Some(byte) => *byte = if *byte == b'7' { b'8' } else { b'7' },
        None => bytes.push(b'7'),
    }
    bytes
}

fn drop_tail(setting: &Setting, dir: &Path) -> Result<()> {
    forge(dir, None, |event| {
        if event.order.sequence >= setting.last_sequence {
            Fate::Drop
        } else {
            Fate::Keep
        }
    })
}

fn drop_stream(setting: &Setting, dir: &Path) -> Result<()> {
    forge(dir, Some(forgers_key(setting)?), |event| {
        if event.order.stream == setting.stream {
            Fate::Drop
        } else {
            Fate::Keep
        }
    })
}

/// Any key but the journal's will do, so its seed needs to be no secret.
fn forgers_key(setting: &Setting) -> Result<SigningKey> {
    Ok(SigningKey::generate(setting.vkey.name(), [7; 32])?)
}
