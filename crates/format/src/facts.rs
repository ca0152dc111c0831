use crate::{
    EventId, FormatError, FoundSection, MAX_FACTS_LEN, MAX_SECTIONS, MAX_TAGS, Names, SectionRow,
    SectionRows, check_scope,
    cursor::Cursor,
    name::{check_slash, decode_name, encode_name, skip_name},
    section::check_payload_len,
};

const OCCURRED_AT: u16 = 1 << 0;
const ACTOR: u16 = 1 << 1;
const CORRELATION: u16 = 1 << 2;
const CAUSATION: u16 = 1 << 3;
const TRACE: u16 = 1 << 4;
const EXTENSIONS: u16 = 1 << 5;
const KNOWN: u16 = OCCURRED_AT | ACTOR | CORRELATION | CAUSATION | TRACE | EXTENSIONS;

/// A W3C trace context: what `traceparent` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; not all zeros.
    pub trace_id: [u8; 16],
    /// The span within it; not all zeros.
    pub span_id: [u8; 8],
    /// Trace flags.
    pub flags: u8,
}

/// The facts of an event, to be encoded: everything that is visible of it besides its payload.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The event's id, unique in the journal.
    pub event_id: EventId,
    /// The entity that the event is about.
    pub entity: &'a str,
    /// The scope that the entity lives in.
    pub scope: &'a str,
    /// What the payload means.
    pub kind: &'a str,
    /// Version of the payload's shape.
    pub payload_version: u16,
    /// Tags, sorted by bytes and unique.
    pub tags: &'a [&'a str],
    /// When it happened, as the caller says, in microseconds since 1970-01-01 UTC.
    pub occurred_at: Option<i64>,
    /// Who did it, as the caller says.
    pub actor: Option<&'a str>,
    /// Groups events that belong to one piece of work.
    pub correlation: Option<[u8; 16]>,
    /// The id of the event that caused this one.
    pub causation: Option<EventId>,
    /// Where in a distributed trace it was made.
    pub trace: Option<TraceContext>,
    /// The section table.
    pub sections: &'a [SectionRow<'a>],
}

impl Facts<'_> {
    /// Appends the canonical encoding to `out`.
    ///
    /// # Errors
    /// [`FormatError`] if a name, count or the whole is over its limit, or tags are not sorted and
    /// unique; `out` is then as before.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let start = out.len();
        let result = self.encode_all(out).and_then(|()| {
            if out.len() - start > MAX_FACTS_LEN {
                let limit = MAX_FACTS_LEN as u64;
                return Err(FormatError::Limit {
                    what: "facts",
                    limit,
                });
            }
            Ok(())
        });
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn encode_all(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        out.extend_from_slice(&self.event_id);
        encode_name(self.entity, "entity", out)?;
        check_scope(self.scope)?;
        encode_name(self.scope, "scope", out)?;
        encode_name(self.kind, "kind", out)?;
        out.extend_from_slice(&self.payload_version.to_le_bytes());
        self.encode_tags(out)?;
        self.encode_optional(out)?;
        if self.sections.len() > MAX_SECTIONS {
            return Err(FormatError::Limit {
                what: "sections",
                limit: MAX_SECTIONS as u64,
            });
        }
        out.push(self.sections.len() as u8);
        for (index, section) in self.sections.iter().enumerate() {
            if self
                .sections
                .iter()
                .take(index)
                .any(|other| other.name == section.name)
            {
                return Err(FormatError::Invalid("two sections of one name"));
            }
            section.encode(out)?;
        }
        check_payload_len(
            self.sections
                .iter()
                .map(|section| u64::from(section.stored_len)),
        )
    }

    fn encode_tags(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        if self.tags.len() > MAX_TAGS {
            return Err(FormatError::Limit {
                what: "tags",
                limit: MAX_TAGS as u64,
            });
        }
        if !self
            .tags
            .is_sorted_by(|left, right| left.as_bytes() < right.as_bytes())
        {
            return Err(FormatError::Invalid("order of tags"));
        }
        out.push(self.tags.len() as u8);
        for tag in self.tags {
            encode_name(tag, "tag", out)?;
        }
        Ok(())
    }

    fn encode_optional(&self, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let mut present = 0u16;
        for (bit, is_there) in [
            (OCCURRED_AT, self.occurred_at.is_some()),
            (ACTOR, self.actor.is_some()),
            (CORRELATION, self.correlation.is_some()),
            (CAUSATION, self.causation.is_some()),
            (TRACE, self.trace.is_some()),
        ] {
            if is_there {
                present |= bit;
            }
        }
        out.extend_from_slice(&present.to_le_bytes());
        if let Some(micros) = self.occurred_at {
            out.extend_from_slice(&micros.to_le_bytes());
        }
        if let Some(actor) = self.actor {
            encode_name(actor, "actor", out)?;
        }
        for id in [self.correlation, self.causation].into_iter().flatten() {
            out.extend_from_slice(&id);
        }
        if let Some(trace) = &self.trace {
            if trace.trace_id == [0; 16] || trace.span_id == [0; 8] {
                return Err(FormatError::Invalid("trace context"));
            }
            out.extend_from_slice(&trace.trace_id);
            out.extend_from_slice(&trace.span_id);
            out.push(trace.flags);
        }
        Ok(())
    }
}

/// Facts as they stand in a frame or receipt: checked, borrowed, without allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactsRef<'a> {
    /// The event's id, unique in the journal.
    pub event_id: EventId,
    /// The entity that the event is about.
    pub entity: &'a str,
    /// The scope that the entity lives in.
    pub scope: &'a str,
    /// What the payload means.
    pub kind: &'a str,
    /// Version of the payload's shape.
    pub payload_version: u16,
    /// Tags, sorted by bytes and unique.
    pub tags: Names<'a>,
    /// When it happened, as the caller says, in microseconds since 1970-01-01 UTC.
    pub occurred_at: Option<i64>,
    /// Who did it, as the caller says.
    pub actor: Option<&'a str>,
    /// Groups events that belong to one piece of work.
    pub correlation: Option<[u8; 16]>,
    /// The id of the event that caused this one.
    pub causation: Option<EventId>,
    /// Where in a distributed trace it was made.
    pub trace: Option<TraceContext>,
    /// The section table.
    pub sections: SectionRows<'a>,
}

impl<'a> FactsRef<'a> {
    /// Reads facts that fill `bytes` exactly.
    ///
    /// # Errors
    /// [`FormatError`] for anything that [`Facts::encode`] would not have written.
    // Always: see `Cursor::chunk`.
    #[inline(always)]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_FACTS_LEN {
            return Err(FormatError::Limit {
                what: "facts",
                limit: MAX_FACTS_LEN as u64,
            });
        }
        let mut input = Cursor::new(bytes, "facts");
        let event_id = *input.chunk()?;
        let entity = decode_name(&mut input, "entity")?;
        let scope = decode_name(&mut input, "scope")?;
        check_slash(scope)?;
        let kind = decode_name(&mut input, "kind")?;
        let payload_version = input.u16()?;
        let tags = Names::decode(&mut input, MAX_TAGS, "tags")?;
        let present = input.u16()?;
        if present & !KNOWN != 0 {
            return Err(FormatError::Unsupported("optional facts"));
        }
        let has = |bit| present & bit != 0;
        let (mut occurred_at, mut actor) = (None, None);
        let (mut correlation, mut causation, mut trace) = (None, None, None);
        if has(OCCURRED_AT) {
            occurred_at = Some(input.i64()?);
        }
        if has(ACTOR) {
            actor = Some(decode_name(&mut input, "actor")?);
        }
        if has(CORRELATION) {
            correlation = Some(*input.chunk()?);
        }
        if has(CAUSATION) {
            causation = Some(*input.chunk()?);
        }
        if has(TRACE) {
            trace = Some(decode_trace(&mut input)?);
        }
        if has(EXTENSIONS) {
            // Every extension is critical, and none is known yet.
            return Err(FormatError::Unsupported("extensions of the facts"));
        }
        let sections = SectionRows::decode(&mut input)?;
        input.finish()?;
        Ok(Self {
            event_id,
            entity,
            scope,
            kind,
            payload_version,
            tags,
            occurred_at,
            actor,
            correlation,
            causation,
            trace,
            sections,
        })
    }
}

/// Kind and version of an event, and the section table's place in its facts: what stands before is passed
/// over by its lengths, unchecked.
pub(crate) fn at_sections(facts: &[u8]) -> Result<(FoundSection<'_>, Cursor<'_>), FormatError> {
    let mut input = Cursor::new(facts, "facts");
    input.take(size_of::<EventId>())?;
    skip_name(&mut input)?; // entity
    skip_name(&mut input)?; // scope
    let found = FoundSection {
        kind: skip_name(&mut input)?,
        payload_version: input.u16()?,
        section: None,
    };
    for _ in 0..input.u8()? {
        skip_name(&mut input)?;
    }
    let present = input.u16()?;
    if present & !KNOWN != 0 || present & EXTENSIONS != 0 {
        return Err(FormatError::Unsupported("optional facts"));
    }
    for (bit, len) in [
        (OCCURRED_AT, 8),
        (ACTOR, 0),
        (CORRELATION, 16),
        (CAUSATION, 16),
        (TRACE, 25),
    ] {
        match present & bit {
            0 => {}
            ACTOR => drop(skip_name(&mut input)?),
            _ => drop(input.take(len)?),
        }
    }
    Ok((found, input))
}

fn decode_trace(input: &mut Cursor<'_>) -> Result<TraceContext, FormatError> {
    let trace = TraceContext {
        trace_id: input.array()?,
        span_id: input.array()?,
        flags: input.u8()?,
    };
    if trace.trace_id == [0; 16] || trace.span_id == [0; 8] {
        return Err(FormatError::Invalid("trace context"));
    }
    Ok(trace)
}
