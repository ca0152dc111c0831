//! A keyset that is damaged, old, forged or half there: named, never taken for a shred, and never papered over
//! with new keys.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use factlog::{
    Encoding, Erased, Error, Identity, Journal, KeyDomain, NewEvent, OldSecrets, OnErased, Options,
    Passphrase, Provider, Query, Rewrap, Sealed, SecretFate, Selector, Shred, ShredGrade, Uuid,
};
use factlog_fs::{Access, MemFs, OpenMode, StoreFs, read_file, write_all_at};

use crate::encrypted::{SECRET, content, create, event, files, open, options, read, shred};

const HEAD: &str = "journal/keys/keyset";
const LOG: &str = "journal/keys/minted-00000001";
/// Where the records of a log begin.
const RECORDS: usize = 48;

pub(crate) fn put(fs: &MemFs, path: &Path, bytes: &[u8]) {
    let file = match fs.open(path, OpenMode::Write) {
        Ok(file) => file,
        Err(_) => fs.create_new(path, Access::Private).unwrap(),
    };
    file.set_len(0).unwrap();
    write_all_at(file.as_ref(), bytes, 0).unwrap();
}

fn bytes(fs: &MemFs, path: &str) -> Vec<u8> {
    read_file(fs, Path::new(path), 1 << 30).unwrap()
}

fn flip(fs: &MemFs, path: &str, at: usize) {
    let mut content = bytes(fs, path);
    content[at] ^= 1;
    put(fs, Path::new(path), &content);
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

/// The end of the log used to be taken for a write cut short, whatever had been made durable there: the keys
/// read as missing, and the next append made new ones.
#[test]
fn rot_in_the_keys_written_last_is_damage_after_a_clean_close() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    let len = bytes(&fs, LOG).len();
    for at in [0, RECORDS, len - 20] {
        flip(&fs, LOG, at);
        let journal = open(&fs);
        let found = read(journal.reader(), "a").unwrap_err().code();
        assert!(
            ["keyset.damaged", "keyset.truncated"].contains(&found),
            "{at}: {found}"
        );
        assert_eq!(code(journal.append(event("a"))), found);
        assert_eq!(code(journal.append(event("new"))), found);
        drop(journal);
        flip(&fs, LOG, at);
    }
    assert_eq!(read(open(&fs).reader(), "a").unwrap(), SECRET);
}

/// Without a clean end nothing says how far the log went; but events do.
#[test]
fn no_key_is_made_in_the_place_of_one_that_rot_took() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    drop(journal);
    flip(&fs, LOG, bytes(&fs, LOG).len() - 20);
    let journal = open(&fs);
    assert_eq!(code(journal.append(event("new"))), "key.missing");
    assert_eq!(code(journal.append(event("a"))), "key.missing");
    assert_eq!(
        read(journal.reader(), "a").unwrap_err().code(),
        "key.missing"
    );
    // What is lost can be given up, and the journal goes on.
    shred(&journal, "a");
    assert_eq!(
        read(journal.reader(), "a").unwrap_err().code(),
        "section.shredded"
    );
    let next = journal.append(event("a")).unwrap().sequence();
    let next = journal.reader().get(next).unwrap().unwrap();
    assert_eq!(content(&next).unwrap(), SECRET);
    journal.append(event("new")).unwrap();
}

#[test]
fn a_header_that_rots_under_later_keys_is_damage() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    drop(journal);
    flip(&fs, LOG, 20);
    let journal = open(&fs);
    for entity in ["a", "b"] {
        let found = read(journal.reader(), entity).unwrap_err();
        assert_eq!(found.code(), "keyset.damaged");
    }
    assert_eq!(code(journal.append(event("c"))), "keyset.damaged");
}

#[test]
fn an_older_keyset_is_named() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    journal.close().unwrap();
    let older = files(&fs, Path::new("journal/keys"));
    let journal = open(&fs);
    assert!(journal.keyset_rolled_back().is_none());
    shred(&journal, "a");
    journal.append(event("c")).unwrap();
    journal.close().unwrap();
    for (path, bytes) in &older {
        put(&fs, path, bytes);
    }
    let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(code(reader.check_keyset()), "keyset.rolled_back");
    let journal = open(&fs);
    let told = journal.keyset_rolled_back().unwrap();
    assert_eq!(told.code, "keyset.rolled_back");
    // What was destroyed is so again; what came after the copy is missing, and nothing hides it.
    assert_eq!(
        read(journal.reader(), "a").unwrap_err().code(),
        "section.shredded"
    );
    assert_eq!(read(journal.reader(), "b").unwrap(), SECRET);
    assert_eq!(
        read(journal.reader(), "c").unwrap_err().code(),
        "key.missing"
    );
    assert_eq!(code(journal.append(event("c"))), "key.missing");
    journal.close().unwrap();
    assert!(open(&fs).keyset_rolled_back().is_none(), "it was mended");
}

/// Its record was gone when it was given up, and whoever put that back had it again, though an event names it.
#[test]
fn a_key_that_was_given_up_never_comes_back() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    let short = bytes(&fs, LOG);
    let journal = open(&fs);
    journal.append(event("b")).unwrap();
    drop(journal);
    let whole = bytes(&fs, LOG);
    put(&fs, Path::new(LOG), &short);
    let journal = open(&fs);
    assert_eq!(code(journal.append(event("b"))), "key.missing");
    let done = journal.shred(&Shred::new(vec![crate::encrypted::stream("b")], "lost"));
    let done = done.unwrap();
    assert_eq!((done.keys.len(), &done.missing), (1, &done.keys));
    journal.close().unwrap();
    let mended = bytes(&fs, LOG);
    assert!(
        mended.len() > short.len(),
        "the open bucket is written anew"
    );
    // The old record, where the log goes on now, and behind that.
    let (_, record) = whole.split_at(short.len());
    for log in [whole.clone(), [&mended[..], record].concat()] {
        put(&fs, Path::new(LOG), &log);
        let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
        assert_eq!(read(&reader, "b").unwrap_err().code(), "section.shredded");
        assert!(reader.check_keyset().is_err());
        let journal = open(&fs);
        assert_eq!(
            read(journal.reader(), "b").unwrap_err().code(),
            "section.shredded"
        );
    }
}

/// Of subjects no event shows that there was a key before: another one was made, without a word.
#[test]
fn an_older_keyset_makes_no_second_key_for_a_subject() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Subject);
    journal.append(note("ada", 1, b"x")).unwrap();
    journal.close().unwrap();
    let older = files(&fs, Path::new("journal/keys"));
    let journal = open(&fs);
    journal.append(note("bob", 2, b"y")).unwrap();
    journal.close().unwrap();
    let newer = files(&fs, Path::new("journal/keys"));
    for (path, bytes) in &older {
        put(&fs, path, bytes);
    }
    let reader = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(code(reader.check_keyset()), "keyset.rolled_back");
    let journal = open(&fs);
    assert_eq!(
        code(journal.append(note("bob", 3, b"z"))),
        "keyset.rolled_back"
    );
    journal.append(note("ada", 4, b"z")).unwrap();
    drop(journal);
    for (path, bytes) in &newer {
        put(&fs, path, bytes);
    }
    open(&fs).append(note("bob", 5, b"z")).unwrap();
    // Where the newer copy is lost for good.
    for (path, bytes) in &older {
        put(&fs, path, bytes);
    }
    let options = options(&fs).accept_older_keyset();
    let journal = Journal::open("journal", options.signing_key_file("log.key")).unwrap();
    journal.append(note("bob", 6, b"z")).unwrap();
    journal.close().unwrap();
    assert_eq!(open(&fs).reader().check_keyset().unwrap(), 2);
}

/// A secret that once opened the keyset, and was replaced, opens the copies of that time.
#[test]
fn a_secret_of_before_is_no_other_secret() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    for entity in ["a", "b"] {
        journal.append(event(entity)).unwrap();
    }
    let to = |path: &str| Rewrap::new().provider(file(path));
    journal.rewrap_keyset(&to("other.key")).unwrap();
    let shred = |with: Rewrap| {
        let stream = crate::encrypted::stream("a");
        journal.shred(&Shred::new(vec![stream], "request").replace_recipients(with))
    };
    let before = journal.reader().len();
    assert_eq!(code(shred(to("reader.key"))), "keyset.same_secret");
    assert_eq!(journal.reader().len(), before);
    assert_eq!(
        shred(to("third.key")).unwrap().grade,
        ShredGrade::RecipientsReplaced
    );
}

/// It was found out when the keys were to be destroyed, with the intent written.
#[test]
fn recipients_that_make_no_keyset_are_refused_before_anything_is_said() {
    let fs = Arc::new(MemFs::new());
    let creating = options(&fs)
        .encrypt(KeyDomain::Stream)
        .recovery_recipient(Identity::generate(&[5; 32]).public());
    let journal = Journal::create("journal", creating.signing_key_file("log.key")).unwrap();
    journal.append(event("a")).unwrap();
    let twin = Identity::generate(&[6; 32]);
    let twins = Rewrap::new()
        .provider(Provider::Key(twin.clone()))
        .recovery(twin.public());
    let before = (journal.reader().len(), bytes(&fs, HEAD));
    let stream = crate::encrypted::stream("a");
    let shred = Shred::new(vec![stream], "request").replace_recipients(twins.clone());
    assert_eq!(code(journal.shred(&shred)), "keyset.recipients");
    assert_eq!(code(journal.rewrap_keyset(&twins)), "keyset.recipients");
    assert_eq!((journal.reader().len(), bytes(&fs, HEAD)), before);
    assert_eq!(read(journal.reader(), "a").unwrap(), SECRET);
}

fn note(subject: &str, id: u128, text: &'static [u8]) -> NewEvent<'static> {
    let event = NewEvent::new("bank", "a", "account.noted").id(Uuid::from_u128(id << 64));
    event
        .section("note", Encoding::Raw, text)
        .subject(subject.to_owned())
}

/// It used to be answered as applied already: a retry of one thing with the receipt of another.
#[test]
fn a_repeat_that_cant_be_compared_is_an_error_and_one_of_what_was_shredded_says_so() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Subject);
    journal.close().unwrap();
    let older = files(&fs, Path::new("journal/keys"));
    let journal = open(&fs);
    journal.append(note("ada", 1, b"x")).unwrap();
    journal.append(note("bob", 2, b"y")).unwrap();
    let again = journal.append_batch(&[note("ada", 1, b"x")]).unwrap();
    assert!(again.already() && again.compared());
    let other = journal.append_batch(&[note("ada", 1, b"z")]);
    assert_eq!(code(other), "conflict.id_reused");
    let ada = Selector::Subject("ada".to_owned());
    journal.shred(&Shred::new(vec![ada], "request")).unwrap();
    let keys = files(&fs, Path::new("journal/keys"));
    let again = journal.append_batch(&[note("ada", 1, b"z")]).unwrap();
    assert!(again.already() && !again.compared());
    let minted = files(&fs, Path::new("journal/keys")) != keys;
    assert!(
        !minted,
        "a repeat of what was shredded made its subject a key"
    );
    let partly = journal.append_batch(&[note("eve", 3, b"new"), note("bob", 2, b"y")]);
    assert_eq!(code(partly), "conflict.partial_repeat");
    let entity = NewEvent::new("bank", "other", "account.noted").id(Uuid::from_u128(1 << 64));
    let entity = entity.section("note", Encoding::Raw, b"x").subject("ada");
    assert_eq!(code(journal.append(entity)), "conflict.id_reused");
    // Not closed: at its end a session tells how many keys there are.
    drop(journal);
    fs.remove_file(Path::new(LOG)).unwrap();
    for (path, bytes) in &older {
        put(&fs, path, bytes);
    }
    let journal = open(&fs);
    for text in [b"y", b"z"] {
        assert_eq!(code(journal.append(note("bob", 2, text))), "key.missing");
    }
}

#[test]
fn a_long_scan_of_another_process_stops_at_a_shred() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let batch: Vec<_> = (0..2_000).map(|_| event("a")).collect();
    journal.append_batch(&batch).unwrap();
    journal.housekeep().unwrap();
    let follower = Journal::open_read_only("journal", options(&fs)).unwrap();
    let all = || follower.read(Query::stream("bank", "a"));
    let (mut told, mut alone) = (all(), all());
    for scan in [&mut told, &mut alone] {
        let first = scan.next().unwrap().unwrap();
        assert_eq!(content(&first).unwrap(), SECRET);
    }
    shred(&journal, "a");
    journal.housekeep().unwrap();
    // Nobody has told this one anything; it looks by itself, now and then.
    let rest: Vec<_> = alone
        .map(|event| content(&event.unwrap()))
        .skip_while(Result::is_ok)
        .collect();
    assert!(rest.len() > 1_000, "{} are gone", rest.len());
    let gone = |found: &Result<_, Sealed>| matches!(found, Err(Sealed::Shredded { .. }));
    assert!(rest.iter().all(gone));
    // And with the event in sight, nothing more is opened under a view of before.
    follower.refresh().unwrap();
    assert!(gone(&content(&told.next().unwrap().unwrap())));
}

#[test]
fn a_follower_takes_no_head_from_somebody_without_the_root() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    journal.close().unwrap();
    let journal = open(&fs);
    let follower = Journal::open_read_only("journal", options(&fs)).unwrap();
    assert_eq!(read(&follower, "a").unwrap(), SECRET);
    let mut forged = bytes(&fs, HEAD);
    // Of the row of the first bucket, which stands before MAC and checksum: its key.
    let (row, end) = (forged.len() - 4 - 32 - 60, forged.len() - 4);
    forged[row] ^= 1;
    let crc = crc32fast::hash(&forged[..end]).to_le_bytes();
    forged[end..].copy_from_slice(&crc);
    journal.append(event("c")).unwrap();
    journal.housekeep().unwrap();
    put(&fs, Path::new(HEAD), &forged);
    follower.refresh().unwrap();
    assert!(read(&follower, "c").is_err(), "its key can't be known");
    assert_eq!(read(&follower, "b").unwrap(), SECRET);
}

#[test]
fn files_that_nobody_wrote_cost_nothing_and_panic_nobody() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    put(&fs, Path::new("journal/keys/minted-ffffffff"), b"x");
    let journal = open(&fs);
    journal.append(event("b")).unwrap();
    journal.close().unwrap();
    fs.remove_file(Path::new("journal/keys/minted-ffffffff"))
        .unwrap();
    // The highest number there can be: none is left for another file.
    put(&fs, Path::new("journal/keys/minted-00ffffff"), b"x");
    let journal = open(&fs);
    assert_eq!(read(journal.reader(), "b").unwrap(), SECRET);
    assert_eq!(code(journal.append(event("c"))), "keyset.invalid");
    drop(journal);
    // A terabyte of holes is no reason to ask for a terabyte of memory.
    let log = fs.open(Path::new(LOG), OpenMode::Write).unwrap();
    log.set_len(1 << 40).unwrap();
    let journal = open(&fs);
    assert_eq!(
        read(journal.reader(), "b").unwrap_err().code(),
        "keyset.truncated"
    );
}

#[test]
fn a_secret_that_others_can_read_is_refused_and_so_is_none() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    let text = bytes(&fs, "reader.key");
    let shared = fs.create_new(Path::new("shared.key"), Access::Shared);
    write_all_at(shared.unwrap().as_ref(), &text, 0).unwrap();
    let with = |provider| {
        let options = Options::new().file_system(Arc::clone(&fs) as Arc<dyn StoreFs>);
        let reader = Journal::open_read_only("journal", options.unlock(provider)).unwrap();
        read(&reader, "a").map_err(|why| why.code())
    };
    let code_of = |provider| with(provider).unwrap_err();
    assert_eq!(
        code_of(Provider::KeyFile("shared.key".into())),
        "signer.key_permissions"
    );
    assert_eq!(
        code_of(Provider::KeyFile("nowhere.key".into())),
        "keyset.key_missing"
    );
    assert_eq!(
        code_of(Provider::Passphrase(Passphrase::new(""))),
        "keyset.no_passphrase"
    );
    assert_eq!(
        with(Provider::KeyFile("reader.key".into())).unwrap(),
        SECRET
    );
}

/// On a real disk a name can be a link, and a link can change between two looks.
#[test]
fn a_key_file_is_no_link() {
    let dir = tempfile::tempdir().unwrap();
    let (key, link) = (dir.path().join("key"), dir.path().join("link"));
    let path = dir.path().join("journal");
    let with = |provider| Options::new().unlock(provider);
    let options = with(Provider::KeyFile(key.clone())).encrypt(KeyDomain::Stream);
    let journal = Journal::create(&path, options).unwrap();
    journal.append(event("a")).unwrap();
    journal.close().unwrap();
    std::os::unix::fs::symlink(&key, &link).unwrap();
    let opened = |file: &Path| {
        let provider = Provider::KeyFile(file.to_owned());
        let reader = Journal::open_read_only(&path, with(provider)).unwrap();
        read(&reader, "a").is_ok()
    };
    assert!(opened(&key) && !opened(&link));
}

#[test]
fn what_was_decrypted_is_in_no_debug_output() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    let sequence = journal.append(event("a")).unwrap().sequence();
    let event = journal.reader().get(sequence).unwrap().unwrap();
    assert_eq!(content(&event).unwrap(), SECRET);
    let mut lent = journal.reader().read(Query::stream("bank", "a"));
    let lent = format!("{:?}", lent.next_ref().unwrap().unwrap());
    let data = event.data().unwrap();
    // The name as numbers in a list, too long to come up in a salt by chance.
    let numbers = format!("{:?}", b"Lovelace");
    let numbers = numbers.trim_matches(['[', ']']);
    for shown in [format!("{event:?}"), format!("{data:?}"), lent] {
        assert!(
            !shown.contains("Lovelace") && !shown.contains(numbers),
            "{shown}"
        );
    }
}

fn file(path: &str) -> Provider {
    Provider::KeyFile(path.into())
}

fn opens(fs: &Arc<MemFs>, provider: Provider) -> Result<Vec<u8>, &'static str> {
    let options = Options::new().file_system(Arc::clone(fs) as Arc<dyn StoreFs>);
    let reader = Journal::open_read_only("journal", options.unlock(provider)).unwrap();
    read(&reader, "a").map_err(|why| why.code())
}

#[test]
fn a_rewrap_changes_who_opens_the_keyset_and_no_data() {
    let fs = Arc::new(MemFs::new());
    let journal = create(&fs, KeyDomain::Stream);
    journal.append(event("a")).unwrap();
    let first = journal.reader().get(1).unwrap().unwrap().hash();
    let before = journal.reader().keyset().unwrap();
    assert!(!before.has_recovery());
    let recovery = Identity::generate(&[5; 32]);
    let change = Rewrap::new()
        .provider(file("other.key"))
        .recovery(recovery.public());
    let after = journal.rewrap_keyset(&change).unwrap();
    assert!(after.has_recovery() && after.recipients.len() == 2);
    assert!(after.generation > before.generation && after.root != before.root);
    let again = journal.reader().get(1).unwrap().unwrap();
    assert_eq!(again.hash(), first);
    assert_eq!(content(&again).unwrap(), SECRET);
    // It goes on as if nothing had been.
    journal.append(event("b")).unwrap();
    journal.close().unwrap();
    assert_eq!(opens(&fs, file("other.key")).unwrap(), SECRET);
    assert_eq!(opens(&fs, Provider::Key(recovery)).unwrap(), SECRET);
    assert_eq!(
        opens(&fs, file("reader.key")).unwrap_err(),
        "keyset.no_recipient"
    );
    // Only the recovery recipient is replaced by the next, and the file stays one that opens it.
    let next = Identity::generate(&[6; 32]);
    let options = options(&fs).unlock(file("other.key"));
    let journal = Journal::open("journal", options.signing_key_file("log.key")).unwrap();
    let after = journal.rewrap_keyset(&Rewrap::new().recovery(next.public()));
    assert_eq!(after.unwrap().recipients.len(), 2);
    journal.close().unwrap();
    assert_eq!(opens(&fs, Provider::Key(next)).unwrap(), SECRET);
    assert_eq!(opens(&fs, file("other.key")).unwrap(), SECRET);
}

/// With the recipients replaced, the whole folder as it was before gives nothing to anybody who is still one.
#[test]
fn no_recipient_of_now_opens_what_was_shredded_in_a_copy_of_before() {
    let fs = Arc::new(MemFs::new());
    let recovery = Identity::generate(&[5; 32]);
    let creating = options(&fs)
        .encrypt(KeyDomain::Stream)
        .recovery_recipient(recovery.public());
    let journal = Journal::create("journal", creating.signing_key_file("log.key")).unwrap();
    journal.append(event("a")).unwrap();
    journal.append(event("b")).unwrap();
    journal.close().unwrap();
    let copy = files(&fs, Path::new("journal"));
    let journal = open(&fs);
    let next = Identity::generate(&[6; 32]);
    let all = Rewrap::new()
        .provider(file("other.key"))
        .recovery(next.public());
    let shred = |with: Rewrap| {
        let stream = crate::encrypted::stream("a");
        journal.shred(&Shred::new(vec![stream], "request").replace_recipients(with))
    };
    // Whatever leaves a recipient in place changes nothing.
    let before = journal.reader().len();
    for some in [
        Rewrap::new(),
        Rewrap::new().provider(file("other.key")),
        Rewrap::new().recovery(next.public()),
        all.clone().provider(file("reader.key")),
        all.clone().recovery(recovery.public()),
    ] {
        assert_eq!(code(shred(some)), "keyset.same_secret");
    }
    assert_eq!(journal.reader().len(), before);
    let done = shred(all.old_secrets(OldSecrets::Attested)).unwrap();
    assert_eq!(done.grade, ShredGrade::RecipientsReplaced);
    let fates: Vec<_> = done.recipients.iter().map(|(_, fate)| *fate).collect();
    assert_eq!(fates, [SecretFate::Attested, SecretFate::Attested]);
    // Whose secrets they are destroys them: another keyset may need them yet.
    assert!(fs.metadata(Path::new("reader.key")).unwrap().is_some());
    let told = journal.reader().erasures().unwrap();
    assert_eq!(
        told[0].completed.as_ref().unwrap().1.recipients,
        done.recipients
    );
    journal.close().unwrap();
    for secret in [file("other.key"), Provider::Key(next)] {
        assert_eq!(opens(&fs, secret.clone()).unwrap_err(), "section.shredded");
        let old = Arc::new(MemFs::new());
        for (path, bytes) in &copy {
            let parents: Vec<_> = path.ancestors().skip(1).collect();
            for dir in parents
                .into_iter()
                .rev()
                .filter(|dir| *dir != Path::new(""))
            {
                let _ = old.create_dir(dir, Access::Private);
            }
            put(&old, path, bytes);
        }
        put(&old, Path::new("other.key"), &bytes(&fs, "other.key"));
        assert_eq!(opens(&old, secret).unwrap_err(), "keyset.no_recipient");
    }
}

/// Keeps an index of payloads in memory, and may not get rid of it at once.
#[derive(Debug, Default)]
struct Index {
    texts: Mutex<Vec<(u64, Vec<u8>)>>,
    stuck: AtomicBool,
}

impl OnErased for Index {
    fn name(&self) -> &str {
        "index"
    }

    fn erased(&self, erased: &Erased<'_>) -> bool {
        if self.stuck.load(Ordering::Relaxed) {
            return false;
        }
        let mut texts = self.texts.lock().unwrap();
        texts.retain(|(sequence, _)| {
            let event = erased.reader().get(*sequence).unwrap().unwrap();
            assert!(!erased.covers(&event) || content(&event).is_err());
            !erased.covers(&event)
        });
        true
    }
}

#[test]
fn who_keeps_derived_data_is_told_and_the_report_says_what_it_answered() {
    let fs = Arc::new(MemFs::new());
    let index = Arc::new(Index::default());
    let journal = create(&fs, KeyDomain::Stream);
    for entity in ["a", "b"] {
        let sequence = journal.append(event(entity)).unwrap().sequence();
        index
            .texts
            .lock()
            .unwrap()
            .push((sequence, SECRET.to_vec()));
    }
    journal.close().unwrap();
    let with = options(&fs).on_erased(Arc::clone(&index) as Arc<dyn OnErased>);
    let journal = Journal::open("journal", with.signing_key_file("log.key")).unwrap();
    index.stuck.store(true, Ordering::Relaxed);
    shred(&journal, "b");
    assert_eq!(index.texts.lock().unwrap().len(), 2);
    index.stuck.store(false, Ordering::Relaxed);
    shred(&journal, "a");
    assert_eq!(index.texts.lock().unwrap().len(), 1);
    let told = journal.reader().erasures().unwrap();
    let answers: Vec<_> = told
        .iter()
        .map(|one| one.completed.as_ref().unwrap().1.acknowledged.clone())
        .collect();
    let answer = |gone| vec![("index".to_owned(), gone)];
    assert_eq!(answers, [answer(false), answer(true)]);
}
