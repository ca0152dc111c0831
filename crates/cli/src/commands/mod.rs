//! One file per command.

mod append;
mod checkpoint;
mod compact;
mod completions;
mod demo;
mod erasure;
mod evidence;
mod import;
mod init;
mod inspect;
mod known;
pub(crate) mod reading;
mod receipt;
mod remove;
mod repair;
pub(crate) mod trust;
mod verify;
mod verify_receipt;

use anyhow::Result;
use clap::Subcommand;

use self::reading::{ancestry, log, show, stats, streams, tail};
use crate::exit::Exit;
use crate::output::Output;

pub(crate) use verify::{Evidence, report_json, run_verify, show_report};

#[derive(Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Append(append::Args),
    Import(import::Args),
    Log(log::Args),
    Tail(tail::Args),
    Show(show::Args),
    Ancestry(ancestry::Args),
    Streams(streams::Args),
    Receipt(receipt::Args),
    Checkpoint(checkpoint::Args),
    Verify(verify::Args),
    VerifyReceipt(verify_receipt::Args),
    Explain(evidence::explain::Args),
    Evidence(evidence::make::Args),
    VerifyEvidence(evidence::verify::Args),
    Sample(evidence::sample::Args),
    Stats(stats::Args),
    Keys(trust::keys::Args),
    Shred(erasure::shred::Args),
    Hold(erasure::hold::Args),
    ErasureReport(erasure::report::Args),
    Doctor(erasure::doctor::Args),
    Anchor(trust::anchors::Args),
    Witness(trust::witness::Args),
    Publish(trust::publish::Args),
    Known(known::Args),
    Retain(erasure::retain::Args),
    Compact(compact::Args),
    Inspect(inspect::Args),
    Repair(repair::Args),
    Reset(remove::Reset),
    Destroy(remove::Destroy),
    Demo(demo::Args),
    Completions(completions::Args),
}

impl Command {
    pub(crate) fn run(self, out: &mut Output) -> Result<Exit> {
        match self {
            Self::Init(args) => init::run(&args, out),
            Self::Append(args) => append::run(&args, out),
            Self::Import(args) => import::run(args, out),
            Self::Log(args) => log::run(&args, out),
            Self::Tail(args) => tail::run(&args, out),
            Self::Show(args) => show::run(&args, out),
            Self::Ancestry(args) => ancestry::run(&args, out),
            Self::Streams(args) => streams::run(&args, out),
            Self::Receipt(args) => receipt::run(&args, out),
            Self::Checkpoint(args) => checkpoint::run(&args, out),
            Self::Verify(args) => verify::run(&args, out),
            Self::VerifyReceipt(args) => verify_receipt::run(&args, out),
            Self::Explain(args) => evidence::explain::run(&args, out),
            Self::Evidence(args) => evidence::make::run(&args, out),
            Self::VerifyEvidence(args) => evidence::verify::run(&args, out),
            Self::Sample(args) => evidence::sample::run(&args, out),
            Self::Stats(args) => stats::run(&args, out),
            Self::Keys(args) => trust::keys::run(&args, out),
            Self::Shred(args) => erasure::shred::run(&args, out),
            Self::Hold(args) => erasure::hold::run(&args, out),
            Self::ErasureReport(args) => erasure::report::run(&args, out),
            Self::Doctor(args) => erasure::doctor::run(&args, out),
            Self::Anchor(args) => trust::anchors::run(&args, out),
            Self::Witness(args) => trust::witness::run(&args, out),
            Self::Publish(args) => trust::publish::run(&args, out),
            Self::Known(args) => known::run(args, out),
            Self::Retain(args) => erasure::retain::run(&args, out),
            Self::Compact(args) => compact::run(&args, out),
            Self::Inspect(args) => inspect::run(&args, out),
            Self::Repair(args) => repair::run(&args, out),
            Self::Reset(args) => remove::reset(&args, out),
            Self::Destroy(args) => remove::destroy(&args, out),
            Self::Demo(args) => demo::run(&args, out),
            Self::Completions(args) => completions::run(&args, out),
        }
    }
}
