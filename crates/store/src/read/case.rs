//! Evidence cases: events of a period, and what proves to others that none was left out.

use std::collections::BTreeMap;

use factlog_format::{
    CaseEdge, CaseFile, CaseRecord, CaseSection, CaseStatement, Digest, EarlierCheckpoint,
    JournalEvent,
};
use factlog_proof::{Hash, SignedCheckpoint, consistency_path, set_proof};

use super::{Query, Reader};
use crate::{
    Damage, Error, Event, Misuse,
    compact::{Erasing, all_erasures},
    event::own,
    keys::Sealed,
};

/// What an evidence case is to hold: a period, what is asked for in it, and what it is compared with.
///
/// Without a word said it is everything from sequence 0 to the newest event.
///
/// ```
/// use factlog::CaseQuery;
///
/// let query = CaseQuery::new().from(1).kind("account.closed").redact("customer");
/// ```
#[derive(Clone, Debug)]
pub struct CaseQuery {
    from: CaseEdge,
    until: Option<CaseEdge>,
    streams: Vec<(String, String)>,
    kinds: Vec<String>,
    tags: Vec<String>,
    redacted: Vec<String>,
    after: Option<SignedCheckpoint>,
    anchors: Vec<SignedCheckpoint>,
    tool: String,
}

impl Default for CaseQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl CaseQuery {
    /// Everything from sequence 0 on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            from: CaseEdge::Sequence(0),
            until: None,
            streams: Vec::new(),
            kinds: Vec::new(),
            tags: Vec::new(),
            redacted: Vec::new(),
            after: None,
            anchors: Vec::new(),
            tool: concat!("factlog ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The period begins with this sequence.
    #[must_use]
    pub fn from(mut self, sequence: u64) -> Self {
        self.from = CaseEdge::Sequence(sequence);
        self
    }

    /// The period ends before this sequence.
    #[must_use]
    pub fn until(mut self, sequence: u64) -> Self {
        self.until = Some(CaseEdge::Sequence(sequence));
        self
    }

    /// The period begins with events recorded at this time, in microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn recorded_from(mut self, micros: i64) -> Self {
        self.from = CaseEdge::Recorded(micros);
        self
    }

    /// The period ends before events recorded at this time, which must be past.
    #[must_use]
    pub fn recorded_until(mut self, micros: i64) -> Self {
        self.until = Some(CaseEdge::Recorded(micros));
        self
    }

    /// Only events of this stream, or of another one named.
    #[must_use]
    pub fn stream(mut self, scope: impl Into<String>, entity: impl Into<String>) -> Self {
        self.streams.push((scope.into(), entity.into()));
        self
    }

    /// Only events of this kind, or of another one named.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kinds.push(kind.into());
        self
    }

    /// Only events with this tag, and with every other one named.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Leaves this section of all payloads out. It can still be seen that it is there.
    #[must_use]
    pub fn redact(mut self, section: impl Into<String>) -> Self {
        self.redacted.push(section.into());
        self
    }

    /// The checkpoint of the case before this one, so that this one proves to continue it.
    #[must_use]
    pub fn after(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.after = Some(checkpoint);
        self
    }

    /// Puts a checkpoint of the journal in that was kept, or cosigned, elsewhere.
    #[must_use]
    pub fn anchor(mut self, checkpoint: SignedCheckpoint) -> Self {
        self.anchors.push(checkpoint);
        self
    }

    /// The statement, with a period and without counts.
    fn statement(&self, first: u64, end: u64, made_at: i64) -> CaseStatement {
        fn sorted<T: Ord + Clone>(names: &[T]) -> Vec<T> {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.dedup();
            names
        }
        CaseStatement {
            tool: self.tool.clone(),
            made_at,
            from: self.from,
            until: self.until.unwrap_or(CaseEdge::Sequence(end)),
            first,
            end,
            streams: sorted(&self.streams),
            kinds: sorted(&self.kinds),
            tags: sorted(&self.tags),
            redacted: sorted(&self.redacted),
            after: self.after.as_ref().map(|after| {
                let claimed = after.claimed();
                (claimed.size(), *claimed.root().as_bytes())
            }),
            selected: 0,
            unknown: 0,
            kind_counts: Vec::new(),
            stream_counts: Vec::new(),
            erased: Vec::new(),
        }
    }
}

/// A case before it is proven: its statement, and the events of its period.
pub(crate) struct Draft {
    pub(crate) statement: CaseStatement,
    events: Vec<Event>,
}

impl Reader {
    /// Makes an evidence case without a word of the journal about it, as of the newest stored signature:
    /// for journals that can't be written. The case says that it is such an unlogged export; see
    /// [`Journal::export_case`](crate::Journal::export_case).
    ///
    /// `now` is the time, in microseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// [`Misuse::Unsigned`]; [`Misuse::NotYetSigned`] if an event of the period isn't signed yet;
    /// [`Misuse::Case`] for a period that ends before it begins, or isn't over; `history.forked` if a
    /// checkpoint that it is to continue is of another history; or what reading comes to.
    pub fn export_case(&self, query: &CaseQuery, now: i64) -> Result<Vec<u8>, Error> {
        let signed = self.checkpoint()?;
        let size = signed.claimed().size();
        let draft = self.draft_case(query, size, now)?;
        if let CaseEdge::Recorded(until) = draft.statement.until
            && draft.statement.end == size
            && self
                .get(size)?
                .is_some_and(|next| next.recorded_at() < until)
        {
            return Err(Misuse::NotYetSigned(size).into());
        }
        self.build_case(query, &draft, [0; 16], None, &signed)
    }

    /// The events of the period among the first `size`, and the statement with its counts.
    pub(crate) fn draft_case(
        &self,
        query: &CaseQuery,
        size: u64,
        now: i64,
    ) -> Result<Draft, Error> {
        if let Some(CaseEdge::Recorded(until)) = query.until
            && now < until
        {
            let why = "the period isn't over; leave its end away to get what there is";
            return Err(Misuse::Case(why).into());
        }
        let first = self.edge(query.from, size)?;
        let end = self.edge(query.until.unwrap_or(CaseEdge::Sequence(size)), size)?;
        if first > end {
            return Err(Misuse::Case("the period ends before it begins").into());
        }
        let statement = query.statement(first, end, now);
        let events = self.read(Query::all().from(first).until(end));
        let events = events.collect::<Result<Vec<Event>, _>>()?;
        let records = self.records(events.iter(), &statement)?;
        let mut statement = statement.counted(&records);
        drop(records);
        for erased in &mut statement.erased {
            if let Some(reason) = self.reason_of(erased.by)? {
                erased.reason = reason;
            }
        }
        Ok(Draft { statement, events })
    }

    /// The keys of an event's encrypted sections, each of one section alone, or why there is none.
    fn section_keys(&self, event: &Event) -> Vec<Option<Result<[u8; 32], Sealed>>> {
        let secrets = self.shared.secrets.as_ref();
        secrets.map_or_else(Vec::new, |secrets| {
            secrets.section_keys(&self.shared, &self.shared.view.load_full(), event)
        })
    }

    /// Why something was erased, as the event says that ordered it.
    fn reason_of(&self, by: u64) -> Result<Option<String>, Error> {
        let event = self.get(by)?;
        Ok(event.as_ref().and_then(|event| match own::decoded(event) {
            Some((_, JournalEvent::ShredIntended(shred))) => Some(shred.reason),
            Some((_, JournalEvent::ErasureOrdered(ordered))) => Some(ordered.reason),
            _ => None,
        }))
    }

    /// The first sequence at or past an edge.
    fn edge(&self, edge: CaseEdge, size: u64) -> Result<u64, Error> {
        let time = match edge {
            CaseEdge::Sequence(sequence) if sequence <= size => return Ok(sequence),
            CaseEdge::Sequence(sequence) => {
                return Err(Misuse::NoSuchEvent(sequence.to_string()).into());
            }
            CaseEdge::Recorded(time) => time,
        };
        // Times never go back, so that half of what is left is ruled out with each look.
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            let event = self.get(middle)?;
            let event = event.ok_or_else(|| Misuse::NoSuchEvent(middle.to_string()))?;
            if event.recorded_at() < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn records<'e>(
        &self,
        events: impl Iterator<Item = &'e Event>,
        statement: &CaseStatement,
    ) -> Result<Vec<CaseRecord<'e>>, Error> {
        let erasures = all_erasures(&self.shared, 0)?;
        events
            .map(|event| self.record(event, statement, &erasures))
            .collect()
    }

    fn record<'e>(
        &self,
        event: &'e Event,
        statement: &CaseStatement,
        erasures: &[Erasing],
    ) -> Result<CaseRecord<'e>, Error> {
        let sequence = event.sequence();
        let untold = || {
            let detail = "content of the event is gone, and no erasure covers it";
            Damage::new("stub.unauthorised", self.path(), detail).sequence(sequence)
        };
        let by = |takes: &dyn Fn(&Erasing) -> bool| {
            let first = erasures.iter().find(|one| takes(one));
            first.map(|one| one.sequence)
        };
        let whole = by(&|one| one.takes_all(sequence));
        let Some(frame) = event.frame().filter(|_| whole.is_none()) else {
            let whole = whole.ok_or_else(untold)?;
            let spine = event.record().spine().clone();
            return Ok(CaseRecord::new(spine, None, Some(whole), None));
        };
        let facts = Some((frame.facts_salt, frame.facts_bytes));
        let mut record = CaseRecord::new(frame.spine(&self.id()), facts, None, None);
        let is_own = frame.facts.scope == own::SCOPE;
        let asked = statement.covers(sequence) && statement.takes(&record) == Some(true);
        if !is_own && !asked {
            return Ok(record);
        }
        let keys = self.section_keys(event);
        let mut keys = keys.iter();
        let sections = frame.sections().enumerate();
        let sections = sections.map(|(at, (row, content))| {
            let left_out = statement.redacted.iter().any(|name| name == row.name);
            // Without a key it is shown as it is stored.
            let key = keys.next().and_then(Option::as_ref);
            let taken = by(&|one| one.takes(sequence, at));
            Ok(match (content, key, taken) {
                _ if left_out && !is_own => CaseSection::Redacted,
                (_, Some(Err(Sealed::Shredded { intent })), _) => {
                    CaseSection::Erased { by: *intent }
                }
                (_, _, Some(by)) => CaseSection::Erased { by },
                (Some((secret, stored)), _, None) => CaseSection::Disclosed {
                    secret,
                    stored,
                    key: key.and_then(|key| key.as_ref().ok()).copied(),
                },
                (None, _, None) => return Err(untold().into()),
            })
        });
        record.sections = Some(sections.collect::<Result<_, Error>>()?);
        Ok(record)
    }

    /// The file of a case against a checkpoint that covers all of it.
    pub(crate) fn build_case(
        &self,
        query: &CaseQuery,
        draft: &Draft,
        salt: [u8; 16],
        manifest: Option<u64>,
        signed: &SignedCheckpoint,
    ) -> Result<Vec<u8>, Error> {
        let statement = &draft.statement;
        let size = signed.claimed().size();
        let mut around: BTreeMap<u64, Event> = BTreeMap::new();
        for next in [statement.first.checked_sub(1), Some(statement.end)] {
            let next = next.filter(|sequence| *sequence < size);
            if let Some(event) = next.map(|next| self.get(next)).transpose()?.flatten() {
                around.insert(event.sequence(), event);
            }
        }
        for event in self.read(Query::stream(own::SCOPE, own::ENTITY).until(size)) {
            let event = event?;
            if !statement.covers(event.sequence()) {
                around.insert(event.sequence(), event);
            }
        }
        let before = around.range(..statement.first).map(|(_, event)| event);
        let after = around.range(statement.end..).map(|(_, event)| event);
        let records = self.records(before.chain(&draft.events).chain(after), statement)?;
        if statement.clone().counted(&records) != *statement {
            let why = "something was erased while the case was made; make it again";
            return Err(Misuse::Case(why).into());
        }
        let (signed, earlier) = self.earlier(query, signed)?;
        let notes: Vec<String> = earlier.iter().map(ToString::to_string).collect();
        let paths = earlier.iter().map(|earlier| {
            let path =
                self.tree_proof(|tree| consistency_path(tree, earlier.claimed().size(), size))?;
            Ok(path.iter().map(digest).collect())
        });
        let paths = paths.collect::<Result<Vec<Vec<Digest>>, Error>>()?;
        let sequences = records
            .chunk_by(|one, next| one.spine.sequence.checked_add(1) == Some(next.spine.sequence));
        let ranges: Vec<_> = sequences
            .filter_map(|run| {
                Some(run.first()?.spine.sequence..run.last()?.spine.sequence.checked_add(1)?)
            })
            .collect();
        let proof = self.tree_proof(|tree| set_proof(tree, size, &ranges))?;
        let note = signed.to_string();
        let statement = statement.encode().map_err(Misuse::Event)?;
        let earlier = notes.iter().zip(paths);
        let case = CaseFile {
            journal: self.id(),
            checkpoint: &note,
            earlier: earlier
                .map(|(note, path)| EarlierCheckpoint { note, path })
                .collect(),
            salt,
            statement: &statement,
            manifest,
            records,
            proof: proof.iter().map(digest).collect(),
        };
        Ok(case.encode().map_err(Misuse::Event)?)
    }

    /// The checkpoint, with the signatures of any anchor of the same size, and those of smaller trees:
    /// the case before, anchors, and what lets who knows only an older key follow to the one that signs.
    fn earlier(
        &self,
        query: &CaseQuery,
        signed: &SignedCheckpoint,
    ) -> Result<(SignedCheckpoint, Vec<SignedCheckpoint>), Error> {
        let mut by_size: BTreeMap<u64, SignedCheckpoint> = BTreeMap::new();
        let mut handed_over = Vec::new();
        for key in self.keys() {
            if let Some(sequence) = key.retired {
                handed_over.extend(self.kept_checkpoint(sequence, &key.key)?);
            }
        }
        let given = query.after.iter().chain(&query.anchors);
        for checkpoint in [signed].into_iter().chain(&handed_over).chain(given) {
            let claimed = checkpoint.claimed();
            if claimed.size() == 0 {
                return Err(Misuse::Case("a checkpoint of no events proves nothing").into());
            }
            if claimed.size() > signed.claimed().size() {
                let detail =
                    "a checkpoint that the case is to continue is of more events than are signed";
                return Err(Damage::new("history.rolled_back", self.path(), detail).into());
            }
            if claimed.origin() != self.origin() || self.root_at(claimed.size())? != claimed.root()
            {
                let detail = "a checkpoint that the case is to continue is of another history";
                return Err(Damage::new("history.forked", self.path(), detail).into());
            }
            let merged = match by_size.remove(&claimed.size()) {
                Some(found) => merged(&found, checkpoint)?,
                None => checkpoint.clone(),
            };
            by_size.insert(claimed.size(), merged);
        }
        let own = by_size.remove(&signed.claimed().size());
        let own = own.unwrap_or_else(|| signed.clone());
        Ok((own, by_size.into_values().collect()))
    }
}

/// One checkpoint with the signatures of both, each once.
fn merged(one: &SignedCheckpoint, other: &SignedCheckpoint) -> Result<SignedCheckpoint, Error> {
    let mut signatures = one.signatures().to_vec();
    for signature in other.signatures() {
        let known = |known: &factlog_proof::NoteSignature| {
            (known.name(), known.key_id()) == (signature.name(), signature.key_id())
        };
        if !signatures.iter().any(known) {
            signatures.push(signature.clone());
        }
    }
    SignedCheckpoint::new(one.claimed().clone(), signatures)
        .map_err(|error| Misuse::Receipt(error.to_string()).into())
}

fn digest(hash: &Hash) -> Digest {
    *hash.as_bytes()
}
