//! Evidence cases of encrypted journals: each section that is shown comes with the one key that opens it.

use std::sync::Arc;

use factlog::{
    CaseQuery, CaseTrust, CaseVerdict, Encoding, Journal, KeyDomain, NewEvent, Options, Provider,
    Reader, Selector, Shred, VerifiedCase, verify_case,
};
use factlog_format::{CaseRecord, CaseSection, SectionSecret};
use factlog_fs::{MemFs, StoreFs};
use factlog_keys::{SectionKey, SectionPlace, Suite};

fn options(fs: &Arc<MemFs>) -> Options {
    Options::new().file_system(Arc::clone(fs) as Arc<dyn StoreFs>)
}

/// Two events of Ada's, one of Bob's; each of two sections.
fn journal(fs: &Arc<MemFs>) -> Journal {
    let options = options(fs)
        .unlock(Provider::KeyFile("reader.key".into()))
        .encrypt(KeyDomain::Stream)
        .signing_key_file("log.key");
    let journal = Journal::create("journal", options).unwrap();
    for entity in ["ada", "bob", "ada"] {
        let name = format!("{{\"name\":\"{entity}\"}}").into_bytes();
        let event = NewEvent::new("bank", entity, "account.opened");
        let event = event.data(Encoding::Json, name);
        let event = event.section("note", Encoding::Raw, b"a note".to_vec());
        journal.append(event).unwrap();
    }
    journal
}

fn holding(reader: &Reader, bytes: &[u8], check: impl FnOnce(&VerifiedCase<'_>)) {
    let trust = CaseTrust {
        keys: vec![reader.verifier_key().unwrap()],
        ..CaseTrust::default()
    };
    let report = verify_case(bytes, &trust);
    assert_eq!(
        report.overall(),
        CaseVerdict::Holds,
        "{:?}",
        report.findings
    );
    check(report.case.as_ref().unwrap());
}

/// What the key that the case brings makes of a section.
fn opened(case: &VerifiedCase<'_>, record: &CaseRecord<'_>, index: usize) -> Vec<u8> {
    let sections = record.sections.as_ref().unwrap();
    let CaseSection::Disclosed {
        secret: SectionSecret::Nonce(_),
        stored,
        key: Some(key),
    } = sections[index]
    else {
        panic!("not disclosed with its key: {:?}", sections[index]);
    };
    let facts = record.facts().unwrap();
    let row = facts.sections.iter().nth(index).unwrap();
    let sealed = row.sealed.unwrap();
    let place = SectionPlace {
        journal: &case.file.journal,
        event: &facts.event_id,
        scope: facts.scope,
        entity: facts.entity,
        kind: facts.kind,
        payload_version: facts.payload_version,
        index: index as u8,
        name: row.name,
        encoding: row.encoding.code(),
        suite: Suite::from_code(sealed.suite).unwrap(),
        padding: sealed.padding,
    };
    let mut plain = Vec::new();
    SectionKey::new(key)
        .open(
            &place,
            &sealed.key_id,
            &sealed.key_commitment,
            stored,
            &mut plain,
        )
        .unwrap();
    plain
}

fn keys<'c>(case: &'c VerifiedCase<'_>) -> Vec<&'c [u8; 32]> {
    let sections = case
        .file
        .records
        .iter()
        .flat_map(|record| record.sections.iter().flatten());
    let keys = sections.filter_map(|section| match section {
        CaseSection::Disclosed { key, .. } => key.as_ref(),
        _ => None,
    });
    keys.collect()
}

#[test]
fn a_section_is_shown_with_its_own_key_and_with_no_other() {
    let fs = Arc::new(MemFs::new());
    let journal = journal(&fs);
    let query = CaseQuery::new().stream("bank", "ada").redact("note");
    let bytes = journal.export_case(&query).unwrap();
    holding(journal.reader(), &bytes, |case| {
        for sequence in [1, 3] {
            let record = case.record(sequence).unwrap();
            assert_eq!(opened(case, record, 0), b"{\"name\":\"ada\"}");
            assert_eq!(record.sections.as_ref().unwrap()[1], CaseSection::Redacted);
        }
        // Both are Ada's, under one data key, and have keys of their own. Nothing of Bob's is there.
        let keys = keys(case);
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
        assert_eq!(case.record(2).unwrap().sections, None);
    });
    assert!(!bytes.windows(5).any(|window| window == b"\"ada\""));
}

#[test]
fn what_was_shredded_is_told_as_such_with_the_reason() {
    let fs = Arc::new(MemFs::new());
    let journal = journal(&fs);
    let ada = Selector::Stream {
        scope: "bank".to_owned(),
        entity: "ada".to_owned(),
    };
    let shred = Shred::new(vec![ada], "request 17").actor("officer");
    let intent = journal.shred(&shred).unwrap().intent;
    let bytes = journal.export_case(&CaseQuery::new()).unwrap();
    holding(journal.reader(), &bytes, |case| {
        for sequence in [1, 3] {
            let sections = case.record(sequence).unwrap().sections.as_deref();
            let gone = [CaseSection::Erased { by: intent }; 2];
            assert_eq!(sections, Some(&gone[..]), "{sequence}");
        }
        let bob = case.record(2).unwrap();
        assert_eq!(opened(case, bob, 0), b"{\"name\":\"bob\"}");
        assert_eq!(opened(case, bob, 1), b"a note");
        let [erased] = &case.statement.erased[..] else {
            panic!("{:?}", case.statement.erased);
        };
        let said = (erased.by, erased.level, erased.events, &*erased.reason);
        assert_eq!(said, (intent, 1, 2, "request 17"));
        assert_eq!(case.statement.selected, 3);
    });
}

#[test]
fn without_the_keyset_what_is_shown_stays_encrypted() {
    let fs = Arc::new(MemFs::new());
    journal(&fs).close().unwrap();
    let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
    let bytes = reader.export_case(&CaseQuery::new().until(4), 0).unwrap();
    holding(&reader, &bytes, |case| {
        assert_eq!(keys(case), Vec::<&[u8; 32]>::new());
        let shown = case.record(1).unwrap().sections.as_ref().unwrap();
        assert!(matches!(shown[0], CaseSection::Disclosed { key: None, .. }));
    });
}
