// Holes in the editor: each <FILL> of the text is shown as one mark, which may have its infill in it.

import { EditorState, type Extension, StateEffect, StateField, type Text } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, WidgetType } from "@codemirror/view";
import { element } from "./dom.js";
import { holesIn, type Place } from "./holes.js";
import { pieceSpans } from "./pieces_view.js";
import type { Piece } from "./token_pieces.js";

/** What a hole shows: its infill, or null while it has none. */
export type ShownInfill = readonly Piece[] | null;

interface Holes {
  readonly places: readonly Place[];
  readonly shown: readonly ShownInfill[];
  readonly active: number | null;
  readonly marks: DecorationSet;
}

/** Shows these infills until the text changes. */
export const showInfills = StateEffect.define<readonly ShownInfill[]>();

/** Marks the hole that the visitor looks at. */
export const setActiveHole = StateEffect.define<number | null>();

const holes = StateField.define<Holes>({
  create: (state) => made(state.doc, [], null),
  update(value, transaction) {
    let { shown, active } = transaction.docChanged ? { shown: [], active: null } : value;
    for (const effect of transaction.effects) {
      if (effect.is(showInfills)) shown = effect.value;
      if (effect.is(setActiveHole)) active = effect.value;
    }
    const isSame = !transaction.docChanged && shown === value.shown && active === value.active;
    return isSame ? value : made(transaction.newDoc, shown, active);
  },
  provide: (field) => [
    EditorView.decorations.from(field, (value) => value.marks),
    EditorView.atomicRanges.of((view) => view.state.field(field).marks),
  ],
});

function made(doc: Text, shown: readonly ShownInfill[], active: number | null): Holes {
  const places = holesIn(doc.toString());
  const marks = places.map(({ from, to }, index) =>
    Decoration.replace({ widget: new HoleWidget(index, shown[index] ?? null, index === active) }).range(from, to),
  );
  return { places, shown, active, marks: Decoration.set(marks) };
}

class HoleWidget extends WidgetType {
  constructor(
    private readonly index: number,
    private readonly infill: ShownInfill,
    private readonly isActive: boolean,
  ) {
    super();
  }

  override eq(other: HoleWidget): boolean {
    return this.index === other.index && this.infill === other.infill && this.isActive === other.isActive;
  }

  override get lineBreaks(): number {
    return (this.infill ?? []).reduce((sum, piece) => sum + piece.text.split("\n").length - 1, 0);
  }

  override toDOM(): HTMLElement {
    const name = element("span", { class: "hole-number" }, `${this.index + 1}`);
    const content = this.infill === null ? [element("span", { class: "hole-empty" }, "hole")] : pieceSpans(this.infill);
    const state = `${this.infill === null ? "empty" : "filled"}${this.isActive ? " active" : ""}`;
    return element("span", { class: `hole ${state}`, "data-hole": this.index }, name, ...content);
  }

  override ignoreEvent(): boolean {
    return false;
  }
}

/** Returns the places of the holes. */
export function holePlaces(state: EditorState): readonly Place[] {
  return state.field(holes).places;
}

/** Returns the extension; `onPress` gets the hole that was pressed. */
export function holeMarks(onPress: (hole: number) => void): Extension {
  const press = EditorView.domEventHandlers({
    mousedown(event) {
      const hole = (event.target as HTMLElement).closest<HTMLElement>("[data-hole]");
      if (hole === null) return false;
      onPress(Number(hole.dataset.hole));
      return false;
    },
  });
  return [holes, press, EditorState.allowMultipleSelections.of(false)];
}
