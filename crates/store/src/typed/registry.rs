//! All event types of a program, gathered when it is linked.

use std::collections::BTreeMap;

use thiserror::Error;

use super::EventType;
use crate::Misuse;

/// What is wrong with the event types of this program.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegistryProblem {
    /// Two types claim one kind, so that what one writes the other would read.
    #[error(
        "the kind {kind} is claimed by {}; give each type a kind of its own, or make them one type",
        types.join(" and by ")
    )]
    TwoTypes {
        /// The kind.
        kind: &'static str,
        /// The Rust types.
        types: Vec<&'static str>,
    },
    /// Events of an earlier version can't be read.
    #[error(
        "events of kind {kind} can't be read from version {from} on: {rust_type} is at version \
         {version} and has no upcast from {from} to {}; add the step, since such events may be stored",
        from + 1
    )]
    MissingStep {
        /// The kind.
        kind: &'static str,
        /// The Rust type.
        rust_type: &'static str,
        /// The version from which there is no step.
        from: u16,
        /// The current version.
        version: u16,
    },
    /// A step takes a version that is not below the current one, or another step takes it too.
    #[error(
        "{rust_type} of kind {kind} is at version {version} and has a step from version {from} that \
         is one too many; remove it, or raise the version"
    )]
    ExtraStep {
        /// The kind.
        kind: &'static str,
        /// The Rust type.
        rust_type: &'static str,
        /// The version that the step takes.
        from: u16,
        /// The current version.
        version: u16,
    },
    /// A version is 0.
    #[error("{rust_type} of kind {kind} is at version 0; versions begin at 1")]
    NoVersion {
        /// The kind.
        kind: &'static str,
        /// The Rust type.
        rust_type: &'static str,
    },
}

/// Checks all event types that are linked into this program: for a test, or for the start of a program
/// before it opens a journal, which checks them too.
///
/// # Errors
/// [`Misuse::Registry`] with all that is wrong.
pub fn verify_registry() -> Result<(), Misuse> {
    let problems = problems();
    if problems.is_empty() {
        return Ok(());
    }
    Err(Misuse::Registry(problems))
}

/// What is wrong with the event types of this program, in an order that doesn't depend on the linker.
pub(crate) fn problems() -> Vec<RegistryProblem> {
    problems_of(inventory::iter::<EventType>.into_iter())
}

fn problems_of<'t>(types: impl Iterator<Item = &'t EventType>) -> Vec<RegistryProblem> {
    let mut by_kind: BTreeMap<&str, Vec<&EventType>> = BTreeMap::new();
    for one in types {
        by_kind.entry(one.kind).or_default().push(one);
    }
    let mut problems = Vec::new();
    for (_, mut claims) in by_kind {
        claims.sort_by_key(|one| one.rust_type);
        if let [first, _, ..] = claims.as_slice() {
            problems.push(RegistryProblem::TwoTypes {
                kind: first.kind,
                types: claims.iter().map(|one| one.rust_type).collect(),
            });
        }
        for one in claims {
            check_steps(one, &mut problems);
        }
    }
    problems
}

fn check_steps(of: &EventType, problems: &mut Vec<RegistryProblem>) {
    let EventType {
        kind,
        version,
        rust_type,
        upcasts,
    } = *of;
    if version == 0 {
        problems.push(RegistryProblem::NoVersion { kind, rust_type });
    }
    let missing = (1..version).find(|from| !upcasts.iter().any(|step| step.from == *from));
    problems.extend(missing.map(|from| RegistryProblem::MissingStep {
        kind,
        rust_type,
        from,
        version,
    }));
    for (at, step) in upcasts.iter().enumerate() {
        let from = step.from;
        let twice = upcasts.iter().take(at).any(|other| other.from == from);
        if twice || from == 0 || from >= version {
            problems.push(RegistryProblem::ExtraStep {
                kind,
                rust_type,
                from,
                version,
            });
        }
    }
}
