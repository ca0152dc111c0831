// The checks of docs/evidence.md, in their order.
import { Bad, Cut, hex, known, need, plainText, same } from "./bytes.js";
import { Case } from "./case.js";
import {
  caseCommitment, keyCommitment, leafHash, nextKeyHash, nodeHash, sealedHash, sectionHash,
} from "./hashes.js";
import { Key } from "./note.js";

const MOST = (1n << 64n) - 1n;

/** Verdicts, findings and the case, of bytes, the key of whoever looks at them, and, if they kept one, the
 * checkpoint of the case before. */
export const verify = (bytes, key, after = null) => {
  const report = { findings: [], case: null, signers: [] };
  const say = (question, code, sequence, detail, undecided = false) =>
    report.findings.push({ question, code: `case.${code}`, sequence, detail, undecided });
  const verdict = (question, before = "holds") => {
    const own = report.findings.filter((found) => found.question === question);
    if (own.some((found) => !found.undecided)) return "fails";
    return own.length || before !== "holds" ? "undecided" : "holds";
  };
  try {
    report.case = new Case(bytes);
  } catch (error) {
    if (!(error instanceof Bad)) throw error;
    const undecided = error.code === "case.unsupported";
    say("integrity", error.code.slice(5), null, error.message, undecided);
    const integrity = verdict("integrity");
    return { ...report, integrity, authenticity: "undecided", completeness: "undecided", outcome: integrity };
  }
  const governing = checkIntegrity(report.case, say);
  const integrity = verdict("integrity");
  checkCompleteness(report.case, governing, after, say);
  report.signers = checkAuthenticity(report.case, integrity === "fails" ? null : governing, key, say);
  const authenticity = verdict("authenticity");
  const completeness = verdict("completeness", integrity);
  const all = [integrity, authenticity, completeness];
  const outcome = ["fails", "undecided"].find((word) => all.includes(word)) ?? "holds";
  return { ...report, integrity, authenticity, completeness, outcome };
};

const bitLength = (number) => BigInt(number.toString(2).length);
/** The largest power of two below a width over 1. */
const split = (width) => 1n << (bitLength(width - 1n) - 1n);

/** The root of events and proof, and, of one event, the path up to it. Null if hashes don't fit. */
export const climb = (found, of = null) => {
  const { records, proof, checkpoint } = found;
  const path = [];
  let used = 0;
  const fold = (start, end, from, until) => {
    if (from === until) {
      if (used === proof.length) throw new Bad("case.proof", "a hash is missing");
      return proof[used++];
    }
    if (end - start === 1n) return leafHash(records[from].hash);
    const middle = start + split(end - start);
    let [low, high] = [from, until];
    while (low < high) {
      const half = (low + high) >> 1;
      if (records[half].sequence < middle) low = half + 1;
      else high = half;
    }
    const left = fold(start, middle, from, low);
    const right = fold(middle, end, low, until);
    const hash = nodeHash(left, right);
    if (of !== null && start <= of && of < end) {
      const side = of < middle ? "right" : "left";
      path.push({ side, sibling: of < middle ? right : left, hash });
    }
    return hash;
  };
  const last = records.at(-1);
  if (!last || last.sequence >= checkpoint.size) return null;
  try {
    const root = fold(0n, checkpoint.size, 0, records.length);
    return used === proof.length ? { root, path } : null;
  } catch (error) {
    if (error instanceof Bad) return null;
    throw error;
  }
};

/** RFC 9162, section 2.1.4.2, of sizes that differ and aren't 0. */
const continues = (old, next, path) => {
  let [at, last] = [old.size - 1n, next.size - 1n];
  let hashes = path;
  if ((old.size & (old.size - 1n)) === 0n) hashes = [old.root, ...path];
  if (hashes.length === 0) return false;
  while (at & 1n) [at, last] = [at >> 1n, last >> 1n];
  let [one, other] = [hashes[0], hashes[0]];
  for (const hash of hashes.slice(1)) {
    if (last === 0n) return false;
    if (at & 1n || at === last) {
      one = nodeHash(hash, one);
      other = nodeHash(hash, other);
      while (!(at & 1n) && at > 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      other = nodeHash(other, hash);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  return last === 0n && same(one, old.root) && same(other, next.root);
};

const checkIntegrity = (found, say) => {
  const wrong = (code, sequence, detail) => say("integrity", code, sequence, detail);
  const { checkpoint, records } = found;
  if (!checkpoint.origin.endsWith("/" + hex(found.journal))) {
    wrong("origin", null, "the checkpoint is of another journal than the events");
  }
  for (const record of records) checkSections(record, wrong);
  const climbed = climb(found);
  if (!climbed) wrong("proof", null, "the proof has too many or too few hashes for these events");
  else if (!same(climbed.root, checkpoint.root)) {
    wrong("root", null, "the events and their proof do not lead to the root of the checkpoint: "
      + "an event, its place or the proof was changed");
  }
  let least = 0n;
  for (const { checkpoint: earlier, path } of found.earlier) {
    const fits = earlier.origin === checkpoint.origin && least < earlier.size && earlier.size < checkpoint.size;
    if (!fits || !continues(earlier, checkpoint, path)) {
      wrong("earlier", null, `the checkpoint does not continue the earlier one of ${earlier.size} events`);
    }
    least = earlier.size;
  }
  const governing = checkOwn(found, wrong, say);
  const first = records[0];
  const created = governing.filter(({ kind }) => kind === "journal.created");
  const genesis = first?.sequence === 0n && first.revision === 0n && created.length === 1
    && governing[0] === created[0] && created[0].sequence === 0n
    && same(created[0].value.journal, found.journal) && created[0].value.origin === checkpoint.origin;
  if (!genesis) wrong("genesis", 0n, "sequence 0 is missing, or is not the creation of the journal that signed");
  let last = null;
  const coordinates = new Map();
  for (const record of records) {
    if (last !== null && record.recorded < last) {
      wrong("time_order", record.sequence, "it is recorded before the event before it");
    }
    last = record.recorded;
    if (!record.facts) continue;
    const before = coordinates.get(record.number) ?? record.coordinate;
    coordinates.set(record.number, before);
    if (before !== record.coordinate) wrong("coordinate", record.sequence, "its stream is that of another entity");
  }
  return governing;
};

const checkSections = (record, wrong) => {
  (record.sections ?? []).forEach((section, at) => {
    if (section.state > 2) return;
    const row = record.facts.sections[at];
    const hash = (row.suite === 0 ? sectionHash : sealedHash)(section.secret, section.stored);
    if (!same(hash, row.hash)) {
      wrong("section_hash", record.sequence, `section ${row.name} is not the one that was recorded`);
    }
    if (section.key && !same(keyCommitment(section.key), row.commitment)) {
      wrong("section_key", record.sequence, `the key of section ${row.name} is another section's`);
    }
  });
};

const checkOwn = (found, wrong, say) => {
  const governing = [];
  for (const record of found.records) {
    const { sequence, facts } = record;
    const ofStream = record.number === found.records[0].number;
    const scope = facts?.scope ?? "";
    if (!ofStream && !scope.startsWith("$")) continue;
    if (scope.startsWith("$") && scope !== "$journal") {
      say("integrity", "unsupported_event", sequence, "an event of a reserved scope that this version doesn't know", true);
      continue;
    }
    try {
      need(ofStream && record.coordinate === "$journal/journal" && record.sections, "not of the journal's stream");
      const [row, shown] = [facts.sections[0], record.sections[0]];
      const plain = facts.sections.length === 1 && row.name === "data" && row.encoding === 4 && row.suite === 0;
      need(plain && shown.state === 1, "its payload");
      governing.push({ sequence, kind: facts.kind, value: readOwn(facts.kind, shown.stored) });
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      if (error.code === "case.unsupported") {
        say("integrity", "unsupported_event", sequence, "an event of the journal itself that only a newer version knows", true);
      } else {
        wrong("journal_event", sequence, "an event of the journal itself is not as the journal writes them");
      }
    }
  }
  return governing;
};

const readKey = (cut) => {
  known(cut.u8() === 1, "type of a key");
  return cut.take(32);
};

const readIds = (cut) => {
  const ids = cut.list(16, () => hex(cut.take(16)));
  need(ids.length <= 65536 && ids.every((id, at) => id > (ids[at - 1] ?? "0".repeat(32))), "ids");
  return ids;
};

/** Ranges of sequences, each from its first to one past its last. */
const readSet = (cut) => {
  let end = cut.u64();
  const first = end;
  const ranges = cut.list(8, (_, index) => {
    const [gap, length] = [BigInt(cut.u32()), BigInt(cut.u32())];
    const from = end + gap;
    end = from + length;
    need(length > 0n && end <= MOST && (gap === 0n) === (index === 0), "a set of sequences");
    return { from, end };
  });
  need(ranges.length <= 1 << 20 && (ranges.length > 0 || first === 0n), "a set of sequences");
  return ranges;
};

const within = (ranges, sequence) => ranges.some(({ from, end }) => from <= sequence && sequence < end);

const READ = {
  "shred.intended": (cut) => {
    const domain = cut.u8();
    known(domain >= 1 && domain <= 6, "key domain");
    const value = { reason: cut.reason(), keys: readIds(cut) };
    need(value.keys.length > 0, "a shred of no key");
    return value;
  },
  "shred.completed": (cut) => {
    cut.take(8 + 8 + 32 + 4);
    const [grade, count] = [cut.u8(), cut.u8()];
    known(grade === 1 || grade === 2, "grade of a shred");
    const fates = Array.from({ length: count }, () => cut.take(9)[8]);
    known(fates.every((fate) => fate <= 3), "fate of a secret");
    need(count <= 16 && (grade === 1 || !fates.includes(0)), "recipients");
    const heard = cut.u8();
    need(heard <= 16, "acknowledgements");
    for (let at = 0; at < heard; at++) {
      const name = cut.take(cut.u8());
      need(name.length > 0 && name.length <= 64, "name of who acknowledges");
      plainText(name, "name of who acknowledges");
      known(cut.u8() <= 1, "acknowledgement");
    }
    return {};
  },
  "keyset.noted": (cut) => {
    cut.take(8 + 32 + 4);
    const [fate, count] = [cut.u8(), cut.u8()];
    known(fate <= 3, "fate of a secret");
    need(count <= 16, "recipients");
    cut.take(8 * count);
    return {};
  },
  "hold.placed": (cut) => ({ reason: cut.reason(), domains: readIds(cut) }),
  "hold.lifted": (cut) => ({ hold: cut.u64(), reason: cut.reason() }),
  "erasure.ordered": (cut) => {
    const [level, sections] = [cut.u8(), cut.u16()];
    known(level === 1 || level === 2, "level of an erasure");
    need(level === 2 ? sections === 0xffff : sections !== 0, "sections of an erasure");
    plainText(cut.take(cut.u8()), "policy");
    const value = { full: level === 2, sections, reason: cut.reason() };
    cut.take(32);
    value.set = readSet(cut);
    need(value.set.length > 0, "an erasure of nothing");
    return value;
  },
  "erasure.completed": (cut) => {
    const erasure = cut.u64();
    const count = cut.u16();
    need(count <= 1024, "holds of an erasure");
    const held = Array.from({ length: count }, () => ({ hold: cut.u64(), set: readSet(cut) }));
    const ranges = held.flatMap(({ set }) => set).sort((one, two) => (one.from < two.from ? -1 : 1));
    const fits = held.every(({ hold, set }, at) => set.length > 0 && (at === 0 || held[at - 1].hold < hold))
      && ranges.every(({ from }, at) => at === 0 || ranges[at - 1].end <= from);
    need(fits, "holds of an erasure");
    return { erasure, kept: ranges };
  },
  "journal.created": (cut) => {
    const value = { journal: cut.take(16), created: cut.i64() };
    const policy = cut.u8();
    known(policy <= 2, "signing policy");
    value.origin = new TextDecoder().decode(cut.take(cut.u8()));
    need(value.origin.endsWith("/" + hex(value.journal)), "origin");
    const count = cut.u8();
    need(count <= 16 && (count === 0) === (policy === 0), "keys");
    value.keys = Array.from({ length: count }, () => readKey(cut));
    need(new Set(value.keys.map(hex)).size === count, "a repeated key");
    const fork = cut.u8();
    need(fork <= 1, "fork");
    cut.take(24 * fork);
    const domain = cut.u8();
    known(domain <= 6, "key domain");
    cut.take(domain === 0 ? 0 : 32);
    known(cut.u16() === 0, "extensions");
    return value;
  },
  "journal.recovered": (cut) => {
    known([1, 2].includes(cut.u8()), "reason of a recovery");
    cut.take(36);
    return {};
  },
  "clock.stepped_back": (cut) => ({ before: cut.i64(), now: cut.i64() }),
  "key.rotated": (cut) => {
    const value = { old: readKey(cut), key: readKey(cut) };
    need(cut.u16() === 64, "length of a signature");
    cut.take(64);
    const flag = cut.u8();
    need(flag <= 1 && !same(value.old, value.key), "next key");
    value.next = flag === 1 ? cut.take(32) : null;
    known(cut.u16() === 0, "extensions");
    return value;
  },
  "key.revoked": (cut) => ({ key: readKey(cut), from: cut.u64() }),
  "case.exported": (cut) => {
    const value = { first: cut.u64(), end: cut.u64(), selected: cut.u64(), commitment: cut.take(32) };
    need(value.first <= value.end && value.selected <= value.end - value.first, "period");
    return value;
  },
};

const readOwn = (kind, bytes) => {
  const cut = new Cut(bytes);
  known(cut.u8() === 1 && Object.hasOwn(READ, kind), "an event of the journal");
  const value = READ[kind](cut);
  cut.end();
  return value;
};

const checkCompleteness = (found, governing, after, say) => {
  const wrong = (code, sequence, detail) => say("completeness", code, sequence, detail);
  const { statement: said, records, bySequence } = found;
  const size = found.checkpoint.size;
  const begin = said.first > 0n ? said.first - 1n : 0n;
  const end = said.end + 1n < size ? said.end + 1n : size;
  if (said.end > size) wrong("gap", size, "the period goes on past the end of the checkpoint's tree");
  const within = records.filter(({ sequence }) => begin <= sequence && sequence < end);
  let expected = begin;
  for (const { sequence } of within) {
    if (sequence !== expected) break;
    expected += 1n;
  }
  if (expected < end) wrong("gap", expected, "an event of the period, or next to it, is not in the case");
  for (const record of records) {
    const outside = record.sequence < begin || record.sequence >= end;
    if (outside && !record.own) {
      wrong("stray", record.sequence, "an event that is neither of the period nor of the journal itself");
    }
  }
  checkEdges(found, wrong);
  for (const record of records) if (!record.own) checkShown(said, record, wrong);
  const counted = count(found);
  if (counted !== null) wrong("counts", null, `the counts that the case states are not those of its events: ${counted} are selected`);
  checkErased(found, governing, wrong);
  if (found.manifest !== null) {
    const event = governing.find(({ sequence }) => sequence === found.manifest);
    const value = event?.kind === "case.exported" && found.manifest >= said.end ? event.value : null;
    const fits = value && value.first === said.first && value.end === said.end
      && value.selected === said.selected && same(value.commitment, caseCommitment(found.salt, found.said));
    if (!fits) {
      wrong("manifest", found.manifest, "the journal's event about this case is missing, or is about another one: "
        + "query, period, counts or redactions were changed");
    }
  }
  checkAgainst(found, after, say);
};

/** What is erased is so by an event of the journal that comes later, and for the reason that it gives. */
const checkErased = ({ statement: said, records, bySequence }, governing, wrong) => {
  const own = new Map(governing.map((event) => [event.sequence, event]));
  const shreds = governing.filter(({ kind }) => kind === "shred.intended");
  const keys = new Map(shreds.map(({ sequence, value }) => [sequence, new Set(value.keys)]));
  const completed = governing.filter(({ kind }) => kind === "erasure.completed");
  const kept = new Map(completed.map(({ value }) => [value.erasure, value.kept]));
  const takes = (by, sequence, place, key) => {
    if (!own.has(by)) {
      // One that only a newer version knows: that it can't be read was said.
      const order = bySequence.get(by);
      return Boolean(order?.own) && order.facts.kind.startsWith("erasure.");
    }
    const { kind, value } = own.get(by);
    if (kind === "shred.intended") return Boolean(key) && keys.get(by).has(hex(key));
    if (kind !== "erasure.ordered") return false;
    const much = value.full || (place !== null && ((value.sections >> place) & 1) === 1);
    return much && within(value.set, sequence) && !within(kept.get(by) ?? [], sequence);
  };
  for (const record of records) {
    const sections = (record.sections ?? []).map(({ state, by }, at) => ({ state, by, at, key: record.facts.sections[at].keyId }));
    const parts = sections.filter(({ state }) => state === 4);
    const orders = record.erasedBy === null ? parts : [{ by: record.erasedBy, at: null }];
    for (const { by, at, key } of orders) {
      if (by > record.sequence && takes(by, record.sequence, at, key)) continue;
      wrong("stub", record.sequence, `it is said to be erased by event ${by}, which doesn't do that`);
    }
  }
  for (const { by, reason } of said.erased) {
    const order = own.get(by);
    const gives = ["shred.intended", "erasure.ordered"].includes(order?.kind) ? order.value.reason : reason;
    if (gives === reason) continue;
    wrong("stub", by, "the case gives another reason for an erasure than the event that ordered it");
  }
};

/** What the case says that it follows, and the checkpoint of the case before that the reader kept. */
const checkAgainst = (found, after, say) => {
  const wrong = (code, detail) => say("completeness", code, null, detail);
  const { statement: said, checkpoint } = found;
  const shown = (size) => [...found.earlier.map((one) => one.checkpoint), checkpoint].find((one) => one.size === size);
  if (said.after) {
    const own = shown(said.after.size);
    if (!own || !same(own.root, said.after.root)) {
      wrong("after", "the checkpoint of the case that this one says it follows is not in it");
    }
  }
  if (!after) return;
  const own = shown(after.size);
  if (after.origin !== checkpoint.origin) {
    wrong("after", "the case that was given as the one before is of another journal");
  } else if (after.size > checkpoint.size) {
    wrong("after", `the case that was given as the one before speaks of ${after.size} events, and this one of `
      + `${checkpoint.size}: it is a later one, or the journal has lost events since`);
  } else if (!own) {
    say("completeness", "not_compared", null, said.after
      ? `the case follows one of ${said.after.size} events, so that it can't be compared with the one that was given, `
        + `of ${after.size}: give the one directly before`
      : "the case was made without --after, so that it can't be compared with the one that was given: "
        + "ask for it to be made again with that one", true);
  } else if (!same(own.root, after.root)) {
    wrong("forked", `the checkpoint of ${after.size} events that was kept elsewhere has another root than the case's: `
      + "the journal's history was rewritten, or it is another journal's");
  }
};

const checkEdges = ({ statement: said, bySequence }, wrong) => {
  const recorded = (sequence) => bySequence.get(sequence)?.recorded;
  const empty = said.first === said.end;
  const [before, first] = [recorded(said.first - 1n), recorded(said.first)];
  const [after, last] = [recorded(said.end), recorded(said.end - 1n)];
  const { time: from } = said.from;
  const begins = from === undefined ? said.first === said.from.sequence
    : (before === undefined || before < from) && (empty || first === undefined || first >= from);
  if (!begins) {
    wrong("period_begin", said.first, "the period does not begin where the query says: "
      + "an event before it belongs to it, or its first one doesn't");
  }
  const { time: until } = said.until;
  const ends = until === undefined ? said.end === said.until.sequence
    : (after === undefined || after >= until) && (empty || last === undefined || last < until);
  if (!ends) {
    wrong("period_end", said.end, "the period does not end where the query says: "
      + "an event after it belongs to it, or its last one doesn't");
  }
};

const checkShown = (said, record, wrong) => {
  const taken = said.covers(record) && said.takes(record) === true;
  if (record.facts && taken !== (record.sections !== null)) {
    wrong("selection", record.sequence, taken
      ? "the query asks for the event, and the case doesn't show its payload"
      : "the query doesn't ask for the event, and the case shows its payload");
  }
  (record.sections ?? []).forEach(({ state }, at) => {
    const { name } = record.facts.sections[at];
    const asked = said.redacted.includes(name);
    if (state === 3 && !asked) {
      wrong("redaction", record.sequence, `section ${name} is left out, and the query doesn't say so`);
    } else if (state < 3 && asked) {
      wrong("redaction", record.sequence, `section ${name} is shown, and the query leaves it out`);
    }
  });
};

/** How many are selected, if the counts stated are others; null if they are right. */
const count = ({ statement: said, records }) => {
  const [kinds, streams, erased] = [new Map(), new Map(), new Map()];
  let [selected, unknown] = [0n, 0n];
  const add = (map, key, by = 1n) => map.set(key, (map.get(key) ?? 0n) + by);
  for (const record of records) {
    if (!said.covers(record)) continue;
    const taken = said.takes(record);
    add(streams, record.number, taken === true ? 1n : 0n);
    for (const [by, level] of record.erased) add(erased, `${by} ${level}`);
    if (taken === null) unknown += 1n;
    if (taken !== true) continue;
    selected += 1n;
    if (record.facts) add(kinds, record.facts.kind);
  }
  const right = selected === said.selected && unknown === said.unknown
    && kinds.size === said.kindCounts.length && said.kindCounts.every(({ kind, count }) => kinds.get(kind) === count)
    && [...streams.values()].join() === said.streamCounts.join()
    && erased.size === said.erased.length
    && said.erased.every(({ by, level, events }) => erased.get(`${by} ${level}`) === events);
  return right ? null : selected;
};

/** `own` is null if the events don't lead to the checkpoint, and so say nothing of keys. */
const checkAuthenticity = (found, own, given, say) => {
  const governing = own ?? [];
  const { checkpoint } = found;
  const shown = [...found.earlier.map((one) => one.checkpoint), checkpoint];
  const revoked = governing.filter(({ kind }) => kind === "key.revoked");
  const limit = (key) => revoked.filter(({ value }) => same(value.key, key))
    .reduce((least, { value }) => (value.from < least ? value.from : least), MOST);
  const counts = (one, { key, most }) => one.size <= most && one.signedBy(key);
  const keys = given.name === checkpoint.origin ? [{ key: given, most: limit(given.bytes) }] : [];
  let announced = null;
  for (const { sequence, kind, value } of governing) {
    if (kind !== "key.rotated") continue;
    const promised = announced === null || same(announced, nextKeyHash(value.key));
    announced = value.next;
    const covered = sequence + 1n;
    const old = keys.find(({ key }) => same(key.bytes, value.old));
    if (!old) continue;
    if (covered < old.most) old.most = covered;
    const handed = shown.some((one) => one.size >= covered && counts(one, old));
    if (handed && promised && !keys.some(({ key }) => same(key.bytes, value.key))) {
      keys.push({ key: new Key(checkpoint.origin, value.key), most: limit(value.key) });
    }
  }
  // All that the reader or the journal itself names, whether their signatures count or not.
  const named = new Map(given.name === checkpoint.origin ? [[hex(given.bytes), given]] : []);
  for (const { kind, value } of governing) {
    const keys = { "journal.created": value.keys, "key.rotated": [value.old, value.key] }[kind] ?? [];
    for (const key of keys) if (!named.has(hex(key))) named.set(hex(key), new Key(checkpoint.origin, key));
  }
  let bad = false;
  const strangers = [];
  for (const one of shown) {
    for (const signature of one.signatures) {
      const by = [...named.values()].filter((key) => key.made(signature));
      if (by.length === 0) {
        // Cosignatures are longer; what others sign in other ways is no matter of ours.
        if (signature.bytes.length === 64) strangers.push([signature.name, one.size]);
      } else if (!by.some((key) => key.verifies(one.text, signature.bytes))) {
        bad = true;
        say("authenticity", "signature", null, `the signature of ${signature.name} under the checkpoint of ${one.size} events does not verify`);
      }
    }
  }
  const signers = keys.filter((key) => counts(checkpoint, key)).map(({ key }) => key);
  if (signers.length === 0 && !bad) {
    say("authenticity", "not_signed", null, "the checkpoint is not signed by the key that was given, nor by one that took its place");
  }
  for (const [name, size] of own ? strangers : []) {
    say("authenticity", "unknown_signature", null, `${name} has signed the checkpoint of ${size} events with a key that is none of the journal's`);
  }
  return signers;
};
