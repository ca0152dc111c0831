// The page's verifier says of every vector what fixtures/cases/table.txt says.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Key } from "../src/note.js";
import { verify } from "../src/verify.js";

const cases = join(dirname(fileURLToPath(import.meta.url)), "../../fixtures/cases");
const key = Key.parse(readFileSync(join(cases, "log.vkey"), "utf8").trim());
let [checked, wrong] = [0, 0];
for (const line of readFileSync(join(cases, "table.txt"), "utf8").trim().split("\n").slice(1)) {
  const [name, ...expected] = line.split(" ");
  const report = verify(new Uint8Array(readFileSync(join(cases, `${name}.case`))), key);
  const decides = report.findings.find(({ undecided }) => !undecided) ?? report.findings[0];
  const found = [report.integrity, report.authenticity, report.completeness, decides?.code ?? "-"];
  checked += 1;
  if (found.join(" ") !== expected.join(" ")) {
    wrong += 1;
    console.error(`page: ${name}: ${found.join(" ")} instead of ${expected.join(" ")}`);
  }
}
console.log(`page: ${checked} vectors, ${wrong} wrong`);
process.exit(wrong === 0 && checked > 60 ? 0 : 1);
