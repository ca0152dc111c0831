// What people see. Text of the case goes in as text alone, never as markup.
import { Bad, base64, hex, same } from "./bytes.js";
import { pathDrawing, timeline } from "./draw.js";
import { sha256 } from "./hashes.js";
import { Key } from "./note.js";
import { climb, verify } from "./verify.js";
import { beginning, encrypted, meanings, paper, period, population, proven, query, sample, time } from "./words.js";

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
let before = null;
let vkey = "";
let drawn = null;
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
  before = null;
  if ($("after").files[0]) {
    const [name, kept] = [$("after").files[0].name, new Uint8Array(await $("after").files[0].arrayBuffer())];
    if (same(kept, bytes)) return refuse("The case before is the same file as the case.");
    const found = verify(kept, key);
    if (found.outcome !== "holds") {
      const why = found.findings[0];
      return refuse(`The case before, ${name}, does not hold${why ? `: ${why.code}, ${why.detail}` : ""}.`);
    }
    before = { name, case: found.case };
  }
  vkey = $("vkey").value.trim();
  const started = performance.now();
  report = verify(bytes, key, before?.case.checkpoint);
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
  const rows = meanings(report).flatMap(([name, verdict, meaning]) => [
    make("dt", {}, name), make("dd", {}, verdictWord(verdict)), make("dd", {}, meaning),
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
      ? make("p", {}, "What follows is what the case says of itself. It proves nothing.") : "",
  );
};

const showCase = () => {
  const { statement: said, checkpoint, manifest, earlier } = report.case;
  const [sealed, keyed] = encrypted(report.case);
  const rows = [
    ["File", report.file],
    ["Journal", checkpoint.origin],
    ["Checkpoint", `${checkpoint.size} events, root ${base64(checkpoint.root)}`],
    ["Signed by", report.signers.map((key) => `key ${hex(key.id)}`).join(", ") || "NOBODY WHOM YOU NAMED"],
    ["Period", period(report.case)],
    beginning(report.case) ? ["Note", beginning(report.case)] : null,
    ["Asked for", query(said)],
    ["Population", population(report.case)],
    said.unknown > 0n ? ["Unknown", `${said.unknown} events were erased, so that nobody knows whether they belong to it`] : null,
    ...said.erased.map(({ by, level, reason, events: count }) => ["Erased", `${level === 1 ? "sections" : "all"} of ${count} events, by event ${by}: ${reason}`]),
    said.redacted.length ? ["Left out", `sections ${said.redacted.join(", ")}`] : null,
    sealed > 0 ? ["Encrypted", `${sealed} sections, ${keyed} of them with the key that opens it; none is opened here`] : null,
    said.after ? ["Follows", `a case of ${said.after.size} events, as it says`] : null,
    earlier.length ? ["Earlier checkpoints", earlier.map((one) => `${one.checkpoint.size} events`).join(", ")] : null,
    ["Logged", manifest === null ? "NO: an unlogged export; the journal says nothing of it" : `the journal says so itself, at event ${manifest}`],
    ["Made", `${time(said.madeAt)} by ${said.tool}`],
  ].filter(Boolean);
  $("about-head").textContent = report.outcome === "holds" ? "What it is" : "What the case says of itself: don't rely on it";
  $("about").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, plain(value))]));
  const people = "Facts name people, also in events that were not asked for. Pass the case on only to who may see them.";
  const lines = [...proven(report, before), people];
  $("proven").replaceChildren(...lines.map((line) => make("li", {}, plain(line))));
  $("counts").replaceChildren(countTable("By kind", said.kindCounts.map(({ kind, count }) => [kind, count])),
    countTable("By stream", streamCounts()));
  $("timeline").replaceChildren(timeline(report.case, time));
  const kinds = [...new Set(report.case.records.map(({ facts }) => facts?.kind).filter(Boolean))].sort();
  $("kind").replaceChildren(make("option", { value: "" }, "any"), ...kinds.map((kind) => make("option", { value: kind }, plain(kind))));
  $("which").value = said.selected > 0n ? "selected" : "all";
  $("text").value = "";
  forgetSample();
  $("detail").hidden = true;
  $("content").hidden = false;
  filter();
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
    if (which === "sample" && !drawn.has(record.sequence)) return false;
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

const forgetSample = () => {
  drawn = null;
  $("sample-option").disabled = true;
  $("paper").hidden = true;
  $("save").hidden = true;
  $("draw").disabled = report.outcome !== "holds";
  $("no-sample").hidden = report.outcome === "holds";
};
$("sample").addEventListener("submit", (event) => {
  event.preventDefault();
  const [n, seed] = [Number($("n").value), $("seed").value];
  if (report.outcome !== "holds" || !Number.isInteger(n) || n < 1 || seed.trim() === "") return;
  const records = sample(report.case, n, seed);
  drawn = new Set(records.map(({ sequence }) => sequence));
  const checked = BigInt(Date.now()) * 1000n;
  $("paper").textContent = plain(paper(report, before, { drawn: records, n, seed, vkey, checked }));
  $("save").href = URL.createObjectURL(new Blob([$("paper").textContent], { type: "text/plain" }));
  for (const id of ["paper", "save"]) $(id).hidden = false;
  $("sample-option").disabled = false;
  $("which").value = "sample";
  $("kind").value = "";
  $("text").value = "";
  filter();
});

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
    ...record.erased.map(([by, level]) => ["Erased", `${level === 1 ? "in part" : "all but its place"}, by event ${by}`]),
    ["Event hash", hex(record.hash)],
  ].filter(Boolean);
  const sections = (record.sections ?? []).flatMap((section, place) => {
    const row = facts.sections[place];
    const head = make("h3", {}, plain(`Section ${row.name}`));
    if (section.state === 3) return [head, make("p", {}, `Left out of this case. It is in the journal: ${row.length} bytes with the hash ${hex(row.hash)}.`)];
    const order = report.case.bySequence.get(section.by)?.facts?.kind;
    if (section.state === 4) return [head, make("p", {}, `${order === "shred.intended" ? "Erased: its key was destroyed" : "Erased"}, by event ${section.by}. Its hash was ${hex(row.hash)}.`)];
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
