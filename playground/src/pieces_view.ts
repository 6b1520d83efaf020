// An infill on the page: each piece has the colour of its probability.

import { element, percent } from "./dom.js";
import { LEVELS, levelOf, type Piece } from "./token_pieces.js";

/** Returns a span for each piece; its title says the probability, and what else the model considered. */
export function pieceSpans(pieces: readonly Piece[]): HTMLElement[] {
  return pieces.map((piece) => {
    if (piece.probability === null) return element("span", {}, piece.text);
    const title = [percent(piece.probability), ...others(piece).slice(0, 3)].join(" · ");
    return element("span", { class: `piece ${levelOf(piece.probability)}`, title }, piece.text);
  });
}

/** Returns a table with each piece, its probability and its alternatives: what the colours say, in words. */
export function pieceTable(pieces: readonly Piece[]): HTMLElement {
  const rows = pieces.map((piece) =>
    element(
      "tr",
      {},
      element("td", {}, element("code", {}, visible(piece.text))),
      element("td", {}, piece.probability === null ? "unknown" : percent(piece.probability)),
      element("td", {}, others(piece).join(", ")),
    ),
  );
  const head = element(
    "tr",
    {},
    ...["Token", "Probability", "Instead"].map((name) => element("th", { scope: "col" }, name)),
  );
  return element("table", { class: "pieces" }, element("thead", {}, head), element("tbody", {}, ...rows));
}

/** Returns the key to the colours. */
export function legend(): HTMLElement {
  const bounds = LEVELS.map((level, index) => {
    const above = LEVELS[index - 1];
    const whole = (bound: number) => Math.round(bound * 100);
    const range =
      above === undefined ? `over ${whole(level.atLeast)} %` : `${whole(level.atLeast)}–${whole(above.atLeast)} %`;
    return element("span", { class: `piece ${level.name}` }, range);
  });
  return element("p", { class: "legend" }, "Token probability: ", ...bounds);
}

/** Returns a text in which spaces and line ends can be seen. */
export function visible(text: string): string {
  return text === "" ? "(end)" : text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥");
}

function others(piece: Piece): string[] {
  return piece.alternatives
    .filter((one) => one.text !== piece.text)
    .map((one) => `${visible(one.text)} ${percent(Math.exp(one.logprob))}`);
}
