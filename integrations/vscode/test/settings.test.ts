import assert from "node:assert/strict";
import { test } from "node:test";
import manifest from "../package.json";
import { LAUNCH_SETTINGS, launchSettings, serverSettingNames, serverSettings } from "../src/settings.js";

const PROPERTIES = Object.keys(manifest.contributes.configuration.properties);

function reading(values: Record<string, unknown>) {
  return (name: string) => values[name];
}

test("without settings, incoder is started from the PATH", () => {
  assert.deepEqual(launchSettings(reading({})), { command: "incoder", arguments: [], server: "" });
});

test("a value of the wrong type is as if it were not set", () => {
  const given = { command: 3, arguments: ["--log-file", 1, "a b"], server: null };
  assert.deepEqual(launchSettings(reading(given)), {
    command: "incoder",
    arguments: ["--log-file", "a b"],
    server: "",
  });
});

test("blanks around a command and a URL are no part of them", () => {
  const found = launchSettings(reading({ command: " incoder ", server: " http://gpu1:8012 " }));
  assert.equal(found.command, "incoder");
  assert.equal(found.server, "http://gpu1:8012");
});

test("the server gets its own settings and none that start it", () => {
  const names = serverSettingNames(PROPERTIES);
  assert.ok(names.includes("enabled") && names.includes("num_items"));
  assert.ok(!names.some((name) => (LAUNCH_SETTINGS as readonly string[]).includes(name)));
  assert.equal(names.length, PROPERTIES.length - LAUNCH_SETTINGS.length);
  assert.deepEqual(serverSettings(["lines", "model"], reading({ lines: "one", model: null, x: 1 })), {
    lines: "one",
    model: null,
  });
});

test("a workspace cannot choose a program, a server, a model or which files are secret", () => {
  const properties: Record<string, { scope: string }> = manifest.contributes.configuration.properties;
  const ofMachine = PROPERTIES.filter((name) => properties[name]?.scope === "machine");
  assert.deepEqual(ofMachine, [
    "incoder.command",
    "incoder.arguments",
    "incoder.server",
    "incoder.model",
    "incoder.secret_files",
  ]);
});
