//! The golden journals: how each is made, and how it is read back from `fixtures/journals/`.
//!
//! Clock, randomness and key are fixed, so that the same code makes the same bytes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use factlog::{
    Clock, Compaction, Encoding, Journal, NewEvent, Options, Random, Retention, RetentionRule,
    Rotation, Selector, SignedCheckpoint, SigningKey, TraceContext, Uuid, VerifierKey,
};
use factlog_fs::{Access, MemFs, StoreFs, write_all_at};

use crate::support::{self, DIR, content, overwrite};

#[cfg(feature = "encryption")]
#[path = "sealed.rs"]
mod sealed;

/// Those that are made again, to be compared with what is stored.
pub(crate) const NAMES: [&str; 9] = [
    "signed",
    "unsigned",
    "rolled",
    "recovered",
    "unclean",
    "rotated",
    "retained",
    "forgotten",
    "compacted",
];
/// Those that are only read: what is encrypted comes out otherwise on another processor, and what has index
/// runs is large.
pub(crate) const READ: [&str; 3] = ["encrypted", "subjects", "indexed"];
pub(crate) const ORIGIN: &str = "example.com/golden";

/// 2025-11-22 00:00 UTC.
const START: i64 = 1_763_769_600_000_000;

/// What is beside a journal, by the end of its file's name. The last one opens an encrypted one.
pub(crate) const VKEY: &str = "vkey";
pub(crate) const CHECKPOINT: &str = "checkpoint";
const KEY_FILE: &str = "reader.key";

/// A journal in memory, under [`DIR`], and the files beside it.
#[derive(Clone)]
pub(crate) struct Golden {
    pub(crate) name: &'static str,
    pub(crate) fs: Arc<MemFs>,
    /// `vkey`, `checkpoint`, `{sequence}.receipt`, of an encrypted one also `reader.key`.
    pub(crate) beside: BTreeMap<String, String>,
}

impl Golden {
    /// Every file of the journal but `LOCK`, by its path within.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let all = support::files(self.fs.as_ref(), Path::new(DIR));
        let all = all
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| name != "LOCK"));
        let within = |path: PathBuf| {
            (
                path.strip_prefix(DIR).unwrap().to_owned(),
                content(self.fs.as_ref(), &path),
            )
        };
        all.map(within).collect()
    }

    pub(crate) fn key(&self) -> VerifierKey {
        VerifierKey::parse(self.beside[VKEY].trim_end()).unwrap()
    }

    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        SignedCheckpoint::parse(self.beside[CHECKPOINT].as_bytes()).unwrap()
    }

    pub(crate) fn receipts(&self) -> impl Iterator<Item = (&String, &String)> {
        self.beside
            .iter()
            .filter(|(name, _)| name.ends_with(".receipt"))
    }

    /// Writes it into a folder of the real file system, as it is stored.
    pub(crate) fn write(&self, folder: &Path) {
        for (path, bytes) in self.files() {
            put(&folder.join(self.name).join(path), &bytes);
        }
        for (end, text) in &self.beside {
            put(
                &folder.join(format!("{}.{end}", self.name)),
                text.as_bytes(),
            );
        }
    }
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `fixtures/`
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A golden journal as it is stored, in memory.
pub(crate) fn stored(name: &'static str) -> Golden {
    let folder = fixtures().join("journals");
    let memory = MemFs::new();
    load(&folder.join(name), Path::new(DIR), &memory);
    // Git doesn't keep what is empty.
    for empty in ["index", "tree", "checkpoints"] {
        let path = Path::new(DIR).join(empty);
        if memory.metadata(&path).unwrap().is_none() {
            memory.create_dir(&path, Access::Shared).unwrap();
        }
    }
    let mut beside = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        if let Some((_, end)) = file.split_once('.').filter(|(stem, _)| *stem == name) {
            beside.insert(end.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
    if let Some(text) = beside.get(KEY_FILE) {
        let file = memory.create_new(Path::new(KEY_FILE), Access::Private);
        write_all_at(file.unwrap().as_ref(), text.as_bytes(), 0).unwrap();
    }
    Golden {
        name,
        fs: Arc::new(memory),
        beside,
    }
}

fn load(from: &Path, to: &Path, memory: &MemFs) {
    let private = to.ends_with("keys") || to.parent().is_some_and(|dir| dir.ends_with("keys"));
    let access = if private {
        Access::Private
    } else {
        Access::Shared
    };
    if from.is_dir() {
        memory.create_dir(to, access).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            load(&entry.path(), &to.join(entry.file_name()), memory);
        }
    } else {
        let file = memory.create_new(to, access).unwrap();
        write_all_at(file.as_ref(), &fs::read(from).unwrap(), 0).unwrap();
    }
}

/// Stands still until told otherwise, so that nothing depends on how often it is looked at.
#[derive(Debug)]
pub(crate) struct FixedClock(AtomicI64);

impl FixedClock {
    pub(crate) fn days_later(days: i64) -> Self {
        Self(AtomicI64::new(START + days * 86_400_000_000))
    }

    fn go(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Relaxed);
    }
}

impl Clock for FixedClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Bytes that depend on a name only.
#[derive(Debug)]
struct FixedRandom(Mutex<blake3::OutputReader>);

impl FixedRandom {
    fn new(name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("factlog golden journals");
        Self(Mutex::new(hasher.update(name.as_bytes()).finalize_xof()))
    }
}

impl Random for FixedRandom {
    fn fill(&self, out: &mut [u8]) {
        self.0.lock().unwrap().fill(out);
    }
}

/// A session of a journal; `part` keeps apart what sessions draw.
pub(crate) fn options(name: &str, part: &str, fs: &Arc<MemFs>, clock: Arc<FixedClock>) -> Options {
    let fs: Arc<MemFs> = Arc::clone(fs);
    let options = Options::new()
        .file_system(fs)
        .origin(ORIGIN)
        .segment_len(if name == "indexed" { 4 << 20 } else { 64 << 10 });
    let options = unlocked(name, options);
    let options = options.dangerous().clock(clock);
    let random = FixedRandom::new(&format!("{name} {part}"));
    let options = options.dangerous().random(Arc::new(random));
    let options = options.dangerous().without_housekeeper();
    if name == "unsigned" {
        options
    } else {
        options.signing_key(signing_key(name))
    }
}

#[cfg(feature = "encryption")]
fn unlocked(name: &str, options: Options) -> Options {
    use factlog::{KeyDomain, Provider};

    let options = options.unlock(Provider::KeyFile(KEY_FILE.into()));
    match name {
        "encrypted" => options.encrypt(KeyDomain::Stream),
        "subjects" => options.encrypt(KeyDomain::Subject),
        _ => options,
    }
}

#[cfg(not(feature = "encryption"))]
fn unlocked(_: &str, options: Options) -> Options {
    options
}

/// The key is drawn apart from the rest, and its name holds the id that the creation will draw.
pub(crate) fn signing_key(name: &str) -> SigningKey {
    let mut id = [0; 16];
    FixedRandom::new(&format!("{name} create")).fill(&mut id);
    let mut seed = [0; 32];
    FixedRandom::new(&format!("{name} key")).fill(&mut seed);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    SigningKey::generate(&format!("{ORIGIN}/{id}"), seed).unwrap()
}

/// A journal while it is made.
struct Making {
    name: &'static str,
    fs: Arc<MemFs>,
    clock: Arc<FixedClock>,
    journal: Journal,
}

impl Making {
    fn begin(name: &'static str) -> Self {
        let (fs, clock) = (Arc::new(MemFs::new()), Arc::new(FixedClock::days_later(0)));
        let options = options(name, "create", &fs, Arc::clone(&clock));
        let journal = Journal::create(DIR, options).unwrap();
        Self {
            name,
            fs,
            clock,
            journal,
        }
    }

    fn append(&self, event: NewEvent<'_>) {
        self.batch(&[event]);
    }

    /// A second after what was before.
    fn batch(&self, events: &[NewEvent<'_>]) {
        self.clock.go(1);
        self.journal.append_batch(events).unwrap();
    }

    /// As after a crash: what is open now is dropped without a close.
    fn again(self, part: &str) -> Self {
        let Self {
            name,
            fs,
            clock,
            journal,
        } = self;
        drop(journal);
        // A crash may as well come before the zeros behind the groups are on the disk.
        let path = support::segment(fs.as_ref());
        let written = support::written(fs.as_ref(), &path);
        overwrite(fs.as_ref(), &path, &written);
        clock.go(60);
        let journal = Journal::open(DIR, options(name, part, &fs, Arc::clone(&clock))).unwrap();
        Self {
            name,
            fs,
            clock,
            journal,
        }
    }

    /// The number of events copied, and whether bytes were set aside.
    fn recovery(&self) -> Option<(u64, bool)> {
        self.journal
            .recovery()
            .map(|done| (done.copied, done.set_aside > 0))
    }

    /// Appends, but of what is written only 40 bytes arrive.
    fn tear(&self) {
        let path = support::segment(self.fs.as_ref());
        let whole = support::written(self.fs.as_ref(), &path).len();
        self.append(note("note-1", "torn"));
        let bytes = content(self.fs.as_ref(), &path);
        overwrite(self.fs.as_ref(), &path, &bytes[..whole + 40]);
    }

    fn end(self) -> Golden {
        let beside = keep(&self.journal);
        self.journal.close().unwrap();
        Golden {
            name: self.name,
            fs: self.fs,
            beside,
        }
    }
}

/// Makes a golden journal anew.
pub(crate) fn make(name: &'static str) -> Golden {
    let making = Making::begin(name);
    match name {
        "signed" => signed(making),
        "unsigned" => unsigned(making),
        "rolled" => rolled(making),
        "recovered" => recovered(making),
        "unclean" => unclean(making),
        "rotated" => rotated(making),
        "retained" => retained(making),
        "forgotten" => forgotten(making),
        "compacted" => compacted(making),
        "indexed" => indexed(making),
        #[cfg(feature = "encryption")]
        "encrypted" => sealed::encrypted(making),
        #[cfg(feature = "encryption")]
        "subjects" => sealed::subjects(making),
        _ => panic!("no golden journal of that name, or not in this build"),
    }
}

/// What its owner keeps elsewhere: key, newest checkpoint, and receipts of the first, a middle and the
/// last event.
fn keep(journal: &Journal) -> BTreeMap<String, String> {
    let reader = journal.reader();
    let mut beside = BTreeMap::new();
    let Some(key) = reader.verifier_key() else {
        return beside;
    };
    beside.insert(VKEY.to_owned(), format!("{key}\n"));
    beside.insert(
        CHECKPOINT.to_owned(),
        reader.checkpoint().unwrap().to_string(),
    );
    for sequence in [0, reader.len() / 2, reader.len() - 1] {
        beside.insert(
            format!("{sequence}.receipt"),
            reader.receipt(sequence).unwrap(),
        );
    }
    beside
}

fn note(entity: &str, text: &str) -> NewEvent<'static> {
    let body = format!("{{\"text\":\"{text}\"}}").into_bytes();
    NewEvent::new("notes", entity.to_owned(), "note.written").data(Encoding::Json, body)
}

/// Everything that an event can have.
fn signed(making: Making) -> Golden {
    let opened = Uuid::from_u128(0x019a_3c5e_7b1a_7c3d_8e4f_a0b1_c2d3_e4f5);
    let event = NewEvent::new("bank", "account-0042", "account.opened").id(opened);
    making.append(
        event
            .data(Encoding::Json, br#"{"owner":"Ada"}"#)
            .actor("teller-7"),
    );
    let event = NewEvent::new("bank", "account-0042", "account.deposited")
        .payload_version(3)
        .section(
            "amount",
            Encoding::Json,
            br#"{"amount":100,"currency":"EUR"}"#,
        )
        .section("customer", Encoding::Cbor, b"\xa1\x64name\x63Ada")
        .section("slip", Encoding::Raw, b"\x00\xff\x00")
        .section("nothing", Encoding::Raw, b"")
        .tag("region:eu")
        .tag("branch:12")
        .occurred_at(START - 1)
        .actor("teller-7")
        .correlation(Uuid::from_u128(7))
        .causation(opened)
        .trace(TraceContext {
            trace_id: [0x4b; 16],
            span_id: [0xf0; 8],
            flags: 1,
        });
    making.append(event);
    let bare = NewEvent::new("bank", "account-0042", "account.closed");
    making.append(bare.occurred_at(-1));
    let batch: Vec<_> = (0..3)
        .flat_map(|number| {
            let packed = NewEvent::new("parcels", "Zürich/42 🦀", "parcel.moved");
            let packed = packed.data(Encoding::MessagePack, vec![0x81, 0xa1, b'n', number]);
            [
                packed,
                note(&format!("note-{number}"), &format!("batch {number}")).tag("batch"),
            ]
        })
        .collect();
    making.batch(&batch);
    making.journal.housekeep().unwrap();
    for number in 0..4 {
        making.append(note("note-0", &format!("one more: {number}")));
    }
    making.clock.go(-3600);
    for number in 4..8 {
        making.append(note("note-0", &format!("one more: {number}")));
    }
    making.end()
}

fn unsigned(making: Making) -> Golden {
    making.append(note("note-0", "nobody signs this"));
    making.batch(&[note("note-0", "nor this"), note("note-1", "nor that")]);
    making.end()
}

/// Two sealed segments and the one being written.
fn rolled(making: Making) -> Golden {
    for number in 0..5 {
        let text = format!("page {number} ").repeat(30_000 / 7);
        making.append(note("book", &text));
        making.append(note("index", &format!("page {number}")));
    }
    making.end()
}

/// It lost all but the spines of one stream and of the beginning of another, of which a payload went too; ids and
/// coordinates that were given up are used again; and it is compacted.
fn forgotten(making: Making) -> Golden {
    let said = |entity: &str, number: u128| {
        let text = format!("{entity} said {number}");
        note(entity, &text).id(Uuid::from_u128(number << 64 | 7))
    };
    for number in 0..3 {
        making.append(said("ada", number));
        let tag = format!("part:{number}");
        making.append(said("eve", 10 + number).tag(tag.as_str()));
    }
    let forget = || RetentionRule::new("forget", "a request").full();
    let rules = vec![
        RetentionRule::new("old", "no longer needed").tag("part:1"),
        forget().tag("part:0"),
        forget().only_if(|event| event.facts().is_some_and(|facts| facts.entity == "ada")),
    ];
    making.clock.go(1);
    let done = making.journal.retain(&Retention::new(rules)).unwrap();
    let events: Vec<u64> = done.rules.iter().map(|rule| rule.events).collect();
    assert_eq!(events, [1, 1, 3]);
    making.append(said("ada", 0));
    making.append(said("eve", 13));
    making.journal.compact(&Compaction::new()).unwrap();
    making.append(said("ada", 1));
    making.end()
}

/// One segment of two, without the bytes that a recovery set aside; and one behind it.
fn compacted(making: Making) -> Golden {
    let making = recovered_twice(making);
    let steps = making.journal.compact(&Compaction::new()).unwrap();
    assert_eq!((steps.len(), steps[0].segments), (1, 2));
    making.append(note("note-0", "behind it"));
    making.end()
}

/// Two runs of the index, and events behind them that it doesn't hold yet.
fn indexed(making: Making) -> Golden {
    for number in 0..82u32 {
        let events = (0..100).map(|one| {
            let entity = format!("e{}", (number * 7 + one) % 90);
            let event = NewEvent::new("s", entity, if one % 9 == 0 { "k.odd" } else { "k.a" });
            match one % 10 {
                0 => event.tag(format!("t{number}")),
                1 => event.correlation(Uuid::from_u128(u128::from(number) + 1)),
                _ => event,
            }
        });
        making.batch(&events.collect::<Vec<_>>());
        making.journal.housekeep().unwrap();
    }
    making.end()
}

/// Twice begun again: after a group that nothing proved, and after one with a torn one behind it.
fn recovered(making: Making) -> Golden {
    recovered_twice(making).end()
}

fn recovered_twice(making: Making) -> Making {
    making.append(note("note-0", "proven"));
    making.batch(&[note("note-0", "whole"), note("note-1", "but not proven")]);
    let making = making.again("second");
    assert_eq!(making.recovery(), Some((2, false)));
    making.append(note("note-1", "whole again"));
    making.tear();
    let making = making.again("third");
    assert_eq!(making.recovery(), Some((1, true)));
    making.append(note("note-0", "after all that"));
    making
}

/// Its key was replaced twice, and the first one revoked.
fn rotated(making: Making) -> Golden {
    making.append(note("note-0", "by the first key"));
    let first = making.journal.reader().verifier_key().unwrap();
    making.journal.rotate_key(Rotation::new()).unwrap();
    making.append(note("note-0", "by the second key"));
    making.journal.rotate_key(Rotation::new()).unwrap();
    making.append(note("note-0", "by the third key"));
    making.journal.revoke_key(&first, 2).unwrap();
    let second = making.journal.reader().keys()[1].key.clone();
    let mut golden = making.end();
    golden
        .beside
        .insert("first.vkey".to_owned(), format!("{first}\n"));
    golden
        .beside
        .insert("second.vkey".to_owned(), format!("{second}\n"));
    golden
}

/// It lost the payloads of all but the last event of each stream, but for what a hold keeps; its key was
/// replaced; and it is compacted.
fn retained(making: Making) -> Golden {
    for number in 0..5 {
        let long = if number < 4 { 20_000 / 7 } else { 1 };
        making.append(note("book", &format!("page {number} ").repeat(long)));
        making.append(note("index", &format!("page {number}")));
    }
    making.journal.rotate_key(Rotation::new()).unwrap();
    making.append(note("note-0", "by the second key"));
    let held = Selector::Stream {
        scope: "notes".to_owned(),
        entity: "index".to_owned(),
    };
    making.journal.hold(&[held], "case 4").unwrap();
    let rule = RetentionRule::new("last", "only the last one is used");
    let retention = Retention::new(vec![rule.kind("note.written").keep_last(1)]);
    making.clock.go(1);
    let done = making.journal.retain(&retention.actor("office")).unwrap();
    assert_eq!((done.rules[0].events, done.held), (4, 4));
    making.journal.compact(&Compaction::new()).unwrap();
    making.append(note("note-0", "after all that"));
    making.end()
}

/// Left as a crash left it.
fn unclean(making: Making) -> Golden {
    making.append(note("note-0", "proven"));
    making.append(note("note-0", "signed for"));
    let beside = keep(&making.journal);
    making.tear();
    let Making { name, fs, .. } = making;
    Golden { name, fs, beside }
}
