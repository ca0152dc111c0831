//! Measures factlog, what the machine can do at most, and other stores, with the same events.
//!
//! Run by `cargo xtask bench`. Every cell, that is one workload with one set of parameters, runs in a
//! process of its own for each store, so that memory and processor time are the cell's alone.
#![forbid(unsafe_code)]

mod cell;
mod chart;
mod event;
mod evidence;
mod group;
mod import;
mod machine;
mod matrix;
mod meter;
mod report;
mod settle;
mod soak;
mod store;
mod stores;
mod verification;
mod workload;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};

use crate::{cell::Cell, matrix::Matrix, report::Page, store::Setup};

/// Measures factlog beside the raw machine and other stores
#[derive(Parser)]
struct Args {
    /// What to run: machine, verification, evidence, soak, import, a workload, the start of a cell's name, or any whole one
    name: Option<String>,
    /// The whole matrix: takes hours
    #[arg(long)]
    full: bool,
    /// How often each cell is run with each store
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long the soak takes
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// A hundredth of the events in one round: tries the program, measures nothing
    #[arg(long)]
    quick: bool,
    /// Only these stores
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// The page whose marked parts are written anew
    #[arg(long)]
    page: Option<PathBuf>,
    /// The factlog command, for the import
    #[arg(long)]
    command: Option<PathBuf>,
    #[command(flatten)]
    child: ChildArgs,
}

/// How the program calls itself.
#[derive(clap::Args)]
struct ChildArgs {
    #[arg(long, hide = true)]
    child: Option<Phase>,
    #[arg(long, hide = true)]
    cell: Option<Cell>,
    #[arg(long, hide = true)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 0)]
    record: usize,
}

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// Fills a store and closes it.
    Fill,
    /// Fills a store and waits to be killed.
    FillForKill,
    /// Runs the cell.
    Run,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(phase) = args.child.child {
        return child(phase, args);
    }
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build: its figures mean nothing.");
    }
    let wants = |name| args.name.as_deref().is_none_or(|wanted| wanted == name);
    // Beside the build, so that it is on a real disk.
    let scratch = tempfile::Builder::new()
        .prefix(".scratch-")
        .tempdir_in(".")?;
    let mut page = Page::new(&args);
    if wants("machine") {
        page.add("machine", &machine::run(scratch.path())?);
    }
    // Only where it is asked for: it takes as long as it is told.
    if args.name.as_deref() == Some("soak") {
        page.add("soak", &soak::run(scratch.path(), args.minutes)?);
        return page.write();
    }
    if wants("verification") {
        let events = match (args.quick, args.full) {
            (true, _) => 10_000,
            (_, false) => 1_000_000,
            (_, true) => 5_000_000,
        };
        page.add("verification", &verification::run(scratch.path(), events)?);
    }
    if let Some(command) = args.command.as_deref().filter(|_| wants("evidence")) {
        let events = if args.quick { 10_000 } else { 1_000_000 };
        page.add("evidence", &evidence::run(command, scratch.path(), events)?);
    }
    let cells = chosen(&args)?;
    let failed = Matrix::new(scratch.path(), &args).run(&cells, &mut page)?;
    if let Some(command) = args
        .command
        .as_deref()
        .filter(|_| args.name.is_none() || wants("import"))
    {
        page.add("import", &import::run(command, scratch.path(), args.quick)?);
    }
    ensure!(!page.is_empty(), "there is no benchmark of that name");
    page.write()?;
    ensure!(failed == 0, "{failed} cells failed");
    Ok(())
}

fn chosen(args: &Args) -> anyhow::Result<Vec<Cell>> {
    let mut cells = if args.full {
        cell::full()
    } else {
        cell::core()
    };
    if let Some(name) = &args.name {
        match name.parse() {
            Ok(cell) => cells = vec![cell],
            Err(_) => cells.retain(|cell| cell.to_string().starts_with(name)),
        }
        let whole = cells.iter().any(|cell| cell.workload.name() == name);
        cells.retain(|cell| !whole || cell.workload.name() == name);
    }
    if args.quick {
        for cell in &mut cells {
            cell.events = (cell.events / 100).max(u64::from(cell.streams));
        }
    }
    Ok(cells)
}

fn child(phase: Phase, args: Args) -> anyhow::Result<()> {
    let ChildArgs {
        cell, dir, record, ..
    } = args.child;
    let (cell, dir) = (cell.context("a cell")?, dir.context("a directory")?);
    let name = args.stores.first().context("a store")?;
    let setup = Setup {
        record: record.max(cell.size as usize + 16),
        events: cell.events,
    };
    let figures = match phase {
        Phase::Run => stores::with(
            name,
            workload::Run {
                cell,
                dir: &dir,
                setup,
            },
        ),
        _ => {
            let kill = phase == Phase::FillForKill;
            stores::with(
                name,
                workload::Fill {
                    cell,
                    dir: &dir,
                    setup,
                    kill,
                },
            )
        }
    };
    let figures = match figures {
        // No figures: the cell stays empty.
        Err(error) if error.is::<store::Unsupported>() => meter::Figures::new(),
        figures => figures?,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}
