//! Runs cells with stores, each in a process of its own, by turns.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{
    Args, Phase,
    cell::{Cell, Source, Workload},
    meter::Figures,
    report::{CellResult, Page},
    settle::settle,
    stores,
};

/// A store that takes longer than this is left out.
const LIMIT: Duration = Duration::from_secs(900);
/// A store that takes longer than this is run once and not in every round.
pub(crate) const LONG: Duration = Duration::from_secs(10);
/// Other stores are measured up to so many events: more would fill the disk and the day.
const MOST_FOR_PEERS: u64 = 1_000_000;
const OURS: &str = "factlog";

pub(crate) struct Matrix<'a> {
    scratch: &'a Path,
    args: &'a Args,
    stores: Vec<&'static str>,
    /// Bytes per event that factlog wrote, by cell: see [`Setup`](crate::store::Setup).
    records: HashMap<String, usize>,
    /// Filled stores, for the cells that only read.
    filled: HashMap<PathBuf, Result<(), String>>,
}

impl<'a> Matrix<'a> {
    pub(crate) fn new(scratch: &'a Path, args: &'a Args) -> Self {
        let wanted =
            |name: &&str| args.stores.is_empty() || args.stores.iter().any(|other| other == name);
        let stores = stores::NAMES.iter().copied().filter(wanted).collect();
        Self {
            scratch,
            args,
            stores,
            records: HashMap::new(),
            filled: HashMap::new(),
        }
    }

    /// Returns how many failed.
    pub(crate) fn run(&mut self, cells: &[Cell], page: &mut Page) -> anyhow::Result<usize> {
        let mut failed = 0;
        let rounds = if self.args.quick { 1 } else { self.args.rounds };
        for (place, cell) in cells.iter().enumerate() {
            eprintln!("{cell} ({} of {})", place + 1, cells.len());
            let mut result = CellResult::new(*cell, &self.stores);
            for round in 0..rounds {
                let mut stores = self.stores.clone();
                // Another one begins each time: whoever comes first may find the machine in another state.
                let first = round % stores.len().max(1);
                stores.rotate_left(first);
                for store in stores {
                    if !result.wants_more(store) || self.is_too_large(cell, store) {
                        continue;
                    }
                    match self.one(cell, store) {
                        Ok((figures, took)) => result.add(store, figures, took > LONG),
                        Err(error) => {
                            eprintln!("{cell} with {store}: {error:#}");
                            failed += 1;
                            result.fail(store, format!("{error:#}"));
                        }
                    }
                }
            }
            page.add_cell(result);
            let next = cells.get(place + 1);
            if next.is_none_or(|next| data_of(next) != data_of(cell)) {
                for (dir, _) in self.filled.drain() {
                    remove(&dir)?;
                }
            }
        }
        Ok(failed)
    }

    fn is_too_large(&self, cell: &Cell, store: &str) -> bool {
        let ours = store.starts_with("factlog") || store.starts_with("raw");
        cell.events > MOST_FOR_PEERS
            && !ours
            && self.args.name.as_deref() != Some(&cell.to_string())
    }

    /// Figures, and how long the run took.
    fn one(&mut self, cell: &Cell, store: &str) -> anyhow::Result<(Figures, Duration)> {
        let run = self.scratch.join("run");
        remove(&run)?;
        let dir = match cell.workload.source() {
            Source::Empty => {
                fs::create_dir(&run)?;
                run.clone()
            }
            Source::Filled => self.filled(cell, store, Phase::Fill)?,
            source => {
                let kill = source == Source::Killed;
                let phase = if kill {
                    Phase::FillForKill
                } else {
                    Phase::Fill
                };
                copy(&self.filled(cell, store, phase)?, &run)?;
                run.clone()
            }
        };
        settle(self.scratch)?;
        let start = Instant::now();
        let figures = self.child(cell, store, Phase::Run, &dir)?;
        let took = start.elapsed();
        if let Some(bytes) = figures.get("log B").filter(|_| store == OURS) {
            let bytes = bytes.round() as usize;
            self.records.insert(cell.to_string(), bytes);
            self.records.entry(data_of(cell)).or_insert(bytes);
        }
        let filled = self.filled_dir(cell, store, Phase::Fill);
        if cell.workload == Workload::Bulk
            && cell.producers == 1
            && !self.filled.contains_key(&filled)
        {
            // What it has written is what the cells that read want.
            fs::rename(&run, &filled)?;
            self.filled.insert(filled, Ok(()));
        }
        remove(&run)?;
        Ok((figures, took))
    }

    fn filled_dir(&self, cell: &Cell, store: &str, phase: Phase) -> PathBuf {
        let kind = if phase == Phase::FillForKill {
            "killed"
        } else {
            "filled"
        };
        self.scratch
            .join(format!("{kind}-{}-{store}", data_of(cell)))
    }

    /// The directory of a store that holds the cell's events, made once.
    fn filled(&mut self, cell: &Cell, store: &str, phase: Phase) -> anyhow::Result<PathBuf> {
        let dir = self.filled_dir(cell, store, phase);
        let result = match self.filled.get(&dir) {
            Some(result) => result.clone(),
            None => {
                fs::create_dir(&dir)?;
                let figures = self.child(cell, store, phase, &dir);
                if let Some(bytes) = figures
                    .as_ref()
                    .ok()
                    .and_then(|figures| figures.get("log B"))
                    && store == OURS
                {
                    self.records.insert(data_of(cell), bytes.round() as usize);
                }
                let result = figures.map(drop).map_err(|error| format!("{error:#}"));
                self.filled.insert(dir.clone(), result.clone());
                result
            }
        };
        result.map_err(anyhow::Error::msg)?;
        Ok(dir)
    }

    fn child(&self, cell: &Cell, store: &str, phase: Phase, dir: &Path) -> anyhow::Result<Figures> {
        let record = match cell.workload.source() {
            Source::Empty => self.records.get(&cell.to_string()),
            _ => self.records.get(&data_of(cell)),
        };
        let phase_name = match phase {
            Phase::Fill => "fill",
            Phase::FillForKill => "fill-for-kill",
            Phase::Run => "run",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "--child",
                phase_name,
                "--stores",
                store,
                "--cell",
                &cell.to_string(),
            ])
            .args(["--record", &record.unwrap_or(&0).to_string()])
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("the output of a child")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines.filter(|line| line.starts_with('{')) {
                let _ = sender.send(line);
            }
        });
        let line = receiver.recv_timeout(LIMIT);
        let late = matches!(line, Err(mpsc::RecvTimeoutError::Timeout));
        if late || phase == Phase::FillForKill {
            // SIGKILL: the store gets no chance to say goodbye.
            child.kill()?;
        }
        let status = child.wait()?;
        ensure!(!late, "took longer than {} s", LIMIT.as_secs());
        ensure!(
            status.success() || phase == Phase::FillForKill,
            "ended with {status}"
        );
        Ok(serde_json::from_str(
            &line.context("ended without figures")?,
        )?)
    }
}

/// Cells with the same of this read the same stores.
fn data_of(cell: &Cell) -> String {
    format!("{}-{}-{}", cell.size, cell.streams, cell.events)
}

fn remove(dir: &Path) -> anyhow::Result<()> {
    if dir.try_exists()? {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
