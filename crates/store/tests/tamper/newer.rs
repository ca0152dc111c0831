//! What only a newer version knows, wherever it may stand: it is refused as that, never taken for damage and never
//! for fine, and nothing is written. So is version 0, that of development.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use factlog::{Error, Journal, Options, Outcome, Query, repair};
use factlog_format::{
    CachedValue, CrcSeed, Frame, FrameType, HeaderSignature, Manifest, seal_frame,
};
use factlog_fs::MemFs;

use crate::{
    lab::{Lab, assert_holds, codes, show},
    support::{DIR, event},
    wire::Forgery,
};

const UNSUPPORTED: &str = "journal.unsupported_version";

/// What this version still does with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It isn't opened at all.
    Nothing,
    /// It is opened for reading alone.
    Reads,
    /// It is opened for reading alone, and some of its events can't be read.
    ReadsSome,
    /// As if nothing were.
    All,
    /// It is opened for writing, and some of its events can't be read.
    AllButSome,
}
use Does::{All, AllButSome, Nothing, Reads, ReadsSome};

/// Where a segment header, and MANIFEST, have their version.
const VERSION: usize = 8;
/// Where they have their first feature word.
const SEGMENT_WORDS: usize = 16;
const MANIFEST_WORDS: usize = 12;
/// Where the body of an event's frame has its facts.
const FACTS: usize = 104;

type Change = fn(&Lab);

const NEWER: &[(&str, Does, Change)] = &[
    ("version of JOURNAL", Nothing, |lab| {
        journal(lab, "format ", "format 2\n")
    }),
    ("version 0 of JOURNAL", Nothing, |lab| {
        journal(lab, "format ", "format 0\n")
    }),
    ("incompatible in JOURNAL", Nothing, |lab| {
        journal(lab, "features ", "features 8 0 0\n")
    }),
    ("read-only in JOURNAL", Reads, |lab| {
        journal(lab, "features ", "features 0 8 0\n")
    }),
    ("compatible in JOURNAL", All, |lab| {
        journal(lab, "features ", "features 0 0 8\n")
    }),
    ("version of MANIFEST", Nothing, |lab| {
        manifest(lab, VERSION, 2)
    }),
    ("version 0 of MANIFEST", Nothing, |lab| {
        manifest(lab, VERSION, 0)
    }),
    ("incompatible in MANIFEST", Nothing, |lab| {
        manifest(lab, MANIFEST_WORDS, 8)
    }),
    ("read-only in MANIFEST", Reads, |lab| {
        manifest(lab, MANIFEST_WORDS + 8, 8)
    }),
    ("compatible in MANIFEST", All, |lab| {
        manifest(lab, MANIFEST_WORDS + 16, 8)
    }),
    ("version of the last segment", Nothing, |lab| {
        header(lab, LAST, VERSION, 2)
    }),
    ("version 0 of the last segment", Nothing, |lab| {
        header(lab, LAST, VERSION, 0)
    }),
    ("incompatible in the last segment", Nothing, |lab| {
        header(lab, LAST, SEGMENT_WORDS, 8)
    }),
    ("read-only in the last segment", Reads, |lab| {
        header(lab, LAST, SEGMENT_WORDS + 8, 8)
    }),
    ("compatible in the last segment", All, |lab| {
        header(lab, LAST, SEGMENT_WORDS + 16, 8)
    }),
    ("version of a sealed segment", AllButSome, |lab| {
        header(lab, 1, VERSION, 2)
    }),
    ("version 0 of a sealed segment", AllButSome, |lab| {
        header(lab, 1, VERSION, 0)
    }),
    ("incompatible in a sealed segment", AllButSome, |lab| {
        header(lab, 1, SEGMENT_WORDS, 8)
    }),
    ("a frame in the last segment", Nothing, |lab| {
        frame(lab, LAST)
    }),
    ("a frame in a sealed segment", AllButSome, |lab| {
        frame(lab, 1)
    }),
    ("flags of an event", AllButSome, |lab| {
        body(lab, |body| body[0] = 8)
    }),
    ("flags of an event in the last segment", Nothing, last_flags),
    ("class of a name", AllButSome, |lab| {
        body(lab, |body| body[FACTS + 16] = 1)
    }),
    ("a field of facts", AllButSome, |lab| {
        body(lab, |body| {
            // Behind id, entity, scope, kind, version and the count of tags.
            let names: usize = ["account-1", "bank", "account.noted"]
                .map(|name| name.len() + 2)
                .iter()
                .sum();
            body[FACTS + 16 + names + 3] |= 1 << 6;
        })
    }),
    ("encoding of a section", AllButSome, |lab| {
        body(lab, |body| *row(body, 0) = 99)
    }),
    ("cipher suite of a section", AllButSome, |lab| {
        body(lab, |body| *row(body, 1) = 99)
    }),
    ("compression of a section", AllButSome, |lab| {
        body(lab, |body| *row(body, 2) = 99)
    }),
    ("flags of a section", AllButSome, |lab| {
        body(lab, |body| *row(body, 4) = 99)
    }),
    ("a kind of the journal's own events", All, |lab| {
        own(lab, "journal.altered", 1)
    }),
    ("the version of an own event", All, |lab| {
        own(lab, "erasure.ordered", 2)
    }),
    ("compatible, with other offsets", All, offsets),
];

/// The segment that is being written.
const LAST: usize = usize::MAX;

/// Unsigned, so that whoever changes it can make everything fit: three streams in three segments.
fn lab() -> Lab {
    let fs = Arc::new(MemFs::new());
    let journal = Journal::create(DIR, options(&fs).segment_len(64 << 10)).unwrap();
    for number in 0..40 {
        let text = format!("{number:03}").repeat(1500);
        let entity = format!("account-{}", number % 3);
        journal.append(event(&entity, &text)).unwrap();
    }
    journal.close().unwrap();
    Lab { fs, ..Lab::small() }
}

fn options(fs: &Arc<MemFs>) -> Options {
    let fs: Arc<MemFs> = Arc::clone(fs);
    Options::new()
        .file_system(fs)
        .dangerous()
        .without_housekeeper()
}

fn segments(lab: &Lab) -> Vec<PathBuf> {
    let mut paths = lab.files();
    paths.retain(|path| path.extension().is_some_and(|end| end == "seg"));
    paths.sort();
    paths
}

fn segment(lab: &Lab, at: usize) -> PathBuf {
    let all = segments(lab);
    all[at.min(all.len() - 1)].clone()
}

fn manifest_path() -> PathBuf {
    Path::new(DIR).join("MANIFEST")
}

/// Gives JOURNAL another line in the place of one, with the CRC that fits.
fn journal(lab: &Lab, start: &str, line: &str) {
    let path = Path::new(DIR).join("JOURNAL");
    let text = String::from_utf8(lab.read(&path)).unwrap();
    let lines = text
        .split_inclusive('\n')
        .map(|old| match old.starts_with(start) {
            true => line,
            false => old,
        });
    let mut text: String = lines.filter(|line| !line.starts_with("crc32 ")).collect();
    let crc = crc32fast::hash(text.as_bytes());
    text += &format!("crc32 {crc:08x}\n");
    lab.write(path, text.as_bytes());
}

/// Sets a byte of MANIFEST.
fn manifest(lab: &Lab, at: usize, value: u8) {
    let mut bytes = lab.read(manifest_path());
    bytes[at] = value;
    let (content, crc) = bytes.split_last_chunk_mut::<4>().unwrap();
    *crc = crc32fast::hash(content).to_le_bytes();
    lab.write(manifest_path(), &bytes);
}

/// Sets a byte in the header of a segment.
fn header(lab: &Lab, which: usize, at: usize, value: u8) {
    let path = segment(lab, which);
    let mut bytes = lab.read(&path);
    bytes[at] = value;
    let len = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let crc = crc32fast::hash(&bytes[..len - 8]);
    bytes[len - 8..len - 4].copy_from_slice(&crc.to_le_bytes());
    lab.write(path, &bytes);
}

/// Gives the last frame of events of a segment a type that isn't there yet.
fn frame(lab: &Lab, which: usize) {
    let path = segment(lab, which);
    let mut bytes = lab.read(&path);
    let journal = Manifest::decode(&lab.read(manifest_path()))
        .unwrap()
        .journal;
    let seed = CrcSeed::of(&journal);
    let mut at = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let mut last = None;
    while let Some(Ok(frame)) = bytes.get(at..).map(|rest| Frame::read(seed, rest)) {
        if frame.kind == FrameType::Event {
            last = Some(at..at + frame.len);
        }
        at += frame.len;
    }
    let last = &mut bytes[last.unwrap()];
    last[8] = 99;
    seal_frame(seed, last);
    lab.write(path, &bytes);
}

/// Changes an event in the middle of a sealed segment, of stream `account-1`.
fn body(lab: &Lab, change: fn(&mut Vec<u8>)) {
    let mut forgery = Forgery::read(lab);
    change(&mut forgery.event(17).body);
    forgery.write(lab);
}

/// The same in the last segment, of its last event.
fn last_flags(lab: &Lab) {
    let mut forgery = Forgery::read(lab);
    forgery.events().last().unwrap().body[0] = 8;
    forgery.write(lab);
}

/// A byte of an event's only row in its section table, counted behind the stored length.
fn row(body: &mut [u8], at: usize) -> &mut u8 {
    let name = b"\0\x04data";
    let found = body.windows(name.len()).position(|part| part == name);
    &mut body[found.unwrap() + name.len() + 4 + at]
}

/// Adds an event of the journal's own, made of its first one.
fn own(lab: &Lab, kind: &str, version: u8) {
    let mut forgery = Forgery::read(lab);
    let mut new = forgery.event(0).clone();
    let place = new
        .body
        .windows(15)
        .position(|part| part == b"journal.created");
    let place = place.unwrap();
    new.body[place..place + 15].copy_from_slice(kind.as_bytes());
    new.body[FACTS] ^= 1;
    // No earlier than those before.
    let last = forgery.events().last().unwrap().body[8 + 32..8 + 40].to_vec();
    new.set(32, &last);
    new.repay(|payload| payload[0] = version);
    let last = forgery.segments.last_mut().unwrap();
    let groups = last.groups.iter_mut().rev();
    let mut groups = groups.filter(|group| !group.events.is_empty());
    groups.next().unwrap().events.push(new);
    forgery.relink();
    forgery.restate();
    forgery.write(lab);
}

fn offsets(lab: &Lab) {
    let path = segment(lab, 0).with_extension("off");
    let mut bytes = lab.read(&path);
    bytes[8] = 99;
    let crc = crc32fast::hash(&bytes[..44]);
    bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    lab.write(path, &bytes);
    manifest(lab, MANIFEST_WORDS + 16, 8);
}

/// All that is not derived.
fn everything(lab: &Lab) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths = lab.files();
    paths.retain(|path| {
        let folder = path.parent().and_then(|folder| folder.file_name());
        let is_derived = folder.is_some_and(|folder| folder == "tree" || folder == "index");
        !is_derived && path.extension().is_none_or(|end| end != "off")
    });
    let read = |path: PathBuf| (path.clone(), lab.read(path));
    paths.into_iter().map(read).collect()
}

fn code(error: &Error) -> &'static str {
    error.code()
}

/// What is done with a journal that is opened for writing; for reading it has to be the same.
fn does(lab: &Lab) -> Result<Does, String> {
    let reader = Journal::open_read_only(DIR, options(&lab.fs));
    let journal = match (Journal::open(DIR, options(&lab.fs)), reader) {
        (Ok(journal), Ok(_)) => journal,
        (Err(one), Err(other)) if [&one, &other].map(code) == [UNSUPPORTED; 2] => {
            return Ok(Nothing);
        }
        (one, other) => return Err(format!("{:?}, {:?}", one.err(), other.err())),
    };
    let mut reads_all = true;
    for sequence in 0..journal.reader().len() {
        match journal.reader().get(sequence) {
            Ok(found) => assert!(found.is_some(), "{sequence}"),
            Err(error) if error.code() == UNSUPPORTED => reads_all = false,
            Err(error) => return Err(format!("{sequence}: {error:?}")),
        }
    }
    let scanned = journal.reader().read(Query::all()).find_map(Result::err);
    if scanned.as_ref().map(code) != (!reads_all).then_some(UNSUPPORTED) {
        return Err(format!("a scan: {scanned:?}"));
    }
    match (journal.read_only_reason().map(code), reads_all) {
        (None, true) => Ok(All),
        (None, false) => Ok(AllButSome),
        (Some(UNSUPPORTED), true) => Ok(Reads),
        (Some(UNSUPPORTED), false) => Ok(ReadsSome),
        (why, _) => Err(format!("read-only: {why:?}")),
    }
}

#[test]
fn what_is_newer_is_refused_as_that_and_nothing_is_written() {
    let mut wrong = Vec::new();
    for (what, expected, change) in NEWER {
        let lab = lab();
        change(&lab);
        let before = everything(&lab);
        match does(&lab) {
            Ok(does) if does == *expected => {}
            found => wrong.push(format!("{what}: {found:?}\n")),
        }
        if everything(&lab) != before {
            wrong.push(format!("{what}: something was written\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn a_verification_says_that_it_could_not_check_what_is_newer() {
    let mut wrong = Vec::new();
    for (what, does, change) in NEWER {
        let lab = lab();
        change(&lab);
        let report = lab.verify(&lab.bare());
        // Words that only writers have to know, and what is derived.
        let is_known = matches!(does, Reads) || what.starts_with("compatible");
        let unchecked = codes(&report.unchecked).contains(&UNSUPPORTED);
        if report.outcome(true) == Outcome::Fails || unchecked == is_known {
            wrong.push(format!("{what}: {}", show(&report)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// Bug: where no file of a journal was of a known version, so that nothing told its id, its secret was called
/// another journal's, and its tree too long.
#[test]
fn a_journal_that_is_of_another_version_throughout_is_refused_and_undecided() {
    for version in [0, 2] {
        for lab in [lab(), Lab::rolled()] {
            for which in 0..segments(&lab).len() {
                header(&lab, which, VERSION, version);
            }
            manifest(&lab, VERSION, version);
            journal(&lab, "format ", &format!("format {version}\n"));
            let before = everything(&lab);
            for error in [
                Journal::open(DIR, options(&lab.fs)).err(),
                Journal::open_read_only(DIR, options(&lab.fs)).err(),
                repair(DIR, &options(&lab.fs)).err(),
            ] {
                let error = error.unwrap();
                assert_eq!(error.code(), UNSUPPORTED);
                let text = error.to_string();
                assert!(text.contains("another version of factlog"), "{text}");
            }
            let known = lab.bare().known(lab.known());
            for trust in [lab.bare(), lab.evidence(), known] {
                let report = lab.verify(&trust);
                let found = (report.outcome(true), &report.findings[..]);
                assert_eq!(found, (Outcome::Undecided, &[][..]), "{}", show(&report));
            }
            assert!(everything(&lab) == before, "something was written");
        }
    }
}

/// Bug: what a newer version had put behind was taken for cut off, so that a checkpoint made it a rollback.
#[test]
fn a_journal_to_which_a_newer_version_appended_is_undecided_and_not_rolled_back() {
    for manifest_is_newer in [false, true] {
        let lab = Lab::rolled();
        let last = segments(&lab).len() - 1;
        for which in [last - 1, last] {
            header(&lab, which, SEGMENT_WORDS, 8);
        }
        if manifest_is_newer {
            manifest(&lab, MANIFEST_WORDS, 8);
        }
        assert_eq!(does(&lab), Ok(Nothing));
        for trust in [lab.evidence(), lab.bare().known(lab.known())] {
            let report = lab.verify(&trust);
            let found = (report.outcome(true), &report.findings[..]);
            assert_eq!(found, (Outcome::Undecided, &[][..]), "{}", show(&report));
        }
    }
}

/// What a newer version wrote before the end hides no end: the journal's own list tells how many events it holds.
#[test]
fn a_newer_segment_before_the_end_hides_no_rollback() {
    let lab = Lab::rolled();
    let old = lab.copy();
    header(&old, 1, SEGMENT_WORDS, 8);
    let journal = lab.open();
    journal.append(event("account-1", "later")).unwrap();
    let checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let report = old.verify(&old.bare().key(lab.key.clone()).checkpoint(checkpoint));
    assert_eq!(
        codes(&report.findings),
        ["history.rolled_back"],
        "{}",
        show(&report)
    );
}

/// Bug: an event at an unclean end that this build couldn't decode was taken for a torn write, and set aside.
#[test]
fn what_is_newer_at_an_unclean_end_is_not_taken_for_torn() {
    let changes: [fn(&Lab); 2] = [|lab| frame(lab, LAST), last_flags];
    for change in changes {
        let lab = lab();
        let mut forgery = Forgery::read(&lab);
        let last = forgery.segments.last_mut().unwrap();
        while last.groups.last().unwrap().events.is_empty() {
            last.groups.pop();
        }
        forgery.write(&lab);
        change(&lab);
        let mut manifest = Manifest::decode(&lab.read(manifest_path())).unwrap();
        manifest.rows.last_mut().unwrap().proven_end = 0;
        lab.write(manifest_path(), &manifest.encode());
        let before = everything(&lab);
        assert_eq!(does(&lab), Ok(Nothing));
        assert!(everything(&lab) == before, "something was written");
    }
}

#[test]
fn values_of_manifest_that_only_newer_versions_know_are_kept() {
    let lab = lab();
    let mut manifest = Manifest::decode(&lab.read(manifest_path())).unwrap();
    let value = CachedValue {
        sequence: 3,
        code: 99,
        value: b"newer".to_vec(),
    };
    manifest.values.push(value.clone());
    lab.write(manifest_path(), &manifest.encode());
    let journal = Journal::open(DIR, options(&lab.fs).segment_len(64 << 10)).unwrap();
    for _ in 0..20 {
        journal
            .append(event("account-1", &"more".repeat(1000)))
            .unwrap();
    }
    journal.close().unwrap();
    let after = Manifest::decode(&lab.read(manifest_path())).unwrap();
    assert!(after.rows.len() > manifest.rows.len());
    assert_eq!(after.values, [value]);
}

#[test]
fn feature_words_are_handed_on_to_every_new_segment() {
    let lab = lab();
    manifest(&lab, MANIFEST_WORDS + 16, 8);
    let journal = Journal::open(DIR, options(&lab.fs).segment_len(64 << 10)).unwrap();
    let before = segments(&lab);
    for _ in 0..20 {
        journal
            .append(event("account-1", &"more".repeat(1000)))
            .unwrap();
    }
    journal.close().unwrap();
    for path in segments(&lab).iter().filter(|path| !before.contains(path)) {
        assert_eq!(lab.read(path)[SEGMENT_WORDS + 16], 8, "{}", path.display());
    }
}

#[test]
fn signatures_of_a_type_that_only_newer_versions_know_are_passed_over() {
    let lab = Lab::rolled();
    let mut forgery = Forgery::read(&lab);
    for group in forgery
        .segments
        .iter_mut()
        .flat_map(|segment| &mut segment.groups)
    {
        if !group.header.signatures.is_empty() {
            group.header.signatures.push(HeaderSignature {
                kind: 99,
                key_id: [7; 4],
                bytes: vec![1; 2420],
            });
        }
    }
    forgery.write(&lab);
    assert_holds(&lab.verify(&lab.evidence()));
    let journal = lab.open();
    assert!(journal.read_only_reason().is_none());
    journal.append(event("account-1", "later")).unwrap();
    journal.close().unwrap();
}
