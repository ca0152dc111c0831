//! JSON lines: one JSON value a line, of which some fields give an event its coordinates.

mod fields;
mod lines;
mod position;

use std::path::{Path, PathBuf};

use anyhow::Result;
use factlog::{Encoding, Uuid};

use super::{BadLine, Batch, Ids, Item, SectionSpan, Source, Text};
use crate::files;
use crate::output::note;

pub(crate) use fields::{FieldPath, Fields, TimeUnit};
use fields::{Found, Parser, Value};
use lines::{Line, Lines};
use position::{Position, Prefix};

/// The section that holds the line as it is.
const SOURCE_SECTION: &str = "source";
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A file of JSON lines, or standard input.
pub(crate) struct Jsonl {
    name: String,
    parser: Parser,
    lines: Lines,
    total: u64,
    /// Lines above this were never read by an import of this source.
    high_line: u64,
    /// Events among the lines read so far, known ones included.
    seen: u64,
    /// Events among the lines that were read over.
    skipped: u64,
    path: PathBuf,
}

impl Jsonl {
    pub(crate) fn open(path: &Path, name: String, fields: Fields) -> Result<Self> {
        let input = files::open(path)?;
        Ok(Self {
            name,
            parser: Parser::new(fields),
            total: input.len.unwrap_or(0),
            lines: Lines::new(input.reader),
            high_line: 0,
            seen: 0,
            skipped: 0,
            path: path.to_owned(),
        })
    }

    fn item(&self, batch: &Batch, line: &Line, ids: &Ids<'_>) -> Result<Item, String> {
        if line.too_long {
            return Err(format!("longer than {} bytes", lines::MAX_LINE));
        }
        let mut bytes = batch.bytes.get(line.bytes.clone()).unwrap_or_default();
        let mut encoding = Encoding::Json;
        // The mark is no part of JSON, but it is part of the source's bytes.
        if line.number == 1 && bytes.starts_with(BOM) {
            bytes = bytes.get(BOM.len()..).unwrap_or_default();
            encoding = Encoding::Raw;
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let found = self.parser.parse(text)?;
        let id = self.id(&found, batch.bytes.get(line.bytes.clone()), line, ids);
        let base = batch.bytes.as_ptr() as usize;
        let span = |text: Value<'_>| text.into_text(base);
        Ok(Item {
            id,
            is_new: found.id.is_none() && line.number > self.high_line,
            entity: found.entity.map_or(Text::Shared, span),
            kind: found.kind.map_or(Text::Shared, span),
            actor: found.actor.map(span),
            tags: found.tags.into_iter().map(span).collect(),
            occurred_at: found.occurred_at,
            causation: None,
            section: SectionSpan {
                name: SOURCE_SECTION,
                encoding,
                bytes: line.bytes.clone(),
            },
            extra: None,
        })
    }

    fn id(&self, found: &Found<'_>, bytes: Option<&[u8]>, line: &Line, ids: &Ids<'_>) -> Uuid {
        let name = self.name.as_bytes();
        let bytes = bytes.unwrap_or_default();
        match &found.id {
            Some(id) => ids.id(&[name, b"id", id.as_str().as_bytes(), bytes]),
            None => ids.id(&[name, b"line", &line.number.to_le_bytes(), bytes]),
        }
    }
}

impl Source for Jsonl {
    fn name(&self) -> &str {
        &self.name
    }

    /// Goes on after what was imported if the input begins with the very same bytes; else all lines
    /// are looked at, and those that are known are left out one by one.
    fn resume(&mut self, position: &[u8], ids: &Ids<'_>) -> Result<()> {
        self.lines.prefix = Some(Prefix::new(ids));
        let Some(position) = Position::decode(position) else {
            // Of a newer version, or of another format: nothing can be said of any line.
            self.high_line = u64::MAX;
            return Ok(());
        };
        self.high_line = position.high_line;
        if self.path == Path::new(files::STANDARD) {
            return Ok(());
        }
        if self.lines.skip_known(&position)? {
            self.seen = position.events;
            self.skipped = position.events;
            return Ok(());
        }
        note(format!(
            "{} does not go on from what was imported as {:?}: every line is compared with what is \
             known. If it is another source, give it a name of its own with --source.",
            crate::paths::shown(&self.path),
            self.name
        ));
        let input = files::open(&self.path)?;
        self.lines = Lines::new(input.reader);
        self.lines.prefix = Some(Prefix::new(ids));
        Ok(())
    }

    fn fill(&mut self, batch: &mut Batch, ids: &Ids<'_>) -> Result<()> {
        if self.lines.prefix.is_none() {
            self.lines.prefix = Some(Prefix::new(ids));
        }
        if self.skipped > 0 {
            batch.known = std::mem::take(&mut self.skipped);
            batch.read = self.lines.offset();
            return Ok(());
        }
        // A block may hold empty lines only; those are neither events nor the end.
        loop {
            let lines = self.lines.next_block(&mut batch.bytes)?;
            if lines.is_empty() && self.lines.is_at_end() {
                return Ok(());
            }
            for line in &lines {
                match self.item(batch, line, ids) {
                    Ok(item) => batch.items.push(item),
                    Err(detail) => batch.bad.push(BadLine {
                        line: line.number,
                        detail,
                    }),
                }
            }
            if !batch.is_end() {
                break;
            }
            batch.bytes.clear();
        }
        self.seen += batch.items.len() as u64;
        // An open last line is read again, and counted then.
        let open = u64::from(self.lines.is_last_open() && !batch.items.is_empty());
        let position = self.lines.position(self.seen - open, self.high_line);
        batch.read = self.lines.offset();
        batch.position = position.encode();
        Ok(())
    }

    fn total(&self) -> u64 {
        self.total
    }
}
