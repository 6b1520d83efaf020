import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import manifest from "../package.json";

const SOURCE = readFileSync("src/extension.ts", "utf8");
const COMMANDS = manifest.contributes.commands.map((one) => one.command);

test("every command is registered, and every registered command is in the palette", () => {
  const registered = [...SOURCE.matchAll(/registerCommand\("([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(registered, COMMANDS);
});

test("every setting says what it does, where it may be set and what it is by default", () => {
  for (const [name, one] of Object.entries(manifest.contributes.configuration.properties)) {
    assert.match(name, /^incoder\.[a-z_]+$/);
    assert.match(one.markdownDescription, /\.$/);
    assert.ok(["machine", "window"].includes(one.scope), name);
    assert.ok("default" in one, name);
  }
});

test("the README names every command and the settings that start the server", () => {
  const readme = readFileSync("README.md", "utf8");
  for (const one of manifest.contributes.commands) {
    assert.ok(readme.includes(`InCoder: ${one.title}`), one.title);
  }
  for (const name of ["incoder.command", "incoder.arguments", "incoder.server"]) {
    assert.ok(readme.includes(name), name);
  }
});
