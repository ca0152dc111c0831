//! Taking keys out of the keyset.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering::Relaxed,
};

use factlog_keys::{
    BUCKET_KEYS, BucketKey, Head, Image, KeyId, KeysetError, LogRecord, Recipient, Root, Tombstone,
    seal_record,
};

use super::{
    Keys,
    keyset::{Open, fresh},
    log::damage,
};
use crate::{
    Error, Refusal,
    config::{Bug, planted},
};

impl Keys {
    /// Takes keys out of the keyset: their buckets and the root get other keys. Gives how many were there.
    ///
    /// # Errors
    /// After one the keys are still there, or it isn't known; the next open finishes what was begun.
    pub(super) fn destroy(
        &self,
        ids: &[KeyId],
        intent: u64,
        recipients: Option<Vec<Recipient>>,
    ) -> Result<u32, Error> {
        let applied = intent.saturating_add(1);
        self.rekey(ids, intent, applied, recipients)
    }

    /// Gives the keyset to these recipients and nobody else, under another root key.
    pub(super) fn give_to(&self, recipients: Vec<Recipient>) -> Result<(), Error> {
        self.rekey(&[], 0, 0, Some(recipients)).map(drop)
    }

    fn rekey(
        &self,
        ids: &[KeyId],
        intent: u64,
        applied: u64,
        recipients: Option<Vec<Recipient>>,
    ) -> Result<u32, Error> {
        let _flush = self.flush.lock();
        let mut state = self.opened()?;
        if self.broken.load(Relaxed) {
            return Err(Refusal::KeysetFailed.into());
        }
        self.load(&mut state)?;
        let Some(open) = &mut state.open else {
            return Err(Refusal::KeysetLocked.into());
        };
        if let Some(loaded) = &mut open.loaded {
            loaded.flush(self.fs.as_ref(), &self.layout, &self.journal)?;
            self.flushed.store(loaded.minted, Relaxed);
        }
        let (buckets, count) = self.buckets_of(open, ids)?;
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
            let image = self.image(open, *bucket, gone, &key, intent)?;
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
        self.follow_images(open, start, images, intent);
        for id in ids {
            state.by_id.remove(id);
        }
        Ok(count)
    }

    /// The buckets that the keys are in, and which of their numbers are meant.
    fn buckets_of(
        &self,
        open: &Open,
        ids: &[KeyId],
    ) -> Result<(BTreeMap<u32, Vec<u32>>, u32), Error> {
        let mut buckets: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut count = 0;
        let Some(loaded) = &open.loaded else {
            return Ok((buckets, 0));
        };
        for id in ids {
            for number in loaded.index.by_id(id) {
                if open.entry(number)?.is_some_and(|entry| entry.id == *id) {
                    buckets
                        .entry(number / BUCKET_KEYS)
                        .or_default()
                        .push(number);
                    count += 1;
                }
            }
        }
        Ok((buckets, count))
    }

    /// What is left of a bucket, under another key.
    fn image(
        &self,
        open: &Open,
        bucket: u32,
        gone: &[u32],
        key: &BucketKey,
        intent: u64,
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
                    intent,
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
        intent: u64,
    ) {
        let Some(loaded) = &mut open.loaded else {
            return;
        };
        for (_, at, record) in images {
            let LogRecord::Image(image) = &record else {
                continue;
            };
            for tombstone in &image.tombstones {
                if tombstone.intent == intent {
                    loaded.index.destroy(tombstone);
                }
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
