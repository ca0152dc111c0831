//! Bars, as a picture that fits light and dark pages.

use std::fmt::Write;

use crate::{
    cell::Workload,
    report::{CellResult, shorten},
};

const BAR: usize = 18;
const LABEL: usize = 130;
const LONGEST: f64 = 430.0;
const WIDTH: usize = 640;
const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}rect{fill:#9aa5b1}\
.ours{fill:#2f6fbb}@media(prefers-color-scheme:dark){text{fill:#ddd}rect{fill:#6b7682}.ours{fill:#6ea8ef}}";

/// The main figure of the first cell, of durable appends of all; `None` if there is nothing to show.
pub(crate) fn draw(results: &[&CellResult]) -> Option<String> {
    let (mut body, mut y) = (String::new(), 0);
    for result in results {
        let column = match result.cell.workload {
            Workload::Open | Workload::OpenKilled => "open ms",
            _ => "events/s",
        };
        let bars: Vec<_> = result
            .medians()
            .into_iter()
            .filter_map(|(store, figures)| Some((store, *figures.get(column)?)))
            .collect();
        if bars.is_empty() || (y > 0 && result.cell.workload != Workload::Durable) {
            continue;
        }
        let most = bars
            .iter()
            .map(|(_, figure)| *figure)
            .fold(f64::MIN_POSITIVE, f64::max);
        y += BAR;
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"4\" y=\"{y}\">{}: {column}</text>",
            result.cell
        );
        y += 8;
        for (store, figure) in bars {
            let length = (figure / most * LONGEST).max(1.0);
            let class = if store.starts_with("factlog") {
                " class=\"ours\""
            } else {
                ""
            };
            let (text, after) = (y + BAR - 5, LABEL as f64 + length + 5.0);
            let _ = writeln!(
                body,
                "<text x=\"4\" y=\"{text}\">{store}</text>\
                 <rect{class} x=\"{LABEL}\" y=\"{}\" width=\"{length:.0}\" height=\"{}\"/>\
                 <text x=\"{after:.0}\" y=\"{text}\">{}</text>",
                y + 2,
                BAR - 4,
                shorten(figure),
            );
            y += BAR;
        }
        y += BAR / 2;
    }
    let frame = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\">"
    );
    (y > 0).then(|| format!("{frame}\n<style>{STYLE}</style>\n{body}</svg>\n"))
}
