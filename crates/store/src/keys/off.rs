//! What stands for the keyset in a build without encryption: there is never one.

use std::sync::Arc;

use factlog_format::{Encryption, EventFrame, FactsRef, JournalId};

use super::{Sealed, SealedSections, Selector};
use crate::{
    Error, Event, NewEvent, Options, Random,
    event::Opened,
    layout::Layout,
    read::{Shared, view::View},
    recover::Found,
};

/// Nothing can be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyOptions {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Keys {}

impl Keys {
    pub(crate) fn create(
        _: &Options,
        _: &Layout,
        _: &JournalId,
    ) -> Result<Option<(Arc<Self>, Encryption)>, Error> {
        Ok(None)
    }

    pub(crate) fn open(_: &Options, _: &Found, _: bool) -> Option<Arc<Self>> {
        None
    }

    pub(crate) fn is_by_subject(&self) -> bool {
        match *self {}
    }

    pub(crate) fn are_of(
        &self,
        _: &FactsRef<'_>,
        _: &[[u8; 16]],
        _: &[[u8; 16]],
    ) -> Result<bool, Error> {
        match *self {}
    }

    pub(crate) fn tags_of(&self, _: &[Selector]) -> Result<Vec<[u8; 16]>, Error> {
        match *self {}
    }

    pub(crate) fn refusal(&self) -> Option<Error> {
        match *self {}
    }

    pub(crate) fn seal(
        &self,
        _: &Arc<Shared>,
        _: &[NewEvent<'_>],
        _: &mut dyn Iterator<Item = [u8; 16]>,
        _: &dyn Random,
        _: &mut SealedSections,
    ) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn open_sections(
        &self,
        _: &Arc<Shared>,
        _: &Arc<View>,
        _: &EventFrame<'_>,
        _: &mut Vec<Opened>,
    ) {
        match *self {}
    }

    pub(crate) fn section_keys(
        &self,
        _: &Arc<Shared>,
        _: &Arc<View>,
        _: &Event,
    ) -> Vec<Option<Result<[u8; 32], Sealed>>> {
        match *self {}
    }

    pub(crate) fn note_end(&self, _: &crate::commit::Writer) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn state_end(&self) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn note_retired(&self, _: &[[u8; 16]], _: u64) {
        match *self {}
    }
}

/// Never called.
pub(crate) fn finish(
    keys: &Arc<Keys>,
    _: &crate::commit::Writer,
) -> Result<Option<crate::Damage>, Error> {
    match **keys {}
}
