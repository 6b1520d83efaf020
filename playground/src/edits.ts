// Edits of the editing tools applied to a text. Pure.

import type { Edit } from "./api.js";

/** Returns the text with all edits applied. Their positions are code points of the unchanged text. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const characters = Array.from(text);
  const sorted = edits.map((edit, index) => ({ edit, index }));
  sorted.sort((a, b) => a.edit.start - b.edit.start || a.edit.end - b.edit.end || a.index - b.index);
  let position = 0;
  let changed = "";
  for (const { edit } of sorted) {
    if (edit.start < position || edit.end < edit.start || edit.end > characters.length) {
      throw new RangeError(`an edit from ${edit.start} to ${edit.end} does not fit`);
    }
    changed += characters.slice(position, edit.start).join("") + edit.text;
    position = edit.end;
  }
  return changed + characters.slice(position).join("");
}
