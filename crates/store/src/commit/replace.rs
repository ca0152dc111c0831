//! One segment takes the place of others.

use factlog_format::{Features, ManifestRow};

use super::{Baton, Writer};
use crate::{
    Damage, Error,
    compact::say_erasing,
    config::{Bug, planted},
};

impl Writer {
    /// A generation for a segment that is to replace others, with the session that makes it and the
    /// journal's features. Before that, the session has begun: what a crash left is gone.
    pub(crate) fn next_generation(&self) -> Result<(u32, u32, Features), Error> {
        let order = self.wait_for_silence(self.order.lock());
        self.refuse_if_stopped(&order)?;
        let mut next = (0, 0, Features::default());
        drop(self.between_groups(order, |baton| {
            baton.begin()?;
            next = (
                baton.manifest.next_generation,
                baton.incarnation,
                baton.manifest.features,
            );
            // Never given twice, whatever becomes of the file.
            baton.manifest.next_generation += 1;
            Ok(())
        })?);
        Ok(next)
    }

    /// Names a durable segment in MANIFEST in place of those that it was made of, and removes these. Readers
    /// who hold their files keep them.
    ///
    /// # Errors
    /// `disk.full`, upon which nothing has changed; after any other error the writer is poisoned, but
    /// for one of removing, upon which the next session does that.
    pub(crate) fn replace_segments(
        &self,
        inputs: &[ManifestRow],
        row: &ManifestRow,
    ) -> Result<(), Error> {
        if planted(Bug::InputsRemovedEarly) {
            self.remove_segments(inputs)?;
        }
        for input in inputs {
            self.derived.let_go(self, input.generation);
        }
        let order = self.wait_for_silence(self.order.lock());
        self.refuse_if_stopped(&order)?;
        let named = self.between_groups(order, |baton| {
            baton.replace_segments(inputs, row)?;
            self.publish_roll(baton);
            Ok(())
        });
        match named {
            Ok(order) => drop(order),
            Err(error) if error.is_disk_full() => {
                let _ = self.discard_segment(row);
                return Err(error);
            }
            // MANIFEST may name either.
            Err(error) => return Err(error),
        }
        self.remove_segments(inputs)
    }

    /// Removes a segment that was made and is not to be named after all.
    pub(crate) fn discard_segment(&self, row: &ManifestRow) -> Result<(), Error> {
        self.remove_segments(std::slice::from_ref(row))
    }

    fn remove_segments(&self, rows: &[ManifestRow]) -> Result<(), Error> {
        let (fs, layout) = (self.shared.fs.as_ref(), &self.shared.layout);
        for row in rows {
            let path = layout.segment(row.first_sequence, row.generation);
            fs.remove_file(&path).map_err(Error::io("remove", &path))?;
            // A derived file; one that stays does no harm.
            let _ = fs.remove_file(&path.with_extension("off"));
        }
        let segments = layout.segments();
        fs.sync_dir(&segments).map_err(Error::io("sync", &segments))
    }
}

impl Writer {
    /// Has MANIFEST say from where on erasures may not be completed, or that all are. Before that all
    /// files are gone that it doesn't name.
    pub(crate) fn tell_erasing(&self, from: Option<u64>) -> Result<(), Error> {
        let order = self.wait_for_silence(self.order.lock());
        self.refuse_if_stopped(&order)?;
        let told = self.between_groups(order, |baton| {
            baton.clear_orphans()?;
            let mut manifest = baton.manifest.clone();
            say_erasing(&mut manifest, from);
            match manifest == baton.manifest {
                true => Ok(()),
                false => baton.replace_manifest(manifest),
            }
        });
        told.map(drop)
    }

    /// Ends the segment that is being written if events below `end` stand in it, and gives all that are
    /// sealed then.
    pub(crate) fn seal_below(&self, end: u64) -> Result<Vec<ManifestRow>, Error> {
        let order = self.wait_for_silence(self.order.lock());
        self.refuse_if_stopped(&order)?;
        let mut rows = Vec::new();
        let sealed = self.between_groups(order, |baton| {
            baton.clear_orphans()?;
            let last = baton.manifest.rows.last();
            if last.is_some_and(|row| row.first_sequence < end) && !planted(Bug::ActiveKept) {
                baton.roll()?;
            }
            let sealed = baton.manifest.rows.iter().filter(|row| row.count.is_some());
            rows.extend(sealed.cloned());
            Ok(())
        });
        sealed.map(|order| {
            drop(order);
            rows
        })
    }
}

impl Baton {
    /// Removes every segment that MANIFEST doesn't name, for good.
    fn clear_orphans(&mut self) -> Result<(), Error> {
        self.begin()?;
        self.remove_orphans()?;
        let segments = self.layout.segments();
        let synced = self.fs.sync_dir(&segments);
        synced.map_err(Error::io("sync", &segments))
    }

    fn replace_segments(&mut self, inputs: &[ManifestRow], row: &ManifestRow) -> Result<(), Error> {
        let mut manifest = self.manifest.clone();
        let first = inputs.first();
        let at = manifest.rows.iter().position(|row| Some(row) == first);
        let replaced = at.map(|at| at..at + inputs.len());
        let Some(replaced) = replaced.filter(|at| manifest.rows.get(at.clone()) == Some(inputs))
        else {
            let detail = "segments that were compacted are not those that MANIFEST names";
            return Err(Damage::new("manifest.damaged", &self.layout.manifest(), detail).into());
        };
        manifest.rows.splice(replaced, [row.clone()]);
        manifest.incarnation = self.incarnation;
        if planted(Bug::CompactedUnnamed) {
            self.manifest = manifest;
            return Ok(());
        }
        self.replace_manifest(manifest)
    }
}
