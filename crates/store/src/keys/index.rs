//! Where each key stands in the log. It is made when a key is first asked for, so that a journal with a
//! million domains opens at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use factlog_keys::{
    BUCKET_KEYS, BucketRow, DomainTag, Head, Image, KeyId, KeysetError, LogRecord, MAX_BUCKETS,
    Mark, Tombstone,
};

/// Not a place: the key is destroyed.
const DESTROYED: u64 = 0;
/// Not a place: the key isn't in the log yet.
const PENDING: u64 = u64::MAX;
const AT_BITS: u32 = 40;

/// What is known of every key but itself.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The first 8 bytes of tags and of ids, with the key's number, in order.
    tags: Vec<(u64, u32)>,
    ids: Vec<(u64, u32)>,
    /// Those of keys minted since.
    fresh_tags: HashMap<DomainTag, u32>,
    fresh_ids: HashMap<KeyId, u32>,
    /// Of each key, by number: where it stands.
    places: Vec<u64>,
    /// Of destroyed keys, by number, and the numbers by id.
    tombstones: BTreeMap<u32, Tombstone>,
    dead: HashMap<KeyId, u32>,
    /// How many keys were read or written, those included that something else took the place of.
    pub(super) written: u64,
}

/// An index that is being made, record by record.
#[derive(Debug)]
pub(super) struct Builder<'h> {
    head: &'h mut Head,
    index: Index,
    /// Prefixes of tags and ids, by number.
    prefixes: Vec<(u64, u64)>,
    /// Images that the head speaks of and that were not met yet, and whose they are.
    images: BTreeMap<Mark, u32>,
}

fn prefix(id: &[u8; 16]) -> u64 {
    id.first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

fn pack(mark: Mark) -> u64 {
    u64::from(mark.file) << AT_BITS | mark.at
}

fn unpack(place: u64) -> Option<Mark> {
    (place != DESTROYED && place != PENDING).then_some(Mark {
        file: (place >> AT_BITS) as u32,
        at: place & ((1 << AT_BITS) - 1),
    })
}

impl<'h> Builder<'h> {
    /// Begins with what the head says of buckets.
    pub(super) fn new(head: &'h mut Head) -> Self {
        let rows = (0u32..).zip(&head.buckets);
        let images = rows.filter(|(_, row)| row.image.file > 0);
        Self {
            images: images.map(|(bucket, row)| (row.image, bucket)).collect(),
            head,
            index: Index::default(),
            prefixes: Vec::new(),
        }
    }

    /// Takes the next record of the log.
    pub(super) fn take(&mut self, mark: Mark, record: LogRecord) -> Result<(), KeysetError> {
        self.index.written += record.key_places().count() as u64;
        match &record {
            LogRecord::Bucket {
                bucket,
                root_number,
                key,
            } => {
                if mark < self.head.mark {
                    return Ok(());
                }
                if *root_number > self.head.root_number {
                    return Err(KeysetError::RolledBack);
                }
                if *bucket >= MAX_BUCKETS {
                    return Err(KeysetError::Invalid("number of buckets"));
                }
                if *root_number < self.head.root_number
                    || *bucket as usize != self.head.buckets.len()
                {
                    return Err(KeysetError::Invalid("order of buckets"));
                }
                self.head.buckets.push(BucketRow {
                    image: Mark::default(),
                    epoch: *root_number,
                    key: *key,
                });
            }
            LogRecord::Key(key) => {
                let row = self.head.buckets.get((key.number / BUCKET_KEYS) as usize);
                let row = row.ok_or(KeysetError::Invalid("a key without a bucket"))?;
                if key.number as usize != self.index.places.len() {
                    return Err(KeysetError::Invalid("order of keys"));
                }
                let superseded = row.image.file > 0 && mark < row.image;
                let at = record.key_places().next().map_or(0, |(_, at)| at as u64);
                let place = Mark {
                    at: mark.at + at,
                    ..mark
                };
                self.index.places.push(match superseded {
                    true => DESTROYED,
                    false => pack(place),
                });
                self.prefixes.push((prefix(&key.tag), prefix(&key.id)));
            }
            LogRecord::Image(image) => {
                // Also where another has taken its place since: keys minted later count on from its numbers.
                self.make_slots(image)?;
                match self.images.remove(&mark) {
                    None => return Ok(()),
                    Some(bucket) if bucket == image.bucket => {}
                    Some(_) => return Err(KeysetError::BucketsSwapped),
                }
                self.refuse_gaps(image)?;
                for (key, at) in record.key_places() {
                    if let Some(prefixes) = self.prefixes.get_mut(key.number as usize) {
                        *prefixes = (prefix(&key.tag), prefix(&key.id));
                    }
                    let slot = self.index.places.get_mut(key.number as usize);
                    let slot = slot.ok_or(KeysetError::Invalid("an image of a key to come"))?;
                    *slot = pack(Mark {
                        at: mark.at + at as u64,
                        ..mark
                    });
                }
                for tombstone in &image.tombstones {
                    self.index.bury(tombstone);
                }
            }
        }
        Ok(())
    }

    /// In a file that starts over, an image is the first that is heard of its bucket's keys.
    fn make_slots(&mut self, image: &Image) -> Result<(), KeysetError> {
        let there = self.index.places.len();
        if (image.bucket as usize).checked_mul(BUCKET_KEYS as usize) != Some(there) {
            return Ok(());
        }
        let keys = image.keys.iter().map(|key| key.number);
        let numbers = keys.chain(image.tombstones.iter().map(|tombstone| tombstone.number));
        let count = numbers.max().map_or(there, |last| last as usize + 1);
        if image.keys.len() + image.tombstones.len() != count - there {
            return Err(KeysetError::Invalid("an image with gaps"));
        }
        self.index.places.resize(count, DESTROYED);
        self.prefixes.resize(count, (0, 0));
        Ok(())
    }

    /// An image has every key that its bucket has had: one that it left out would look like a key that never was.
    fn refuse_gaps(&self, image: &Image) -> Result<(), KeysetError> {
        let first = image.bucket as usize * BUCKET_KEYS as usize;
        let slots = self.index.places.len().saturating_sub(first);
        let slots = slots.min(BUCKET_KEYS as usize);
        let keys = image.keys.iter().map(|key| key.number);
        let numbers = keys.chain(image.tombstones.iter().map(|tombstone| tombstone.number));
        let found: BTreeSet<u32> = numbers.collect();
        match found.len() == slots && image.keys.len() + image.tombstones.len() == slots {
            true => Ok(()),
            false => Err(KeysetError::Invalid("an image with gaps")),
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// [`KeysetError::Damaged`] if an image that the head speaks of is not there: its keys would look like keys
    /// that never were.
    pub(super) fn finish(self) -> Result<Index, KeysetError> {
        if !self.images.is_empty() {
            return Err(KeysetError::Damaged);
        }
        let mut index = self.index;
        for (number, (tag, id)) in self.prefixes.into_iter().enumerate() {
            if index.places.get(number) != Some(&DESTROYED) {
                index.tags.push((tag, number as u32));
                index.ids.push((id, number as u32));
            }
        }
        index.tags.sort_unstable();
        index.ids.sort_unstable();
        Ok(index)
    }
}

fn candidates(list: &[(u64, u32)], id: &[u8; 16]) -> Vec<u32> {
    let wanted = prefix(id);
    let start = list.partition_point(|(prefix, _)| *prefix < wanted);
    let rest = list.get(start..).unwrap_or_default();
    let found = rest.iter().take_while(|(prefix, _)| *prefix == wanted);
    found.map(|(_, number)| *number).collect()
}

/// Numbers of live keys that share what is remembered of their names or ids, two by two.
fn twins(list: &[(u64, u32)]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let pairs = list.iter().zip(list.iter().skip(1));
    let same = pairs.filter(|(left, right)| left.0 == right.0);
    same.map(|(left, right)| (left.1, right.1))
}

impl Index {
    /// Keys that may have the same id, which no two have.
    pub(super) fn id_twins(&self) -> Vec<(u32, u32)> {
        twins(&self.ids).collect()
    }

    /// How many keys are live.
    pub(super) fn live_count(&self) -> u64 {
        self.live().count() as u64
    }

    /// Numbers of keys that may have this tag, the newest last.
    pub(super) fn by_tag(&self, tag: &DomainTag) -> Vec<u32> {
        let mut found = candidates(&self.tags, tag);
        found.extend(self.fresh_tags.get(tag));
        found
    }

    /// Numbers of keys that may have this id.
    pub(super) fn by_id(&self, id: &KeyId) -> Vec<u32> {
        let mut found = candidates(&self.ids, id);
        found.extend(self.fresh_ids.get(id));
        found
    }

    /// Where a key stands; `None` if it is destroyed or not yet there.
    pub(super) fn place(&self, number: u32) -> Option<Mark> {
        unpack(*self.places.get(number as usize)?)
    }

    /// Whether there is such a key.
    pub(super) fn is_live(&self, number: u32) -> bool {
        let place = self.places.get(number as usize);
        place.is_some_and(|place| *place != DESTROYED)
    }

    /// The number of the next key.
    pub(super) fn next(&self) -> u32 {
        self.places.len() as u32
    }

    /// Adds a key that isn't in the log yet.
    pub(super) fn add(&mut self, tag: DomainTag, id: KeyId) -> u32 {
        let number = self.next();
        self.places.push(PENDING);
        self.fresh_tags.insert(tag, number);
        self.fresh_ids.insert(id, number);
        number
    }

    pub(super) fn set_place(&mut self, number: u32, place: Mark) {
        if let Some(slot) = self.places.get_mut(number as usize) {
            *slot = pack(place);
        }
    }

    /// Forgets a key that is destroyed. Its tag leads to nothing from now on.
    pub(super) fn destroy(&mut self, tombstone: &Tombstone) {
        if let Some(slot) = self.places.get_mut(tombstone.number as usize) {
            *slot = DESTROYED;
        }
        self.fresh_ids.remove(&tombstone.id);
        self.bury(tombstone);
    }

    fn bury(&mut self, tombstone: &Tombstone) {
        self.tombstones.insert(tombstone.number, *tombstone);
        self.dead.insert(tombstone.id, tombstone.number);
    }

    /// What the keyset says of a destroyed key.
    pub(super) fn tombstone(&self, id: &KeyId) -> Option<&Tombstone> {
        self.tombstones.get(self.dead.get(id)?)
    }

    /// All destroyed keys.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.values()
    }

    /// The destroyed keys of a bucket.
    pub(super) fn tombstones_of(&self, bucket: u32) -> impl Iterator<Item = &Tombstone> {
        let first = bucket * BUCKET_KEYS;
        let found = self.tombstones.range(first..first + BUCKET_KEYS);
        found.map(|(_, tombstone)| tombstone)
    }

    /// The live keys of a bucket.
    pub(super) fn of_bucket(&self, bucket: u32) -> impl Iterator<Item = u32> + '_ {
        let first = bucket * BUCKET_KEYS;
        (first..first + BUCKET_KEYS).filter(|number| self.is_live(*number))
    }

    /// All live keys.
    pub(super) fn live(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.next()).filter(|number| self.is_live(*number))
    }
}
