/// Who has to act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The caller: the call makes no sense as it is.
    Caller,
    /// Nobody: the journal's content is another than was expected.
    Content,
    /// Whoever keeps the journal and its keys: something was moved, copied or left out.
    Keeper,
    /// Another process, which holds what is wanted.
    Other,
    /// The operating system or its disk.
    System,
    /// Bytes that are not what was written: rot, a crash of the disk's making, or tampering.
    Bytes,
    /// Whoever made the evidence: a checkpoint, receipt, key or event file.
    Evidence,
    /// Nobody: a newer version wrote it.
    Version,
    /// Nobody: what a crash or a writer at work leaves.
    Crash,
}

impl Fault {
    /// In words: `the caller`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Caller => "the caller",
            Self::Content => "nobody: the journal's content",
            Self::Keeper => "the journal's keeper",
            Self::Other => "another process",
            Self::System => "the system",
            Self::Bytes => "rot or tampering",
            Self::Evidence => "who made the evidence",
            Self::Version => "nobody: a newer version",
            Self::Crash => "nobody: a crash, or a writer at work",
        }
    }
}

/// What a code means. Codes never change meaning; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Code {
    /// The code: `segment.corrupt`.
    pub code: &'static str,
    /// Who has to act.
    pub fault: Fault,
    /// What it means, as a phrase.
    pub meaning: &'static str,
    /// What to do about it, as a phrase.
    pub remedy: &'static str,
}

/// Every code that an error, a finding or a note of this library and its command can have, by code.
#[must_use]
pub fn codes() -> &'static [Code] {
    CODES
}

const fn row(
    code: &'static str,
    fault: Fault,
    meaning: &'static str,
    remedy: &'static str,
) -> Code {
    Code {
        code,
        fault,
        meaning,
        remedy,
    }
}

use Fault::{Bytes, Caller, Content, Crash, Evidence, Keeper, Other, System, Version};

const TAMPERING: &str = "compare with a copy or an anchor from elsewhere: this is tampering";
const RESTORE: &str = "restore the segment from a copy, or salvage the rest with `repair --out`";
const ASK: &str = "ask where it came from; don't trust it";
const NOT_OURS: &str = "don't trust the journal before this is explained";
const DERIVED: &str = "delete the file, or append: a writable open makes it anew";
const REMEMBERED: &str = "if the new one is meant, say so with `known accept`";

#[rustfmt::skip]
const CODES: &[Code] = &[
    row("anchor.not_found", Caller, "the journal has no such anchor", "see `anchor list`"),
    row("anchor.unreadable", System, "an anchor of the journal can't be read, so what it holds was not compared", "see why, then verify again"),
    row("append.indeterminate", System, "the write or sync of this group failed: the event may or may not be durable", "reopen the journal and append again with the same id"),
    row("batch.repeated_id", Caller, "two events of one batch have the same id", "give each event an id of its own"),
    row("batch.size", Caller, "a batch has no event, or more events or bytes than one group holds", "split it"),
    row("case.after", Evidence, "a case does not follow the one that it is said to follow: that is another journal's, or of more events", "look whether it is the case directly before; ask for one that continues that"),
    row("case.coordinate", Evidence, "a stream of a case changes its entity", ASK),
    row("case.counts", Evidence, "the counts that a case states are not those of its events", ASK),
    row("case.damaged", Bytes, "a case file is not as it was written", "get it again"),
    row("case.earlier", Evidence, "a case does not continue an earlier checkpoint that it brings", ASK),
    row("case.forked", Evidence, "a case is of another history than a checkpoint that was kept elsewhere", ASK),
    row("case.gap", Evidence, "an event of the period, or next to it, is not in the case", ASK),
    row("case.genesis", Evidence, "a case does not begin with the creation of the journal that signed", ASK),
    row("case.invalid", Caller, "a case of such a period can't be made", "see the message"),
    row("case.journal_event", Evidence, "an event of the journal itself is not as journals write them", ASK),
    row("case.malformed", Evidence, "the file is no case", "look whether it is the file you mean; ask where it came from"),
    row("case.manifest", Evidence, "the journal's event about a case is missing, or is about another: query, period, counts or redactions were changed", ASK),
    row("case.no_quorum", Evidence, "not as many witnesses as the policy wants have cosigned a checkpoint that holds the whole period", "ask for a case with more cosignatures"),
    row("case.not_compared", Evidence, "a case holds no checkpoint of the size of the one that was kept elsewhere, or of the case given as the one before", "ask for a case made with `--anchor` or with `--after` and the one you have"),
    row("case.not_signed", Evidence, "the checkpoint of a case is not signed by the key given, nor by one that took its place", ASK),
    row("case.origin", Evidence, "the checkpoint of a case is of another journal than its events", ASK),
    row("case.period_begin", Evidence, "the period of a case does not begin where its query says", ASK),
    row("case.period_end", Evidence, "the period of a case does not end where its query says", ASK),
    row("case.proof", Evidence, "the proof of a case has too many or too few hashes for its events", ASK),
    row("case.redaction", Evidence, "a section is left out of a case, or shown in it, against what its query says", ASK),
    row("case.root", Evidence, "the events of a case do not lead to the root of its checkpoint", ASK),
    row("case.section_hash", Evidence, "a section in a case is not the one that was recorded", ASK),
    row("case.section_key", Evidence, "the key of a section in a case is another section's", ASK),
    row("case.selection", Evidence, "a payload is missing in a case, or shown in it, against what its query asks for", ASK),
    row("case.signature", Evidence, "a signature of a known key in a case does not verify", ASK),
    row("case.stray", Evidence, "a case holds an event that is neither of the period nor of the journal itself", ASK),
    row("case.stub", Evidence, "an event, or a section of it, is said to be erased by one that doesn't do that", ASK),
    row("case.time_order", Evidence, "an event of a case is recorded before the one before it", ASK),
    row("case.unknown_signature", Evidence, "somebody has signed a checkpoint of a case as a log does, with a key that is none of the journal's", ASK),
    row("case.unsupported", Version, "the case was written by a newer version, or is of version 0, that of development", "use a newer version; nothing reads version 0"),
    row("case.unsupported_event", Version, "an event of the journal itself in a case is one that only a newer version knows", "use a newer version"),
    row("checkpoint.bad_signature", Evidence, "a checkpoint is not signed by the key", ASK),
    row("checkpoint.damaged", Bytes, "a checkpoint that the journal keeps can't be read", "remove it; anchors kept elsewhere decide"),
    row("checkpoint.empty_root", Evidence, "a checkpoint of no events has another root than the empty tree", ASK),
    row("checkpoint.extension_lines", Evidence, "a checkpoint has lines that this version doesn't know", "use a newer version"),
    row("checkpoint.malformed", Evidence, "the text is no checkpoint", ASK),
    row("checkpoint.misplaced", Bytes, "a checkpoint that the journal keeps has another's name", "remove it; anchors kept elsewhere decide"),
    row("checkpoint.no_quorum", Evidence, "not as many witnesses have cosigned a checkpoint as the policy wants", "show one with more cosignatures"),
    row("checkpoint.not_compared", Bytes, "a checkpoint could not be compared, since damage, or what a newer version wrote, hides events below it", "restore what is damaged, or use the newer version; then verify again"),
    row("checkpoint.not_read", System, "a kept checkpoint could not be read", "see why, then verify again"),
    row("checkpoint.not_signed_by_log", Evidence, "a checkpoint has no signature by the log's own key", ASK),
    row("checkpoint.origin", Evidence, "a checkpoint's origin is no name", ASK),
    row("checkpoint.origin_mismatch", Evidence, "a checkpoint is of another journal than the key", "use the key of that journal"),
    row("checkpoint.retired_key", Evidence, "a checkpoint is signed by a key that was replaced, and nothing that counts confirms it", "show one of a key that signs now, or one that witnesses have signed"),
    row("commit.durable", Bytes, "a commit takes back what an earlier one called durable", TAMPERING),
    row("commit.incarnation", Bytes, "a commit is of an earlier session than the one before", TAMPERING),
    row("commit.number", Bytes, "a commit is missing or repeated", TAMPERING),
    row("commit.out_of_order", Bytes, "a commit stands where another comes next", TAMPERING),
    row("commit.root_mismatch", Bytes, "the events are not those whose tree the commit states", TAMPERING),
    row("condition.invalid", Caller, "a condition asks for what a condition can't say, or was read from another journal", "name streams, kinds and tags, and a sequence of this journal"),
    row("conflict.boundary_moved", Content, "an event has come that the append's condition rules out", "read what the decision rests on again, decide again"),
    row("conflict.expectation", Content, "the stream is not at the revision expected", "read the stream, decide again"),
    row("conflict.id_reused", Content, "the id stands for an event with other content", "give the new event another id"),
    row("conflict.partial_repeat", Content, "some events of the batch are in the journal already, and some are not", "repeat a batch whole, or not at all"),
    row("cursor.ahead", Keeper, "a cursor has passed events that the journal does not have: the journal is an older copy, or went another way since", "restore the newer journal, or remove the cursor's file to have its consumer begin anew"),
    row("cursor.damaged", Bytes, "a cursor's file is not what was written, or is another journal's", "remove it to have its consumer begin anew, or put one back that you kept"),
    row("cursor.in_use", Other, "another consumer holds the cursor", "give each consumer a name of its own"),
    row("cursor.name", Caller, "a name that no cursor's file can have", "take 1 to 64 of a-z, 0-9, '.', '_' and '-'"),
    row("demo.failed", System, "the demo could not be run", "see the message"),
    row("derived.index", Bytes, "the index is not what the events give, or part of it is missing", DERIVED),
    row("derived.index_ahead", Bytes, "the index knows more events than there are", DERIVED),
    row("derived.not_checked", Crash, "a derived file was being written, so it was not checked", "nothing, or verify again once the journal is closed"),
    row("derived.offsets", Bytes, "an offsets file is not what its segment gives", DERIVED),
    row("derived.tree", Bytes, "a file of the tree is not what the events give", DERIVED),
    row("derived.truncated", Bytes, "a derived file ends early, though the journal was closed cleanly", DERIVED),
    row("disk.full", System, "there is no space left", "make room; nothing acknowledged is lost"),
    row("encryption.not_built", Caller, "the journal is encrypted, and this build was made without encryption", "use a build with the feature `encryption`"),
    row("erasure.contradicted", Bytes, "an erasure covers what none can, or the event that completes one doesn't fit it", TAMPERING),
    row("erasure.not_applied", Bytes, "an erasure is completed, and something that it took is here: an old copy was put back", "`retain` by the same policy takes it again; find out who put it back"),
    row("erasure.not_checked", Bytes, "events that an erasure covers can't be read, so that its set can't be checked", RESTORE),
    row("erasure.pending", Crash, "an erasure is ordered, and not completed yet: what it takes is not read, and may still be in files", "nothing, or `compact`, which completes it"),
    row("erasure.set_mismatch", Bytes, "an erasure commits to other events than those that it covers", TAMPERING),
    row("event.id_repeated", Bytes, "one id stands for two events", TAMPERING),
    row("event.invalid", Caller, "a name or field is not one that an event can have", "see the message"),
    row("event.journal_event", Bytes, "an event of the journal itself is no such event, or stands where none can", TAMPERING),
    row("event.limit", Caller, "the event passes a limit", "see docs/format.md, Limits"),
    row("event.malformed", Evidence, "the file is not an event as `show --json` prints it", ASK),
    row("event.not_found", Content, "there is no such event", "see `log`"),
    row("event.out_of_order", Bytes, "an event stands where another comes next", TAMPERING),
    row("event.recorded_at", Bytes, "an event is recorded earlier than the one before it", TAMPERING),
    row("event.reserved_encoding", Caller, "the encoding is that of the journal\'s own events", "use another encoding"),
    row("event.reserved_scope", Caller, "scopes that start with $ are the journal's own; on disk: an event imitates those", "use another scope; on disk: tampering, or a faulty writer"),
    row("event.section_mismatch", Bytes, "a payload is not the one that the facts commit to", TAMPERING),
    row("event.subject", Caller, "a section names a subject where keys aren't by subject, or names none where they are", "see the message"),
    row("event.unreadable", Version, "an event that a state is made of can't be read", "use a newer version of the program, or let the decider pass over it"),
    row("evidence.no_key", Evidence, "there is no key to check the evidence with", "give the journal's key"),
    row("evidence.other_journal", Evidence, "the evidence is about another journal", "verify it against that one"),
    row("failed", System, "something failed that has no code of its own", "see the message"),
    row("file.not_found", Caller, "there is no such file", "see the message"),
    row("file.too_large", Caller, "the file is too large for what it is to be", "see the message"),
    row("fs.unsupported", System, "the file system lacks locks or directory sync", "use a local file system: ext4, XFS or APFS"),
    row("history.forked", Bytes, "two histories were written under one name", "two copies went on, or it was rewritten: find the other one"),
    row("history.rolled_back", Bytes, "events are missing at the end that others remember", "find the newer copy: an older one was restored, or the tail was cut"),
    row("hold.not_found", Caller, "there is no such hold in force", "list the holds"),
    row("home.missing", Keeper, "no folder is named for the user's own files", "set HOME, or name files by hand"),
    row("ids.not_checked", Content, "there are more ids than were compared with each other", "nothing"),
    row("import.bad_line", Caller, "a line of the source can't be an event", "mend the line, or import with `--skip-bad`"),
    row("import.git", System, "the git command failed", "see the message"),
    row("io.failed", System, "the operating system refused an operation", "see the system's error; an append that failed so is indeterminate"),
    row("journal.closed", Caller, "the journal is closed", "open it again"),
    row("journal.damaged", Bytes, "`JOURNAL` can't be read; it only repeats sequence 0", "opens read-only; `repair` writes it back"),
    row("journal.exists", Caller, "something stands at the path already", "choose an empty or missing directory"),
    row("journal.identity_mismatch", Bytes, "`JOURNAL`, MANIFEST and sequence 0 are of different journals", "find out what was exchanged; sequence 0 is what is signed"),
    row("journal.locked", Other, "the journal is open for writing elsewhere", "wait for that process, or read without a lock"),
    row("journal.missing", Keeper, "there is no `JOURNAL` beside events; it only repeats sequence 0", "opens read-only; `repair` writes it back"),
    row("journal.no_genesis", Bytes, "sequence 0, which says what journal this is, can't be read", "restore the first segment from a copy"),
    row("journal.not_encrypted", Caller, "the journal is not encrypted, so nothing in it can be shredded", "that is decided at creation"),
    row("journal.not_found", Caller, "there is no journal here", "see the path"),
    row("journal.not_repairable", Bytes, "the list of segments can't be made again without a gap", "restore the segment that is missing, or salvage the rest with `repair --out`"),
    row("journal.read_only", Caller, "the journal was opened for reading", "open it for writing"),
    row("journal.secret", Keeper, "`keys/journal.secret` is missing or not what was written", "restore it from a copy: with another one a repeated import would not know what it brought in before"),
    row("journal.secret_exposed", Keeper, "others than its owner may read `keys/journal.secret`", "set its mode to 0600"),
    row("journal.unfinished", Crash, "a crash cut the creation short", "create it again, or remove it with `destroy`; with event 0 there an open for writing finishes it"),
    row("journal.unknown_file", Keeper, "something stands in the directory that belongs to no journal", "find out who put it there; move it away"),
    row("journal.unsigned", Caller, "the journal has no signature, so nothing of it can be proved to a third party", "create a signed one"),
    row("journal.unsupported_version", Version, "a newer version wrote what this one can't read, or must not write; or it is of format version 0, that of development", "use the newer version; nothing reads version 0"),
    row("key.ambiguous", Evidence, "two keys have the same name and id", "give one of them"),
    row("key.id_mismatch", Evidence, "the key's id is not that of its name and bytes", ASK),
    row("key.malformed", Evidence, "the text is no key", ASK),
    row("key.missing", Keeper, "the key of a section is not in the keyset, and no event says that it was destroyed", "find the newer copy of the journal's `keys/`"),
    row("key.name", Evidence, "the key's name is none", ASK),
    row("key.not_followed", Evidence, "the key given was replaced, and nothing that counts shows by which", "give a later key, known from elsewhere"),
    row("key.not_reached", Content, "the journal ends before the event that brings the key given", "find the newer copy, or give an earlier key"),
    row("key.refused", Caller, "the journal's keys don't allow this change of them", "see the message, and `keys list`"),
    row("key.unsupported_type", Evidence, "the key is of a type that this version doesn't know", "use a newer version"),
    row("key.unusable_point", Evidence, "no signature can be checked with the key", ASK),
    row("keyset.buckets_swapped", Bytes, "somebody has put the keys of one bucket in the place of another's", "restore `keys/` from a copy: this is tampering"),
    row("keyset.damaged", Bytes, "a file of the keyset is not what was written", "restore `keys/` from a copy; destructions since are applied again"),
    row("keyset.failed", System, "an earlier write of the keyset failed, and it isn't known what stands on the disk", "reopen the journal"),
    row("keyset.forged", Bytes, "a keyset was made or changed by somebody without its root key", "restore `keys/` from a copy: this is tampering"),
    row("keyset.forged_tombstone", Bytes, "the keyset calls a key destroyed, and no event of the journal does", "restore `keys/` from a copy: this is tampering"),
    row("keyset.invalid", Bytes, "the keyset breaks a rule that every writer keeps", "restore `keys/` from a copy"),
    row("keyset.kdf_costly", Bytes, "the keyset asks for passphrase parameters that are too costly", "restore `keys/` from a copy: no factlog writes these"),
    row("keyset.kdf_weak", Bytes, "the keyset asks for passphrase parameters that are too weak", "restore `keys/` from a copy: no factlog writes these"),
    row("keyset.key_missing", Keeper, "there is no key file where one was named", "name the right file, or use another recipient's secret"),
    row("keyset.key_text", Caller, "a file or text is no key of a recipient", "give the right one"),
    row("keyset.locked", Keeper, "the journal is encrypted, and its keyset was not unlocked", "give what unlocks it"),
    row("keyset.missing", Keeper, "the journal is encrypted, and its keyset is not there", "restore `keys/` from a copy"),
    row("keyset.no_memory", System, "there is not enough memory for what the keyset's passphrase parameters ask", "free memory, or give another recipient's secret"),
    row("keyset.no_passphrase", Caller, "an empty passphrase was given", "give one"),
    row("keyset.no_provider", Caller, "an encrypted journal is to be made without anything that unlocks it", "name a provider"),
    row("keyset.no_recipient", Keeper, "the secret that was given is none of the keyset's recipients", "give another recipient's secret"),
    row("keyset.other_domain", Keeper, "the keyset is for another sort of key domain than the journal's", "restore the right one from a copy"),
    row("keyset.other_journal", Keeper, "the keyset is another journal's", "restore the right one from a copy"),
    row("keyset.recipients", Caller, "two recipients of a keyset would have the same key", "name another key for each"),
    row("keyset.rolled_back", Keeper, "the keyset, or a part of it, is an older copy than the rest of it or than what the journal's events tell", "restore all of `keys/` from its newest copy; if that is lost for good, `factlog keys rewrap --accept-older-keyset`"),
    row("keyset.same_secret", Caller, "not every recipient was to be replaced by another secret", "name another secret for each, the recovery recipient too"),
    row("keyset.truncated", Bytes, "a file of the keyset ends too early", "restore `keys/` from a copy; destructions since are applied again"),
    row("keyset.unsupported_version", Version, "a newer version wrote the keyset", "use a newer version"),
    row("keyset.wrong_passphrase", Keeper, "the passphrase is wrong", "give the right one, or another recipient's secret"),
    row("known.behind", Content, "a larger checkpoint is known already", "find the newer copy, or say so with `known accept`"),
    row("known.invalid", Caller, "what was to be remembered contradicts itself", "see the message"),
    row("known.key_differs", Keeper, "the journal is known with another key or origin", NOT_OURS),
    row("known.locked", Other, "another process holds the known journals for too long", "try again"),
    row("known.newer_version", Version, "a newer version wrote the known journals", "use the newer version"),
    row("known.not_compared", Bytes, "damage, or what a newer version wrote, hides events below the known checkpoint", "restore what is damaged, or use the newer version; then verify again"),
    row("known.not_consistent", Bytes, "the journal doesn't continue the known checkpoint", NOT_OURS),
    row("known.not_followed", Evidence, "it is not proved that another key took the place of the known one", NOT_OURS),
    row("known.not_found", Caller, "no such journal is known", "see `known list`"),
    row("known.refused", Content, "the journal doesn't agree with itself, so it is not remembered", "verify it"),
    row("known.replaced", Keeper, "another journal stands where one is known", REMEMBERED),
    row("known.unreadable", Bytes, "the known journals can't be read", "restore the file, or move it away"),
    row("known.unsigned", Content, "the journal is known as unsigned, so it has no checkpoints", REMEMBERED),
    row("machine.changed", Keeper, "the keyset is bound to another machine, or this one was installed anew", "open it with another recipient's secret"),
    row("machine.no_id", System, "the system keeps no id of its installation", "use another provider"),
    row("machine.no_recipient", Caller, "a machine is to take the place of another, and none unlocks the keyset", "make this machine a recipient with `factlog keys rewrap`"),
    row("machine.only_recipient", Caller, "a machine's identity would be all that unlocks the keyset", "name a recovery recipient"),
    row("manifest.damaged", Bytes, "MANIFEST can't be read: the list of segments is made again from their files", "opens read-only; `repair` writes it back"),
    row("manifest.missing", Keeper, "there is no MANIFEST: the list of segments is made again from their files", "opens read-only; `repair` writes it back"),
    row("manifest.other_journal", Keeper, "MANIFEST is that of another journal", "remove it, then `repair`"),
    row("manifest.row_mismatch", Bytes, "MANIFEST says another number of events than a segment holds", "restore it from a copy"),
    row("manifest.value_mismatch", Bytes, "MANIFEST and the events about keys contradict", "`repair` writes it back from the events; nothing honest makes them differ"),
    row("note.bad_signature", Evidence, "a signature doesn't verify", ASK),
    row("note.characters", Evidence, "the note has characters that none may have", ASK),
    row("note.duplicate_signature", Evidence, "one key signed the note twice", ASK),
    row("note.malformed", Evidence, "the text is no signed note", ASK),
    row("note.no_known_signature", Evidence, "no signature is by a key that was given", "give the right key"),
    row("note.signature_line", Evidence, "a line is no signature", ASK),
    row("note.too_large", Evidence, "the note is too long", ASK),
    row("note.too_many_signatures", Evidence, "the note has too many signatures", ASK),
    row("note.unknown_signature", Evidence, "a signature is by a key that was not given", "give that key too"),
    row("origin.invalid", Caller, "an origin is a name of 1 to 200 bytes without blanks or +", "choose another"),
    row("payload.lossy", Caller, "the payload would not come out as it went in", "use another type or encoding"),
    row("payload.type", Caller, "the payload can't be read as this type", "read it as another"),
    row("payload.upcast", Content, "a payload of an earlier version can't be carried to the current one", "correct the upcast; what is stored stays as it is"),
    row("policy.malformed", Caller, "a policy file is not one", "see the message: it names the line"),
    row("policy.own_witness", Evidence, "a policy's witness has a key of the journal that it should watch", "name witnesses who are independent of the journal"),
    row("projection.invalid", Caller, "a projection can't be added as it is, or not any more", "see the message"),
    row("proof.frontier_length", Evidence, "a right edge has not as many hashes as its size wants", ASK),
    row("proof.index_out_of_range", Evidence, "the leaf is not in the tree", ASK),
    row("proof.out_of_range", Caller, "no such node is in the tree", "ask for one that is"),
    row("proof.path_length", Evidence, "a path has too many or too few hashes", ASK),
    row("proof.root_mismatch", Evidence, "the proof gives another root", ASK),
    row("proof.sizes_reversed", Caller, "the older tree is larger than the newer", "exchange them"),
    row("proof.source", System, "the tree could not be read", "see the message"),
    row("proof.too_large", Evidence, "the tree is larger than any can be", ASK),
    row("publish.behind", Content, "fewer events are published than a receipt covers", "publish anew, or ask for a newer copy"),
    row("publish.damaged", Evidence, "published tiles are not those of the published checkpoint, so nothing can be checked with them", "fetch them again; if that doesn't help, tell who publishes them"),
    row("publish.other_journal", Caller, "another journal is published in that folder", "choose another folder"),
    row("publish.other_key", Evidence, "what is published is signed by another key than the one given", "give the key that took its place, if it is known to you from elsewhere"),
    row("receipt.event", Evidence, "what the receipt proves is no event", ASK),
    row("receipt.event_differs", Bytes, "the journal holds another event than the receipt proves", "the journal was rewritten: find the other history"),
    row("receipt.event_unreadable", Bytes, "damage hides the event that the receipt proves", "restore what is damaged, then verify again"),
    row("receipt.invalid", Evidence, "a receipt doesn't hold by itself", ASK),
    row("receipt.journal_mismatch", Evidence, "the receipt's event is of another journal than its checkpoint", ASK),
    row("receipt.limit", Content, "the receipt would pass the limits of its text form", "see the message"),
    row("receipt.malformed", Evidence, "the text is no receipt", ASK),
    row("receipt.no_event", Evidence, "the proof carries no event", ASK),
    row("receipt.not_yet_signed", Content, "no stored signature covers the event yet", "wait for the next commit, or 20 ms of idleness"),
    row("receipt.other_event", Evidence, "the event's file is of another event than the receipt", ASK),
    row("receipt.section_mismatch", Evidence, "a section is not the one that the event commits to", ASK),
    row("receipt.section_unknown", Evidence, "the event has no such section", ASK),
    row("receipt.sequence_mismatch", Evidence, "the receipt's place in the tree is not its event's sequence", ASK),
    row("receipt.too_large", Evidence, "the receipt is too long", ASK),
    row("receipt.too_many_hashes", Evidence, "the receipt has too many hashes", ASK),
    row("receipt.unsigned", Evidence, "an unsigned proof is no receipt", "ask for a receipt of a signed journal"),
    row("receipt.unsupported_event", Version, "the receipt's event is of a version that this one doesn't know", "use a newer version"),
    row("recovery.strict", Crash, "recovery would cut a torn tail, and the open is strict", "open without strictness: nothing acknowledged is lost"),
    row("registry.invalid", Caller, "the event types of the program contradict each other", "see the message: give each kind one type, and each type a step from every version"),
    row("retention.invalid", Caller, "a rule of retention makes no sense", "see the message; nothing was changed"),
    row("salvage.event", Bytes, "an event was read and can't be stored again", "see the message"),
    row("section.other_key", Bytes, "an encrypted section is offered under a key that it was not sealed under", TAMPERING),
    row("section.sealed", Bytes, "an encrypted section is not what was sealed there", TAMPERING),
    row("section.shred_pending", System, "the section's key is to be destroyed, and it isn't known yet whether the event that demands it is durable", "look again; where the shred failed, reopen the journal"),
    row("section.shredded", Content, "the section's key was destroyed, as an event demanded", "nothing: it is gone for good"),
    row("segment.corrupt", Bytes, "bytes that were durable are no frame, commit or event", RESTORE),
    row("segment.edge_mismatch", Bytes, "the tree before a segment is not that of the events before it", TAMPERING),
    row("segment.events_lost", Bytes, "these events can't be read", RESTORE),
    row("segment.header", Bytes, "a segment's header can't be read", RESTORE),
    row("segment.headers_mismatch", Bytes, "commit headers are not those that MANIFEST sealed", TAMPERING),
    row("segment.misplaced", Bytes, "a segment's header doesn't fit its name", RESTORE),
    row("segment.missing", Keeper, "a segment is gone", RESTORE),
    row("segment.orphan", Crash, "MANIFEST doesn't name this segment, so nothing in it counts", "nothing: the next writer removes it"),
    row("segment.other_journal", Keeper, "a segment is another journal's", "restore the right one from a copy"),
    row("segment.salt_mismatch", Bytes, "a segment is not the one that MANIFEST names", TAMPERING),
    row("segment.torn_tail", Crash, "bytes at the end are no whole commit, and nothing calls them durable", "nothing: they were never acknowledged"),
    row("segment.truncated", Bytes, "a segment's end is gone", RESTORE),
    row("segment.unreadable", System, "the disk doesn't read a part of a segment", RESTORE),
    row("shred.held", Content, "a hold forbids to shred this", "lift the hold first, if you may"),
    row("shred.nothing", Content, "there is no key for what was to be shredded", "check the name; it may be shredded already"),
    row("shred.other_domain", Caller, "the journal's keys are of another sort than what was to be shredded or held", "name it by the sort that the journal's keys are of"),
    row("signature.bad", Bytes, "a commit carries a signature that is not the journal's", NOT_OURS),
    row("signature.invalid", Bytes, "what a signature covers was changed, or the signature was", "compare with a checkpoint or copy from elsewhere"),
    row("signature.missing", Bytes, "a signature was removed, or commits were added without the key", "compare with a checkpoint or copy from elsewhere"),
    row("signature.other_key", Bytes, "the journal names another key than the trusted one", "someone else made it under the same name: don't trust it"),
    row("signature.tail", Crash, "no signature on disk covers the last commit yet", "nothing: the next one carries it"),
    row("signature.unusable_key", Bytes, "sequence 0 names a key that no signature can be checked with", NOT_OURS),
    row("signer.history_mismatch", Keeper, "the signer remembers events that this journal doesn't continue", "find the newer copy of the journal; `factlog keys adopt` where there is none"),
    row("signer.in_use", Other, "another handle signs with this key", "close the other copy of the journal"),
    row("signer.key_exists", Caller, "there is a file where a new key was to be written", "name another file: keys are never overwritten"),
    row("signer.key_missing", Keeper, "the journal is signed, and its key was not given", "give the key; reading needs none"),
    row("signer.key_permissions", Keeper, "others than its owner have access to the key", "set its mode to 0600"),
    row("signer.key_unreadable", Bytes, "the file is no key", "restore it from a copy"),
    row("signer.not_adopted", Keeper, "a key doesn't take a journal for the one that it signs", "show what the message asks for, or begin a new journal"),
    row("signer.other_journal", Caller, "the key is another journal's", "give the right one: every journal has a key of its own"),
    row("signer.request", Caller, "what a signer was asked to sign is no request", "see docs/signer.md"),
    row("signer.state_unreadable", Keeper, "the signer's state is missing, damaged or another key's", "restore it from a copy, or show a checkpoint to `factlog keys adopt`: without it a rollback can't be told"),
    row("signer.unavailable", System, "who holds the key can't be asked: what was written is durable and not yet signed, and appends stop", "see why, then reopen: an open has it signed"),
    row("since.not_read", Caller, "what comes before the checkpoint was not read: that its bytes are as they were rests on it", "nothing; without --since everything is read"),
    row("since.not_used", Caller, "the checkpoint could not be rested on, so everything was read", "nothing; the detail says why"),
    row("stream.broken", Bytes, "the event before in the stream is missing or another", TAMPERING),
    row("stream.coordinate_changed", Bytes, "an event was moved to another stream", TAMPERING),
    row("stream.second", Bytes, "a stream was split in two", TAMPERING),
    row("stub.unauthorised", Bytes, "an event's content is gone, and no erasure covers it", "restore the event: this is tampering"),
    row("subscription.invalid", Caller, "a subscription was asked for that goes backwards or ends in time", "ask for one that goes forward; name the sequence at which it ends, or stop it"),
    row("tail.events_unproven", Crash, "the last events are whole, and nothing says yet that they were durable", "nothing: an open for writing makes them so"),
    row("tail.unproven", Crash, "bytes at the end are a write that was never acknowledged", "nothing: an open for writing sets them aside"),
    row("ticket.spent", Caller, "a ticket was polled again after its answer", "keep the answer"),
    row("usage", Caller, "the arguments make no sense", "see `--help`"),
    row("witness.conflict", Content, "the proof begins elsewhere than at the checkpoint that the witness cosigned last", "ask again, with a proof from the size that it says"),
    row("witness.locked", Other, "the witness is at work in another process", "try again"),
    row("witness.malformed", Evidence, "the text is no request to a witness", ASK),
    row("witness.memory", System, "the records of a witness can't be read or written", "see the message"),
    row("witness.not_consistent", Evidence, "a checkpoint is not shown to continue the one that the witness cosigned last", ASK),
    row("witness.unknown_log", Caller, "the witness does not watch this log", "tell it to, with `witness trust`"),
    row("writer.poisoned", System, "an earlier write failed, so the writer stopped; nothing of this append was written", "reopen the journal"),
];

/// The page `docs/errors.md`.
#[cfg(test)]
fn page() -> String {
    let mut page = "# Error codes\n\n\
        Every error, finding and note has a code. Codes never change meaning; messages may. The table is made from the code \
        (`crates/store/src/error/codes.rs`) and compared with it by a test; `FACTLOG_BLESS=1 cargo test -p factlog --lib codes` writes it anew.\n\n\
        An error names the file, the byte and the sequence where it knows them, and the system's own error. What failed while an error was \
        cleaned up after is added to that error and never takes its place. Which codes are findings of `verify`, and how grave, says \
        [docs/verify.md](verify.md); which exit code a code ends in says [docs/cli.md](cli.md).\n\n\
        | code | means | what to do | who is at fault |\n|---|---|---|---|\n"
        .to_owned();
    for code in CODES {
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            code.code,
            code.meaning,
            code.remedy,
            code.fault.words()
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn workspace() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_page_is_the_table() {
        let path = workspace().join("docs/errors.md");
        if std::env::var_os("FACTLOG_BLESS").is_some() {
            fs::write(&path, page()).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == page(),
            "docs/errors.md is not what the code says: bless it"
        );
    }

    /// Names of the same form that are no codes: kinds of events, files and examples.
    const OTHERS: [&str; 34] = [
        "a.off",
        "case.exported",
        "clock.stepped_back",
        "demo.watched",
        "factlog.local",
        "factlog.salvaged",
        "factlog.lost",
        "event.receipt",
        "git.commit",
        "cursor.moved",
        "dead_letter.written",
        "import.position",
        "journal.created",
        "journal.key",
        "journal.recovered",
        "jsonl.line",
        "key.revoked",
        "key.rotated",
        "key.state",
        "notes.txt",
        "orders.jsonl",
        "saved.checkpoint",
        "upper.d",
        "witness.key",
        "signer.key",
        "machine.secret",
        "shred.intended",
        "erasure.ordered",
        "erasure.completed",
        "shred.completed",
        "keyset.noted",
        "hold.placed",
        "hold.lifted",
        "a.b",
    ];

    /// Every literal of a code's form in the program part of a file.
    fn literals(text: &str, found: &mut BTreeSet<String>) {
        let program = text
            .split("\n#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or(text);
        for line in program
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for literal in line.split('"').skip(1).step_by(2) {
                let fits = |part: &str| {
                    let mut chars = part.chars();
                    chars.next().is_some_and(|c| c.is_ascii_lowercase())
                        && chars.all(|c| c.is_ascii_lowercase() || c == '_')
                };
                let parts = literal.split_once('.');
                if parts.is_some_and(|(area, rest)| fits(area) && fits(rest)) {
                    found.insert(literal.to_owned());
                }
            }
        }
    }

    fn walk(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && name != "tests" {
                walk(&path, found);
            } else if name.ends_with(".rs") && !["codes.rs", "tests.rs"].contains(&name.as_str()) {
                literals(&fs::read_to_string(&path).unwrap(), found);
            }
        }
    }

    #[test]
    fn every_code_in_the_program_is_in_the_table_and_none_else() {
        let mut used = BTreeSet::new();
        for folder in [
            "crates/store/src",
            "crates/keys/src",
            "crates/proof/src",
            "crates/cli/src",
        ] {
            walk(&workspace().join(folder), &mut used);
        }
        for other in OTHERS {
            used.remove(other);
        }
        let table: BTreeSet<String> = CODES
            .iter()
            .map(|code| code.code.to_owned())
            .filter(|code| code.contains('.'))
            .collect();
        let missing: Vec<_> = used.difference(&table).collect();
        let unused: Vec<_> = table.difference(&used).collect();
        assert!(missing.is_empty(), "not in the table: {missing:?}");
        assert!(unused.is_empty(), "nothing has these codes: {unused:?}");
        assert!(CODES.is_sorted_by(|left, right| left.code < right.code));
    }
}
