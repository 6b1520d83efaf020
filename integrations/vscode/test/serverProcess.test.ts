import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { commandLine, ServerProcess } from "../src/serverProcess.js";
import type { LaunchSettings } from "../src/settings.js";

const folder = mkdtempSync(join(tmpdir(), "incoder-"));
after(() => {
  rmSync(folder, { recursive: true });
});

function settings(given: Partial<LaunchSettings>): LaunchSettings {
  return { command: "incoder", arguments: [], server: "", ...given };
}

/** Starts a program in the place of `incoder`, which runs this script whatever its arguments are. */
function start(script: string): Promise<ServerProcess> {
  const program = join(folder, "program");
  writeFileSync(program, `#!${process.execPath}\n${script}\n`, { mode: 0o755 });
  return ServerProcess.start(settings({ command: program }));
}

test("the command line names the server and the user's arguments", () => {
  assert.deepEqual(commandLine(settings({})), ["incoder", ["lsp"]]);
  const given = settings({ command: "~/bin/incoder", arguments: ["--log-file", "a b"], server: "http://gpu1" });
  assert.deepEqual(commandLine(given), [
    `${homedir()}/bin/incoder`,
    ["lsp", "--server", "http://gpu1", "--log-file", "a b"],
  ]);
});

test("a missing program is named, with how to install it and the setting of its path", async () => {
  await assert.rejects(ServerProcess.start(settings({ command: "no-such-incoder" })), (error: unknown) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, /^the program no-such-incoder was not found/);
    assert.match(error.message, /pip install '\.\[server,lsp\]'.*incoder\.command/);
    return true;
  });
});

test("a program that may not be run is named", async () => {
  await assert.rejects(ServerProcess.start(settings({ command: "/" })), /^Error: \/ cannot be started: .*EACCES/);
});

test("the reason for an end is the error message, with all its lines", async () => {
  const script = 'console.error("loading\\nerror: there is no model x;\\nname another"); process.exit(1)';
  const started = await start(script);
  assert.equal(await started.problem(), "there is no model x;\nname another");
});

test("without an error message, the reason is the last line, or how it ended", async () => {
  const talking = await start('console.error("one\\ntwo")');
  assert.equal(await talking.problem(), "two");
  const silent = await start("process.exit(3)");
  assert.equal(await silent.problem(), "incoder lsp has ended with status 3");
});

test("a process that goes on has no reason to end, and can be killed", async () => {
  const started = await start("setInterval(() => {}, 1000)");
  assert.equal(await started.problem(50), undefined);
  started.kill();
  assert.equal(await started.problem(), "incoder lsp has ended with SIGTERM");
});
