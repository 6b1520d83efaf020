import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../../src/events.js";

const STREAM = 'data: {"text":"a\\n\\nb"}\n\n: a comment\n\ndata: {"text":"é"}\n\ndata: [DONE]\n\n';

test("events are the same wherever the stream is cut", () => {
  const expected = [{ text: "a\n\nb" }, { text: "é" }];
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const reader = new EventReader();
    assert.deepEqual([...reader.push(STREAM.slice(0, cut)), ...reader.push(STREAM.slice(cut))], expected);
  }
});

test("an event that has not ended is not read", () => {
  assert.deepEqual(new EventReader().push('data: {"a": 1}\n'), []);
});
