// The page in a real Chromium, without network: the same verdicts as fixtures/cases/table.txt, in words and in red.
// `node test/browser.mjs [--shots FOLDER] [--time CASE VKEY]`
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const cases = join(here, "../../fixtures/cases");
const page_ = pathToFileURL(join(here, "../evidence.html")).href;
const argument = (name, offset = 1) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? null : process.argv[at + offset];
};

const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((path) => path && existsSync(path));
if (!executablePath) {
  console.log("page: browser test not run: there is no Chromium");
  process.exit(0);
}
const { chromium } = await import("playwright-core");
const profile = mkdtempSync(join(tmpdir(), "factlog-page-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
let failures = 0;
const expect = (holds, what) => {
  if (holds) return;
  failures += 1;
  console.error(`page: FAILED: ${what}`);
};

const page = await context.newPage();
const requests = [];
page.on("request", (request) => { if (!request.url().startsWith("file:")) requests.push(request.url()); });
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));
page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
await page.goto(page_);
await context.setOffline(true);
const vkey = readFileSync(join(cases, "log.vkey"), "utf8").trim();

const check = async (file, key = vkey, after = []) => {
  await page.setInputFiles("#file", file);
  await page.setInputFiles("#after", after);
  await page.fill("#vkey", key);
  await page.evaluate(() => document.getElementById("answer").replaceChildren());
  await page.click("#check");
  await page.waitForSelector("#answer .headline");
  return page.evaluate(() => {
    const answer = document.getElementById("answer");
    return {
      outcome: answer.className,
      headline: answer.querySelector(".headline").textContent,
      colour: getComputedStyle(answer).borderTopColor,
      verdicts: [...answer.querySelectorAll(".verdicts dd:nth-of-type(odd)")].map((cell) => cell.firstElementChild?.className.split("-")[0]),
      code: (answer.querySelector(".findings li:not(.open) code") ?? answer.querySelector(".findings code"))?.textContent ?? "-",
      milliseconds: Number(answer.dataset.milliseconds),
      rows: document.querySelectorAll("#events tbody tr").length,
      proven: document.getElementById("content").hidden ? "" : document.getElementById("proven").textContent,
      sample: !document.getElementById("draw").disabled,
    };
  });
};

// Every vector, good and bad.
let [checked, red] = [0, 0];
for (const line of readFileSync(join(cases, "table.txt"), "utf8").trim().split("\n").slice(1)) {
  const [name, integrity, authenticity, completeness, code] = line.split(" ");
  const found = await check(join(cases, `${name}.case`));
  const expected = [integrity, authenticity, completeness];
  expect(found.verdicts.join() === expected.join() && found.code === code, `${name}: ${found.verdicts} ${found.code}`);
  const outcome = ["fails", "undecided"].find((word) => expected.includes(word)) ?? "holds";
  expect(found.outcome === outcome, `${name}: shown as ${found.outcome}`);
  if (outcome === "fails") {
    const [r, g, b] = found.colour.match(/\d+/g).map(Number);
    expect(r > 150 && r > 2 * g && r > 2 * b, `${name}: not red but ${found.colour}`);
    expect(found.headline.includes("does not hold"), `${name}: no word of it: ${found.headline}`);
    red += 1;
  }
  // Nothing is claimed of what doesn't hold, and nothing is drawn from it.
  const claims = found.proven.startsWith("Proven: ");
  expect(claims === (outcome === "holds"), `${name}: ${found.proven.slice(0, 80)}`);
  if (outcome !== "holds") {
    const more = ["The period is closed", "The period ends", "Compared with"].filter((words) => found.proven.includes(words));
    expect(more.length === 0, `${name} claims: ${more}`);
  }
  checked += 1;
}
expect(checked > 60 && red >= 10, `${checked} vectors, ${red} in red`);

// A key that is mistyped, and one that isn't the journal's.
const anotherKey = "example.com/ledger/0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c+5de9519c+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
const stranger = await check(join(cases, "good-everything.case"), "example.com/other+d9b5e0a6+AQ==");
expect(stranger.outcome === "undecided" && stranger.headline.includes("Nothing was checked"), "a mistyped key");

const foreign = await check(join(cases, "good-everything.case"), anotherKey);
expect(foreign.verdicts.join() === "holds,fails,holds", `another key: ${foreign.verdicts}`);
const cautious = await page.textContent("#answer");
expect(cautious.split("for which nobody you named vouches").length === 3, `another key: ${cautious}`);
expect(!foreign.sample, "no sample of a checkpoint that nobody signed");

// Beside the case before.
const [before, after, alone] = ["good-before", "good-after", "good-everything"].map((name) => join(cases, `${name}.case`));
const compared = await check(after, vkey, before);
expect(compared.proven.includes("Compared with your good-before.case"), `beside the case before: ${compared.proven}`);
expect(compared.proven.includes("NOTE: this period begins at event 1"), `an overlap: ${compared.proven}`);
const bare = await check(after);
expect(!bare.proven.includes("Compared with") && bare.proven.includes("not compared"), `by itself: ${bare.proven}`);
const open = await check(alone, vkey, before);
expect(open.outcome === "undecided" && open.code === "case.not_compared", `made without: ${open.code}`);
const swapped = await check(before, vkey, after);
expect(swapped.outcome === "fails" && swapped.code === "case.after", `the other way round: ${swapped.code}`);
const itself = await check(after, vkey, after);
expect(itself.headline.includes("Nothing was checked"), `beside itself: ${itself.headline}`);

// The same sample as the command draws, with its statement.
const holding = await check(alone);
expect(holding.sample, "a sample can be drawn of what holds");
await page.fill("#n", "3");
await page.fill("#seed", "3516426251");
await page.click("#draw");
const paper = await page.textContent("#paper");
const sampled = paper.split("\n\n")[0].split("\n").map((line) => Number(line.trim().split(" ")[0]));
expect(sampled.join() === "1,2,7", `drawn: ${sampled}`);
for (const words of ["SHA-256 ", vkey, "3 of 6 events, drawn by the seed", "Proven: the population is all"]) {
  expect(paper.includes(words), `the statement lacks ${words}: ${paper}`);
}
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
expect(readFileSync(await download.path(), "utf8") === paper, "what is saved is what is shown");
expect((await page.$$("#events tbody tr")).length === 3, "the table shows the sample");

// By keyboard alone: from the key's field to the proof of an event.
await check(before);
await page.evaluate(() => { document.getElementById("answer").className = ""; });
await page.setInputFiles("#file", alone);
await page.fill("#vkey", vkey);
await page.focus("#vkey");
await page.keyboard.press("Enter");
await page.waitForSelector("#answer.holds");
await page.focus("#text");
await page.keyboard.type("account.transferred");
let focused = "";
for (let press = 0; press < 10 && !focused.startsWith("Proof of event"); press++) {
  await page.keyboard.press("Tab");
  focused = await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? "");
}
await page.keyboard.press("Enter");
const detail = await page.textContent("#detail-head");
expect(detail.startsWith("Event 3"), `by keyboard: ${focused}, ${detail}`);
const drawn = await page.getAttribute("#event svg", "aria-label");
expect(drawn.includes("leads to the root of the checkpoint"), `the path: ${drawn}`);
expect(await page.evaluate(() => document.activeElement.id === "detail"), "the proof has the focus");

// No network, even if something asks for it.
const reached = await page.evaluate(() => fetch("https://example.com/").then(() => true, () => false));
expect(!reached && requests.length === 0, `the network was asked: ${requests}`);
expect(errors.every((error) => error.includes("Content Security Policy") || error.includes("example.com")), `errors: ${errors}`);
expect(errors.length > 0, "the policy of the page was not seen to forbid it");

const shots = argument("--shots");
if (shots) {
  const shoot = async (name, file, after = async () => {}) => {
    await check(join(cases, file));
    await after();
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  };
  await shoot("page-holds", "good-deposits.case");
  await shoot("page-fails", "last-event-trimmed.case");
  await shoot("page-undecided", "erased-whole-event.case", () => page.selectOption("#which", "all"));
  await check(join(cases, "good-redacted.case"));
  await page.click('button[aria-label="Proof of event 3"]');
  await (await page.$("#detail")).screenshot({ path: join(shots, "page-proof.png") });
  await check(join(cases, "good-deposits.case"));
  await page.fill("#n", "3");
  await page.fill("#seed", "3516426251");
  await page.click("#draw");
  await (await page.$('section[aria-labelledby="sample-head"]')).screenshot({ path: join(shots, "page-sample.png") });
  await check(join(cases, "payload-changed.case"));
  await page.click('button[aria-label="Proof of event 5"]');
  await page.screenshot({ path: join(shots, "page-wrong-event.png"), fullPage: true });
}
const large = argument("--time");
if (large) {
  const key = readFileSync(argument("--time", 2), "utf8").trim();
  const found = await check(large, key);
  console.log(`page: ${large}: ${found.headline}, verified in ${found.milliseconds} ms`);
  expect(found.outcome === "holds", "the large case holds");
}
await context.close();
rmSync(profile, { recursive: true, force: true });
console.log(`page: ${checked} vectors in Chromium, ${red} in red, ${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
