// An infill as pieces of text, each with the probability of its tokens. Pure.
//
// A candidate's tokens spell more than its infill: they begin with text before the hole that token healing let
// the model write again, and they end with what a stopping rule cut off.

import type { Alternative, Token } from "./api.js";

/** A piece of an infill; usually one token, several where a character is made of several. */
export interface Piece {
  readonly text: string;
  /** Null where the tokens do not spell the infill, so that nothing is known of its pieces. */
  readonly probability: number | null;
  readonly alternatives: readonly Alternative[];
}

/** The classes of probability, from the most probable: a class has the tokens that reach its bound. */
export const LEVELS = [
  { name: "sure", atLeast: 0.9 },
  { name: "likely", atLeast: 0.6 },
  { name: "open", atLeast: 0.3 },
  { name: "unsure", atLeast: 0.1 },
  { name: "rare", atLeast: 0 },
] as const;

export type Level = (typeof LEVELS)[number]["name"];

/** Returns the class of a probability in [0, 1]. */
export function levelOf(probability: number): Level {
  return LEVELS.find((level) => probability >= level.atLeast)?.name ?? "rare";
}

/** Returns the pieces of an infill. They join to it exactly; `before` is the text before its hole. */
export function piecesOf(infill: string, tokens: readonly Token[], before: string): Piece[] {
  const encoder = new TextEncoder();
  const spelled = tokens.map((token) => (token.bytes ? Uint8Array.from(token.bytes) : encoder.encode(token.text)));
  const target = encoder.encode(infill);
  const start = startOf(target, concatenated(spelled), encoder.encode(before.slice(-1000)));
  const pieces: Piece[] = [];
  let position = 0;
  let waiting: Uint8Array[] = [];
  let probability = 1;
  let alternatives: readonly Alternative[] = [];
  spelled.forEach((data, index) => {
    const token = tokens[index];
    const from = Math.max(start, position);
    position += data.length;
    const to = Math.min(start + target.length, position);
    if (start < 0 || token === undefined || from >= to) return;
    waiting.push(target.subarray(from - start, to - start));
    probability *= Math.exp(token.logprob ?? 0);
    if (alternatives.length === 0) alternatives = token.alternatives ?? [];
    const next = target[to - start];
    if (next !== undefined && next >= 0x80 && next < 0xc0) return; // the token ends within a character
    pieces.push({ text: decoded(waiting), probability, alternatives });
    waiting = [];
    probability = 1;
    alternatives = [];
  });
  const isWhole = pieces.map((piece) => piece.text).join("") === infill;
  return isWhole ? pieces : infill === "" ? [] : [{ text: infill, probability: null, alternatives: [] }];
}

/** Returns the pieces without this indentation at the beginning of each line but the first. */
export function dedented(pieces: readonly Piece[], indentation: string): Piece[] {
  let matched = indentation.length; // how much of it has been read in this line
  const shorter = pieces.map((piece) => {
    let text = "";
    for (const character of piece.text) {
      if (matched < indentation.length && character === indentation[matched]) matched++;
      else {
        text += character;
        matched = character === "\n" ? 0 : indentation.length;
      }
    }
    return { ...piece, text };
  });
  return shorter.filter((piece) => piece.text !== "");
}

/** Returns where the infill begins in the spelled bytes: after an end of the text before the hole, or -1. */
function startOf(target: Uint8Array, spelled: Uint8Array, before: Uint8Array): number {
  for (let start = spelled.length - target.length; start >= 0; start--) {
    if (isAt(target, spelled, start) && start <= before.length) {
      if (isAt(spelled.subarray(0, start), before, before.length - start)) return start;
    }
  }
  return -1;
}

function isAt(part: Uint8Array, whole: Uint8Array, start: number): boolean {
  return part.every((byte, index) => whole[start + index] === byte);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    joined.set(part, position);
    position += part.length;
  }
  return joined;
}

function decoded(parts: readonly Uint8Array[]): string {
  return new TextDecoder().decode(concatenated(parts));
}
