/** The extension with the real language client, and vscodeStub.ts in the place of the editor. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, suite, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { ExtensionContext } from "vscode";
import manifest from "../package.json";
import { activate, deactivate } from "../src/extension.js";
import { seen } from "./vscodeStub.js";

const COMMAND = process.env["INCODER_TEST_COMMAND"];
const PATIENCE = { timeout: 240_000 };
const folder = mkdtempSync(join(tmpdir(), "incoder-"));

after(() => {
  rmSync(folder, { recursive: true });
});
afterEach(async () => {
  await deactivate();
});

/** Starts the extension with this program in the setting of its path, and waits for what the bar shows. */
async function start(command: string, tooltip: RegExp): Promise<void> {
  for (const [name, setting] of Object.entries(manifest.contributes.configuration.properties)) {
    seen.settings.set(name.replace("incoder.", ""), setting.default);
  }
  seen.settings.set("command", command);
  seen.messages.length = 0;
  activate({ subscriptions: [], extension: { packageJSON: manifest } } as unknown as ExtensionContext);
  await shown(tooltip);
}

async function shown(tooltip: RegExp): Promise<void> {
  while (!tooltip.test(seen.bar.tooltip ?? "")) {
    await setTimeout(20);
    if (seen.messages.length && tooltip.source.includes("Suggestions")) {
      assert.fail(`${seen.messages.join()}: ${seen.log.slice(-3).join()}`);
    }
  }
}

function program(script: string): string {
  const path = join(folder, "program");
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

test("a missing program is reported once, without a stack", PATIENCE, async () => {
  await start(join(folder, "nothing"), /Click to start it again/);
  assert.match(seen.messages.join(), /^InCoder: the program \S+ was not found\. Install InCoder .*[^\n]$/);
  assert.match(String(seen.bar.text), /error/);
});

test("a server that ends at once is reported once, with its own words", PATIENCE, async () => {
  await start(program('echo "error: the language server needs pygls" >&2; exit 1'), /Click to start it again/);
  assert.deepEqual(seen.messages, ["InCoder: the language server needs pygls"]);
});

suite("with the real language server", { skip: COMMAND ? false : "needs INCODER_TEST_COMMAND" }, () => {
  const command = String(COMMAND);

  afterEach(async () => {
    await deactivate(); // else its server keeps this process alive
  });

  test("it offers suggestions, and stops when the editor ends", PATIENCE, async () => {
    await start(command, /Suggestions are on/);
    assert.ok(seen.providers.includes("registerInlineCompletionItemProvider"));
    await deactivate();
    assert.match(String(seen.bar.tooltip), /not running/);
    assert.deepEqual(seen.messages, []);
  });

  test("a click turns suggestions off, and they stay off after a restart", PATIENCE, async () => {
    await start(command, /Suggestions are on/);
    await seen.commands.get("incoder.toggle")?.();
    await shown(/Suggestions are off/);
    await seen.commands.get("incoder.restart")?.();
    assert.match(String(seen.bar.tooltip), /Suggestions are off/);
    assert.deepEqual(seen.messages, []);
  });

  test("a server that is killed is started again", PATIENCE, async () => {
    const file = join(folder, "pid");
    const starting = program(`echo $$ >> '${file}'; exec '${command}' "$@"`);
    await start(starting, /Suggestions are on/);
    const [first] = pids(file);
    process.kill(Number(first), "SIGKILL");
    while (pids(file).length < 2) {
      await setTimeout(20);
    }
    assert.deepEqual(seen.messages, []);
  });
});

function pids(file: string): string[] {
  return readFileSync(file, "utf8").trim().split("\n");
}
