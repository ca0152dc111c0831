// Makes evidence.html out of src/, byte for byte the same each time. With --check it only compares.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const read = (name) => readFileSync(join(here, "src", name), "utf8");
const sha256 = (text, as) => createHash("sha256").update(text).digest(as);

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/page.js"],
  bundle: true,
  write: false,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  // Readable, so that whoever doubts it can look.
  minify: false,
  legalComments: "none",
});
// Without comments that stand alone: what the libraries say there is not about this page.
const script = "\n" + bundled.outputFiles[0].text.replace(/^ *\/\/ .*\n/gm, "");
const style = "\n" + read("style.css");
const policy = [
  "default-src 'none'",
  `script-src 'sha256-${sha256(script, "base64")}'`,
  `style-src 'sha256-${sha256(style, "base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");
const page = read("index.html")
  .replace("@policy@", () => policy)
  .replace("@style@", () => style)
  .replace("@script@", () => script);
const sum = `${sha256(page, "hex")}  evidence.html\n`;

if (process.argv.includes("--check")) {
  const same = (name, text) => readFileSync(join(here, name), "utf8") === text;
  if (!same("evidence.html", page) || !same("evidence.html.sha256", sum)) {
    console.error("page: evidence.html is not what src/ gives: run npm run build");
    process.exit(1);
  }
  console.log("page: evidence.html is what src/ gives");
} else {
  writeFileSync(join(here, "evidence.html"), page);
  writeFileSync(join(here, "evidence.html.sha256"), sum);
  console.log(sum.trim());
}
