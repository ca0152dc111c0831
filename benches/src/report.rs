//! Tables, on the terminal and in the page that shows them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    Args,
    cell::{Cell, Workload},
    chart,
    matrix::LONG,
    meter::{Figures, median},
};

/// The columns of a table, in order; those without a figure are left out.
const COLUMNS: [&str; 13] = [
    "events/s",
    "of raw",
    "p50",
    "p99",
    "p99.9",
    "read/s",
    "open ms",
    "first read ms",
    "CPU µs",
    "peak MiB",
    "disk B",
    "written B",
    "close ms",
];

/// What came out of one cell: the figures of each store, a set a round.
pub(crate) struct CellResult {
    pub(crate) cell: Cell,
    stores: Vec<(&'static str, Vec<Figures>)>,
    /// Stores that take long, and ran once.
    once: Vec<String>,
    failed: BTreeMap<String, String>,
}

impl CellResult {
    pub(crate) fn new(cell: Cell, stores: &[&'static str]) -> Self {
        let stores = stores.iter().map(|store| (*store, Vec::new())).collect();
        Self {
            cell,
            stores,
            once: Vec::new(),
            failed: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, store: &str, figures: Figures, long: bool) {
        if long {
            self.once.push(store.to_owned());
        }
        let found = self.stores.iter_mut().find(|(name, _)| *name == store);
        found
            .into_iter()
            .for_each(|(_, rounds)| rounds.push(figures.clone()));
    }

    pub(crate) fn fail(&mut self, store: &str, why: String) {
        self.failed.insert(store.to_owned(), why);
    }

    /// Not after a failure, nor if it takes long or the store can't do it.
    pub(crate) fn wants_more(&self, store: &str) -> bool {
        let cannot = |(name, rounds): &(&str, Vec<Figures>)| {
            *name == store && rounds.iter().any(Figures::is_empty)
        };
        let once = self.once.iter().any(|name| name == store);
        !once && !self.failed.contains_key(store) && !self.stores.iter().any(cannot)
    }

    /// The median of each column, by store; stores without any figure are left out.
    pub(crate) fn medians(&self) -> Vec<(&'static str, Figures)> {
        let raw = self
            .stores
            .iter()
            .find(|(name, _)| *name == "raw")
            .map(|(_, rounds)| rounds);
        let mut all = Vec::new();
        for (store, rounds) in &self.stores {
            let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for (place, figures) in rounds.iter().enumerate() {
                for (column, figure) in figures {
                    columns.entry(column.clone()).or_default().push(*figure);
                }
                // Of the same round: what the machine does changes from minute to minute.
                let beside = raw.and_then(|rounds| rounds.get(place)?.get("events/s"));
                if let Some((ours, raw)) = figures.get("events/s").zip(beside) {
                    columns
                        .entry("of raw".to_owned())
                        .or_default()
                        .push(ours / raw);
                }
            }
            if !columns.is_empty() {
                let medians = columns
                    .into_iter()
                    .map(|(column, figures)| (column, median(figures)));
                all.push((*store, medians.collect()));
            }
        }
        all
    }
}

/// The page with marked parts; what was measured replaces the part of its name.
pub(crate) struct Page {
    path: Option<PathBuf>,
    rounds: usize,
    parts: Vec<(String, String)>,
    results: Vec<CellResult>,
}

impl Page {
    /// Only whole tables of the core, of all stores, are written.
    pub(crate) fn new(args: &Args) -> Self {
        let mut names = Workload::ALL.iter().map(|(_, name)| *name).chain([
            "machine",
            "verification",
            "evidence",
            "import",
        ]);
        let whole = args
            .name
            .as_deref()
            .is_none_or(|name| names.any(|other| other == name));
        let partly = args.quick || args.full || !args.stores.is_empty();
        Self {
            path: args.page.clone().filter(|_| whole && !partly),
            rounds: args.rounds,
            parts: Vec::new(),
            results: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.results.is_empty()
    }

    /// A part of two columns.
    pub(crate) fn add(&mut self, name: &str, rows: &[(String, String)]) {
        let mut text = "| what | figure |\n|---|---|\n".to_owned();
        for (what, figure) in rows {
            let _ = writeln!(text, "| {what} | {figure} |");
        }
        println!("{text}");
        let _ = write!(text, "\nMade by `cargo xtask bench {name}`.");
        self.parts.push((name.to_owned(), text));
    }

    /// What else the command says.
    fn how(&self) -> String {
        let peers = if cfg!(feature = "peers") {
            " --peers"
        } else {
            ""
        };
        format!("{peers} -- --rounds {}", self.rounds)
    }

    pub(crate) fn add_cell(&mut self, result: CellResult) {
        println!("{}", table(&[&result]));
        self.results.push(result);
    }

    /// Writes the tables and charts into the page, if there is one.
    pub(crate) fn write(mut self) -> anyhow::Result<()> {
        let Some(path) = self.path.take() else {
            return Ok(());
        };
        let charts = path.with_extension("");
        for (workload, name) in Workload::ALL {
            let results: Vec<_> = self
                .results
                .iter()
                .filter(|result| result.cell.workload == workload)
                .collect();
            if results.is_empty() {
                continue;
            }
            let mut text = String::new();
            if let Some(chart) = chart::draw(&results) {
                fs::create_dir_all(&charts)?;
                fs::write(charts.join(format!("{name}.svg")), chart)?;
                let folder = charts.file_name().unwrap_or_default().to_string_lossy();
                let _ = writeln!(text, "![{name}]({folder}/{name}.svg)\n");
            }
            text.push_str(&table(&results));
            let _ = write!(
                text,
                "\nMade by `cargo xtask bench {name}{}`, a row by its cell in place of `{name}`.",
                self.how()
            );
            self.parts.push((name.to_owned(), text));
        }
        let mut page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for (name, text) in &self.parts {
            page = replaced(&page, name, text, &path)?;
        }
        Ok(fs::write(path, page)?)
    }
}

/// The page with another text between `<!-- bench NAME -->` and `<!-- end NAME -->`.
fn replaced(page: &str, name: &str, text: &str, path: &Path) -> anyhow::Result<String> {
    let (begin, end) = (
        format!("<!-- bench {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let split = page.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) = split.with_context(|| format!("{} lacks {begin}", path.display()))?;
    Ok(format!("{before}{begin}\n{text}\n{end}{after}"))
}

fn table(results: &[&CellResult]) -> String {
    let rows: Vec<_> = results
        .iter()
        .flat_map(|result| result.medians().into_iter().map(|row| (result.cell, row)))
        .collect();
    let shown: Vec<_> = COLUMNS
        .into_iter()
        .filter(|column| {
            rows.iter()
                .any(|(_, (_, figures))| figures.contains_key(*column))
        })
        .collect();
    let mut text = format!("| cell | store | {} |\n", shown.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---:|".repeat(shown.len()));
    let mut last = None;
    for (cell, (store, figures)) in &rows {
        let name = if last == Some(cell) {
            String::new()
        } else {
            format!("`{cell}`")
        };
        last = Some(cell);
        let _ = write!(text, "| {name} | {store} |");
        for column in &shown {
            let figure = figures
                .get(*column)
                .map_or("–".to_owned(), |figure| shorten(*figure));
            let _ = write!(text, " {figure} |");
        }
        text.push('\n');
    }
    for result in results {
        if !result.once.is_empty() {
            let (stores, seconds) = (result.once.join(", "), LONG.as_secs());
            let _ = writeln!(
                text,
                "\n`{}` with {stores}: one run, of more than {seconds} s.",
                result.cell
            );
        }
        for (store, why) in &result.failed {
            let _ = writeln!(text, "\n`{}` failed with {store}: {why}", result.cell);
        }
    }
    text
}

/// Three digits that count.
pub(crate) fn shorten(figure: f64) -> String {
    match figure {
        f if f >= 9_995_000.0 => format!("{:.1} M", f / 1e6),
        f if f >= 999_500.0 => format!("{:.2} M", f / 1e6),
        f if f >= 99_950.0 => format!("{:.0} k", f / 1e3),
        f if f >= 9_995.0 => format!("{:.1} k", f / 1e3),
        f if f >= 99.95 => format!("{f:.0}"),
        f if f >= 9.995 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}
