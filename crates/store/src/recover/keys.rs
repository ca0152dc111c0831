use factlog_format::{
    CachedValue, JournalCreated, JournalEvent, Manifest, ManifestRow, coordinate_key,
};
use factlog_fs::{OpenMode, StoreFs};

use crate::{
    Damage, Error, Event,
    compact::ERASING,
    event::own,
    layout::Layout,
    segment::{
        GroupScanner, ScanStop, SegmentFile,
        offsets::{OffsetsOf, OffsetsReader},
    },
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

/// Whether a value is about keys; there are others, of which some are for newer versions to know.
pub(crate) fn repeats_keys(value: &CachedValue) -> bool {
    matches!(value.code, KEY_ROTATED | KEY_REVOKED)
}

/// The event that MANIFEST repeats.
pub(crate) fn event_of(value: &CachedValue) -> Option<JournalEvent> {
    let kind = match value.code {
        KEY_ROTATED => "key.rotated",
        KEY_REVOKED => "key.revoked",
        _ => return None,
    };
    JournalEvent::decode(kind, &value.value).ok()
}

/// What MANIFEST says of keys, compared with the events that it names.
pub(super) struct NamedKeys {
    pub(super) history: KeyHistory,
    /// An event of a sealed segment is not what MANIFEST repeats.
    pub(super) contradicted: Option<Damage>,
}

/// The keys of a journal: MANIFEST says where the events about them stand, and each is read. A value is
/// written before its event, so one of the segment that is being written may name an event that never
/// came, and is dropped.
pub(super) fn keys_of(
    fs: &dyn StoreFs,
    layout: &Layout,
    created: &JournalCreated,
    manifest: &mut Manifest,
) -> Result<NamedKeys, Error> {
    let mut history = KeyHistory::of(created);
    let active = manifest.rows.last().map_or(0, |row| row.first_sequence);
    let mut contradicted = None;
    let mut absent = Vec::new();
    for value in &manifest.values {
        let Some(event) = event_of(value) else {
            continue;
        };
        match stands(fs, layout, manifest, value.sequence, &event)? {
            Stands::No if value.sequence >= active => {
                absent.push((value.sequence, value.code));
                continue;
            }
            Stands::No => {
                let detail = "MANIFEST repeats an event about keys that is not there";
                let damage = Damage::new("manifest.value_mismatch", &layout.manifest(), detail);
                contradicted.get_or_insert(damage.sequence(value.sequence));
                continue;
            }
            // What can't be read is reported by who reads it.
            Stands::Yes | Stands::Unknown => {}
        }
        // Verification checks signatures; a value that contradicts the others says nothing.
        let _ = history.take(value.sequence, &event, None);
    }
    manifest
        .values
        .retain(|value| !absent.contains(&(value.sequence, value.code)));
    Ok(NamedKeys {
        history,
        contradicted,
    })
}

/// Whether an event is there.
enum Stands {
    Yes,
    No,
    /// Its segment can't be read so far.
    Unknown,
}

/// Whether the segment that must hold an event holds it: at the place that the offsets give, or else, as
/// they may be gone or lead elsewhere, anywhere in the segment.
fn stands(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    sequence: u64,
    event: &JournalEvent,
) -> Result<Stands, Error> {
    let rows = manifest.rows.iter().rev();
    let Some(row) = rows.clone().find(|row| row.first_sequence <= sequence) else {
        return Ok(Stands::No);
    };
    let sealed = row.count.is_some();
    let at_place = || event_at(fs, layout, manifest, row, sequence);
    // Of the one that is being written only what stands in whole groups will stay.
    if sealed && at_place().is_some_and(|found| found == *event) {
        return Ok(Stands::Yes);
    }
    let mut found = false;
    let passed = each_key_event(
        fs,
        layout,
        manifest,
        row.first_sequence,
        row.generation,
        &mut |at, other| {
            found |= at == sequence && other == *event;
        },
    )?;
    Ok(match found {
        true => Stands::Yes,
        false if passed <= sequence && sealed => Stands::Unknown,
        false => Stands::No,
    })
}

/// The event of the journal's own at a sequence, by the offsets; `None` where they don't lead to one.
fn event_at(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    row: &ManifestRow,
    sequence: u64,
) -> Option<JournalEvent> {
    let path = layout.segment(row.first_sequence, row.generation);
    let of = OffsetsOf {
        journal: manifest.journal,
        first: row.first_sequence,
        generation: row.generation,
    };
    let offsets = OffsetsReader::open(fs, &path.with_extension("off"), of).ok()??;
    let offset = offsets
        .get(sequence.checked_sub(row.first_sequence)?)
        .ok()??;
    let segment = SegmentFile::open(fs, &path, OpenMode::Read, &manifest.journal).ok()?;
    let mut buffer = Vec::new();
    let (kind, body) = segment.read_frame(u64::from(offset), &mut buffer).ok()?;
    let event = Event::decode(&manifest.journal, kind, buffer.get(body)?.to_vec()).ok()?;
    let (at, event) = own::decoded(&event)?;
    (at == sequence).then_some(event)
}

/// Finds the events about keys in all segments, for a MANIFEST that had to be made again.
pub(crate) fn find_values(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &mut Manifest,
) -> Result<(), Error> {
    let mut values = Vec::new();
    for row in &manifest.rows {
        let mut take = |at, event| {
            values.extend(value_of(at, &event));
            // Which of them are completed is found out by who opens it.
            if matches!(event, JournalEvent::ErasureOrdered(_)) {
                values.push(CachedValue {
                    sequence: at,
                    code: ERASING,
                    value: Vec::new(),
                });
            }
        };
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

/// Hands on the events about keys of a segment, as far as it can be read, and says how far that is.
fn each_key_event(
    fs: &dyn StoreFs,
    layout: &Layout,
    manifest: &Manifest,
    first: u64,
    generation: u32,
    take: &mut dyn FnMut(u64, JournalEvent),
) -> Result<u64, Error> {
    let path = layout.segment(first, generation);
    let segment = match SegmentFile::open(fs, &path, OpenMode::Read, &manifest.journal) {
        Ok(segment) => segment,
        // Whoever reads it says so.
        Err(Error::Damaged(_)) => return Ok(first),
        Err(error) => return Err(error),
    };
    let own = Some(coordinate_key(own::SCOPE, own::ENTITY));
    let mut scanner = GroupScanner::new(&segment, segment.header_len, first, segment.len()?);
    let mut buffer = Vec::new();
    let mut passed = first;
    loop {
        let group = match scanner.next() {
            Ok(group) => group,
            Err(ScanStop::End | ScanStop::Damage { .. }) => return Ok(passed),
            Err(ScanStop::Failed(Error::Damaged(_))) => return Ok(passed),
            Err(ScanStop::Failed(error)) => return Err(error),
        };
        for event in &group.events {
            let coordinate = event.facts.as_ref().map(|facts| facts.keys.coordinate);
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
        passed = group.header.end_sequence();
    }
}
