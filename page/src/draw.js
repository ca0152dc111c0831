// Drawings: the events over time, and the path of a proof.
import { hex, same } from "./bytes.js";

const draw = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const MOST = 4000;

/** Dots over recorded time: the population full, neighbours and others hollow. */
export const timeline = (found, time) => {
  const { statement: said, records } = found;
  const about = records.filter((record) => !record.own || said.covers(record));
  if (about.length === 0) return document.createTextNode("There is nothing but events of the journal itself.");
  const step = Math.ceil(about.length / MOST);
  const shown = about.filter((_, at) => at % step === 0);
  const [first, last] = [about[0].recorded, about.at(-1).recorded];
  const span = Number(last - first) || 1;
  const [width, height, pad] = [1100, 150, 30];
  const x = (micros) => pad + (Number(micros - first) / span) * (width - 2 * pad);
  const within = records.filter((record) => said.covers(record));
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label":
    `${said.selected} events of the population between ${time(first)} and ${time(last)}; the table below lists them` });
  if (within.length) {
    const [left, right] = [x(within[0].recorded), x(within.at(-1).recorded)];
    svg.append(draw("rect", { class: "period", x: left - 8, y: 12, width: right - left + 16, height: 92 }));
  }
  svg.append(draw("line", { class: "axis", x1: pad, x2: width - pad, y1: 104, y2: 104 }));
  const stacks = new Map();
  for (const record of shown) {
    const column = Math.round(x(record.recorded) / 9);
    const level = stacks.get(column) ?? 0;
    stacks.set(column, level + 1);
    const asked = said.covers(record) && said.takes(record) === true;
    const sort = record.facts ? (asked ? "dot" : "dot around") : "dot erased";
    svg.append(draw("circle", { class: sort, cx: x(record.recorded), cy: 96 - Math.min(level, 9) * 9, r: 4.5 },
      draw("title", {}, `event ${record.sequence}, ${record.facts?.kind ?? "erased"}, ${time(record.recorded)}`)));
  }
  svg.append(draw("text", { x: pad, y: 124 }, time(first)));
  svg.append(draw("text", { x: width - pad, y: 124, "text-anchor": "end" }, time(last)));
  svg.append(draw("text", { class: "soft", x: pad, y: 143 },
    "● population   ○ in the case, not asked for   ◌ erased   shaded: the period"));
  return svg;
};

const short = (bytes) => `${hex(bytes).slice(0, 8)}…${hex(bytes).slice(-4)}`;

/** Each step up: what stood beside it, and what they hash to. */
export const pathDrawing = (record, { root, path }, checkpoint) => {
  const reaches = same(root, checkpoint.root);
  const rowHeight = 58;
  const width = 760;
  const middle = width / 2;
  const height = (path.length + 2) * rowHeight + 4;
  const words = `event ${record.sequence}, ${path.length} steps up, `
    + (reaches ? "leads to the root of the checkpoint" : "does NOT lead to the root of the checkpoint");
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  const bad = reaches ? "" : " bad";
  const box = (x, y, label, text, own) => {
    svg.append(draw("rect", { class: own ? `node own${bad}` : "node", x: x - 105, y: y - 20, width: 210, height: 40, rx: 5 }));
    svg.append(draw("text", { class: "soft", x, y: y - 4, "text-anchor": "middle" }, label));
    svg.append(draw("text", { x, y: y + 13, "text-anchor": "middle" }, text));
  };
  const y = (level) => height - 30 - level * rowHeight;
  const line = (sort, x1, y1, x2, y2) => svg.append(draw("line", { class: sort, x1, y1, x2, y2 }));
  line(`way${bad}`, middle, y(0), middle, y(1));
  path.forEach((step, at) => {
    const beside = step.side === "left" ? middle - 260 : middle + 260;
    line("edge", beside, y(at + 1), middle, y(at + 2));
    line(`way${bad}`, middle, y(at + 1), middle, y(at + 2));
  });
  box(middle, y(0), "event hash (BLAKE3)", short(record.hash), true);
  path.forEach((step, at) => {
    const beside = step.side === "left" ? middle - 260 : middle + 260;
    box(beside, y(at + 1), `on its ${step.side}`, short(step.sibling), false);
    const below = at === 0 ? null : path[at - 1].hash;
    if (below) box(middle, y(at + 1), `step ${at}`, short(below), true);
    else box(middle, y(1), `leaf ${record.sequence} (SHA-256)`, "0x00 ‖ event hash", true);
  });
  if (path.length === 0) box(middle, y(1), `leaf ${record.sequence}`, short(root), true);
  else box(middle, y(path.length + 1), reaches ? "✓ the checkpoint's root" : "✗ NOT THE CHECKPOINT'S ROOT", short(root), true);
  return svg;
};
