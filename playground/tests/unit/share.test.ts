import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import { DEFAULTS } from "../../src/settings.js";
import { fragmentOf, MAX_BYTES, ShareError, sharedIn } from "../../src/share.js";

const linkTo = (value: unknown) => `#v1=${deflateRawSync(JSON.stringify(value)).toString("base64url")}`;

test("a link brings back the code, the name and the settings", async () => {
  const text = "x = '🙂'\r\n<FILL>\t\u0000\n".repeat(50);
  const shared = { text, path: "dir/é.py", settings: { ...DEFAULTS, temperature: 0, seed: 7, lines: "one" as const } };
  const fragment = await fragmentOf(shared);
  assert.match(fragment, /^#v1=[\w-]+$/);
  assert.deepEqual(await sharedIn(fragment), shared);
});

test("an address without a link has no code", async () => {
  for (const fragment of ["", "#", "#settings"]) assert.equal(await sharedIn(fragment), null);
});

test("a link holds at most 100 kB", async () => {
  const most = { path: "", settings: DEFAULTS, text: "x".repeat(MAX_BYTES - 60) };
  assert.deepEqual(await sharedIn(await fragmentOf(most)), most);
  await assert.rejects(fragmentOf({ ...most, text: "x".repeat(MAX_BYTES) }), /at most 100 kB/);
});

test("a link that inflates to more than 100 kB is refused", async () => {
  const bomb = linkTo({ text: "x".repeat(50_000_000) });
  assert.ok(bomb.length < MAX_BYTES);
  await assert.rejects(sharedIn(bomb), /more than 100 kB/);
});

test("a link that cannot be read is refused in plain words", async () => {
  const whole = await fragmentOf({ text: "x".repeat(1000), path: "", settings: DEFAULTS });
  const notUtf8 = `#v1=${deflateRawSync(Buffer.from([0x22, 0xff, 0x22])).toString("base64url")}`;
  for (const fragment of ["#v1=", "#v1=!!!", "#v1=AAAA", whole.slice(0, -4), linkTo(null), linkTo([]), notUtf8]) {
    await assert.rejects(sharedIn(fragment), ShareError, fragment);
  }
  await assert.rejects(sharedIn("#v2=abc"), /another version/);
  await assert.rejects(sharedIn(`#v1=${"A".repeat(MAX_BYTES)}`), /longer than 100 kB/);
});

test("settings of a link that are out of their ranges have their defaults", async () => {
  const settings = { temperature: 1e9, numCandidates: -1, model: 5, lines: "many", stoppingRules: "no", seed: "x" };
  const shared = await sharedIn(linkTo({ text: "x", path: "a\u0000\n.py", settings, key: "k", __proto__: { a: 1 } }));
  assert.deepEqual(shared, { text: "x", path: "a.py", settings: DEFAULTS });
});

test("code that is no text is refused", async () => {
  for (const text of [null, 5, ["x"], {}]) await assert.rejects(sharedIn(linkTo({ text })), /no code/);
});
