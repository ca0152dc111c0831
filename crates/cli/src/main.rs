//! The `factlog` command.
//!
//! Data goes to standard output, talk to standard error; `--json` gives one object, or one per
//! line. `docs/cli.md` describes every command, exit code and field.

#![forbid(unsafe_code)]

mod commands;
mod demo;
mod event;
mod exit;
mod files;
mod import;
mod kek;
mod opening;
mod output;
mod paths;
mod progress;
mod time;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use commands::Command;
use exit::{ClosedPipe, Exit, Problem};
use output::Output;

/// An embedded, append-only event store with signed receipts
#[derive(Parser)]
#[command(name = "factlog", version, max_term_width = 100)]
#[command(before_help = "\
Examples:
  factlog init ledger --origin example.com/ledger
  echo '{\"cents\":500}' | factlog append ledger bank/account-7 account.deposited --encoding json
  factlog log ledger --stream bank/account-7
  factlog verify ledger
  factlog demo")]
struct Cli {
    /// Print JSON: one object, or one per line
    #[arg(long, global = true)]
    json: bool,
    /// What unlocks the keyset of an encrypted journal: passphrase, file:PATH, env:NAME, machine or
    /// command:CMD
    #[arg(long, global = true, value_name = "PROVIDER")]
    kek: Option<String>,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.json;
    kek::set(cli.kek);
    let mut out = Output::new(json);
    let result = cli.command.run(&mut out);
    // What was printed before an error is part of the answer.
    let result = result.and_then(|exit| out.flush().map(|()| exit));
    let exit = match result {
        Ok(exit) => exit,
        Err(error) if error.is::<ClosedPipe>() => Exit::Done,
        Err(error) => {
            let _ = out.flush();
            report(&error, json)
        }
    };
    ExitCode::from(exit as u8)
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    schema: &'static str,
    code: &'a str,
    message: String,
    exit: u8,
    #[serde(flatten)]
    place: Place,
}

/// Where it went wrong, as far as that is known.
#[derive(Default, Serialize)]
struct Place {
    file: Option<String>,
    offset: Option<u64>,
    sequence: Option<u64>,
    os_error: Option<i32>,
}

impl Place {
    fn of(error: &anyhow::Error) -> Self {
        let found = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<factlog::Error>());
        let Some(error) = found else {
            return Self::default();
        };
        Self {
            file: error.path().map(paths::shown),
            offset: error.offset(),
            sequence: error.sequence(),
            os_error: error.os_error(),
        }
    }
}

fn report(error: &anyhow::Error, json: bool) -> Exit {
    let (exit, code) = exit::classify(error);
    say_error(code, chain(error), exit, json, Place::of(error));
    exit
}

/// The whole chain; an error that quotes its cause says it once.
fn chain(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message.push_str(": ");
            message.push_str(&cause);
        }
    }
    message
}

fn say_error(code: &str, message: String, exit: Exit, json: bool, place: Place) {
    if json {
        let error = ErrorJson {
            schema: "factlog.error/1",
            code,
            message,
            exit: exit as u8,
            place,
        };
        if let Ok(text) = serde_json::to_string(&error) {
            output::note(text);
        }
        return;
    }
    let message = output::shown(&message);
    let word = output::styled(output::BAD, "error");
    output::note(format!("{word}: {message} ({code})"));
}

/// Help goes to standard output and is no error; the rest is the caller's mistake.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if error.use_stderr() && json {
        let message = error.render().to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let message = message.trim_end().to_owned();
        say_error("usage", message, Exit::Usage, true, Place::default());
        return ExitCode::from(Exit::Usage as u8);
    }
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Exit::Usage as u8
    } else {
        Exit::Done as u8
    })
}

/// A mistake in the arguments that clap can't see.
fn misused(message: impl Into<String>) -> anyhow::Error {
    Problem::usage(message).into()
}
