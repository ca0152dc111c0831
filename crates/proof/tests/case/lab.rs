//! A journal made by hand, and cases of it: whoever has it can forge all that the journal's keeper could.

use std::collections::BTreeMap;

use factlog_format::{
    CaseEdge, CaseExported, CaseFile, CaseRecord, CaseSection, CaseStatement, Digest,
    EarlierCheckpoint, Encoding, Facts, JournalCreated, JournalEvent, SealedRow, SectionRow,
    SectionSecret, SigningPolicyCode, Spine, case_commitment, event_hash, facts_hash,
    key_commitment, section_hash,
};
use factlog_proof::{
    Checkpoint, Hash, SignedCheckpoint, SigningKey, consistency_path, leaf_hash, root_at, set_proof,
};

use crate::common::{JOURNAL, Levels, ORIGIN, key};

/// Bytes that outlive the test, so that cases can borrow them.
pub(crate) fn keep(bytes: impl Into<Vec<u8>>) -> &'static [u8] {
    Vec::leak(bytes.into())
}

pub(crate) type Case = CaseFile<'static>;

/// A section of a payload.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) stored: &'static [u8],
    /// The section key, if it is encrypted.
    pub(crate) key: Option<[u8; 32]>,
}

pub(crate) fn part(name: &'static str, stored: &'static [u8]) -> Part {
    let key = None;
    Part { name, stored, key }
}

pub(crate) fn encrypted(name: &'static str, stored: &'static [u8], key: u8) -> Part {
    let key = Some([key; 32]);
    Part { name, stored, key }
}

#[derive(Clone)]
pub(crate) struct Lab {
    pub(crate) id: [u8; 16],
    pub(crate) origin: String,
    pub(crate) records: Vec<CaseRecord<'static>>,
    streams: BTreeMap<(String, String), ([u8; 16], u64, Digest)>,
}

impl Lab {
    /// With sequence 0.
    pub(crate) fn new(id: [u8; 16], origin: &str, first: &SigningKey) -> Self {
        let mut lab = Self {
            id,
            origin: origin.to_owned(),
            records: Vec::new(),
            streams: BTreeMap::new(),
        };
        lab.own(100, &created(id, origin, first));
        lab
    }

    /// A small ledger: 10 events, with one of the journal's own in between.
    pub(crate) fn ledger() -> Self {
        let mut lab = Self::new(JOURNAL, ORIGIN, &key(ORIGIN, 1));
        lab.deposit(1000, "a", b"{\"n\":1}");
        lab.deposit(1100, "b", b"{\"n\":2}");
        lab.transfer(1200, "a");
        lab.own(
            1300,
            &JournalEvent::ClockSteppedBack(factlog_format::ClockSteppedBack {
                before: 1300,
                now: 1250,
            }),
        );
        lab.deposit(1400, "c", b"{\"n\":5}");
        lab.deposit(1500, "a", b"{\"n\":6}");
        lab.deposit(1600, "b", b"{\"n\":7}");
        lab.deposit(2000, "d", b"{\"n\":8}");
        lab.deposit(2100, "a", b"{\"n\":9}");
        lab
    }

    pub(crate) fn own(&mut self, time: i64, event: &JournalEvent) -> u64 {
        let stored = keep(event.encode());
        self.append(
            "$journal",
            "journal",
            event.kind(),
            time,
            &[part("data", stored)],
        )
    }

    pub(crate) fn deposit(&mut self, time: i64, account: &str, data: &'static [u8]) -> u64 {
        let kind = "account.deposited";
        self.append("bank", account, kind, time, &[part("data", data)])
    }

    /// With a plain and two encrypted sections.
    pub(crate) fn transfer(&mut self, time: i64, account: &str) -> u64 {
        let parts = [
            part("data", b"{\"to\":\"b\"}"),
            encrypted("customer", &[0xc5; 32], 7),
            encrypted("note", &[0xc6; 48], 8),
        ];
        self.append("bank", account, "account.transferred", time, &parts)
    }

    pub(crate) fn append(
        &mut self,
        scope: &str,
        entity: &str,
        kind: &str,
        time: i64,
        parts: &[Part],
    ) -> u64 {
        let sequence = self.records.len() as u64;
        let own = scope.starts_with('$');
        let sections: Vec<CaseSection<'static>> = parts
            .iter()
            .map(|part| {
                let secret = match part.key {
                    None => SectionSecret::Salt([sequence as u8; 16]),
                    Some(key) => SectionSecret::Nonce([key[0]; 24]),
                };
                CaseSection::Disclosed {
                    secret,
                    stored: part.stored,
                    key: part.key,
                }
            })
            .collect();
        let rows: Vec<SectionRow<'_>> = parts
            .iter()
            .zip(&sections)
            .map(|(part, section)| row(part, section, own))
            .collect();
        let mut facts = Vec::new();
        Facts {
            event_id: [sequence as u8; 16],
            entity,
            scope,
            kind,
            payload_version: 1,
            tags: if own { &[] } else { &["branch:12", "eu"] },
            occurred_at: (!own).then_some(time - 1),
            actor: (!own).then_some("teller-7"),
            correlation: None,
            causation: None,
            trace: None,
            sections: &rows,
        }
        .encode(&mut facts)
        .unwrap();
        let salt = [0x50 + sequence as u8; 16];
        let coordinate = (scope.to_owned(), entity.to_owned());
        let (stream, revision, previous) = match self.streams.get(&coordinate) {
            Some((stream, revision, hash)) => (*stream, revision + 1, *hash),
            None => ([0x80 + sequence as u8; 16], 0, [0; 32]),
        };
        let spine = Spine {
            journal: self.id,
            sequence,
            revision,
            stream,
            recorded_at: time,
            previous,
            facts_hash: facts_hash(&salt, &facts),
        };
        let hash = event_hash(&spine);
        self.streams.insert(coordinate, (stream, revision, hash));
        let record = CaseRecord::new(spine, Some((salt, keep(facts))), None, Some(sections));
        self.records.push(record);
        sequence
    }

    /// Without any event, as no journal is.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.streams.clear();
    }

    pub(crate) fn stream(&self, scope: &str, entity: &str) -> ([u8; 16], u64, Digest) {
        self.streams[&(scope.to_owned(), entity.to_owned())]
    }

    /// Lets the next event of an entity follow the last of another's stream.
    pub(crate) fn put(&mut self, scope: &str, entity: &str, stream: ([u8; 16], u64, Digest)) {
        let coordinate = (scope.to_owned(), entity.to_owned());
        self.streams.insert(coordinate, stream);
    }

    pub(crate) fn size(&self) -> u64 {
        self.records.len() as u64
    }

    pub(crate) fn tree(&self) -> Levels {
        let leaves = self.records.iter().map(|record| leaf_hash(&record.hash));
        Levels::new(&leaves.collect::<Vec<_>>())
    }

    /// The checkpoint of so many events, signed by these keys.
    pub(crate) fn signed(&self, size: u64, by: &[&SigningKey]) -> SignedCheckpoint {
        let root = root_at(&self.tree(), size).unwrap();
        sign(&Checkpoint::new(&self.origin, size, root).unwrap(), by)
    }

    pub(crate) fn earlier(&self, size: u64, by: &[&SigningKey]) -> EarlierCheckpoint<'static> {
        let path = consistency_path(&self.tree(), size, self.size()).unwrap();
        EarlierCheckpoint {
            note: note(&self.signed(size, by)),
            path: path.iter().map(|hash| *hash.as_bytes()).collect(),
        }
    }

    /// The case of a query over the journal as it is, and the journal with its word for it.
    pub(crate) fn export(&self, mut statement: CaseStatement, logged: bool) -> (Self, Case) {
        statement = statement.counted(&self.records);
        let bytes = keep(statement.encode().unwrap());
        let mut lab = self.clone();
        let salt = if logged { [0x33; 16] } else { [0; 16] };
        let exported = JournalEvent::CaseExported(CaseExported {
            first: statement.first,
            end: statement.end,
            selected: statement.selected,
            commitment: case_commitment(&salt, bytes),
        });
        let manifest = logged.then(|| lab.own(3000, &exported));
        let wanted = statement.first.saturating_sub(1)..=statement.end;
        let records = lab.records.iter().filter_map(|record| {
            let own = record.facts().unwrap().scope == "$journal";
            let sequence = record.spine.sequence;
            if !own && !wanted.contains(&sequence) {
                return None;
            }
            let mut record = record.clone();
            let taken = statement.covers(sequence) && statement.takes(&record) == Some(true);
            if !own && !taken {
                record.sections = None;
            }
            let names: Vec<&str> = record
                .facts()?
                .sections
                .iter()
                .map(|row| row.name)
                .collect();
            for (name, section) in names.iter().zip(record.sections.iter_mut().flatten()) {
                if !own && statement.redacted.iter().any(|redacted| redacted == name) {
                    *section = CaseSection::Redacted;
                }
            }
            Some(record)
        });
        let mut case = CaseFile {
            journal: lab.id,
            checkpoint: note(&lab.signed(lab.size(), &[&key(&lab.origin, 1)])),
            earlier: Vec::new(),
            salt,
            statement: bytes,
            manifest,
            records: records.collect(),
            proof: Vec::new(),
        };
        lab.prove(&mut case);
        (lab, case)
    }

    /// The logged case of one who has only what an erasure left.
    pub(crate) fn export_erased(
        &self,
        statement: CaseStatement,
        reason: &str,
        change: &dyn Fn(&mut Case),
    ) -> (Self, Case) {
        let (mut lab, mut case) = self.export(statement, false);
        change(&mut case);
        recount(&mut case);
        restate(&mut case, |statement| {
            for erased in &mut statement.erased {
                reason.clone_into(&mut erased.reason);
            }
        });
        let counted = CaseStatement::decode(case.statement).unwrap();
        let exported = JournalEvent::CaseExported(CaseExported {
            first: counted.first,
            end: counted.end,
            selected: counted.selected,
            commitment: case_commitment(&[0x33; 16], case.statement),
        });
        let sequence = lab.own(3000, &exported);
        (case.salt, case.manifest) = ([0x33; 16], Some(sequence));
        case.records.push(lab.records[sequence as usize].clone());
        case.checkpoint = note(&lab.signed(lab.size(), &[&key(&lab.origin, 1)]));
        lab.prove(&mut case);
        (lab, case)
    }

    /// Makes the proof of the events that are in the case.
    pub(crate) fn prove(&self, case: &mut Case) {
        let ranges: Vec<_> = case
            .records
            .iter()
            .map(|record| record.spine.sequence..record.spine.sequence + 1)
            .collect();
        let ranges = merged(&ranges);
        let proof = set_proof(&self.tree(), self.size(), &ranges).unwrap();
        case.proof = proof.iter().map(|hash| *hash.as_bytes()).collect();
    }
}

fn merged(ranges: &[std::ops::Range<u64>]) -> Vec<std::ops::Range<u64>> {
    let mut out: Vec<std::ops::Range<u64>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => out.push(range.clone()),
        }
    }
    out
}

fn row<'a>(part: &Part, section: &CaseSection<'a>, own: bool) -> SectionRow<'a> {
    let CaseSection::Disclosed { secret, stored, .. } = section else {
        unreachable!("made right before");
    };
    SectionRow {
        name: part.name,
        stored_len: stored.len() as u32,
        encoding: match (own, part.key) {
            (true, _) => Encoding::Journal,
            (_, None) => Encoding::Json,
            _ => Encoding::Cbor,
        },
        hash: section_hash(secret, stored),
        sealed: part.key.map(|key| SealedRow {
            suite: 1,
            padding: 1,
            key_id: [0x77; 16],
            key_commitment: key_commitment(&key),
        }),
    }
}

pub(crate) fn created(id: [u8; 16], origin: &str, first: &SigningKey) -> JournalEvent {
    JournalEvent::Created(JournalCreated {
        journal: id,
        origin: origin.to_owned(),
        created: 90,
        signing: SigningPolicyCode::Optional,
        keys: vec![*first.verifier().public_key()],
        forked_from: None,
        encryption: None,
    })
}

pub(crate) fn sign(checkpoint: &Checkpoint, by: &[&SigningKey]) -> SignedCheckpoint {
    let signatures = by.iter().flat_map(|key| {
        let signed = checkpoint.sign(key).unwrap();
        signed.signatures().to_vec()
    });
    SignedCheckpoint::new(checkpoint.clone(), signatures.collect()).unwrap()
}

pub(crate) fn note(checkpoint: &SignedCheckpoint) -> &'static str {
    String::leak(checkpoint.to_string())
}

/// Everything recorded from 1000 to before 2000: events 1 to 7.
pub(crate) fn period() -> CaseStatement {
    CaseStatement {
        tool: "factlog 0.0.0".to_owned(),
        made_at: 2900,
        from: CaseEdge::Recorded(1000),
        until: CaseEdge::Recorded(2000),
        first: 1,
        end: 8,
        streams: Vec::new(),
        kinds: Vec::new(),
        tags: Vec::new(),
        redacted: Vec::new(),
        after: None,
        selected: 0,
        unknown: 0,
        kind_counts: Vec::new(),
        stream_counts: Vec::new(),
        erased: Vec::new(),
    }
}

pub(crate) fn deposits() -> CaseStatement {
    CaseStatement {
        kinds: vec!["account.deposited".to_owned()],
        ..period()
    }
}

pub(crate) fn redacted() -> CaseStatement {
    CaseStatement {
        redacted: vec!["customer".to_owned()],
        ..period()
    }
}

/// Changes the statement of a case.
pub(crate) fn restate(case: &mut Case, change: impl FnOnce(&mut CaseStatement)) {
    let mut statement = CaseStatement::decode(case.statement).unwrap();
    change(&mut statement);
    case.statement = keep(statement.encode().unwrap());
}

/// Puts the counts right again.
pub(crate) fn recount(case: &mut Case) {
    let records = case.records.clone();
    restate(case, |statement| {
        *statement = statement.clone().counted(&records);
    });
}

pub(crate) fn at(case: &mut Case, sequence: u64) -> &mut CaseRecord<'static> {
    let mut records = case.records.iter_mut();
    records
        .find(|record| record.spine.sequence == sequence)
        .unwrap()
}

pub(crate) fn hash(bytes: &Digest) -> Hash {
    Hash::from_bytes(*bytes)
}
