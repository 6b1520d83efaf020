import assert from "node:assert/strict";
import { test } from "node:test";
import type { Token } from "../../src/api.js";
import { dedented, levelOf, piecesOf } from "../../src/token_pieces.js";

const token = (text: string, probability: number, bytes?: number[]): Token => ({
  id: 0,
  text,
  logprob: Math.log(probability),
  ...(bytes === undefined ? {} : { bytes }),
});

const texts = (infill: string, tokens: Token[], before = "") => piecesOf(infill, tokens, before).map((one) => one.text);

test("each token is a piece with its probability", () => {
  const pieces = piecesOf("self.y", [token("self.", 0.5), token("y", 0.25), token("", 0.9)], "");
  assert.deepEqual(
    pieces.map((one) => one.text),
    ["self.", "y"],
  );
  assert.deepEqual(
    pieces.map((one) => one.probability?.toFixed(2)),
    ["0.50", "0.25"],
  );
});

test("text that token healing wrote again is no part of the infill", () => {
  assert.deepEqual(texts("mpy as np", [token("import ", 1), token("numpy", 0.5), token(" as np", 1)], "import nu"), [
    "mpy",
    " as np",
  ]);
});

test("text that a stopping rule cut off is no part of the infill", () => {
  assert.deepEqual(texts("x + 1", [token("x", 1), token(" + ", 1), token("1)\n", 0.5)], "print("), ["x", " + ", "1"]);
});

test("an infill that repeats the text before it is found after that text", () => {
  assert.deepEqual(texts("  ", [token("    ", 0.5)], "x\n  "), ["  "]);
});

test("tokens within a character are one piece with the product of their probabilities", () => {
  const [first, second, ...others] = piecesOf(
    "é🙂",
    [token("é", 1), token("\ufffd", 0.5, [0xf0, 0x9f]), token("\ufffd", 0.5, [0x99]), token("\ufffd", 0.5, [0x82])],
    "",
  );
  assert.equal(first?.text, "é");
  assert.equal(second?.text, "🙂");
  assert.equal(second?.probability?.toFixed(3), "0.125");
  assert.equal(others.length, 0);
});

test("an infill that its tokens do not spell is one piece of unknown probability", () => {
  assert.deepEqual(piecesOf("abc", [token("xyz", 0.5)], ""), [{ text: "abc", probability: null, alternatives: [] }]);
  assert.deepEqual(piecesOf("abc", [], ""), [{ text: "abc", probability: null, alternatives: [] }]);
});

test("an empty infill has no pieces", () => {
  assert.deepEqual(piecesOf("", [token("", 0.9)], "x = "), []);
});

test("pieces join to the infill wherever a token is cut", () => {
  const spelled = "def f(é):\n    return 🙂\n";
  const tokens = ["def f", "(é", "):\n    ", "return ", "🙂", "\n"].map((text) => token(text, 0.5));
  for (let from = 0; from < spelled.length; from++) {
    for (let to = from; to <= spelled.length; to++) {
      if ([from, to].some((place) => /^[\udc00-\udfff]/.test(spelled.slice(place)))) continue;
      const infill = spelled.slice(from, to);
      assert.equal(texts(infill, tokens, `x\n${spelled.slice(0, from)}`).join(""), infill);
    }
  }
});

test("lines after the first lose the indentation of their hole, wherever the tokens are cut", () => {
  const dedent = (parts: string[]) =>
    dedented(
      parts.map((text) => ({ text, probability: 1, alternatives: [] })),
      "    ",
    ).map((one) => one.text);
  assert.deepEqual(dedent(["    x\n", "  ", "  y\n        ", "z\n\n  w"]), ["    x\n", "y\n    ", "z\n\nw"]);
  assert.deepEqual(dedent(["x", "\n    ", "    "]), ["x", "\n", "    "]);
});

test("every probability has a level", () => {
  assert.deepEqual([1, 0.9, 0.89, 0.3, 0.1, 0.0999, 0].map(levelOf), [
    "sure",
    "sure",
    "likely",
    "open",
    "unsure",
    "rare",
    "rare",
  ]);
});
