import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, differences, editFields, infillFields, RANGES, settingsFrom, summary } from "../../src/settings.js";

test("what differs from the defaults is enough to know the settings", () => {
  const settings = { ...DEFAULTS, topP: 0.5, stoppingRules: false, seed: 0, model: "m" };
  assert.deepEqual(differences(settings), { topP: 0.5, stoppingRules: false, seed: 0, model: "m" });
  assert.deepEqual(settingsFrom(differences(settings)), settings);
  assert.deepEqual(settingsFrom(undefined), DEFAULTS);
});

test("the ends of every range are in it", () => {
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    assert.equal(settingsFrom({ [name]: least })[name as keyof typeof RANGES], least);
    assert.equal(settingsFrom({ [name]: most })[name as keyof typeof RANGES], most);
    assert.equal(
      settingsFrom({ [name]: least - 1 })[name as keyof typeof RANGES],
      DEFAULTS[name as keyof typeof RANGES],
    );
  }
});

test("counts are whole numbers", () => {
  assert.equal(settingsFrom({ numCandidates: 2.4 }).numCandidates, 2);
});

test("a setting that is left to the server is null", () => {
  const fields = infillFields(DEFAULTS, "");
  for (const name of ["model", "path", "lines", "seed"]) assert.equal(fields[name], null);
  assert.deepEqual(
    Object.keys(editFields(DEFAULTS, "a.py")).filter((name) => !(name in fields)),
    [],
  );
});

test("the summary counts candidates", () => {
  assert.equal(summary({ ...DEFAULTS, model: "mini", numCandidates: 1 }), "mini, 1 candidate, temperature 0.8");
});
