// A case file, taken apart as docs/evidence.md says. Having one says nothing of what it claims.
import { Bad, Cut, compare, hex, isZero, join, known, need, same, utf8Bytes } from "./bytes.js";
import { caseFileHash, eventHash, factsHash } from "./hashes.js";
import { Checkpoint } from "./note.js";

const NOWHERE = (1n << 64n) - 1n;
const TIME_FOLLOWS = 0xffffffff;
/** One past the last. */
const MOST_TIME = 1n << 63n;

export class Facts {
  constructor(bytes) {
    need(bytes.length <= 32768, "facts are too long");
    const cut = new Cut(bytes);
    this.id = cut.take(16);
    this.entity = cut.name();
    this.scope = cut.name();
    need(!this.scope.includes("/"), "a scope with a slash");
    this.kind = cut.name();
    this.version = cut.u16();
    const tags = cut.u8();
    need(tags <= 32, "too many tags");
    this.tags = Array.from({ length: tags }, () => cut.name());
    need(ascends(this.tags, compare), "tags are not sorted");
    const bits = cut.u16();
    known(bits < 32, "a field of the facts");
    this.occurred = bits & 1 ? cut.i64() : null;
    this.actor = bits & 2 ? cut.name() : null;
    this.correlation = bits & 4 ? cut.take(16) : null;
    this.causation = bits & 8 ? cut.take(16) : null;
    if (bits & 16) {
      need(!isZero(cut.take(16)) && !isZero(cut.take(8)), "a trace context of zeros");
      cut.u8();
    }
    const sections = cut.u8();
    need(sections <= 16, "too many sections");
    this.sections = Array.from({ length: sections }, () => row(cut));
    cut.end();
    need(new Set(this.sections.map((one) => one.name)).size === sections, "two sections of one name");
    const length = this.sections.reduce((sum, one) => sum + one.length, 0);
    need(length <= 16 << 20, "the payload is too long");
  }
}

const row = (cut) => {
  const [name, length, encoding] = [cut.name(), cut.u32(), cut.u8()];
  const [suite, compression, padding, flags] = cut.take(4);
  known(encoding <= 4 && compression === 0 && flags === 0, "a section");
  const hash = cut.take(32);
  need(suite !== 0 || padding === 0, "padding of a plain section");
  if (suite === 0) return { name, length, encoding, suite, hash };
  const [keyId, commitment] = [cut.take(16), cut.take(32)];
  known(suite <= 2 && padding <= 1, "a cipher suite");
  return { name, length, encoding, suite, hash, keyId, commitment };
};

const ascends = (list, order) => list.every((one, at) => at === 0 || order(list[at - 1], one) < 0);

class Record {
  constructor(cut, journal, sequence, streams) {
    this.sequence = sequence;
    const flags = cut.u8();
    need(flags === 0 || flags === 1 || flags === 3, "flags of an event");
    this.place(cut, streams);
    this.recorded = recorded(cut, streams.time);
    streams.time = this.recorded;
    [this.facts, this.erasedBy, this.sections] = [null, null, null];
    if (flags & 1) {
      const salt = cut.take(16);
      const bytes = cut.take(cut.u16());
      this.facts = new Facts(bytes);
      this.factsHash = factsHash(salt, bytes);
    } else {
      this.factsHash = cut.take(32);
      this.erasedBy = cut.u64();
    }
    if (flags & 2) this.sections = this.facts.sections.map((row) => section(cut, row));
    this.hash = eventHash(this.spine(journal));
    streams.last.set(this.number, this);
  }

  place(cut, streams) {
    this.number = cut.u32();
    const last = streams.last.get(this.number);
    if (last) {
      this.stream = last.stream;
      this.revision = last.revision + 1n;
      this.previous = last.hash;
      need(this.revision <= NOWHERE, "revision of an event");
      return;
    }
    this.stream = cut.take(16);
    const id = hex(this.stream);
    need(this.number === streams.last.size && !streams.ids.has(id), "stream of an event");
    streams.ids.add(id);
    this.revision = cut.u64();
    this.previous = this.revision === 0n ? new Uint8Array(32) : cut.take(32);
  }

  spine(journal) {
    const spine = new Uint8Array(128);
    const view = new DataView(spine.buffer);
    spine[0] = 1;
    spine[1] = 1;
    spine.set(journal, 8);
    view.setBigUint64(24, this.sequence, true);
    view.setBigUint64(32, this.revision, true);
    spine.set(this.stream, 40);
    view.setBigInt64(56, this.recorded, true);
    spine.set(this.previous, 64);
    spine.set(this.factsHash, 96);
    return spine;
  }

  /** Sequences of the events that ordered something of it erased, each once, with what they left. */
  get erased() {
    if (this.erasedBy !== null) return [[this.erasedBy, 2]];
    const by = (this.sections ?? []).filter(({ state }) => state === 4).map((one) => one.by);
    return [...new Set(by)].map((one) => [one, 1]);
  }

  get own() {
    return this.facts?.scope === "$journal";
  }

  get coordinate() {
    return this.facts ? `${this.facts.scope}/${this.facts.entity}` : null;
  }
}

/** As microseconds since the event before in the case, or, where that is too long or negative, by itself. */
const recorded = (cut, last) => {
  const fits = (since) => since !== null && since >= 0n && since < BigInt(TIME_FOLLOWS);
  const since = cut.u32();
  const time = since === TIME_FOLLOWS ? cut.i64() : (last ?? MOST_TIME) + BigInt(since);
  const written = fits(last === null ? null : time - last);
  need(written === (since !== TIME_FOLLOWS) && time < MOST_TIME, "time of an event");
  return time;
};

const section = (cut, row) => {
  const state = cut.u8();
  need(state >= 1 && state <= 4 && (row.suite !== 0 || state !== 2), "state of a section");
  if (state === 4) return { state, by: cut.u64() };
  if (state === 3) return { state };
  const secret = cut.take(row.suite === 0 ? 16 : 24);
  const stored = cut.take(row.length);
  return { state, secret, stored, key: state === 2 ? cut.take(32) : null };
};

export class Statement {
  constructor(bytes) {
    const cut = new Cut(bytes);
    known(cut.u8() === 1, "a statement");
    const name = () => cut.name();
    const edge = () => {
      const sort = cut.u8();
      need(sort <= 1, "edge of a period");
      return sort === 0 ? { sequence: cut.u64() } : { time: cut.i64() };
    };
    this.tool = cut.name();
    this.madeAt = cut.i64();
    this.from = edge();
    this.until = edge();
    this.first = cut.u64();
    this.end = cut.u64();
    need(this.first <= this.end, "the period ends before it begins");
    this.streams = cut.list(6, () => [cut.name(), cut.name()]);
    need(this.streams.every(([scope]) => !scope.includes("/")), "a scope with a slash");
    this.kinds = cut.list(3, name);
    this.tags = cut.list(3, name);
    this.redacted = cut.list(3, name);
    const flag = cut.u8();
    need(flag <= 1, "the case before");
    this.after = flag === 1 ? { size: cut.u64(), root: cut.take(32) } : null;
    this.selected = cut.u64();
    this.unknown = cut.u64();
    this.kindCounts = cut.list(11, () => ({ kind: cut.name(), count: cut.u64() }));
    this.streamCounts = cut.list(4, () => BigInt(cut.u32()));
    this.erased = cut.list(20, () => ({
      by: cut.u64(), level: cut.u8(), reason: cut.reason(), events: cut.u64(),
    }));
    cut.end();
    const pairs = (one, other) => compare(one[0], other[0]) || compare(one[1], other[1]);
    const kinds = (one, other) => compare(one.kind, other.kind);
    const erased = (one, other) => (one.by < other.by ? -1 : one.by > other.by ? 1 : one.level - other.level);
    const sorted = ascends(this.streams, pairs) && ascends(this.kindCounts, kinds)
      && [this.kinds, this.tags, this.redacted].every((list) => ascends(list, compare))
      && ascends(this.erased, erased);
    const counted = this.kindCounts.every(({ count }) => count > 0n)
      && this.erased.every(({ level, events }) => events > 0n && (level === 1 || level === 2));
    need(sorted && counted, "a list of the statement is not sorted, or a count is 0");
  }

  covers(record) {
    return this.first <= record.sequence && record.sequence < this.end;
  }

  /** Whether an event is asked for; null if nobody knows. */
  takes({ facts }) {
    if (!facts) return this.streams.length || this.kinds.length || this.tags.length ? null : true;
    if (this.streams.length === 0 && facts.scope.startsWith("$")) return false;
    return (this.kinds.length === 0 || this.kinds.includes(facts.kind))
      && (this.streams.length === 0
        || this.streams.some(([scope, entity]) => scope === facts.scope && entity === facts.entity))
      && this.tags.every((tag) => facts.tags.includes(tag));
  }
}

export class Case {
  constructor(bytes) {
    need(bytes.length <= 1 << 30, "it is too long");
    let cut = new Cut(bytes);
    const begins = (text) => same(bytes.subarray(0, text.length), utf8Bytes(text));
    need(!begins("c2sp.org/tlog-proof"), "it is a receipt and no evidence case");
    need(begins("FACTCASE"), "it is no evidence case: it begins otherwise than every one of them");
    cut.take(8);
    known(cut.u8() === 1, "the case");
    need(bytes.length >= 32, "it ends too early");
    const body = bytes.subarray(0, bytes.length - 32);
    if (!same(caseFileHash(body), bytes.subarray(body.length))) {
      throw new Bad("case.damaged", "the hash at its end is not that of the file: it was damaged, likely on its way to you");
    }
    need(body.length >= cut.at, "it ends too early");
    cut = new Cut(body, cut.at);
    cut.zeros(7);
    const note = () => new Checkpoint(cut.take(cut.u32()));
    this.journal = cut.take(16);
    this.checkpoint = note();
    this.earlier = Array.from({ length: cut.u8() }, () => {
      const checkpoint = note();
      const count = cut.u8();
      need(count <= 64, "proof of an earlier checkpoint");
      return { checkpoint, path: Array.from({ length: count }, () => cut.take(32)) };
    });
    this.salt = cut.take(16);
    this.said = cut.take(cut.u32());
    const manifest = cut.u64();
    this.manifest = manifest === NOWHERE ? null : manifest;
    need(this.manifest !== null || isZero(this.salt), "salt of an unlogged export");
    this.records = [];
    const streams = { last: new Map(), ids: new Set(), time: null };
    let least = 0n;
    for (let runs = cut.u32(); runs > 0; runs--) {
      const [first, count] = [cut.u64(), cut.u32()];
      const end = first + BigInt(count);
      need(count > 0 && first >= least && end < NOWHERE, "a run of events");
      need(count * 27 <= cut.left, "it ends too early");
      for (let sequence = first; sequence < end; sequence++) {
        this.records.push(new Record(cut, this.journal, sequence, streams));
      }
      least = end + 1n;
    }
    this.proof = cut.list(32, () => cut.take(32));
    cut.end();
    this.statement = new Statement(this.said);
    this.bySequence = new Map(this.records.map((record) => [record.sequence, record]));
  }
}
