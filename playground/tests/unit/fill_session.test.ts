import assert from "node:assert/strict";
import { test } from "node:test";
import type { InfillCandidate } from "../../src/api.js";
import { FillSession, meanProbability } from "../../src/fill_session.js";

const candidate = (...infills: string[]): InfillCandidate => ({
  text: "",
  infills,
  logprob: -1,
  finish_reasons: infills.map(() => "end"),
  tokens: infills.map((text) => [{ id: 0, text, logprob: Math.log(0.5) }]),
});

const infillsOf = (session: FillSession, hole: number) => session.holes[hole]?.candidates.map((one) => one.infill);

test("the first round is for all holes, and the first candidate is chosen", () => {
  const session = new FillSession(["a", "b", "c"]);
  assert.equal(session.nextHole, 0);
  assert.deepEqual(session.request(0), ["a", "b", "c"]);
  session.receive(0, [candidate("1", "x"), candidate("2", "y")]);
  assert.deepEqual(infillsOf(session, 0), ["1", "2"]);
  assert.equal(session.text, "a1bxc");
});

test("a later hole shows what the chosen candidate wrote there until it has candidates of its own", () => {
  const session = new FillSession(["a", "b", "c"]);
  session.receive(0, [candidate("1", "x"), candidate("2", "y")]);
  assert.deepEqual(infillsOf(session, 1), ["x"]);
  assert.equal(session.nextHole, 1);
  assert.deepEqual(session.request(1), ["a1b", "c"]);
  session.receive(1, [candidate("z"), candidate("x")]);
  assert.deepEqual(infillsOf(session, 1), ["z", "x"]);
  assert.equal(session.nextHole, null);
});

test("a choice makes later holes follow it, and leaves earlier ones as they are", () => {
  const session = new FillSession(["a", "b", "c", "d"]);
  session.receive(0, [candidate("1", "x", "p"), candidate("2", "y", "q")]);
  session.receive(1, [candidate("x", "p"), candidate("w", "r")]);
  session.receive(2, [candidate("p")]);
  session.choose(1, 1);
  assert.equal(session.text, "a1bwcrd");
  assert.equal(session.nextHole, 2);
  session.choose(0, 1);
  assert.equal(session.text, "a2bycqd");
  assert.deepEqual(session.request(1), ["a2b", "c", "d"]);
});

test("choosing what is chosen changes nothing", () => {
  const session = new FillSession(["a", "b", "c"]);
  session.receive(0, [candidate("1", "x")]);
  session.receive(1, [candidate("x"), candidate("z")]);
  session.choose(1, 1);
  session.choose(0, 0);
  assert.equal(session.text, "a1bzc");
  assert.equal(session.nextHole, null);
});

test("candidates that are equal in a hole are shown once", () => {
  const session = new FillSession(["a", "b", "c"]);
  session.receive(0, [candidate("1", "x"), candidate("1", "y"), candidate("2", "z")]);
  assert.deepEqual(infillsOf(session, 0), ["1", "2"]);
  assert.deepEqual(infillsOf(session, 1), ["x"]);
});

test("there is no choice of a candidate that is not there", () => {
  const session = new FillSession(["a", "b"]);
  session.receive(0, [candidate("1")]);
  assert.throws(() => session.choose(0, 1), RangeError);
  assert.throws(() => session.choose(1, 0), RangeError);
});

test("pieces of a later hole know the infills before them", () => {
  const session = new FillSession(["import nu", "\nx = ", ""]);
  const healed = candidate("mpy", "numpy");
  session.receive(0, [{ ...healed, tokens: [[{ id: 0, text: "import numpy", logprob: 0 }], healed.tokens[1] ?? []] }]);
  assert.deepEqual(session.holes[0]?.candidates[0]?.pieces[0], { text: "mpy", probability: 1, alternatives: [] });
  assert.equal(session.holes[1]?.candidates[0]?.pieces[0]?.probability?.toFixed(2), "0.50");
});

test("the probability of an infill is the geometric mean over its tokens", () => {
  const tokens = [0.5, 0.125].map((one) => ({ id: 0, text: "", logprob: Math.log(one) }));
  assert.equal(meanProbability([...tokens, { id: 0, text: "", logprob: null }]).toFixed(3), "0.250");
  assert.equal(meanProbability([]), 1);
});
