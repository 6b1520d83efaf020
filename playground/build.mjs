// Builds the page into the Python package: `node build.mjs`, or into another folder: `node build.mjs DIR`.
// `node build.mjs --tests` builds the tests into build/tests instead. The same sources give the same bytes.

import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const [argument = join(here, "../src/incoder/server/pages/playground")] = process.argv.slice(2);

async function buildPage(folder) {
  mkdirSync(folder, { recursive: true });
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: [
      { in: "src/main.ts", out: "playground" },
      { in: "src/style.css", out: "playground" },
    ],
    outdir: folder,
    bundle: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    minify: true,
    legalComments: "none", // LICENCES.txt has them all
    metafile: true,
  });
  for (const name of ["index.html", "icon.svg"]) copyFileSync(join(here, "src", name), join(folder, name));
  writeFileSync(join(folder, "LICENCES.txt"), licences(Object.keys(metafile.inputs)));
}

/** Returns the licences of the packages that these files are from, each licence once with its packages. */
function licences(inputs) {
  const names = new Set(inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean));
  const byText = new Map();
  for (const name of [...names].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    const text = readFileSync(join(folder, file), "utf8").trim();
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${license})`]);
  }
  const blocks = [...byText].map(([text, packages]) => `${packages.join("\n")}\n\n${text}\n`);
  return `The playground contains these packages.\n\n${blocks.join(`\n${"-".repeat(80)}\n\n`)}`;
}

async function buildTests() {
  const sources = (folder) => readdirSync(join(here, folder)).filter((one) => one.endsWith(".test.ts"));
  const entryPoints = ["tests/unit", "tests/browser"].flatMap((folder) =>
    sources(folder).map((one) => `${folder}/${one}`),
  );
  await build({
    absWorkingDir: here,
    entryPoints,
    outbase: "tests",
    outdir: "build/tests",
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
  });
}

await (argument === "--tests" ? buildTests() : buildPage(argument));
