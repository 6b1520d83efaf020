// Bundles the extension into dist/, or with --tests the tests into build/, where `node --test` runs them.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const isForTests = process.argv.includes("--tests");
const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
const outdir = isForTests ? "build" : "dist";

rmSync(outdir, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: isForTests ? tests.map((name) => `test/${name}`) : ["src/extension.ts"],
  outdir,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  ...(isForTests ? { alias: { vscode: "./test/vscodeStub.ts" } } : { external: ["vscode"] }), // the editor has it
  minify: !isForTests,
  sourcemap: isForTests ? "inline" : false,
  metafile: true,
});
if (!isForTests) {
  writeFileSync(`${outdir}/LICENSES.txt`, licences(Object.keys(metafile.inputs)));
}

// The licences of the packages that these files are from.
function licences(files) {
  const folders = files.map((file) => /.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0]);
  return [...new Set(folders.filter(Boolean))]
    .sort()
    .map((folder) => {
      const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
      const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
      if (!file) {
        throw new Error(`${name} has no file with its licence`);
      }
      return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, "utf8").trim()}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}
