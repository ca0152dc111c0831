//! Data to standard output, talk to standard error.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::ClosedPipe;

/// Where a command's answer goes, and in which form.
pub(crate) struct Output {
    json: bool,
    stdout: BufWriter<AutoStream<io::Stdout>>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let stdout = AutoStream::auto(io::stdout());
        Self {
            json,
            stdout: BufWriter::with_capacity(64 << 10, stdout),
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One JSON object on a line of its own.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.write(&line)
    }

    /// One line for people.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdout.write_all(bytes).map_err(closed)
    }

    /// Hands everything on. Called at the end of every command, so that a failure is seen.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.stdout.flush().map_err(closed)
    }
}

fn closed(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ClosedPipe.into();
    }
    error.into()
}

/// Says something to the person in front; nothing depends on it being read.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A table that fits the terminal.
pub(crate) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head.iter().copied());
    table
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const OPEN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// The text in a style; the stream takes it out again where colours are not wanted.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text of others for a terminal: control characters, which could steer it, are spelled out, and so
/// are those that turn the direction of writing.
pub(crate) fn shown(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(steers) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// At most so many characters, with a mark where more was.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_spelled_out() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\nb", "a\\u{a}b"),
            ("\u{202e}txt", "\\u{202e}txt"),
            ("Zürich", "Zürich"),
        ] {
            assert_eq!(shown(text), wanted);
        }
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shortened("Zürich", 3), "Zür…");
        assert_eq!(shortened("Zürich", 6), "Zürich");
    }
}
