//! One segment takes the place of others.

use factlog_format::{Features, ManifestRow};

use super::{Baton, Writer};
use crate::{
    Damage, Error,
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
                let _ = self.remove_segments(std::slice::from_ref(row));
                return Err(error);
            }
            // MANIFEST may name either.
            Err(error) => return Err(error),
        }
        self.remove_segments(inputs)
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

impl Baton {
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
