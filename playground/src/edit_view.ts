// What an editing tool proposes: the candidates of each change, and the difference to the code.

import { unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import type { EditAnswer, EditChange } from "./api.js";
import { element, percent } from "./dom.js";
import { codeLook } from "./editor.js";
import { applyEdits } from "./edits.js";

export class EditView {
  private view: EditorView | null = null;

  constructor(
    private readonly panel: HTMLElement,
    private readonly nonce: string,
    private readonly onApply: (text: string) => void,
  ) {}

  /** Shows the changes that a tool proposes for a text. */
  show(original: string, path: string, answer: EditAnswer): void {
    const chosen = answer.changes.map((change) => change.used);
    const difference = element("div", { class: "difference" });
    const changed = () =>
      applyEdits(
        original,
        answer.changes.flatMap((change, index) => editsOf(change, chosen[index])),
      );
    const draw = () => {
      this.clear();
      this.view = this.drawn(difference, original, changed(), path);
    };
    const apply = element(
      "button",
      { type: "button", class: "primary", click: () => this.onApply(changed()) },
      "Write into the code",
    );
    const fieldsets = answer.changes.map((change, index) =>
      choices(change, index, (candidate) => {
        chosen[index] = candidate;
        draw();
      }),
    );
    this.panel.replaceChildren(difference, element("p", { class: "actions" }, apply), ...fieldsets);
    draw();
  }

  /** Says something in the place of changes. */
  say(text: string): void {
    this.clear();
    this.panel.replaceChildren(element("p", { class: "hint" }, text));
  }

  private clear(): void {
    this.view?.destroy();
    this.view = null;
  }

  private drawn(parent: HTMLElement, original: string, changed: string, path: string): EditorView {
    return new EditorView({
      parent,
      doc: changed,
      extensions: [
        EditorView.cspNonce.of(this.nonce),
        codeLook(path),
        lineNumbers(),
        EditorState.readOnly.of(true),
        EditorView.contentAttributes.of({ "aria-label": "Proposed change", tabindex: "0" }),
        unifiedMergeView({ original, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 6 } }),
      ],
    });
  }
}

function editsOf(change: EditChange, candidate: number | null | undefined) {
  return candidate === null || candidate === undefined ? [] : (change.candidates[candidate]?.edits ?? []);
}

function choices(change: EditChange, index: number, onChoose: (candidate: number | null) => void): HTMLElement {
  const cards = change.candidates.map((one, candidate) => {
    const isUsable = one.problem === null;
    const radio = element("input", {
      type: "radio",
      name: `change-${index}`,
      checked: candidate === change.used,
      disabled: !isUsable,
      change: () => onChoose(candidate),
    });
    const text = [...new Set(one.edits.map((edit) => edit.text))].join("\n") || "(removed)";
    const score = [
      element("b", {}, percent(Math.exp(one.logprob))),
      ` per token${isUsable ? "" : `, refused: ${one.problem}`}`,
    ];
    return element("label", { class: "card" }, radio, element("pre", {}, text), element("small", {}, ...score));
  });
  const keep = element("input", {
    type: "radio",
    name: `change-${index}`,
    checked: change.used === null,
    change: () => onChoose(null),
  });
  cards.push(element("label", { class: "card" }, keep, element("span", { class: "hint" }, "Leave as it is")));
  const title = `${change.place.charAt(0).toUpperCase()}${change.place.slice(1)}, line ${change.line}`;
  return element(
    "fieldset",
    { class: "hole-candidates" },
    element("legend", {}, title),
    element("div", { class: "cards" }, ...cards),
  );
}
