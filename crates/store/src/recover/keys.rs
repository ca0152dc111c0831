use factlog_format::{CachedValue, JournalCreated, JournalEvent, Manifest, coordinate_key};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Error, Event,
    event::own,
    layout::Layout,
    segment::{GroupScanner, ScanStop, SegmentFile},
    signer::KeyHistory,
};

/// Codes of values in MANIFEST.
const KEY_ROTATED: u16 = 1;
const KEY_REVOKED: u16 = 2;

/// The value by which MANIFEST repeats an event about keys.
pub(crate) fn value_of(sequence: u64, event: &JournalEvent) -> Option<CachedValue> {
    let code = match event {
        JournalEvent::KeyRotated(_) => KEY_ROTATED,
        JournalEvent::KeyRevoked(_) => KEY_REVOKED,
        _ => return None,
    };
    Some(CachedValue {
        sequence,
        code,
        value: event.encode(),
    })
}

fn event_of(value: &CachedValue) -> Option<JournalEvent> {
    let kind = match value.code {
        KEY_ROTATED => "key.rotated",
        KEY_REVOKED => "key.revoked",
        _ => return None,
    };
    JournalEvent::decode(kind, &value.value).ok()
}

/// The keys of a journal, by MANIFEST's word. A value is written before its event, so one of the
/// segment that is being written is believed only if the event is there; else it is dropped.
pub(crate) fn keys_of(
    fs: &dyn StoreFs,
    layout: &Layout,
    created: &JournalCreated,
    manifest: &mut Manifest,
) -> Result<KeyHistory, Error> {
    let mut history = KeyHistory::of(created);
    let active = manifest.rows.last().map_or(0, |row| row.first_sequence);
    let mut absent = Vec::new();
    for value in &manifest.values {
        let Some(event) = event_of(value) else {
            continue;
        };
        if value.sequence >= active && !stands(fs, layout, manifest, value.sequence, &event)? {
            absent.push((value.sequence, value.code));
            continue;
        }
        // Verification checks signatures; a value that contradicts the others says nothing.
        let _ = history.take(value.sequence, &event, None);
    }
    manifest
        .values
        .retain(|value| !absent.contains(&(value.sequence, value.code)));
    Ok(history)
}

/// Whether the segment that is being written holds this event.
fn stands(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    sequence: u64,
    event: &JournalEvent,
) -> Result<bool, Error> {
    let Some(row) = manifest.rows.last() else {
        return Ok(false);
    };
    let mut found = false;
    each_key_event(
        fs,
        layout,
        manifest,
        row.first_sequence,
        row.generation,
        &mut |at, other| {
            found |= at == sequence && other == *event;
        },
    )?;
    Ok(found)
}

/// Finds the events about keys in all segments, for a MANIFEST that had to be made again.
pub(crate) fn find_values(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &mut Manifest,
) -> Result<(), Error> {
    let mut values = Vec::new();
    for row in &manifest.rows {
        let mut take = |at, event| values.extend(value_of(at, &event));
        each_key_event(
            fs,
            layout,
            manifest,
            row.first_sequence,
            row.generation,
            &mut take,
        )?;
    }
    // A group that a recovery copied stands in two segments.
    values.sort_by_key(|value: &CachedValue| (value.sequence, value.code));
    values.dedup_by_key(|value| (value.sequence, value.code));
    manifest.values = values;
    Ok(())
}

/// Hands on the events about keys of a segment, as far as it can be read.
fn each_key_event(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    first: u64,
    generation: u32,
    take: &mut dyn FnMut(u64, JournalEvent),
) -> Result<(), Error> {
    let path = layout.segment(first, generation);
    let segment = match SegmentFile::open(fs, &path, OpenMode::Read, &manifest.journal) {
        Ok(segment) => segment,
        // Whoever reads it says so.
        Err(Error::Damaged(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let own = Some(coordinate_key(own::SCOPE, own::ENTITY));
    let mut scanner = GroupScanner::new(&segment, segment.header_len, first, segment.len()?);
    let mut buffer = Vec::new();
    loop {
        let group = match scanner.next() {
            Ok(group) => group,
            Err(ScanStop::End | ScanStop::Damage { .. }) => return Ok(()),
            Err(ScanStop::Failed(Error::Damaged(_))) => return Ok(()),
            Err(ScanStop::Failed(error)) => return Err(error),
        };
        for event in &group.events {
            let coordinate = event.facts.as_ref().map(|facts| facts.coordinate);
            if coordinate != own {
                continue;
            }
            let (kind, body) = segment.read_frame(event.offset, &mut buffer)?;
            let Some(body) = buffer.get(body) else {
                continue;
            };
            let decoded = Event::decode(&manifest.journal, kind, body.to_vec());
            if let Some(event) = decoded.ok().as_ref().and_then(own::decoded) {
                take(event.0, event.1);
            }
        }
    }
}
