//! Encrypted payloads: sealed on the way in, opened on the way out, gone when their key is.

use std::{path::Path, sync::Arc};

use factlog::{
    Encoding, Error, Event, Journal, KeyDomain, Misuse, NewEvent, Options, Passphrase, Provider,
    Query, Reader, RecipientKey, Refusal, Sealed, Selector, Shred, Uuid, verify,
};
use factlog_fs::{MemFs, OpenMode, StoreFs, read_file, write_all_at};

pub(crate) const SECRET: &[u8] = br#"{"name":"Ada Lovelace of St James's Square"}"#;

pub(crate) fn options(fs: &Arc<MemFs>) -> Options {
    Options::new()
        .file_system(Arc::clone(fs) as Arc<dyn StoreFs>)
        .unlock(Provider::KeyFile("reader.key".into()))
        .dangerous()
        .without_housekeeper()
}

pub(crate) fn create(fs: &Arc<MemFs>, domain: KeyDomain) -> Journal {
    Journal::create(
        "journal",
        options(fs).encrypt(domain).signing_key_file("log.key"),
    )
    .unwrap()
}

pub(crate) fn open(fs: &Arc<MemFs>) -> Journal {
    let journal = Journal::open("journal", options(fs).signing_key_file("log.key")).unwrap();
    assert!(
        journal.read_only_reason().is_none(),
        "{:?}",
        journal.read_only_reason()
    );
    journal
}

pub(crate) fn event(entity: &str) -> NewEvent<'_> {
    NewEvent::new("bank", entity, "account.opened").data(Encoding::Json, SECRET)
}

pub(crate) fn stream(entity: &str) -> Selector {
    Selector::Stream {
        scope: "bank".to_owned(),
        entity: entity.to_owned(),
    }
}

pub(crate) fn shred(journal: &Journal, entity: &str) -> u64 {
    let shred = Shred::new(vec![stream(entity)], "request 17").actor("officer");
    journal.shred(&shred).unwrap().intent
}

/// What the payload of a stream's first event reads as.
pub(crate) fn read(reader: &Reader, entity: &str) -> Result<Vec<u8>, Sealed> {
    let event = reader
        .read(Query::stream("bank", entity))
        .next()
        .unwrap()
        .unwrap();
    content(&event)
}

pub(crate) fn content(event: &Event) -> Result<Vec<u8>, Sealed> {
    let data = event.data().unwrap();
    assert!(data.is_sealed());
    match (data.bytes(), data.sealed()) {
        (Some(bytes), None) => Ok(bytes.to_vec()),
        (None, Some(why)) => Err(why.clone()),
        found => panic!("neither bytes nor a reason, or both: {found:?}"),
    }
}

pub(crate) fn files(fs: &MemFs, dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            factlog_fs::FileKind::Dir => found.extend(files(fs, &path)),
            _ => found.push((path.clone(), read_file(fs, &path, 1 << 30).unwrap())),
        }
    }
    found
}

pub(crate) fn holds(fs: &MemFs, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let holds = |bytes: &Vec<u8>| bytes.windows(needle.len()).any(|window| window == needle);
    let found = files(fs, Path::new("journal")).into_iter();
    found
        .filter(|(_, bytes)| holds(bytes))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn what_is_appended_comes_back_and_stands_nowhere_on_the_disk() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let first = journal.append(event("a")).unwrap().sequence();
    let batch: Vec<_> = (0..200)
        .map(|n| if n % 2 == 0 { event("a") } else { event("b") })
        .collect();
    journal.append_batch(&batch).unwrap();
    let check = |reader: &Reader| {
        let found = reader.read(Query::all().scope("bank"));
        assert_eq!(
            found
                .map(|event| content(&event.unwrap()).unwrap() == SECRET)
                .filter(|same| *same)
                .count(),
            201
        );
        let one = reader.get(first).unwrap().unwrap();
        assert_eq!(content(&one).unwrap(), SECRET);
        let mut lent = reader.read(Query::all().scope("bank"));
        assert_eq!(
            lent.next_ref().unwrap().unwrap().data().unwrap(),
            Some(SECRET)
        );
        let mut lent = reader.read(Query::stream("bank", "b"));
        assert_eq!(
            lent.next_ref().unwrap().unwrap().data().unwrap(),
            Some(SECRET)
        );
    };
    check(journal.reader());
    journal.housekeep().unwrap();
    check(&Journal::open_read_only("journal", options(&fs)).unwrap());
    journal.close().unwrap();
    let journal = open(&fs);
    check(journal.reader());
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    assert_eq!(holds(&fs, &SECRET[4..]), Vec::<std::path::PathBuf>::new());
    let report = verify("journal", &factlog::VerifyOptions::new().file_system(fs)).unwrap();
    assert_eq!(report.integrity, factlog::Integrity::Intact);
}

#[test]
fn each_domain_shares_keys_as_it_says() {
    let ids = |domain: KeyDomain, events: Vec<NewEvent<'_>>| {
        let fs = Arc::new(MemFs::new());
        let journal = create(&fs, domain);
        journal.append_batch(&events).unwrap();
        let events = journal
            .reader()
            .read(Query::all().scope("bank").or().scope("shop"));
        let ids: Vec<_> = events
            .map(|event| {
                let event = event.unwrap();
                let rows = event.facts().unwrap().sections;
                rows.iter().next().unwrap().sealed.unwrap().key_id
            })
            .collect();
        ids.iter()
            .map(|id| ids.iter().position(|one| one == id).unwrap())
            .collect::<Vec<_>>()
    };
    let new = |scope, entity, kind| {
        NewEvent::new(scope, entity, kind).data(Encoding::Raw, b"x".as_slice())
    };
    let events = || {
        vec![
            new("bank", "a", "account.opened"),
            new("bank", "a", "account.closed"),
            new("bank", "b", "account.opened"),
            new("shop", "a", "order.placed"),
        ]
    };
    assert_eq!(ids(KeyDomain::Stream, events()), [0, 0, 2, 3]);
    assert_eq!(ids(KeyDomain::Scope, events()), [0, 0, 0, 3]);
    assert_eq!(ids(KeyDomain::Category, events()), [0, 0, 0, 3]);
    assert_eq!(ids(KeyDomain::Kind, events()), [0, 1, 0, 3]);
    assert_eq!(ids(KeyDomain::Event, events()), [0, 1, 2, 3]);
    let about = |events: Vec<NewEvent<'static>>| {
        let subjects = ["ada", "bob", "ada", "bob"];
        events
            .into_iter()
            .zip(subjects)
            .map(|(event, who)| event.subject(who))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(KeyDomain::Subject, about(events())), [0, 1, 0, 1]);
}

#[test]
fn of_two_people_in_one_event_one_can_be_forgotten() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Subject);
    let event = NewEvent::new("bank", "a", "transfer.made")
        .section("payer", Encoding::Raw, b"Ada".as_slice())
        .subject("ada")
        .section("payee", Encoding::Raw, b"Bob".as_slice())
        .subject("bob");
    let sequence = journal.append(event).unwrap().sequence();
    journal
        .shred(&Shred::new(
            vec![Selector::Subject("ada".to_owned())],
            "request 1",
        ))
        .unwrap();
    let event = journal.reader().get(sequence).unwrap().unwrap();
    assert!(matches!(
        event.section("payer").unwrap().sealed(),
        Some(Sealed::Shredded { .. })
    ));
    assert_eq!(event.section("payee").unwrap().bytes(), Some(&b"Bob"[..]));
    journal.close().unwrap();
    assert_eq!(
        holds(&fs, b"ada"),
        Vec::<std::path::PathBuf>::new(),
        "subjects are named nowhere"
    );
    let journal = open(&fs);
    let missing =
        journal.append(NewEvent::new("bank", "a", "x").data(Encoding::Raw, b"y".as_slice()));
    assert!(
        matches!(missing, Err(Error::Misuse(Misuse::Subject("subject")))),
        "{missing:?}"
    );
}

#[test]
fn a_shredded_stream_is_gone_through_every_door_and_all_else_stays() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let receipt = journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    let follower = Journal::open_read_only("journal", options(&fs)).unwrap();
    follower.refresh().unwrap();
    let intent = shred(&journal, "a");
    let gone = |reader: &Reader| {
        let is_gone = |found: Result<Vec<u8>, Sealed>| matches!(found, Err(Sealed::Shredded { intent: at }) if at == intent);
        assert!(is_gone(read(reader, "a")));
        assert!(is_gone(content(&reader.get(1).unwrap().unwrap())));
        let mut lent = reader.read(Query::stream("bank", "a"));
        let lent = lent.next_ref().unwrap().unwrap().data().unwrap_err().code();
        assert_eq!(lent, "section.shredded");
        let event = reader.get(1).unwrap().unwrap();
        assert_eq!(
            event.data().unwrap().decode::<String>().unwrap_err().code(),
            "section.shredded"
        );
        assert_eq!(read(reader, "b").unwrap(), SECRET);
    };
    gone(journal.reader());
    follower.refresh().unwrap();
    journal.housekeep().unwrap();
    follower.refresh().unwrap();
    gone(&follower);
    // Receipts given out before still prove the event.
    let key = journal.reader().verifier_key().unwrap();
    let text = receipt.text().unwrap();
    let policy = factlog::Policy::from(key);
    let parsed = factlog::UnverifiedReceipt::parse(text.as_bytes()).unwrap();
    parsed.verify(&policy).unwrap();
    journal.close().unwrap();
    let journal = open(&fs);
    gone(journal.reader());
    // The stream goes on under a key of its own.
    let next = journal.append(event("a")).unwrap().sequence();
    assert_eq!(
        content(&journal.reader().get(next).unwrap().unwrap()).unwrap(),
        SECRET
    );
    gone(journal.reader());
    let told = journal.reader().erasures().unwrap();
    assert_eq!(
        (
            told.len(),
            told[0].reason.as_str(),
            told[0].actor.as_deref()
        ),
        (1, "request 17", Some("officer"))
    );
    assert_eq!(told[0].completed.as_ref().unwrap().1.destroyed, 1);
}

#[test]
fn a_follower_reads_under_keys_that_came_after_a_shred() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.housekeep().unwrap();
    let follower = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(read(&follower, "a").unwrap(), SECRET);
    let check = |name: &str| {
        journal.append(event(name)).unwrap();
        journal.housekeep().unwrap();
        follower.refresh().unwrap();
        assert_eq!(read(&follower, name).unwrap(), SECRET, "{name}");
    };
    check("b");
    shred(&journal, "a");
    check("c");
    assert_eq!(read(&follower, "a").unwrap_err().code(), "section.shredded");
}

#[test]
fn a_keyset_that_is_missing_or_locked_never_reads_as_shredded() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    shred(&journal, "b");
    journal.close().unwrap();
    let bare = Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    let locked = Journal::open_read_only("journal", bare.clone()).unwrap();
    assert_eq!(read(&locked, "a").unwrap_err().code(), "keyset.locked");
    assert_eq!(read(&locked, "b").unwrap_err().code(), "section.shredded");
    let wrong = bare
        .clone()
        .unlock(Provider::Passphrase(Passphrase::new("x")));
    let wrong = Journal::open_read_only("journal", wrong).unwrap();
    assert_eq!(read(&wrong, "a").unwrap_err().code(), "keyset.no_recipient");
    fs.remove_file(Path::new("journal/keys/keyset")).unwrap();
    let missing = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(read(&missing, "a").unwrap_err().code(), "keyset.missing");
    assert_eq!(read(&missing, "b").unwrap_err().code(), "section.shredded");
    let refused = Journal::open("journal", options(&fs).signing_key_file("log.key")).unwrap();
    assert_eq!(
        refused.append(event("a")).unwrap_err().code(),
        "keyset.missing"
    );
}

#[test]
fn minted_keys_that_are_gone_are_missing_and_not_shredded() {
    for (closes, code) in [(false, "key.missing"), (true, "keyset.truncated")] {
        let fs = Arc::new(MemFs::new());
        let journal = create(&fs, KeyDomain::Stream);
        journal.append(event("a")).unwrap();
        match closes {
            true => journal.close().unwrap(),
            false => drop(journal),
        }
        fs.remove_file(Path::new("journal/keys/minted-00000001"))
            .unwrap();
        let journal = open(&fs);
        assert_eq!(read(journal.reader(), "a").unwrap_err().code(), code);
    }
}

#[test]
fn an_older_keyset_that_is_put_back_brings_nothing_back() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    let older: Vec<_> = files(&fs, Path::new("journal/keys"));
    let intent = shred(&journal, "a");
    journal.close().unwrap();
    for (path, bytes) in older {
        let file = fs.open(&path, OpenMode::Write).unwrap();
        file.set_len(0).unwrap();
        write_all_at(file.as_ref(), &bytes, 0).unwrap();
    }
    // To a reader at once, and to the next writer for good.
    let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(read(&reader, "a").unwrap_err().code(), "section.shredded");
    assert_eq!(read(&reader, "b").unwrap(), SECRET);
    let journal = open(&fs);
    assert_eq!(
        read(journal.reader(), "a").unwrap_err().code(),
        "section.shredded"
    );
    let told = journal.reader().erasures().unwrap();
    let completed = told[0].completed.as_ref().unwrap();
    assert_eq!(
        (told[0].intent, completed.1.intent, completed.1.destroyed),
        (intent, intent, 1)
    );
    assert!(completed.1.generation > 2, "generations never go back");
    assert_eq!(journal.reader().data_keys().unwrap().len(), 1);
    assert_eq!(journal.reader().check_keyset().unwrap(), 1);
}

#[test]
fn a_hold_refuses_a_shred_until_it_is_lifted() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    let hold = journal.hold(&[stream("a")], "case 4").unwrap();
    let held = journal.shred(&Shred::new(vec![stream("b"), stream("a")], "r"));
    assert!(
        matches!(held, Err(Error::Refused(Refusal::Held(id))) if id == hold),
        "{held:?}"
    );
    assert_eq!(
        read(journal.reader(), "b").unwrap(),
        SECRET,
        "nothing was changed"
    );
    shred(&journal, "b");
    journal.close().unwrap();
    let journal = open(&fs);
    assert_eq!(journal.reader().holds().unwrap().len(), 1);
    journal.lift_hold(hold, "settled").unwrap();
    let again = journal.lift_hold(hold, "settled");
    assert!(
        matches!(again, Err(Error::Misuse(Misuse::NoSuchHold(_)))),
        "{again:?}"
    );
    shred(&journal, "a");
    let everything = journal.hold(&[], "audit").unwrap();
    journal.append(event("c")).unwrap();
    let held = journal.shred(&Shred::new(vec![stream("c")], "r"));
    assert!(matches!(held, Err(Error::Refused(Refusal::Held(id))) if id == everything));
}

#[test]
fn a_shred_names_what_the_journal_has_keys_for() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    let before = journal.reader().len();
    let code = |selector| {
        journal
            .shred(&Shred::new(vec![selector], "r"))
            .unwrap_err()
            .code()
    };
    assert_eq!(
        code(Selector::Scope("bank".to_owned())),
        "shred.other_domain"
    );
    assert_eq!(code(stream("nobody")), "shred.nothing");
    let empty = journal.shred(&Shred::new(vec![stream("a")], ""));
    assert_eq!(empty.unwrap_err().code(), "event.invalid");
    assert_eq!(journal.reader().len(), before);
    let plain = Journal::in_memory().unwrap();
    let refused = plain.shred(&Shred::new(vec![stream("a")], "r"));
    assert_eq!(refused.unwrap_err().code(), "journal.not_encrypted");
}

#[test]
fn many_domains_go_in_one_call_and_keep_the_rest() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let names: Vec<String> = (0..500).map(|n| format!("account-{n}")).collect();
    let events: Vec<_> = names.iter().map(|name| event(name)).collect();
    journal.append_batch(&events).unwrap();
    let gone = |n: usize| n.is_multiple_of(3);
    let selectors = names
        .iter()
        .enumerate()
        .filter(|(n, _)| gone(*n))
        .map(|(_, name)| stream(name));
    let shredded = journal
        .shred(&Shred::new(selectors.collect(), "request 5"))
        .unwrap();
    assert_eq!(shredded.keys.len(), 167);
    let check = |reader: &Reader| {
        for (n, name) in names.iter().enumerate() {
            assert_eq!(read(reader, name).is_err(), gone(n), "{name}");
        }
    };
    check(journal.reader());
    journal.close().unwrap();
    let journal = open(&fs);
    check(journal.reader());
    assert_eq!(journal.reader().check_keyset().unwrap(), 333);
}

#[test]
fn a_repeat_is_known_by_its_plaintext() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let id = Uuid::from_u128(7 << 64);
    let first = journal.append(event("a").id(id)).unwrap().sequence();
    assert_eq!(journal.append(event("a").id(id)).unwrap().sequence(), first);
    let other = NewEvent::new("bank", "a", "account.opened").data(Encoding::Json, b"{}".as_slice());
    assert_eq!(
        journal.append(other.id(id)).unwrap_err().code(),
        "conflict.id_reused"
    );
}

#[test]
fn a_section_key_is_given_out_for_one_section() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    let reader = journal.reader();
    let key = reader.section_key(1, "data").unwrap();
    let row = reader
        .get(1)
        .unwrap()
        .unwrap()
        .facts()
        .unwrap()
        .sections
        .iter()
        .next()
        .unwrap()
        .sealed;
    assert_eq!(key.commitment(), row.unwrap().key_commitment);
    shred(&journal, "a");
    assert_eq!(
        reader.section_key(1, "data").unwrap_err().code(),
        "section.shredded"
    );
}

#[test]
fn the_recovery_recipient_opens_what_the_first_one_lost() {
    let fs = Arc::new(MemFs::new());
    let recovery = factlog::Identity::generate(&[9; 32]);
    let public = RecipientKey::from_text(&recovery.public().to_text()).unwrap();
    let unlock = Provider::Passphrase(Passphrase::new("forgotten"));
    let options = |provider| {
        let options = Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
        options.unlock(provider)
    };
    let creating = options(unlock)
        .encrypt(KeyDomain::Stream)
        .recovery_recipient(public);
    let journal = Journal::create("journal", creating).unwrap();
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    let wrong = Journal::open_read_only(
        "journal",
        options(Provider::Passphrase(Passphrase::new("other"))),
    );
    assert_eq!(
        read(&wrong.unwrap(), "a").unwrap_err().code(),
        "keyset.wrong_passphrase"
    );
    let journal = Journal::open("journal", options(Provider::Key(recovery))).unwrap();
    assert_eq!(read(journal.reader(), "a").unwrap(), SECRET);
    let info = journal.reader().keyset().unwrap();
    let labels: Vec<_> = info
        .recipients
        .iter()
        .map(|one| (one.label.as_str(), one.recovery))
        .collect();
    assert_eq!(labels, [("passphrase", false), ("recovery", true)]);
}

#[test]
fn a_machine_is_never_all_that_unlocks_a_keyset() {
    let fs = Arc::new(MemFs::new());
    let options = Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
    let options = options.encrypt(KeyDomain::Stream);
    assert_eq!(
        Journal::create("journal", options.clone())
            .unwrap_err()
            .code(),
        "keyset.no_provider"
    );
    let machine = options.unlock(Provider::Machine("machine.secret".into()));
    assert_eq!(
        Journal::create("journal", machine).unwrap_err().code(),
        "machine.no_id"
    );
}

/// A key for a name that no event can have used to be durable, and to spoil the keyset, before the append was
/// refused.
#[test]
fn a_name_that_is_refused_leaves_no_key_behind() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Subject);
    let about = |subject: &str| {
        let event = NewEvent::new("bank", "a", "account.noted");
        event
            .section("note", Encoding::Raw, b"x".as_slice())
            .subject(subject.to_owned())
    };
    let keys = || {
        let names = fs.list(Path::new("journal/keys")).unwrap();
        let names = names.into_iter().map(|entry| entry.name);
        names
            .map(|name| {
                fs.metadata(&Path::new("journal/keys").join(name))
                    .unwrap()
                    .unwrap()
                    .len
            })
            .sum::<u64>()
    };
    let before = keys();
    for long in [256, 1_000, 70_000] {
        let refused = journal.append(about(&"s".repeat(long)));
        assert!(matches!(refused, Err(Error::Misuse(Misuse::Event(_)))));
        let entity = NewEvent::new("bank", "e".repeat(long), "account.noted");
        let entity = entity
            .section("note", Encoding::Raw, b"x".as_slice())
            .subject("ada");
        assert!(matches!(
            journal.append(entity),
            Err(Error::Misuse(Misuse::Event(_)))
        ));
    }
    assert_eq!(keys(), before, "no key was made");
    let longest = "s".repeat(255);
    let sequence = journal.append(about(&longest)).unwrap().sequence();
    journal.close().unwrap();
    let journal = open(&fs);
    let event = journal.reader().get(sequence).unwrap().unwrap();
    assert_eq!(event.section("note").unwrap().bytes(), Some(&b"x"[..]));
}
