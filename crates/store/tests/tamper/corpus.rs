//! All ways of tampering that are tried, what an attacker needs for each, and what exposes it: the tables
//! of `docs/threat-model.md`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use factlog::{
    Checkpoint, Hash, Journal, NewEvent, Outcome, Policy, Report, Rotation, SignedCheckpoint,
    SigningKey, UnverifiedReceipt, VerifierKey,
};
use factlog_proof::{AddCheckpoint, NoteSignature, verify_consistency};

use crate::{
    agent,
    attacks::{self, ATTACKS, Power},
    keys::unsigned_sessions,
    lab::{Lab, codes},
    stubs,
    support::{DIR, event},
    witnessed, words,
};

/// Set to write the page instead of comparing it.
const BLESS: &str = "FACTLOG_BLESS";
const PAGE: &str = "docs/threat-model.md";
const BEGIN: &str = "<!-- made by the tests: the tables -->\n";
const END: &str = "<!-- end of the tables -->\n";

/// One way of tampering.
struct Row {
    power: String,
    name: String,
    /// What is said of it; nothing where it goes unnoticed.
    found: Vec<&'static str>,
}

fn row(power: &str, name: impl Into<String>, found: Vec<&'static str>) -> Row {
    Row {
        power: power.to_owned(),
        name: name.into(),
        found,
    }
}

/// What a verification finds, or leaves undecided.
fn said(report: &Report) -> Vec<&'static str> {
    let mut said = codes(&report.findings);
    if said.is_empty() && report.outcome(false) == Outcome::Undecided {
        said = codes(&report.unchecked);
    }
    assert_eq!(
        said.is_empty(),
        report.outcome(false) == Outcome::Holds,
        "{}",
        crate::lab::show(report)
    );
    said
}

fn power(power: Power) -> &'static str {
    match power {
        Power::Checks => "recomputes checksums",
        Power::Hashes => "recomputes hashes and links",
        Power::Trees => "rebuilds the whole tree, without the key",
        Power::Strips => "rebuilds the whole tree, strips signatures",
        Power::Signs => "holds the current key, not the anchors",
    }
}

fn rewritten() -> Vec<Row> {
    let sound = Lab::small();
    let key = attacks::signing_key(&sound);
    let made = ATTACKS.iter().map(|case| {
        let lab = sound.copy();
        attacks::attack(case, &lab, &key);
        let found = said(&lab.verify(&lab.evidence()));
        row(power(case.power), case.name, found)
    });
    made.collect()
}

fn erased() -> Vec<Row> {
    let ways = stubs::ways().into_iter();
    ways.map(|(power, name, lab)| row(power, name, said(&lab.verify(&lab.evidence()))))
        .collect()
}

/// The first file of each kind.
fn kinds(lab: &Lab) -> BTreeMap<&'static str, PathBuf> {
    let mut kinds = BTreeMap::new();
    for path in lab.files() {
        let inside = path.strip_prefix(DIR).unwrap();
        let folder = inside.iter().next().unwrap().to_str().unwrap();
        let kind = match (folder, path.extension().and_then(|e| e.to_str())) {
            ("segments", Some("off")) => "an offsets file",
            ("segments", _) => "a segment",
            ("tree", _) => "a file of the tree",
            ("checkpoints", _) => "a kept checkpoint",
            ("keys", _) => "the journal's secret",
            ("JOURNAL", _) => "`JOURNAL`",
            _ => "`MANIFEST`",
        };
        kinds.entry(kind).or_insert(path);
    }
    kinds
}

type Spoil = fn(&[u8], &[u8]) -> Option<Vec<u8>>;

const SPOILS: [(&str, Spoil); 5] = [
    ("has a bit flipped in its middle", |ours, _| {
        let mut bytes = ours.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        Some(bytes)
    }),
    ("is cut to its half", |ours, _| {
        Some(ours[..ours.len() / 2].to_vec())
    }),
    ("is emptied", |_, _| Some(Vec::new())),
    ("is exchanged for another journal's", |_, theirs| {
        Some(theirs.to_vec())
    }),
    ("is removed", |_, _| None),
];

fn files() -> Vec<Row> {
    let (sound, other) = (Lab::small(), Lab::small());
    let (ours, theirs) = (kinds(&sound), kinds(&other));
    assert_eq!(ours.len(), 7, "{ours:?}");
    let mut rows = Vec::new();
    for (kind, path) in &ours {
        for (what, spoil) in SPOILS {
            let lab = sound.copy();
            match spoil(&lab.read(path), &other.read(&theirs[kind])) {
                Some(bytes) => lab.write(path, &bytes),
                None => lab.remove(path),
            }
            let found = said(&lab.verify(&lab.evidence()));
            rows.push(row("writes to files", format!("{kind} {what}"), found));
        }
    }
    let lab = sound.copy();
    let path = Path::new(DIR).join("segments").join("notes.txt");
    let file = factlog_fs::StoreFs::create_new(lab.fs.as_ref(), &path, factlog_fs::Access::Shared);
    drop(file.unwrap());
    let found = said(&lab.verify(&lab.evidence()));
    rows.push(row(
        "writes to files",
        "a file that is no journal's is added",
        found,
    ));
    rows
}

/// A journal that went on after a copy was made of all its files, and that copy.
fn gone_on() -> (Lab, Lab) {
    let old = Lab::small();
    let mut lab = old.copy();
    let journal = lab.open();
    journal.append(event("account-1", "later")).unwrap();
    lab.checkpoint = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    (lab, old)
}

fn histories() -> Vec<Row> {
    let mut rows = Vec::new();
    let (lab, old) = gone_on();
    let evidence = |lab: &Lab, of: &Lab| {
        let options = lab.bare().key(of.key.clone());
        options.checkpoint(of.checkpoint.clone())
    };
    let all = "restores all files of a backup together";
    let found = said(&old.verify(&evidence(&old, &lab)));
    rows.push(row(all, "an older copy, against a later checkpoint", found));
    let found = said(&old.verify(&old.bare().known(lab.known())));
    rows.push(row(all, "an older copy, against the known journals", found));
    let journal = old.open();
    journal.append(event("account-1", "otherwise")).unwrap();
    journal.close().unwrap();
    let goes_on = "restores a backup with the signer's state, and signs on";
    let found = said(&old.verify(&evidence(&old, &lab)));
    rows.push(row(
        goes_on,
        "an older copy that went on, against a later checkpoint",
        found,
    ));
    let found = said(&old.verify(&old.bare().known(lab.known())));
    rows.push(row(
        goes_on,
        "an older copy that went on, against the known journals",
        found,
    ));
    let receipt = {
        let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
        reader.receipt(lab.events).unwrap()
    };
    let options = old.bare().key(lab.key.clone()).receipt(receipt);
    let found = said(&old.verify(&options));
    rows.push(row(
        goes_on,
        "an older copy that went on, against a receipt",
        found,
    ));
    let (ours, theirs) = (Lab::small(), Lab::small());
    let found = said(&theirs.verify(&theirs.bare().known(ours.known())));
    rows.push(row(
        "makes a journal of their own",
        "it stands where another was known",
        found,
    ));
    let options = theirs.bare().key(ours.key.clone());
    let found = said(&theirs.verify(&options.checkpoint(ours.checkpoint.clone())));
    rows.push(row(
        "makes a journal of their own",
        "it is shown with our key and checkpoint",
        found,
    ));
    rows.extend(keys());
    for (name, lab) in words::lies() {
        let found = said(&lab.verify(&lab.evidence()));
        rows.push(row("writes to files", name, found));
    }
    for (idle, name) in [
        (
            false,
            "the tail is rewritten, each commit as the first of a session",
        ),
        (
            true,
            "the tail is rewritten, with an empty commit of another session before each",
        ),
    ] {
        let lab = Lab::small();
        unsigned_sessions(&lab, 3, idle);
        let options = lab.bare().key(lab.key.clone());
        let found = said(&lab.verify(&options.checkpoint(lab.early.clone())));
        rows.push(row("rebuilds the whole tree, without the key", name, found));
    }
    rows
}

/// By someone who has an old key.
fn keys() -> Vec<Row> {
    let stolen = "holds a key that was replaced";
    let lab = Lab::small();
    let old = attacks::signing_key(&lab);
    let before = lab.copy();
    let journal = lab.open();
    journal.append(event("account-1", "before")).unwrap();
    let new = journal.rotate_key(Rotation::new()).unwrap().key;
    journal.append(event("account-1", "after")).unwrap();
    let newest = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let journal = before.open();
    journal.append(event("account-1", "another")).unwrap();
    journal.append(event("account-1", "history")).unwrap();
    journal.append(event("account-1", "entirely")).unwrap();
    let forged = journal.reader().checkpoint().unwrap();
    journal.close().unwrap();
    let with = |lab: &Lab, key: &VerifierKey, checkpoint: &SignedCheckpoint| {
        let options = lab.bare().key(key.clone());
        said(&lab.verify(&options.checkpoint(checkpoint.clone())))
    };
    let claimed = newest.claimed();
    let ahead = Checkpoint::new(claimed.origin(), claimed.size() + 9, claimed.root());
    let ahead = ahead.unwrap().sign(&old).unwrap();
    vec![
        row(
            stolen,
            "goes on from a copy of before, against a checkpoint of the new key",
            with(&before, &new, &newest),
        ),
        row(
            stolen,
            "goes on from a copy of before, against the known journals",
            said(&before.verify(&before.bare().known(lab.known()))),
        ),
        row(
            stolen,
            "shows a checkpoint of another history",
            with(&lab, &lab.key, &forged),
        ),
        row(
            stolen,
            "shows a checkpoint of more events",
            with(&lab, &lab.key, &ahead),
        ),
        row(
            "made a journal of their own",
            "a key that no event brings is said to be the journal's",
            with(&lab, Lab::small().open_key(&lab), &newest),
        ),
    ]
}

impl Lab {
    /// A key of this journal's own under the name of another.
    fn open_key(&self, named: &Self) -> &'static VerifierKey {
        let key = SigningKey::generate(named.key.name(), [9; 32]).unwrap();
        Box::leak(Box::new(key.verifier().clone()))
    }
}

fn judge(text: &str, policy: &Policy) -> Vec<&'static str> {
    let receipt = UnverifiedReceipt::parse(text.as_bytes());
    match receipt.and_then(|receipt| receipt.verify(policy)) {
        Ok(_) => Vec::new(),
        Err(error) => vec![error.code()],
    }
}

fn receipts() -> Vec<Row> {
    let (lab, other) = (Lab::small(), Lab::small());
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let good = reader.receipt(3).unwrap();
    let neighbour = reader.receipt(4).unwrap();
    let policy = Policy::from(lab.key.clone()).refuse_unknown_signatures();
    assert!(judge(&good, &policy).is_empty());
    let line = |text: &str, number: usize| text.lines().nth(number).unwrap().to_owned();
    let extra = |text: &str| line(text, 1);
    let hash = |text: &str| line(text, 3);
    let signature = |text: &str| text.lines().last().unwrap().to_owned();
    let size = format!("\n{}\n", lab.events);
    let sized = |new: &str| good.replace(&size, &format!("\n{new}\n"));
    let stranger = SigningKey::generate(lab.key.name(), [7; 32]).unwrap();
    let signed = |key: &SigningKey| {
        let note = good.split_once("\n\n").unwrap().1;
        let checkpoint = SignedCheckpoint::parse(note.as_bytes()).unwrap();
        let signed = checkpoint.claimed().sign(key).unwrap();
        good.replace(note, &signed.to_string())
    };
    let own = signature(&good);
    let foreign = signature(&signed(&stranger));
    let padded = hash(&good).replace('=', "");
    let ways = [
        (
            "another event's facts",
            good.replace(&extra(&good), &extra(&neighbour)),
        ),
        (
            "the neighbour's path",
            good.replace(&hash(&good), &hash(&neighbour)),
        ),
        (
            "the neighbour's index",
            good.replace("\nindex 3\n", "\nindex 4\n"),
        ),
        (
            "an index past the size",
            good.replace("\nindex 3\n", "\nindex 99\n"),
        ),
        (
            "an index with a leading zero",
            good.replace("\nindex 3\n", "\nindex 03\n"),
        ),
        (
            "an index that doesn't fit 64 bits",
            good.replace("\nindex 3\n", "\nindex 36893488147419103235\n"),
        ),
        ("a smaller size", sized("5")),
        ("a larger size", sized("9")),
        ("a size with a sign", sized("+7")),
        (
            "a hash more in its path",
            good.replace(&hash(&good), &format!("{0}\n{0}", hash(&good))),
        ),
        (
            "a hash less in its path",
            good.replace(&format!("{}\n", hash(&good)), ""),
        ),
        (
            "a hash without its padding",
            good.replace(&hash(&good), &padded),
        ),
        (
            "its signature stripped",
            good.replace(&format!("{own}\n"), ""),
        ),
        (
            "its signature twice",
            good.replace(&own, &format!("{own}\n{own}")),
        ),
        (
            "a stranger's signature instead",
            good.replace(&own, &foreign),
        ),
        (
            "a stranger's signature as well",
            good.replace(&own, &format!("{own}\n{foreign}")),
        ),
        ("the signature of another checkpoint", {
            let early = lab.early.to_string();
            good.replace(&own, early.lines().last().unwrap())
        }),
        ("the whole checkpoint of another journal", {
            let note = good.split_once("\n\n").unwrap().1;
            good.replace(note, &other.checkpoint.to_string())
        }),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("its last line cut", good.trim_end().to_owned()),
        ("text in front", format!("\n{good}")),
        ("text behind", format!("{good}\n")),
        (
            "no event in it",
            good.replace(&format!("{}\n", extra(&good)), ""),
        ),
        (
            "the first line of an unsigned proof",
            good.replacen("c2sp.org/tlog-proof@v1", "factlog unsigned proof 1", 1),
        ),
    ];
    let mut rows = Vec::new();
    for (name, text) in ways {
        assert_ne!(text, good, "{name}");
        rows.push(row("forges a receipt", name, judge(&text, &policy)));
    }
    rows
}

fn proofs() -> Vec<Row> {
    let lab = Lab::small();
    let reader = Journal::open_read_only(DIR, Lab::options(&lab.fs)).unwrap();
    let root = |size| reader.root_at(size).unwrap();
    let path = |old, new| reader.consistency(old, new).unwrap();
    let judge = |old: u64, new: u64, path: &[Hash], roots: (Hash, Hash)| match verify_consistency(
        old, &roots.0, new, &roots.1, path,
    ) {
        Ok(()) => Vec::new(),
        Err(error) => vec![error.code()],
    };
    let both = |old, new| (root(old), root(new));
    assert!(judge(3, 7, &path(3, 7), both(3, 7)).is_empty());
    let with = |path: Vec<Hash>, more: Hash| path.into_iter().chain([more]).collect::<Vec<_>>();
    let zero = Hash::from_bytes([0; 32]);
    let mut swapped = path(3, 7);
    swapped.swap(0, 1);
    let shorter: Vec<_> = path(3, 7).into_iter().skip(1).collect();
    let ways = [
        (
            "equal sizes, other roots",
            judge(7, 7, &[], (root(6), root(7))),
        ),
        ("equal sizes, a hash", judge(7, 7, &[zero], both(7, 7))),
        (
            "from nothing, with a hash",
            judge(0, 7, &[zero], both(0, 7)),
        ),
        (
            "from nothing, another root of nothing",
            judge(0, 7, &[], (zero, root(7))),
        ),
        (
            "from a power of two, its own root again",
            judge(4, 7, &with(path(4, 7), root(4)), both(4, 7)),
        ),
        (
            "from a power of two, another root",
            judge(4, 7, &path(4, 7), (root(3), root(7))),
        ),
        (
            "a hash more",
            judge(3, 7, &with(path(3, 7), zero), both(3, 7)),
        ),
        ("a hash less", judge(3, 7, &shorter, both(3, 7))),
        ("two hashes exchanged", judge(3, 7, &swapped, both(3, 7))),
        (
            "the proof of other sizes",
            judge(3, 7, &path(5, 7), both(3, 7)),
        ),
        (
            "the newer root for the older",
            judge(3, 7, &path(3, 7), (root(7), root(7))),
        ),
        ("sizes reversed", judge(7, 3, &path(3, 7), both(7, 3))),
    ];
    let rows = ways.into_iter();
    rows.map(|(name, found)| row("forges a consistency proof", name, found))
        .collect()
}

fn cosignatures() -> Vec<Row> {
    let lab = Lab::small();
    let policy = witnessed::policy(&lab);
    let by = |by: &[u8]| witnessed::cosigned(&lab, &lab.checkpoint, by, 1);
    let judge = |checkpoint: &SignedCheckpoint| match policy.check(checkpoint) {
        Ok(_) => Vec::new(),
        Err(error) => vec![error.code()],
    };
    assert!(judge(&by(&[1, 2])).is_empty());
    let one = by(&[1]);
    let first = one.signatures().last().unwrap().clone();
    let with = |more: NoteSignature| {
        let all = one.signatures().iter().cloned().chain([more]).collect();
        judge(&SignedCheckpoint::new(one.claimed().clone(), all).unwrap())
    };
    let second = witnessed::key(2).verifier().clone();
    let early = witnessed::cosigned(&lab, &lab.early, &[2], 1);
    let early = early.signatures().last().unwrap().clone();
    let renamed = NoteSignature::new(second.name(), second.key_id(), first.bytes().to_vec());
    let mut later = by(&[2]).signatures().last().unwrap().bytes().to_vec();
    later[7] ^= 1;
    let later = NoteSignature::new(second.name(), second.key_id(), later);
    let plain = SigningKey::generate(second.name(), [2; 32]).unwrap();
    let bytes = plain.sign(one.claimed().to_string().as_bytes()).to_vec();
    let plain = NoteSignature::new(second.name(), plain.verifier().key_id(), bytes);
    let stripped: Vec<_> = by(&[1, 2]).signatures().iter().skip(1).cloned().collect();
    let stripped = SignedCheckpoint::new(one.claimed().clone(), stripped).unwrap();
    let ways = [
        ("too few cosignatures", judge(&one)),
        ("one cosignature twice", with(first.clone())),
        (
            "one witness's cosignature under another's name",
            with(renamed.unwrap()),
        ),
        ("a cosignature of another checkpoint", with(early)),
        ("a cosignature with another time", with(later.unwrap())),
        (
            "a plain signature by a witness's secret",
            with(plain.unwrap()),
        ),
        ("cosignatures without the log's signature", judge(&stripped)),
    ];
    let rows = ways.into_iter();
    let mut rows: Vec<Row> = rows
        .map(|(name, found)| row("forges cosignatures", name, found))
        .collect();
    let request = AddCheckpoint {
        old: 0,
        path: Vec::new(),
        checkpoint: lab.checkpoint.clone(),
    };
    let text = request.to_string().replace("old 0\n", "old 00\n");
    let refused = AddCheckpoint::parse(text.as_bytes()).unwrap_err().code();
    rows.push(row(
        "forges a request to a witness",
        "an old size with a leading zero",
        vec![refused],
    ));
    rows
}

/// What an agent is asked to sign that holds a journal's key.
fn agents() -> Vec<Row> {
    let asked = agent::asked().into_iter();
    asked
        .map(|(name, found)| row("asks the agent that holds the key", name, vec![found]))
        .collect()
}

/// Events of the journal's own can't be written by its users.
fn callers() -> Vec<Row> {
    let lab = Lab::small();
    let journal = lab.open();
    let mut rows = Vec::new();
    for (scope, name) in [
        (
            "$journal",
            "an event is appended to the journal's own stream",
        ),
        ("$other", "an event is appended to a reserved scope"),
    ] {
        let event = NewEvent::new(scope, "journal", "key.revoked");
        let refused = journal.append(event).unwrap_err().code();
        rows.push(row("appends events", name, vec![refused]));
    }
    rows
}

fn table(out: &mut String, title: &str, rows: &[Row]) {
    *out += &format!(
        "\n### {title}\n\n| an attacker who… | does this | and this is found |\n|---|---|---|\n"
    );
    for row in rows {
        let found: Vec<_> = row.found.iter().map(|code| format!("`{code}`")).collect();
        let found = match found.is_empty() {
            true => "*nothing: see below*".to_owned(),
            false => found.join(", "),
        };
        *out += &format!("| {} | {} | {found} |\n", row.power, row.name);
    }
}

/// What may be done without anybody noticing, since nothing is lost by it.
const UNNOTICED: [&str; 4] = [
    "a file of the tree is removed",
    "a kept checkpoint is removed",
    "an offsets file is removed",
    "the journal's secret is removed",
];

#[test]
fn the_threat_model_lists_every_way_with_what_exposes_it() {
    let groups = [
        (
            "Rewritten journals, verified with key and newest checkpoint",
            rewritten(),
        ),
        (
            "Files of a journal, verified with key and newest checkpoint",
            files(),
        ),
        (
            "Journals that erased, verified with key and an older checkpoint",
            erased(),
        ),
        ("Other histories and other keys", histories()),
        ("Receipts", receipts()),
        ("Consistency proofs", proofs()),
        (
            "Cosignatures, where a policy wants two of three witnesses",
            cosignatures(),
        ),
        ("A key that is held elsewhere", agents()),
        ("Through the library", callers()),
    ];
    let all = || groups.iter().flat_map(|(_, rows)| rows);
    assert!(all().count() >= 80, "{}", all().count());
    let unnoticed: Vec<_> = all()
        .filter(|row| row.found.is_empty())
        .map(|row| row.name.as_str())
        .collect();
    assert_eq!(unnoticed, UNNOTICED);
    let mut tables = format!("\n{} ways in all.\n", all().count());
    for (title, rows) in &groups {
        table(&mut tables, title, rows);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{tables}{END}{after}");
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "{PAGE} is not what is found; if that is meant, set {BLESS}=1"
    );
}
