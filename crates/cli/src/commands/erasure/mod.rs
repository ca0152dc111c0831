//! Destroying what was written, and what is said about it.

pub(crate) mod doctor;
pub(crate) mod hold;
mod policy;
pub(crate) mod report;
pub(crate) mod retain;
pub(crate) mod shred;

use anyhow::Result;
use factlog::Selector;
use uuid::Uuid;

use crate::misused;
use crate::opening::coordinate;

/// What is meant: by the sort of key that the journal has.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SelectArgs {
    /// A stream
    #[arg(long, value_name = "SCOPE/ENTITY")]
    stream: Vec<String>,
    /// A scope
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// A category: all kinds that begin with it
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// A kind
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// An event, by its sequence
    #[arg(long, value_name = "SEQ")]
    event: Vec<u64>,
    /// A subject
    #[arg(long, value_name = "NAME")]
    subject: Vec<String>,
}

impl SelectArgs {
    /// What is meant; `id_of` finds an event's id.
    fn selectors(&self, id_of: impl Fn(u64) -> Result<Uuid>) -> Result<Vec<Selector>> {
        let mut found = Vec::new();
        for stream in &self.stream {
            let (scope, entity) = coordinate(stream)?;
            found.push(Selector::Stream {
                scope: scope.to_owned(),
                entity: entity.to_owned(),
            });
        }
        found.extend(self.scope.iter().cloned().map(Selector::Scope));
        found.extend(self.category.iter().cloned().map(Selector::Category));
        found.extend(self.kind.iter().cloned().map(Selector::Kind));
        for sequence in &self.event {
            found.push(Selector::Event(id_of(*sequence)?));
        }
        found.extend(self.subject.iter().cloned().map(Selector::Subject));
        Ok(found)
    }

    fn some(&self, id_of: impl Fn(u64) -> Result<Uuid>) -> Result<Vec<Selector>> {
        let found = self.selectors(id_of)?;
        if found.is_empty() {
            return Err(misused(
                "say what: --stream, --scope, --category, --kind, --event or --subject",
            ));
        }
        Ok(found)
    }
}

/// The id of an event.
fn id_of(reader: &factlog::Reader, sequence: u64) -> Result<Uuid> {
    let event = reader.get(sequence)?;
    let id = event.and_then(|event| event.id());
    Ok(id.ok_or_else(|| factlog::Error::from(factlog::Misuse::NoSuchEvent(sequence.to_string())))?)
}
