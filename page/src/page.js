// What people see. Text of the case goes in as text alone, never as markup.
import { Bad, base64, hex } from "./bytes.js";
import { sha256 } from "./hashes.js";
import { Key } from "./note.js";
import { climb, verify } from "./verify.js";
import { pathDrawing, timeline } from "./draw.js";

const PAGE = 100;
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

const time = (micros) => {
  const millis = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n);
  const date = new Date(Number(millis));
  if (Number.isNaN(date.getTime())) return `${micros} µs`;
  const rest = String(micros - (micros / 1_000_000n - (micros % 1_000_000n < 0n ? 1n : 0n)) * 1_000_000n);
  return date.toISOString().slice(0, 19).replace("T", " ") + "." + rest.padStart(6, "0") + " UTC";
};

/** Control characters and those that turn the direction of writing are spelled out. */
const plain = (text) => text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);

const WORDS = {
  holds: ["✓", "holds"],
  fails: ["✗", "does not hold"],
  undecided: ["?", "can't be decided"],
};
const verdictWord = (verdict) => {
  const [sign, word] = WORDS[verdict];
  return make("span", { class: `${verdict}-word` }, `${sign} ${word}`);
};

let report = null;
let view = [];
let at = 0;
let bad = new Set();

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = $("file").files[0];
  $("content").hidden = true;
  if (!file) return refuse("Choose the file of the case first.");
  let key;
  try {
    key = Key.parse($("vkey").value.trim());
  } catch (error) {
    if (!(error instanceof Bad)) throw error;
    return refuse(error.message);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const started = performance.now();
  report = verify(bytes, key);
  report.took = performance.now() - started;
  report.file = `${file.name}, ${bytes.length} bytes, SHA-256 ${hex(sha256(bytes))}`;
  bad = new Set(report.findings.filter((found) => !found.undecided).map((found) => found.sequence));
  showAnswer();
  if (report.case) showCase();
});

const refuse = (why) => {
  const answer = $("answer");
  answer.className = "undecided";
  answer.replaceChildren(make("p", { class: "headline" }, "? Nothing was checked"), make("p", {}, why));
};

const showAnswer = () => {
  const answer = $("answer");
  answer.className = report.outcome;
  answer.dataset.milliseconds = Math.round(report.took);
  const [sign, word] = WORDS[report.outcome];
  const meaning = {
    integrity: "Is every byte what the journal's checkpoint commits to?",
    authenticity: "Is the checkpoint signed by the key you typed, or one that took its place?",
    completeness: "Is no event of the period missing, by the query run again here?",
  };
  const rows = Object.entries(meaning).flatMap(([name, question]) => [
    make("dt", {}, name), make("dd", {}, verdictWord(report[name])), make("dd", {}, question),
  ]);
  const findings = report.findings.slice(0, 50).map((found) => {
    const where = found.sequence === null ? "" : `event ${found.sequence}: `;
    return make("li", { class: found.undecided ? "open" : null },
      make("code", {}, found.code), ` ${plain(where + found.detail)}`);
  });
  answer.replaceChildren(
    make("p", { class: "headline" }, `${sign} The case ${word}`),
    make("dl", { class: "verdicts" }, ...rows),
    findings.length ? make("ul", { class: "findings" }, ...findings) : "",
    report.case && report.outcome !== "holds"
      ? make("p", {}, "What follows is what the case says of itself. Don't rely on it.") : "",
  );
};

const edge = ({ time: micros, sequence }) => (micros === undefined ? `sequence ${sequence}` : time(micros));

const showCase = () => {
  const { statement: said, checkpoint, manifest, earlier } = report.case;
  const query = [
    said.kinds.length ? `kind ${said.kinds.join(" or ")}` : null,
    said.streams.length ? `stream ${said.streams.map((one) => one.join("/")).join(" or ")}` : null,
    said.tags.length ? `tag ${said.tags.join(" and ")}` : null,
  ].filter(Boolean).join(", ") || "everything but events of the journal itself";
  const events = said.end - said.first;
  const rows = [
    ["File", report.file],
    ["Journal", checkpoint.origin],
    ["Checkpoint", `${checkpoint.size} events, root ${base64(checkpoint.root)}`],
    ["Signed by", report.signers.map((key) => `key ${hex(key.id)}`).join(", ") || "NOBODY WHOM YOU NAMED"],
    ["Period", `from ${edge(said.from)} to before ${edge(said.until)}: ${events === 0n ? "no event at all" : `events ${said.first} to ${said.end - 1n}`}`],
    ["Asked for", query],
    ["Population", said.selected === 0n ? `EMPTY: of the ${events} events of the period none is what was asked for`
      : `${said.selected} events, of ${events} in the period`],
    said.unknown > 0n ? ["Unknown", `${said.unknown} events were erased, so that nobody knows whether they belong to it`] : null,
    ...said.erased.map(({ by, reason, events: count }) => ["Erased", `${count} events, by event ${by}: ${reason}`]),
    said.redacted.length ? ["Left out", `sections ${said.redacted.join(", ")}`] : null,
    said.after ? ["Follows", `a case of ${said.after.size} events`] : null,
    earlier.length ? ["Earlier checkpoints", earlier.map((one) => `${one.checkpoint.size} events`).join(", ")] : null,
    ["Logged", manifest === null ? "NO: an unlogged export; the journal says nothing of it" : `the journal says so itself, at event ${manifest}`],
    ["Made", `${time(said.madeAt)} by ${said.tool}`],
  ].filter(Boolean);
  $("about").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, plain(value))]));
  $("proven").replaceChildren(...proven().map((line) => make("li", {}, plain(line))));
  $("counts").replaceChildren(countTable("By kind", said.kindCounts.map(({ kind, count }) => [kind, count])),
    countTable("By stream", streamCounts()));
  $("timeline").replaceChildren(timeline(report.case, time));
  const kinds = [...new Set(report.case.records.map(({ facts }) => facts?.kind).filter(Boolean))].sort();
  $("kind").replaceChildren(make("option", { value: "" }, "any"), ...kinds.map((kind) => make("option", { value: kind }, plain(kind))));
  $("which").value = said.selected > 0n ? "selected" : "all";
  $("text").value = "";
  $("detail").hidden = true;
  $("content").hidden = false;
  filter();
};

const proven = () => {
  const { statement: said, checkpoint, manifest } = report.case;
  const closed = said.until.time !== undefined && said.end < checkpoint.size;
  const holds = report.outcome === "holds";
  return [
    holds ? `Proven: these are all events of the period that ${checkpoint.origin} held when it had ${checkpoint.size} events, as its key says, unchanged since.`
      : "Nothing is proven: the case does not hold, or can't be decided.",
    closed ? "The period is closed: an event after it is in the case."
      : said.until.time !== undefined ? "The journal ended before an event followed the period: a later case shows whether more came."
        : `The period ends at sequence ${said.end} because the query says so, not at a time.`,
    manifest === null ? "This is an unlogged export: whoever made it chose period and query, and the journal tells of neither." : null,
    "Not proven: that what was recorded is true, that all that happened was recorded, or that the clock was right.",
    "Not proven: that the journal is the only one of its kind. Keep this case, and ask for the next one with --after.",
    "Facts name people, also in events that were not asked for. Pass the case on only to who may see them.",
  ].filter(Boolean);
};

const streamCounts = () => {
  const { statement: said, records } = report.case;
  const names = new Map();
  for (const record of records) {
    if (said.covers(record)) names.set(record.number, record.coordinate ?? names.get(record.number) ?? "(erased)");
  }
  return [...names.values()].map((name, place) => [name, said.streamCounts[place] ?? 0n]).filter(([, count]) => count > 0n);
};

const countTable = (caption, rows) => {
  const sorted = rows.sort((one, other) => (other[1] > one[1] ? 1 : other[1] < one[1] ? -1 : 0));
  const shown = sorted.slice(0, 12).map(([name, count]) => make("tr", {}, make("td", {}, plain(name)), make("td", { class: "number" }, String(count))));
  if (sorted.length > 12) shown.push(make("tr", {}, make("td", {}, `and ${sorted.length - 12} more`), make("td", {})));
  if (sorted.length === 0) shown.push(make("tr", {}, make("td", {}, "none"), make("td", { class: "number" }, "0")));
  return make("table", {}, make("caption", {}, caption), make("tbody", {}, ...shown));
};

const role = (record) => {
  const said = report.case.statement;
  if (!said.covers(record)) return record.own ? "the journal's own" : "neighbour of the period";
  return said.takes(record) === true ? "population" : said.takes(record) === null ? "unknown" : "not asked for";
};

const payloadText = (record) => (record.sections ?? []).map((section, place) => {
  const row = record.facts.sections[place];
  if (section.state === 3) return `${row.name}: [left out]`;
  if (section.state === 4) return `${row.name}: [erased]`;
  if (row.suite !== 0) return `${row.name}: [encrypted, ${section.key ? "with its key" : "without key"}]`;
  return row.encoding <= 1 ? decode(section.stored) ?? `${row.length} bytes` : `${row.length} bytes`;
}).join(" ");

const decode = (bytes) => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
};

const filter = () => {
  const { statement: said, records } = report.case;
  const [which, kind, text] = [$("which").value, $("kind").value, $("text").value.toLowerCase()];
  view = records.filter((record) => {
    if (which === "selected" && !(said.covers(record) && said.takes(record) !== false)) return false;
    if (which === "period" && !said.covers(record)) return false;
    if (kind && record.facts?.kind !== kind) return false;
    if (!text) return true;
    const { facts } = record;
    const words = [record.coordinate ?? "", facts?.kind ?? "", facts?.actor ?? "", ...(facts?.tags ?? []), payloadText(record)];
    return words.join("\n").toLowerCase().includes(text);
  });
  at = 0;
  list();
};
for (const id of ["which", "kind", "text"]) $(id).addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("back").addEventListener("click", () => { at = Math.max(0, at - PAGE); list(); });
$("on").addEventListener("click", () => { at += PAGE; list(); });

const list = () => {
  const rows = [];
  const unfiltered = $("which").value === "all" && !$("kind").value && !$("text").value;
  view.slice(at, at + PAGE).forEach((record, place) => {
    const before = view[at + place - 1];
    if (unfiltered && before && before.sequence + 1n < record.sequence) {
      const [from, to] = [before.sequence + 1n, record.sequence - 1n];
      const text = from === to ? `event ${from} is not in this case` : `events ${from} to ${to} are not in this case`;
      rows.push(make("tr", { class: "gap" }, make("td", { colspan: "6" }, `… ${text} …`)));
    }
    rows.push(row(record));
  });
  $("events").tBodies[0].replaceChildren(...rows);
  $("shown").textContent = `${view.length} events`;
  $("at").textContent = view.length ? `${at + 1} to ${Math.min(at + PAGE, view.length)} of ${view.length}` : "none";
  $("back").disabled = at === 0;
  $("on").disabled = at + PAGE >= view.length;
};

const row = (record) => {
  const { facts } = record;
  const wrong = bad.has(record.sequence);
  const button = make("button", { type: "button", "aria-label": `Proof of event ${record.sequence}` }, "Show");
  const line = make("tr", { class: wrong ? "bad" : report.case.statement.covers(record) ? null : "around" },
    make("td", { class: "number" }, String(record.sequence)),
    make("td", {}, time(record.recorded)),
    make("td", {}, facts ? plain(record.coordinate) : make("span", { class: "mark" }, `erased by ${record.erasedBy}`)),
    make("td", {}, facts ? plain(facts.kind) : ""),
    make("td", {}, wrong ? make("span", { class: "mark" }, "✗ WRONG") : "", " ", plain(payloadText(record)).slice(0, 200)),
    make("td", {}, button));
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("tr.current")) other.classList.remove("current");
    line.classList.add("current");
    show(record);
  });
  return line;
};

const show = (record) => {
  const { facts } = record;
  const uuid = (id) => hex(id).replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
  const entries = [
    ["Role", role(record)],
    ["Recorded", time(record.recorded)],
    facts?.occurred != null ? ["Occurred", `${time(facts.occurred)}, as the caller says`] : null,
    ["Revision", `${record.revision} of stream ${hex(record.stream)}`],
    facts ? ["Event id", uuid(facts.id)] : null,
    facts?.actor ? ["Actor", facts.actor] : null,
    facts?.tags.length ? ["Tags", facts.tags.join(", ")] : null,
    facts?.correlation ? ["Correlation", uuid(facts.correlation)] : null,
    facts?.causation ? ["Caused by", uuid(facts.causation)] : null,
    record.erasedBy !== null ? ["Erased", `${facts ? "in part" : "all but its place"}, by event ${record.erasedBy}`] : null,
    ["Event hash", hex(record.hash)],
  ].filter(Boolean);
  const sections = (record.sections ?? []).flatMap((section, place) => {
    const row = facts.sections[place];
    const head = make("h3", {}, plain(`Section ${row.name}`));
    if (section.state === 3) return [head, make("p", {}, `Left out of this case. It is in the journal: ${row.length} bytes with the hash ${hex(row.hash)}.`)];
    if (section.state === 4) return [head, make("p", {}, `Erased by event ${record.erasedBy}. Its hash was ${hex(row.hash)}.`)];
    if (row.suite !== 0) return [head, make("p", {}, `Encrypted. ${section.key ? "Its own key is in the case and is the right one unless a finding says otherwise; this page doesn't decrypt." : "Its key is not in the case."}`)];
    return [head, make("pre", {}, plain(content(row, section.stored)))];
  });
  const climbed = climb(report.case, record.sequence);
  $("detail-head").textContent = `Event ${record.sequence}${facts ? `: ${plain(facts.kind)}` : ""}`;
  $("event").replaceChildren(
    make("dl", { class: "about" }, ...entries.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, plain(value))])),
    bad.has(record.sequence) ? make("p", { class: "wrong" }, "✗ A finding above says that something of this event is wrong.") : "",
    ...sections,
    make("h3", {}, "Proof: from the event up to the signed root"),
    climbed ? pathDrawing(record, climbed, report.case.checkpoint) : make("p", {}, "There is no path: the proof does not fit."),
  );
  $("detail").hidden = false;
  $("detail").focus();
  $("detail").scrollIntoView({ block: "start" });
};

const content = (row, bytes) => {
  const text = row.encoding <= 1 ? decode(bytes) : null;
  if (text === null) return hex(bytes);
  // Numbers of any size stay as they are written, so it is not parsed and printed again where that would change it.
  try {
    const value = JSON.parse(text);
    const again = JSON.stringify(value, null, 2);
    return row.encoding === 1 && JSON.stringify(value) === text.replace(/\s+/g, "") ? again : text;
  } catch {
    return text;
  }
};
