// The filling of one text: the candidates of each hole, what is chosen, and what later holes follow from. Pure.
//
// Holes are filled in rounds. A round fills one hole and those after it, with the choices before it in the
// text; so each hole has candidates of its own, and a choice makes those of later holes obsolete. Until their
// next round, later holes show what the chosen candidate itself wrote there.

import type { FinishReason, InfillCandidate, Token } from "./api.js";
import { join, partsFrom } from "./holes.js";
import { type Piece, piecesOf } from "./token_pieces.js";

/** A candidate for one hole; `later` are the same candidate's infills of the holes after it. */
export interface HoleCandidate {
  readonly infill: string;
  readonly pieces: readonly Piece[];
  readonly probability: number;
  readonly finishReason: FinishReason;
  readonly later: readonly HoleCandidate[];
}

/** A hole: `isCurrent` says whether its candidates belong to the choices before it. */
export interface FilledHole {
  readonly candidates: readonly HoleCandidate[];
  readonly chosen: number;
  readonly isCurrent: boolean;
}

const OPEN: FilledHole = { candidates: [], chosen: 0, isCurrent: false };

export class FillSession {
  private readonly filled: FilledHole[];

  constructor(readonly parts: readonly string[]) {
    this.filled = parts.slice(1).map(() => OPEN);
  }

  get holes(): readonly FilledHole[] {
    return this.filled;
  }

  /** The chosen infills, up to the first hole without one. */
  get infills(): string[] {
    const chosen = this.filled.map((hole) => hole.candidates[hole.chosen]?.infill);
    const end = chosen.indexOf(undefined);
    return (end < 0 ? chosen : chosen.slice(0, end)) as string[];
  }

  /** The text with the chosen infills; holes that have none are holes still. */
  get text(): string {
    return join(this.parts, this.infills);
  }

  /** The first hole whose candidates are missing or obsolete; null if all are current. */
  get nextHole(): number | null {
    const index = this.filled.findIndex((hole) => !hole.isCurrent);
    return index < 0 ? null : index;
  }

  /** The parts of a request for this hole and those after it. */
  request(hole: number): string[] {
    return partsFrom(this.parts, this.infills, hole);
  }

  /** Takes the answer to `request(hole)`: its candidates, the first of which is chosen. */
  receive(hole: number, candidates: readonly InfillCandidate[]): void {
    const before = join(this.parts.slice(0, hole + 1), this.infills);
    const different = new Map<string, HoleCandidate>();
    for (const one of candidates) {
      const found = this.candidate(one, hole, 0, before);
      if (found !== undefined && !different.has(found.infill)) different.set(found.infill, found);
    }
    this.filled[hole] = { candidates: [...different.values()], chosen: 0, isCurrent: true };
    this.follow(hole);
  }

  /** Chooses a candidate of a hole. Later holes follow it. */
  choose(hole: number, chosen: number): void {
    const filled = this.filled[hole];
    if (filled === undefined || filled.candidates[chosen] === undefined) {
      throw new RangeError(`hole ${hole} has no candidate ${chosen}`);
    }
    if (filled.chosen === chosen) return;
    this.filled[hole] = { ...filled, chosen };
    this.follow(hole);
  }

  private follow(hole: number): void {
    const chosen = this.filled[hole]?.candidates[this.filled[hole].chosen];
    for (let later = hole + 1; later < this.filled.length; later++) {
      const own = chosen?.later[later - hole - 1];
      this.filled[later] = own === undefined ? OPEN : { candidates: [own], chosen: 0, isCurrent: false };
    }
  }

  private candidate(all: InfillCandidate, hole: number, index: number, before: string): HoleCandidate | undefined {
    const infill = all.infills[index];
    if (infill === undefined) return undefined;
    const next = this.candidate(all, hole + 1, index + 1, before + infill + (this.parts[hole + 1] ?? ""));
    return holeCandidate(all, index, before, next === undefined ? [] : [next, ...next.later]);
  }
}

/** Returns infill `index` of a candidate; `before` is the text before its hole, with earlier infills. */
export function holeCandidate(
  all: InfillCandidate,
  index: number,
  before: string,
  later: readonly HoleCandidate[] = [],
): HoleCandidate {
  const infill = all.infills[index] ?? "";
  const tokens = all.tokens[index] ?? [];
  return {
    infill,
    pieces: piecesOf(infill, tokens, before),
    probability: meanProbability(tokens),
    finishReason: all.finish_reasons[index] ?? "end",
    later,
  };
}

/** Returns the geometric mean of the tokens' probabilities; 1 if there are none. */
export function meanProbability(tokens: readonly Token[]): number {
  const known = tokens.flatMap((token) => (token.logprob === null ? [] : [token.logprob]));
  return known.length === 0 ? 1 : Math.exp(known.reduce((sum, one) => sum + one, 0) / known.length);
}
