//! What a case says of itself.

use std::collections::{BTreeMap, HashMap};

use super::CaseRecord;
use crate::{
    Digest, FormatError, StreamId, check_scope,
    cursor::Cursor,
    journal_event::{check_reason, decode_reason, encode_reason},
    name::{decode_name, encode_name},
};

const VERSION: u8 = 1;

/// Where a period begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseEdge {
    /// At this sequence, which a period that begins there holds and one that ends there doesn't.
    Sequence(u64),
    /// With events recorded at this time or later, in microseconds since 1970-01-01 UTC, which a period
    /// that begins there holds and one that ends there doesn't.
    Recorded(i64),
}

/// Events that an erasure took something of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseErased {
    /// Sequence of the event that ordered it.
    pub by: u64,
    /// What is left: 1 the facts, 2 the spine alone.
    pub level: u8,
    /// Why.
    pub reason: String,
    /// How many events of the period.
    pub events: u64,
}

/// What was asked for, and what was found: everything of a case but the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseStatement {
    /// The program that made it, with its version.
    pub tool: String,
    /// When, in microseconds since 1970-01-01 UTC, by that program's clock.
    pub made_at: i64,
    /// Where the period begins.
    pub from: CaseEdge,
    /// Where it ends.
    pub until: CaseEdge,
    /// The first sequence of the period.
    pub first: u64,
    /// One past the last.
    pub end: u64,
    /// Scope and entity: one of them is asked for; any if there is none. Sorted, unique.
    pub streams: Vec<(String, String)>,
    /// One of them is asked for; any if there is none. Sorted, unique.
    pub kinds: Vec<String>,
    /// All of them are asked for. Sorted, unique.
    pub tags: Vec<String>,
    /// Sections that are left out of all events but those of the journal itself. Sorted, unique.
    pub redacted: Vec<String>,
    /// Size and root of the checkpoint of the case before this one.
    pub after: Option<(u64, Digest)>,
    /// How many events of the period are what was asked for.
    pub selected: u64,
    /// How many have no facts any more, so that nobody knows whether they are.
    pub unknown: u64,
    /// How many of each kind are selected; sorted by kind, none is 0.
    pub kind_counts: Vec<(String, u64)>,
    /// How many of each stream are selected, by the streams' first events in the period; 0 too.
    pub stream_counts: Vec<u32>,
    /// What was erased; sorted by sequence and level, none is 0.
    pub erased: Vec<CaseErased>,
}

impl CaseStatement {
    /// Whether an event is of the period.
    #[must_use]
    pub fn covers(&self, sequence: u64) -> bool {
        (self.first..self.end).contains(&sequence)
    }

    /// Whether an event is what is asked for, whatever its period; `None` if an erasure left nothing to
    /// tell by. Events of the journal itself are what is asked for only where their stream is named.
    #[must_use]
    pub fn takes(&self, record: &CaseRecord<'_>) -> Option<bool> {
        let Some(facts) = record.facts() else {
            let asks = !(self.streams.is_empty() && self.kinds.is_empty() && self.tags.is_empty());
            return (!asks).then_some(true);
        };
        let mut streams = self.streams.iter();
        let mut tags = self.tags.iter();
        if self.streams.is_empty() && facts.scope.starts_with('$') {
            return Some(false);
        }
        Some(
            (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == facts.kind))
                && (self.streams.is_empty()
                    || streams
                        .any(|(scope, entity)| scope == facts.scope && entity == facts.entity))
                && tags.all(|tag| facts.tags.iter().any(|other| other == tag)),
        )
    }

    /// The same with the counts that these events give. Reasons of erasures stay as they are.
    #[must_use]
    pub fn counted(mut self, records: &[CaseRecord<'_>]) -> Self {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        let mut places: HashMap<StreamId, usize> = HashMap::new();
        let mut streams: Vec<u32> = Vec::new();
        let mut erased: BTreeMap<(u64, u8), u64> = BTreeMap::new();
        let (mut selected, mut unknown) = (0, 0);
        for record in records {
            if !self.covers(record.spine.sequence) {
                continue;
            }
            let place = *places.entry(record.spine.stream).or_insert_with(|| {
                streams.push(0);
                streams.len() - 1
            });
            for order in record.erased() {
                *erased.entry(order).or_default() += 1;
            }
            match self.takes(record) {
                None => unknown += 1,
                Some(false) => {}
                Some(true) => {
                    selected += 1;
                    // A case holds fewer events than u32 has numbers.
                    if let Some(count) = streams.get_mut(place) {
                        *count += 1;
                    }
                    if let Some(facts) = record.facts() {
                        *kinds.entry(facts.kind).or_default() += 1;
                    }
                }
            }
        }
        let reasons = std::mem::take(&mut self.erased);
        let reason = |by, level| {
            let mut said = reasons.iter();
            let said = said.find(|erased| (erased.by, erased.level) == (by, level));
            said.map_or_else(|| "unknown".to_owned(), |erased| erased.reason.clone())
        };
        let entry = |((by, level), events)| CaseErased {
            by,
            level,
            reason: reason(by, level),
            events,
        };
        self.erased = erased.into_iter().map(entry).collect();
        let kinds = kinds.into_iter();
        self.kind_counts = kinds
            .map(|(kind, count)| (kind.to_owned(), count))
            .collect();
        self.stream_counts = streams;
        (self.selected, self.unknown) = (selected, unknown);
        self
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`FormatError`] for what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, FormatError> {
        self.check()?;
        let mut out = vec![VERSION];
        encode_name(&self.tool, "tool", &mut out)?;
        out.extend_from_slice(&self.made_at.to_le_bytes());
        for edge in [self.from, self.until] {
            match edge {
                CaseEdge::Sequence(sequence) => {
                    out.push(0);
                    out.extend_from_slice(&sequence.to_le_bytes());
                }
                CaseEdge::Recorded(micros) => {
                    out.push(1);
                    out.extend_from_slice(&micros.to_le_bytes());
                }
            }
        }
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        put_count(&mut out, self.streams.len())?;
        for (scope, entity) in &self.streams {
            encode_name(scope, "scope", &mut out)?;
            encode_name(entity, "entity", &mut out)?;
        }
        for names in [&self.kinds, &self.tags, &self.redacted] {
            put_count(&mut out, names.len())?;
            for name in names {
                encode_name(name, "name", &mut out)?;
            }
        }
        match &self.after {
            None => out.push(0),
            Some((size, root)) => {
                out.push(1);
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(root);
            }
        }
        out.extend_from_slice(&self.selected.to_le_bytes());
        out.extend_from_slice(&self.unknown.to_le_bytes());
        put_count(&mut out, self.kind_counts.len())?;
        for (kind, count) in &self.kind_counts {
            encode_name(kind, "kind", &mut out)?;
            out.extend_from_slice(&count.to_le_bytes());
        }
        put_count(&mut out, self.stream_counts.len())?;
        for count in &self.stream_counts {
            out.extend_from_slice(&count.to_le_bytes());
        }
        put_count(&mut out, self.erased.len())?;
        for erased in &self.erased {
            out.extend_from_slice(&erased.by.to_le_bytes());
            out.push(erased.level);
            encode_reason(&erased.reason, &mut out);
            out.extend_from_slice(&erased.events.to_le_bytes());
        }
        Ok(out)
    }

    /// Reads a statement that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`encode`](Self::encode) would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Cursor::new(bytes, "statement of a case");
        if input.u8()? != VERSION {
            return Err(FormatError::Unsupported("version of a case's statement"));
        }
        let name = |input: &mut Cursor<'_>| Ok(decode_name(input, "name")?.to_owned());
        let statement = Self {
            tool: name(&mut input)?,
            made_at: input.i64()?,
            from: edge(&mut input)?,
            until: edge(&mut input)?,
            first: input.u64()?,
            end: input.u64()?,
            streams: list(&mut input, 6, |input| Ok((name(input)?, name(input)?)))?,
            kinds: list(&mut input, 3, name)?,
            tags: list(&mut input, 3, name)?,
            redacted: list(&mut input, 3, name)?,
            after: match input.u8()? {
                0 => None,
                1 => Some((input.u64()?, input.array()?)),
                _ => return Err(FormatError::Invalid("case before this one")),
            },
            selected: input.u64()?,
            unknown: input.u64()?,
            kind_counts: list(&mut input, 11, |input| Ok((name(input)?, input.u64()?)))?,
            stream_counts: list(&mut input, 4, Cursor::u32)?,
            erased: list(&mut input, 20, |input| {
                Ok(CaseErased {
                    by: input.u64()?,
                    level: input.u8()?,
                    reason: decode_reason(input)?,
                    events: input.u64()?,
                })
            })?,
        };
        input.finish()?;
        statement.check()?;
        Ok(statement)
    }

    fn check(&self) -> Result<(), FormatError> {
        for (scope, _) in &self.streams {
            check_scope(scope)?;
        }
        for erased in &self.erased {
            check_reason(&erased.reason)?;
        }
        let sorted = ascends(&self.streams)
            && ascends(&self.kinds)
            && ascends(&self.tags)
            && ascends(&self.redacted)
            && self
                .kind_counts
                .is_sorted_by(|(one, _), (next, _)| one < next)
            && self
                .erased
                .is_sorted_by(|one, next| (one.by, one.level) < (next.by, next.level));
        let counted = self.kind_counts.iter().all(|(_, count)| *count > 0)
            && self
                .erased
                .iter()
                .all(|erased| erased.events > 0 && matches!(erased.level, 1 | 2));
        if self.first <= self.end && sorted && counted {
            return Ok(());
        }
        Err(FormatError::Invalid("statement of a case"))
    }
}

fn ascends<T: Ord>(values: &[T]) -> bool {
    values.is_sorted_by(|one, next| one < next)
}

fn edge(input: &mut Cursor<'_>) -> Result<CaseEdge, FormatError> {
    match input.u8()? {
        0 => Ok(CaseEdge::Sequence(input.u64()?)),
        1 => Ok(CaseEdge::Recorded(input.i64()?)),
        _ => Err(FormatError::Invalid("edge of a case's period")),
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), FormatError> {
    let count = u32::try_from(count).map_err(|_| FormatError::Limit {
        what: "entries of a case's statement",
        limit: u32::MAX.into(),
    })?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

/// A counted list, of entries that take at least so many bytes.
fn list<'a, T>(
    input: &mut Cursor<'a>,
    each: usize,
    read: impl Fn(&mut Cursor<'a>) -> Result<T, FormatError>,
) -> Result<Vec<T>, FormatError> {
    let count = input.u32()? as usize;
    input.bounded(count, each)?;
    (0..count).map(|_| read(input)).collect()
}
