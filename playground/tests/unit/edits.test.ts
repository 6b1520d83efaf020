import assert from "node:assert/strict";
import { test } from "node:test";
import { applyEdits } from "../../src/edits.js";

test("positions are code points of the unchanged text", () => {
  const edits = [
    { start: 3, end: 4, text: "B" },
    { start: 0, end: 1, text: "" },
    { start: 4, end: 4, text: "!" },
  ];
  assert.equal(applyEdits("a🙂 b", edits), "🙂 B!");
});

test("insertions in one place keep their order", () => {
  const edits = ["1", "2", "3"].map((text) => ({ start: 1, end: 1, text }));
  assert.equal(applyEdits("ab", edits), "a123b");
});

test("no edits change nothing", () => {
  assert.equal(applyEdits("a\r\nb🙂", []), "a\r\nb🙂");
});

test("edits that overlap or are outside of the text are refused", () => {
  const overlapping = [
    { start: 0, end: 2, text: "" },
    { start: 1, end: 3, text: "" },
  ];
  assert.throws(() => applyEdits("abc", overlapping), RangeError);
  assert.throws(() => applyEdits("🙂", [{ start: 0, end: 2, text: "" }]), RangeError);
});
