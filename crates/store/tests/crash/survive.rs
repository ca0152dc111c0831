//! Opening a journal after a crash and asking every oracle.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog::{Error, Journal};
use factlog_sim::{PowerCut, SimFs};

use super::{
    lab::Lab,
    oracle::{self, Case, GOING_ON, LOOKING, Verdict},
    run::{Log, Record, read_all},
};

/// What an oracle has to say against a journal.
#[derive(Clone, Debug)]
pub struct Violation {
    pub oracle: &'static str,
    pub detail: String,
    /// What led to it, with all that is needed to do it again.
    pub scenario: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {}\n    {}",
            self.oracle, self.detail, self.scenario
        )
    }
}

/// What became of a journal, as far as crashes can differ in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub opened: bool,
    pub survivors: usize,
    pub recovered: bool,
    pub torn: bool,
}

/// Promises, and what there was, up to a moment.
#[derive(Clone, Copy)]
pub struct Before<'b> {
    pub log: &'b Log,
    pub truth: &'b [Record],
    pub call: u64,
}

/// In one state of so many, derived files are made again from nothing.
const DERIVED_EVERY: u64 = 5;

type Found = Result<Outcome, (&'static str, String)>;

/// Opens the journal on this machine and asks every oracle. `again` adds a power cut after the
/// journal went on.
pub fn survive(before: Before<'_>, fs: SimFs, seed: u64, again: Option<PowerCut>) -> Found {
    let lab = Lab::later(fs, seed, 30);
    match catch_unwind(AssertUnwindSafe(|| examine(before, &lab, seed, again))) {
        Ok(found) => found,
        Err(panic) => Err(("no panic", text_of(panic.as_ref()))),
    }
}

/// What a panic said.
pub fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

fn examine(before: Before<'_>, lab: &Lab, seed: u64, again: Option<PowerCut>) -> Found {
    let journal = match lab.open() {
        Ok(journal) => journal,
        Err(error)
            if before
                .log
                .created
                .is_none_or(|created| created > before.call) =>
        {
            return unfinished(&error);
        }
        Err(error) => return Err(("opens", format!("{}: {error}", error.code()))),
    };
    let outcome = look(before, &journal)?;
    if before.log.policy.is_none() {
        return Ok(outcome);
    }
    let survivors = outcome.survivors;
    let found = read_all(journal.reader()).map_err(|e| ("readable", e.to_string()))?;
    let said: Vec<u64> = before
        .log
        .retained
        .iter()
        .filter(|(call, _)| *call <= before.call)
        .flat_map(|(_, at)| at.clone())
        .collect();
    let gone = oracle::erased_is_gone(lab, before.log, &found, &|at| said.contains(&at));
    judge("erased is gone", gone)?;
    let case = Case {
        log: before.log,
        truth: before.truth,
        call: before.call,
        journal: &journal,
        found: &found,
        survivors,
    };
    ask(GOING_ON, &case)?;
    let now = read_all(journal.reader()).map_err(|e| ("readable", e.to_string()))?;
    if let Some(cut) = again {
        let cut = Lab::later(lab.fs.power_cut(&cut, seed), seed ^ 1, 60);
        let journal = cut
            .open()
            .map_err(|e| ("opens after a cut", e.to_string()))?;
        let found =
            read_all(journal.reader()).map_err(|e| ("readable after a cut", e.to_string()))?;
        if !found.starts_with(&now) || journal.read_only_reason().is_some() {
            let why = journal
                .read_only_reason()
                .map(ToString::to_string)
                .unwrap_or_default();
            let detail = format!("{} of {} events are left {why}", found.len(), now.len());
            return Err(("acknowledged after a cut", detail));
        }
        drop(journal);
        judge(
            "verifies after a cut",
            oracle::verifies(&cut, before.log, before.call),
        )?;
    }
    journal.close().map_err(|e| ("closes", e.to_string()))?;
    second_open(lab, &now)?;
    let gone = oracle::erased_is_gone(lab, before.log, &now, &|_| true);
    judge("all erased is gone", gone)?;
    judge("no temporary files", oracle::no_temporaries(lab))?;
    judge("no handles", oracle::no_handles(lab))?;
    if seed.is_multiple_of(DERIVED_EVERY) {
        judge("derived again", oracle::derived_again(lab))?;
    }
    judge("verifies", oracle::verifies(lab, before.log, before.call))?;
    Ok(outcome)
}

/// A creation that never returned may have left anything that no one takes for a journal.
fn unfinished(error: &Error) -> Found {
    match error.code() {
        "journal.not_found" | "journal.unfinished" => Ok(Outcome::default()),
        code => Err(("unfinished creation", format!("{code}: {error}"))),
    }
}

fn look(before: Before<'_>, journal: &Journal) -> Found {
    let found = read_all(journal.reader()).map_err(|e| ("readable", e.to_string()))?;
    let report = journal.recovery();
    let survivors = report.map_or(found.len(), |report| report.events as usize);
    let case = Case {
        log: before.log,
        truth: before.truth,
        call: before.call,
        journal,
        found: &found,
        survivors,
    };
    ask(LOOKING, &case)?;
    Ok(Outcome {
        opened: true,
        survivors,
        recovered: report.is_some(),
        torn: report.is_some_and(|report| report.set_aside > 0),
    })
}

fn ask(oracles: &[oracle::Oracle], case: &Case<'_>) -> Result<(), (&'static str, String)> {
    oracles
        .iter()
        .try_for_each(|oracle| judge(oracle.name, (oracle.check)(case)))
}

fn judge(name: &'static str, verdict: Verdict) -> Result<(), (&'static str, String)> {
    verdict.map_err(|detail| (name, detail))
}

/// After a clean close the next open finds all, and changes no byte.
fn second_open(lab: &Lab, now: &[Record]) -> Result<(), (&'static str, String)> {
    let closed = lab.fs.moment();
    let journal = lab.open().map_err(|e| ("second open", e.to_string()))?;
    let found = read_all(journal.reader()).map_err(|e| ("second open", e.to_string()))?;
    if found != now || journal.recovery().is_some() || journal.read_only_reason().is_some() {
        return Err(("second open", "it finds something else".to_owned()));
    }
    journal
        .close()
        .map_err(|e| ("second open", e.to_string()))?;
    let changed = lab.fs.differences(&closed);
    if !changed.is_empty() {
        return Err(("second open", format!("it changed {changed:?}")));
    }
    Ok(())
}
