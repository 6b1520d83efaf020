// The editor: code with holes. What it shows in the holes, and what is selected, but not what is done with it.

import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, isolateHistory } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension, Prec, Transaction } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { holeMarks, holePlaces, type ShownInfill, setActiveHole, showInfills } from "./hole_widgets.js";
import { HOLE } from "./holes.js";
import { languageOf } from "./languages.js";

/** Colours by class, so that the page's style sheet has one palette for light and one for dark. */
const highlighting = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword], class: "code-keyword" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], class: "code-string" },
  { tag: tags.comment, class: "code-comment" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], class: "code-number" },
  { tag: [tags.definition(tags.variableName), tags.function(tags.variableName), tags.className], class: "code-name" },
  { tag: [tags.typeName, tags.namespace], class: "code-type" },
]);

/** Returns what every view of code on the page shares. */
export function codeLook(path: string): Extension {
  return [highlightSpecialChars(), syntaxHighlighting(highlighting), languageOf(path), EditorState.tabSize.of(4)];
}

/** Chromium adds a style attribute to text that is typed over a selection, and the page's policy refuses it. */
const typedOverSelection = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { data, inputType, isComposing } = event;
    const { from, to, empty } = view.state.selection.main;
    if (empty || isComposing || inputType !== "insertText" || data === null) return false;
    const insert = () =>
      view.state.update(view.state.replaceSelection(data), { userEvent: "input.type", scrollIntoView: true });
    const handlers = view.state.facet(EditorView.inputHandler); // such as the one that closes brackets
    if (!handlers.some((handler) => handler(view, from, to, data, insert))) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

export interface EditorEvents {
  onChange(): void;
  onSelect(): void;
  onHole(hole: number): void;
  onFill(): void;
  /** Returns whether Esc had something to cancel. */
  onEscape(): boolean;
}

export class Editor {
  private readonly view: EditorView;
  private readonly look = new Compartment();

  constructor(parent: HTMLElement, nonce: string, events: EditorEvents) {
    const run = (action: () => void) => () => {
      action();
      return true;
    };
    const ours = [
      { key: "Mod-Enter", run: run(() => events.onFill()) },
      { key: "Alt-Enter", run: run(() => this.makeHole()) },
      { key: "Escape", run: () => events.onEscape() },
    ];
    this.view = new EditorView({
      parent,
      extensions: [
        EditorView.cspNonce.of(nonce), // from the start: the editor makes its style sheet once
        Prec.highest(keymap.of(ours)),
        this.look.of([]),
        holeMarks((hole) => events.onHole(hole)),
        lineNumbers(),
        history(),
        drawSelection(),
        typedOverSelection,
        indentOnInput(),
        indentUnit.of("    "),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        // Tab moves on to the next control, as everywhere on the page; Ctrl-] and Ctrl-[ indent.
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap]),
        EditorView.contentAttributes.of({
          "aria-label": "Code with holes",
          "aria-describedby": "editor-help",
          tabindex: "0",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) events.onChange();
          if (update.docChanged || update.selectionSet) events.onSelect();
        }),
      ],
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  get hasSelection(): boolean {
    return !this.view.state.selection.main.empty;
  }

  /** The first and the last selected line, from 1; a line that is selected up to its start is not one. */
  get selectedLines(): readonly [number, number] {
    const { doc, selection } = this.view.state;
    const { from, to, empty } = selection.main;
    const first = doc.lineAt(from);
    const last = doc.lineAt(to);
    return [first.number, !empty && to === last.from && last.number > first.number ? last.number - 1 : last.number];
  }

  /** Replaces the whole text, as one step that can be undone, unless it is the page's first text. */
  setText(text: string, isFirst = false): void {
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      selection: { anchor: 0 },
      scrollIntoView: true,
      annotations: [Transaction.addToHistory.of(!isFirst), isolateHistory.of("full")],
    });
  }

  setLanguage(path: string): void {
    this.view.dispatch({ effects: this.look.reconfigure(codeLook(path)) });
  }

  /** Puts a hole at the cursor, or in the place of what is selected, which is cut out. */
  makeHole(): void {
    const { from, to } = this.view.state.selection.main;
    const end = from + HOLE.length;
    this.view.dispatch({ changes: { from, to, insert: HOLE }, selection: { anchor: end }, scrollIntoView: true });
    this.view.focus();
  }

  showInfills(shown: readonly ShownInfill[]): void {
    this.view.dispatch({ effects: showInfills.of(shown) });
  }

  /** Marks a hole and scrolls to it; null marks none. */
  setActive(hole: number | null): void {
    const place = hole === null ? undefined : holePlaces(this.view.state)[hole];
    const scroll = place === undefined ? [] : [EditorView.scrollIntoView(place.from, { y: "nearest", yMargin: 40 })];
    this.view.dispatch({ effects: [setActiveHole.of(hole), ...scroll] });
  }

  focus(): void {
    this.view.focus();
  }
}
