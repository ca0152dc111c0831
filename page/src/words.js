// What a case says and what was proven, in words: those of the command.
import { base64, hex, join, utf8Bytes } from "./bytes.js";
import { sha256 } from "./hashes.js";

export const time = (micros) => {
  const millis = micros / 1000n - (micros % 1000n < 0n ? 1n : 0n);
  const date = new Date(Number(millis));
  if (Number.isNaN(date.getTime())) return `${micros} µs`;
  const rest = String(micros - (micros / 1_000_000n - (micros % 1_000_000n < 0n ? 1n : 0n)) * 1_000_000n);
  return date.toISOString().slice(0, 19).replace("T", " ") + "." + rest.padStart(6, "0") + " UTC";
};

/** What each verdict means here. */
export const meanings = ({ integrity, authenticity, completeness }) => {
  const signed = authenticity === "holds";
  const words = {
    integrity: {
      holds: signed ? "Every byte is what the checkpoint commits to."
        : "Every byte is what this checkpoint commits to, for which nobody you named vouches.",
      fails: "The file isn't what its checkpoint commits to: it was changed, or is damaged.",
      undecided: "It can't be told whether every byte is what the checkpoint commits to.",
    },
    authenticity: {
      holds: "The checkpoint is signed by the key you typed, or by one that took its place.",
      fails: "The key you typed doesn't vouch for the checkpoint.",
      undecided: "It can't be told who signed.",
    },
    completeness: {
      holds: signed ? "No event of the period is missing, and the query was run again here."
        : "No event is missing, as far as this checkpoint goes, for which nobody you named vouches.",
      fails: "Something is missing, or isn't what the case says of it.",
      undecided: "Not all of it can be decided: what that would take stands below.",
    },
  };
  const found = { integrity, authenticity, completeness };
  return Object.entries(found).map(([name, verdict]) => [name, verdict, words[name][verdict]]);
};

export const query = (said) => [
  said.kinds.length ? `kind ${said.kinds.join(" or ")}` : null,
  said.streams.length ? `stream ${said.streams.map((one) => one.join("/")).join(" or ")}` : null,
  said.tags.length ? `tag ${said.tags.join(" and ")}` : null,
].filter(Boolean).join(", ") || "everything but the journal's own events";

export const period = ({ statement: said, bySequence }) => {
  const edge = ({ time: micros, sequence }) => (micros === undefined ? `sequence ${sequence}` : time(micros));
  const [first, last] = [bySequence.get(said.first), bySequence.get(said.end - 1n)];
  const times = first && last ? `, recorded ${time(first.recorded)} to ${time(last.recorded)}` : "";
  const events = said.first === said.end ? "no event at all" : `events ${said.first} to ${said.end - 1n}${times}`;
  return `recorded from ${edge(said.from)} to before ${edge(said.until)}: ${events}`;
};

/** When the journal began, where the period begins before that; else null. */
export const beginning = ({ statement: said, bySequence }) => {
  const created = bySequence.get(0n)?.recorded;
  if (created === undefined || said.from.time === undefined) return null;
  const over = said.until.time !== undefined && said.until.time <= created;
  if (!over && said.from.time >= created) return null;
  return `the journal was created at ${time(created)}, `
    + (over ? "after this period: it can't hold anything of it" : "after this period began: what was before isn't in it");
};

/** How much of the period was asked for, so that the numbers add up. */
export const population = ({ statement: said, records }) => {
  const events = said.end - said.first;
  const isOwn = (record) => said.covers(record) && record.facts?.scope.startsWith("$") && said.takes(record) !== true;
  const own = BigInt(records.filter(isOwn).length);
  const parts = [
    [own, "of the journal's own"],
    [events - said.selected - said.unknown - own, "not asked for"],
    [said.unknown, "unknown"],
  ].filter(([count]) => count > 0n).map(([count, what]) => `${count} ${what}`);
  const rest = parts.length ? `; the rest: ${parts.join(", ")}` : "";
  if (events === 0n) return "EMPTY: nothing was recorded in the period";
  if (said.selected === 0n) return `EMPTY: of the ${events} events of the period none is what was asked for${rest}`;
  return `${said.selected} events, of ${events} in the period${rest}`;
};

/** How many encrypted sections are shown, and how many of them with their key. */
export const encrypted = ({ statement: said, records }) => {
  const sealed = records.filter((record) => said.covers(record) && said.takes(record) === true)
    .flatMap(({ sections }) => sections ?? [])
    .filter(({ state, secret }) => state < 3 && secret.length === 24);
  return [sealed.length, sealed.filter(({ key }) => key).length];
};

/** What a verification comes to, and what it doesn't; nothing but the latter of a case that doesn't hold. */
export const proven = ({ case: found, outcome }, before) => {
  const { statement: said, checkpoint, manifest } = found;
  const never = [
    "Not proven: that the journal is the only one of its kind. Keep this case, ask for the next one with --after, "
      + "and compare it with this one.",
    "Not proven: that what was recorded is true, that all that happened was recorded, or that the clock was right.",
  ];
  if (outcome !== "holds") return ["Nothing is proven: the case does not hold, or can't be decided."];
  return [
    `Proven: the population is all that the journal ${checkpoint.origin} recorded in the period of what was asked for `
      + `(${query(said)}), as of its ${checkpoint.size} events, as its key says; unchanged since.`,
    ending(found),
    manifest === null ? "This is an unlogged export: nothing in the journal tells of it, and whoever made it "
      + "chose the period and the query." : null,
    said.redacted.length ? `Not shown: the sections ${said.redacted.join(", ")}, which were left out on request. `
      + "That they are there is proven." : null,
    ...(before ? compared(before, said) : []),
    !before && said.after ? `The case says that it follows an earlier one, of ${said.after.size} events. That was not `
      + "compared with one of yours: choose it above to do so." : null,
    ...never,
  ].filter(Boolean);
};

const ending = ({ statement: said, checkpoint, manifest }) => {
  const last = said.end >= checkpoint.size;
  if (said.until.time !== undefined) {
    return last ? "The journal ended before the period was followed by an event: a later case shows whether more came."
      : "The period is closed: an event after it is in the case.";
  }
  if (manifest === said.end) {
    return "The period ends where the journal did when the case was made: the event after it is the one about this case.";
  }
  return last ? "The period ends where the journal does, as far as this checkpoint goes."
    : `The period ends at sequence ${said.end} because whoever asked said so: the journal goes on.`;
};

const compared = ({ name, case: before }, said) => {
  const [then, now] = [before.statement.end, said.first];
  const lines = [`Compared with your ${name}: the journal is the one of that case, and nothing of the `
    + `${before.checkpoint.size} events that it had then was rewritten.`];
  if (then === now) lines.push(`This period begins where that of ${name} ended.`);
  else if (then < now) {
    lines.push(`NOTE: ${now - then} events, ${then} to ${now - 1n}, are in neither case: this period begins after `
      + `that of ${name} ended.`);
  } else {
    lines.push(`NOTE: this period begins at event ${now}, before that of ${name} ended, with event ${then - 1n}.`);
  }
  if (query(before.statement) !== query(said)) {
    lines.push(`NOTE: ${name} asked for something else: ${query(before.statement)}.`);
  }
  return lines;
};

/** The n events with the lowest SHA-256 over seed and event hash, in order. */
export const sample = ({ statement: said, records }, n, seed) => {
  const head = utf8Bytes(`factlog sample\n${seed}\n`);
  const drawn = records.filter((record) => said.covers(record) && said.takes(record) === true)
    .map((record) => [hex(sha256(join(head, record.hash))), record])
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .slice(0, n).map(([, record]) => record);
  return drawn.sort((one, other) => (one.sequence < other.sequence ? -1 : 1));
};

/** A sample with its statement, as text to be kept. */
export const paper = (report, before, { drawn, n, seed, vkey, checked }) => {
  const { statement: said, checkpoint } = report.case;
  const list = drawn.map((record) => {
    const facts = record.facts ? `${record.coordinate}  ${record.facts.kind}` : "(erased)";
    return `${String(record.sequence).padStart(8)}  ${time(record.recorded)}  ${facts}`;
  });
  return [
    ...list,
    "",
    `file          ${report.file}`,
    `key           ${vkey}`,
    `checkpoint    ${checkpoint.size} events, root ${base64(checkpoint.root)}`,
    `made          ${time(said.madeAt)} by ${said.tool}`,
    `checked       ${time(checked)} in evidence.html`,
    `${drawn.length} of ${said.selected} events, drawn by the seed "${seed}". The period: ${period(report.case)}.`,
    BigInt(n) > said.selected
      ? `NOTE: ${n} were wanted. The population is no larger than this, so that all of it is listed.` : null,
    ...proven(report, before),
  ].filter((line) => line !== null).join("\n") + "\n";
};
