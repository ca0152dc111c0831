use std::fmt;

/// Figures as they are gathered; printed as a Markdown table.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<(String, String)>);

impl Report {
    pub(crate) fn add(&mut self, what: impl Into<String>, figure: impl Into<String>) {
        self.0.push((what.into(), figure.into()));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | figure |\n|---|---|")?;
        for (what, figure) in &self.0 {
            writeln!(f, "| {what} | {figure} |")?;
        }
        Ok(())
    }
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
