// The candidates of each hole, side by side, as radio buttons: one is chosen.

import { element, percent } from "./dom.js";
import type { FilledHole, FillSession, HoleCandidate } from "./fill_session.js";
import { lineAt } from "./holes.js";
import { legend, pieceSpans, pieceTable } from "./pieces_view.js";
import { dedented } from "./token_pieces.js";

const ENDS = {
  end: "The model ended this infill.",
  stop: "A stopping rule ended this infill.",
  length: "This infill was cut off: it has the most tokens that the settings allow.",
  time: "This infill was cut off: the time limit of the server was over.",
};

export interface InfillsEvents {
  onChoose(hole: number, candidate: number): void;
  onFocus(hole: number): void;
  onApply(): void;
  onAgain(): void;
}

export class InfillsView {
  private sections: HTMLFieldSetElement[] = [];
  private shown: (FilledHole | null)[] = [];
  private session: FillSession | null = null;

  constructor(
    private readonly panel: HTMLElement,
    private readonly events: InfillsEvents,
  ) {}

  /** Shows a session from its first round on. */
  begin(session: FillSession): void {
    this.session = session;
    this.shown = session.holes.map(() => null);
    this.sections = session.holes.map((_, hole) => this.section(hole));
    const again = element("button", { type: "button", click: () => this.events.onAgain() }, "Draw again");
    const apply = element(
      "button",
      { type: "button", id: "apply", class: "primary", click: () => this.events.onApply() },
      "Write into the code",
    );
    this.panel.replaceChildren(legend(), ...this.sections, element("p", { class: "actions" }, apply, again));
    this.update();
  }

  /** Shows what has changed in the session. A hole that is the same keeps its elements, and so the focus. */
  update(): void {
    const { session } = this;
    session?.holes.forEach((hole, index) => {
      const before = this.shown[index];
      this.shown[index] = hole;
      this.sections[index]?.classList.toggle("waiting", !hole.isCurrent);
      if (before?.candidates === hole.candidates) return;
      const cards = hole.candidates.map((one, candidate) =>
        this.card(index, candidate, one, candidate === hole.chosen),
      );
      this.cards(index, cards);
      this.details(index);
    });
  }

  /** Shows the text of a hole's candidates while it is written. */
  write(hole: number, texts: ReadonlyMap<number, string>): void {
    const writing = [...texts].sort(([a], [b]) => a - b);
    const cards = writing.map(([, text]) => element("div", { class: "card writing" }, element("pre", {}, text)));
    this.shown[hole] = null;
    this.cards(hole, cards);
  }

  /** Keeps the candidates for reading, although the code has changed since. */
  retire(): void {
    for (const section of this.sections) section.disabled = true;
    this.panel.classList.add("stale");
    for (const button of this.panel.querySelectorAll<HTMLButtonElement>(".actions button")) button.disabled = true;
  }

  private section(hole: number): HTMLFieldSetElement {
    const session = this.session as FillSession;
    const before = session.parts.slice(0, hole + 1).join("");
    const name = element("span", { class: "hole-number" }, `${hole + 1}`);
    const title = element("legend", {}, "Hole ", name, ` in line ${lineAt(before, before.length)}`);
    this.panel.classList.remove("stale");
    return element(
      "fieldset",
      {
        class: "hole-candidates",
        focusin: () => this.events.onFocus(hole),
        mousedown: () => this.events.onFocus(hole),
      },
      title,
      element("div", { class: "cards" }),
      element("details", {}, element("summary", {}, "Token by token"), element("div", { class: "table" })),
    );
  }

  private cards(hole: number, cards: readonly HTMLElement[]): void {
    const waiting = element("p", { class: "hint" }, "waits for the holes before it");
    this.sections[hole]?.querySelector(".cards")?.replaceChildren(...(cards.length === 0 ? [waiting] : cards));
  }

  private card(hole: number, candidate: number, one: HoleCandidate, isChosen: boolean): HTMLElement {
    const radio = element("input", {
      type: "radio",
      name: `hole-${hole}`,
      value: candidate,
      checked: isChosen,
      change: () => {
        this.events.onChoose(hole, candidate);
        this.details(hole);
      },
    });
    const spans =
      one.infill === ""
        ? [element("span", { class: "hint" }, "(nothing)")]
        : pieceSpans(dedented(one.pieces, this.indentation(hole)));
    const isCut = one.finishReason === "length" || one.finishReason === "time";
    const score = element(
      "small",
      {},
      element("b", {}, percent(one.probability)),
      isCut ? " per token, cut off" : " per token",
    );
    return element("label", { class: "card" }, radio, element("pre", {}, ...spans), score);
  }

  /** The blanks before a hole, if nothing else is before it in its line. */
  private indentation(hole: number): string {
    return /(?:^|\n)([ \t]*)$/.exec(this.session?.parts[hole] ?? "")?.[1] ?? "";
  }

  /** Shows the tokens of the chosen candidate as a table. */
  private details(hole: number): void {
    const filled = this.session?.holes[hole];
    const chosen = filled?.candidates[filled.chosen];
    const table = chosen === undefined ? [] : [element("p", {}, ENDS[chosen.finishReason]), pieceTable(chosen.pieces)];
    this.sections[hole]?.querySelector(".table")?.replaceChildren(...table);
  }
}
