use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hasher, RandomState},
    hint::black_box,
    ops::Range,
};

use factlog_format::{Digest, Ordering, StreamId};

/// What is remembered of a stream: about 250 bytes each, with its coordinate and the tables' slack.
#[derive(Clone, Copy, Debug)]
struct Head {
    revision: u64,
    sequence: u64,
    hash: Digest,
    /// `None` as long as only full stubs were met.
    coordinate: Option<[u8; 16]>,
    /// Whether the last one is a full stub.
    is_bare: bool,
}

impl Head {
    /// Of no event yet.
    const NEW: Self = Self {
        revision: 0,
        sequence: 0,
        hash: [0; 32],
        coordinate: None,
        is_bare: false,
    };
}

/// The heads of all streams met so far.
#[derive(Debug, Default)]
pub(super) struct Streams {
    heads: HashMap<u128, Head, Keyed>,
    coordinates: HashMap<[u8; 16], StreamId>,
}

/// Hashes ids of streams with two words that are drawn at random, so that nobody can choose ids that share
/// a place; several times cheaper than what the tables of the library do, for ids that are looked up once
/// per event.
#[derive(Clone, Copy, Debug)]
struct Keyed(u64, u64);

impl Default for Keyed {
    fn default() -> Self {
        let word = || RandomState::new().hash_one(0u8);
        Self(word(), word())
    }
}

impl BuildHasher for Keyed {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher {
            key: *self,
            hash: 0,
        }
    }
}

struct IdHasher {
    key: Keyed,
    hash: u64,
}

impl Hasher for IdHasher {
    fn write_u128(&mut self, id: u128) {
        let low = id as u64 ^ self.key.0;
        let high = (id >> 64) as u64 ^ self.key.1 ^ self.hash;
        let product = u128::from(low) * u128::from(high);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

fn id_of(stream: &StreamId) -> u128 {
    u128::from_le_bytes(*stream)
}

impl Streams {
    pub(super) fn len(&self) -> u64 {
        self.heads.len() as u64
    }

    /// Whether a stream was met.
    pub(super) fn knows(&self, stream: &StreamId) -> bool {
        self.heads.contains_key(&id_of(stream))
    }

    /// Brings the heads of some streams near: looked up one right after another they come together from a
    /// memory that is far away, and each alone would be waited for.
    pub(super) fn touch<'e>(&self, streams: impl Iterator<Item = &'e StreamId>) {
        let heads = streams.filter_map(|stream| self.heads.get(&id_of(stream)));
        // A head lies in two lines of the cache.
        black_box(heads.fold(0, |all, head| {
            let [first, ..] = head.hash;
            all ^ first ^ u8::from(head.is_bare)
        }));
    }

    /// An event of a stream of which nothing was read so far, that comes before what is.
    pub(super) fn recall(&mut self, order: &Ordering, hash: Digest, coordinate: Option<[u8; 16]>) {
        self.heads.insert(
            id_of(&order.stream),
            Head {
                revision: order.revision,
                sequence: order.sequence,
                hash,
                coordinate,
                is_bare: coordinate.is_none(),
            },
        );
        if let Some(coordinate) = coordinate {
            self.coordinates.entry(coordinate).or_insert(order.stream);
        }
    }

    /// Links the next event to its stream, and says code and detail of what is wrong with the link. `lost`
    /// are the sequences that couldn't be read: a link into them can't be judged. Whether the event begins
    /// its stream, or follows a full stub in it.
    pub(super) fn link(
        &mut self,
        order: &Ordering,
        hash: &Digest,
        coordinate: Option<&[u8; 16]>,
        lost: &[Range<u64>],
        mut wrong: impl FnMut(&'static str, String),
    ) -> bool {
        let unreadable = order
            .previous_sequence
            .is_some_and(|previous| is_lost(lost, previous));
        let mut entry = self.heads.entry(id_of(&order.stream));
        let head = match &mut entry {
            Entry::Occupied(head) => Some(&*head.get_mut()),
            Entry::Vacant(_) => None,
        };
        let opens = order.revision == 0 || head.is_some_and(|head| head.is_bare);
        if let Some(problem) = broken_link(head, order, unreadable) {
            wrong("stream.broken", problem);
        }
        let known = head.and_then(|head| head.coordinate.as_ref());
        if let (Some(known), Some(now)) = (known, coordinate)
            && known != now
        {
            let detail = "the event has another scope or entity than its stream".to_owned();
            wrong("stream.coordinate_changed", detail);
        }
        // One that the stream is known by has its owner already.
        if let Some(coordinate) = coordinate.filter(|now| known != Some(*now)) {
            let owner = *self.coordinates.entry(*coordinate).or_insert(order.stream);
            if owner != order.stream {
                let detail = "a second stream begins for the same scope and entity".to_owned();
                wrong("stream.second", detail);
            }
        }
        let head = entry.or_insert(Head::NEW);
        head.revision = order.revision;
        head.sequence = order.sequence;
        head.hash = *hash;
        head.is_bare = coordinate.is_none();
        if head.coordinate.is_none() {
            head.coordinate = coordinate.copied();
        }
        opens
    }
}

fn broken_link(head: Option<&Head>, order: &Ordering, unreadable: bool) -> Option<String> {
    if unreadable {
        return None;
    }
    let Some(head) = head else {
        if order.revision == 0 {
            return None;
        }
        return Some(format!("the stream begins at revision {}", order.revision));
    };
    if order.revision == 0 {
        return Some("the stream begins a second time".to_owned());
    }
    if Some(order.revision) != head.revision.checked_add(1) {
        let (last, next) = (head.revision, order.revision);
        return Some(format!(
            "revision {next} follows revision {last} of the stream"
        ));
    }
    if order.previous != head.hash {
        return Some("the previous event of the stream has another hash".to_owned());
    }
    if order.previous_sequence != Some(head.sequence) {
        return Some("the previous event of the stream has another sequence".to_owned());
    }
    None
}

/// `lost` is in ascending order.
fn is_lost(lost: &[Range<u64>], sequence: u64) -> bool {
    let at = lost.partition_point(|range| range.end <= sequence);
    lost.get(at).is_some_and(|range| range.contains(&sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(sequence: u64, revision: u64, previous: Option<u64>) -> Ordering {
        let hash = |sequence: u64| [sequence as u8 + 1; 32];
        Ordering {
            sequence,
            revision,
            stream: [7; 16],
            recorded_at: 0,
            previous: previous.map_or([0; 32], hash),
            previous_sequence: previous,
        }
    }

    fn link(streams: &mut Streams, order: Ordering, lost: &[Range<u64>]) -> Vec<&'static str> {
        let hash = [order.sequence as u8 + 1; 32];
        let mut problems = Vec::new();
        let wrong = |code, _| problems.push(code);
        streams.link(&order, &hash, Some(&[1; 16]), lost, wrong);
        problems
    }

    #[test]
    fn a_removed_middle_event_breaks_the_link_even_if_payloads_repeat() {
        let mut streams = Streams::default();
        assert!(link(&mut streams, order(1, 0, None), &[]).is_empty());
        assert!(link(&mut streams, order(2, 1, Some(1)), &[]).is_empty());
        assert_eq!(
            link(&mut streams, order(3, 3, Some(2)), &[]),
            ["stream.broken"]
        );
    }

    #[test]
    fn a_link_into_what_could_not_be_read_is_not_judged() {
        let mut streams = Streams::default();
        assert!(link(&mut streams, order(1, 0, None), &[]).is_empty());
        assert!(link(&mut streams, order(9, 5, Some(7)), &[2..3, 7..8]).is_empty());
        assert_eq!(
            link(
                &mut streams,
                order(10, 7, Some(9)),
                &std::iter::once(7..8).collect::<Vec<_>>()
            ),
            ["stream.broken"]
        );
    }
}
