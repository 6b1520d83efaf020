import assert from "node:assert/strict";
import { test } from "node:test";
import { HOLE, holesIn, join, lineAt, partsFrom, partsOf } from "../../src/holes.js";

test("a text with holes is the join of its parts", () => {
  for (const text of ["", "x", HOLE, `${HOLE}${HOLE}`, `a${HOLE}b\n${HOLE}`, "<FILL", "<<FILL>>", `é${HOLE}🙂`]) {
    assert.equal(join(partsOf(text), []), text);
    assert.equal(partsOf(text).length, holesIn(text).length + 1);
  }
});

test("places are where the marks are", () => {
  const text = `🙂${HOLE}\n${HOLE}`;
  assert.deepEqual(
    holesIn(text).map(({ from, to }) => text.slice(from, to)),
    [HOLE, HOLE],
  );
  assert.equal(holesIn(text)[0]?.from, 2);
});

test("a hole without an infill stays a hole", () => {
  assert.equal(join(["a", "b", "c"], ["1"]), `a1b${HOLE}c`);
});

test("a request for a later hole has the infills before it in its first part", () => {
  assert.deepEqual(partsFrom(["a", "b", "c", "d"], ["1", "2", "3"], 1), ["a1b", "c", "d"]);
  assert.deepEqual(partsFrom(["a", "b"], [], 0), ["a", "b"]);
});

test("there is no request for a hole that is not there, or before the infills that it needs", () => {
  assert.throws(() => partsFrom(["a", "b"], ["1"], 1), RangeError);
  assert.throws(() => partsFrom(["a", "b", "c"], [], 1), RangeError);
});

test("an infill that looks like a hole is text", () => {
  assert.deepEqual(partsFrom(["a", "b", "c"], [HOLE], 1), [`a${HOLE}b`, "c"]);
});

test("lines count from 1", () => {
  assert.equal(lineAt("a\nb\nc", 0), 1);
  assert.equal(lineAt("a\nb\nc", 4), 3);
});
