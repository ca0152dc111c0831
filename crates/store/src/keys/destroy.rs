//! Taking keys out of the keyset.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::Ordering::Relaxed,
};

use factlog_keys::{
    BUCKET_KEYS, BucketKey, Head, Image, KeyId, KeysetError, LogRecord, Recipient, Root, Tombstone,
    seal_record,
};

use super::{
    Keys,
    keyset::{Open, State, fresh},
    log::damage,
};
use crate::{
    Error, Refusal,
    config::{Bug, planted},
};

/// Buckets, and the numbers of some of their keys.
type Buckets = BTreeMap<u32, Vec<u32>>;

impl Keys {
    /// Takes keys out of the keyset: their buckets and the root get other keys. Gives those that were not there
    /// to be destroyed.
    ///
    /// # Errors
    /// After one the keys are still there, or it isn't known; the next open finishes what was begun.
    pub(super) fn destroy(
        &self,
        ids: &[KeyId],
        intent: u64,
        recipients: Option<Vec<Recipient>>,
    ) -> Result<Vec<KeyId>, Error> {
        self.rekey(ids, intent.saturating_add(1), recipients)
    }

    /// Gives the keyset to these recipients and nobody else, under another root key.
    pub(super) fn give_to(&self, recipients: Vec<Recipient>) -> Result<(), Error> {
        self.rekey(&[], 0, Some(recipients)).map(drop)
    }

    /// Destroys what came back of keys that events call destroyed, if the log was read and shows any.
    pub(super) fn destroy_left_over(&self) -> Result<(), Error> {
        let is_any = {
            let state = self.state.lock();
            !self.left_over(&state)?.is_empty()
        };
        match is_any && !self.is_follower && !self.broken.load(Relaxed) {
            true => self.rekey(&[], 0, None).map(drop),
            false => Ok(()),
        }
    }

    fn rekey(
        &self,
        ids: &[KeyId],
        applied: u64,
        recipients: Option<Vec<Recipient>>,
    ) -> Result<Vec<KeyId>, Error> {
        let _flush = self.flush.lock();
        let mut state = self.opened()?;
        if self.broken.load(Relaxed) {
            return Err(Refusal::KeysetFailed.into());
        }
        self.load(&mut state)?;
        let left_over = self.left_over(&state)?;
        let State { open, retired, .. } = &mut *state;
        let Some(open) = open else {
            return Err(Refusal::KeysetLocked.into());
        };
        if let Some(loaded) = &mut open.loaded {
            loaded.flush(self.fs.as_ref(), &self.layout, &self.journal)?;
            self.flushed.store(loaded.minted, Relaxed);
        }
        let wanted: BTreeSet<&KeyId> = ids.iter().chain(&left_over).collect();
        let (buckets, missing) = buckets_of(open, wanted, recipients.is_some())?;
        let mut head = open.head.clone();
        let root = Root::new(fresh(self.random.as_ref()));
        let epoch = head.root_number.saturating_add(1);
        // The images first, durably: the head that points to them comes after.
        let mut bytes = Vec::new();
        let mut images = Vec::new();
        let mut fresh_keys = HashMap::new();
        let start = open.loaded.as_ref().map(|loaded| loaded.log.place());
        let start = start.unwrap_or_default();
        for (bucket, gone) in &buckets {
            let key = BucketKey::new(fresh(self.random.as_ref()), epoch);
            let image = self.image(open, retired, (*bucket, gone), &key)?;
            let record = LogRecord::Image(image);
            let durable = start.at;
            let at = seal_record(&self.journal, &record, durable, &mut bytes)
                .map_err(|error| damage(error, &self.layout.keys()))?;
            images.push((*bucket, at as u64, record));
            fresh_keys.insert(*bucket, key);
        }
        self.rewrap(open, &mut head, &root, &fresh_keys)?;
        for (bucket, at, _) in &images {
            if let Some(row) = head.buckets.get_mut(*bucket as usize) {
                row.image = factlog_keys::Mark {
                    at: start.at + at,
                    ..start
                };
            }
        }
        if let Some(recipients) = recipients {
            head.recipients = recipients;
        }
        head.set_root(&root, &open.names, &fresh(self.random.as_ref()))
            .map_err(|error| damage(error, &self.layout.keyset()))?;
        let next = head.generation.saturating_add(1);
        head.generation = next.max(self.least_generation());
        head.applied = head.applied.max(applied);
        if planted(Bug::RootBeforeBuckets) {
            head.mark = factlog_keys::Mark {
                at: start.at + bytes.len() as u64,
                ..start
            };
            self.put_head(&mut head, &root)?;
        }
        if let Some(loaded) = &mut open.loaded
            && !bytes.is_empty()
        {
            let (fs, layout) = (self.fs.as_ref(), &self.layout);
            loaded.log.append(fs, layout, &self.journal, &bytes)?;
            head.mark = loaded.log.end();
        } else if let Some(loaded) = &open.loaded {
            head.mark = loaded.log.end();
        }
        self.put_head(&mut head, &root)?;
        open.head = head;
        open.root = root;
        self.follow_images(open, start, images);
        for id in ids {
            self.held.remove(id);
        }
        Ok(missing)
    }

    /// What is left of a bucket, under another key.
    fn image(
        &self,
        open: &Open,
        retired: &HashMap<KeyId, u64>,
        (bucket, gone): (u32, &[u32]),
        key: &BucketKey,
    ) -> Result<Image, Error> {
        let mut image = Image {
            bucket,
            ..Image::default()
        };
        let Some(loaded) = &open.loaded else {
            return Ok(image);
        };
        let old = open
            .bucket_key(&self.journal, bucket)
            .ok_or_else(|| damage(KeysetError::Forged, &self.layout.keyset()))?;
        for number in loaded.index.of_bucket(bucket) {
            let Some(mut entry) = open.entry(number)? else {
                continue;
            };
            if gone.contains(&number) && !planted(Bug::ImageKeepsDestroyed) {
                image.tombstones.push(Tombstone {
                    number,
                    id: entry.id,
                    intent: retired.get(&entry.id).copied().unwrap_or_default(),
                });
                continue;
            }
            let (data, name) = old
                .unwrap(&self.journal, &entry.tag, &entry.id, bucket, &entry.wrapped)
                .ok_or_else(|| damage(KeysetError::Forged, &self.layout.keys()))?;
            let nonce = fresh(self.random.as_ref());
            entry.wrapped = key
                .wrap(&self.journal, &entry.tag, bucket, &nonce, &data, &name)
                .map_err(|error| damage(error, &self.layout.keys()))?;
            image.keys.push(entry);
        }
        let before = loaded.index.tombstones_of(bucket);
        image.tombstones.extend(before.copied());
        Ok(image)
    }

    /// Wraps every bucket's key under another root.
    fn rewrap(
        &self,
        open: &Open,
        head: &mut Head,
        root: &Root,
        replaced: &HashMap<u32, BucketKey>,
    ) -> Result<(), Error> {
        let number = head.root_number.saturating_add(1);
        for (bucket, row) in (0u32..).zip(&mut head.buckets) {
            let old = || open.bucket_key(&self.journal, bucket);
            let kept;
            let key = match replaced.get(&bucket) {
                Some(key) => key,
                None => {
                    kept =
                        old().ok_or_else(|| damage(KeysetError::Forged, &self.layout.keyset()))?;
                    &kept
                }
            };
            let nonce = fresh(self.random.as_ref());
            row.key = root
                .wrap_bucket(&self.journal, bucket, number, key, &nonce)
                .map_err(|error| damage(error, &self.layout.keyset()))?;
            row.epoch = key.epoch;
        }
        Ok(())
    }

    fn follow_images(
        &self,
        open: &mut Open,
        start: factlog_keys::Mark,
        images: Vec<(u32, u64, LogRecord)>,
    ) {
        let Some(loaded) = &mut open.loaded else {
            return;
        };
        for (_, at, record) in images {
            let LogRecord::Image(image) = &record else {
                continue;
            };
            for tombstone in &image.tombstones {
                loaded.index.destroy(tombstone);
            }
            for (key, inside) in record.key_places() {
                loaded.index.written += 1;
                let place = factlog_keys::Mark {
                    at: start.at + at + inside as u64,
                    ..start
                };
                loaded.index.set_place(key.number, place);
            }
        }
    }
}

/// The buckets that get another key, each with the numbers of its keys that go; and the keys that are nowhere.
fn buckets_of(
    open: &Open,
    ids: BTreeSet<&KeyId>,
    others_open: bool,
) -> Result<(Buckets, Vec<KeyId>), Error> {
    let mut buckets = Buckets::new();
    let mut missing = Vec::new();
    for id in ids {
        match open.number_of(id)? {
            Some(number) => {
                let bucket = buckets.entry(number / BUCKET_KEYS).or_default();
                bucket.push(number);
            }
            None if open.is_buried(id) => {}
            None => missing.push(*id),
        }
    }
    // The key of the bucket that is not full yet is known to who opens an older head, and to a record that was
    // lost and may be put back: neither is to open what is minted from now on.
    if (others_open || !missing.is_empty())
        && !planted(Bug::BucketKeyKept)
        && let Some(bucket) = open.unfilled()
    {
        buckets.entry(bucket).or_default();
    }
    Ok((buckets, missing))
}
