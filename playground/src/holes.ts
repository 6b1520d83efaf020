// A text with holes: where they are, the parts between them, and the text with infills in their places.
// Pure: knows neither the editor nor the server.

/** The mark of a hole in the text. */
export const HOLE = "<FILL>";

export interface Place {
  readonly from: number;
  readonly to: number;
}

/** Returns the place of each hole, in UTF-16 code units. */
export function holesIn(text: string): Place[] {
  const found: Place[] = [];
  for (let from = text.indexOf(HOLE); from >= 0; from = text.indexOf(HOLE, from + HOLE.length)) {
    found.push({ from, to: from + HOLE.length });
  }
  return found;
}

/** Returns the parts of a text: there is a hole between each two. */
export function partsOf(text: string): string[] {
  return text.split(HOLE);
}

/** Joins parts by infills. A part that has no infill after it is followed by a hole, except the last one. */
export function join(parts: readonly string[], infills: readonly string[]): string {
  const last = parts.length - 1;
  return parts.map((part, index) => (index === last ? part : part + (infills[index] ?? HOLE))).join("");
}

/** Returns the parts from hole `first` on: the holes before it are filled by `infills`. */
export function partsFrom(parts: readonly string[], infills: readonly string[], first: number): string[] {
  if (first >= parts.length - 1 || infills.length < first) {
    throw new RangeError(`there is no hole ${first} after ${infills.length} infills`);
  }
  return [join(parts.slice(0, first + 1), infills), ...parts.slice(first + 1)];
}

/** Returns the line, from 1, of a position. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}
