// The same gap filled twice: by a model that sees both sides, and left to right, from the left side alone.

import { byId, element, percent } from "./dom.js";
import { type HoleCandidate, holeCandidate } from "./fill_session.js";
import { join } from "./holes.js";
import type { Page } from "./page.js";
import { legend, pieceSpans } from "./pieces_view.js";

const NUM_LINES = 3; // of the code around the gap

/** A gap with the code around it, and its two infills. */
interface Comparison {
  readonly before: string;
  readonly after: string;
  readonly infill: HoleCandidate;
  readonly leftToRight: HoleCandidate;
}

/** Fills the chosen hole in both ways, and shows them side by side. */
export async function compare(page: Page): Promise<void> {
  const hole = Number(byId("comparison-hole", HTMLSelectElement).value);
  const result = byId("comparison-result", HTMLElement);
  await page.run.start(async (signal) => {
    result.replaceChildren();
    const session = await page.filling.filled(page.parts, signal);
    const infill = session.holes[hole]?.candidates[session.holes[hole].chosen];
    if (infill === undefined) return;
    page.run.say("Completing left to right …");
    const before = join(session.parts.slice(0, hole + 1), session.infills);
    const after = join(session.parts.slice(hole + 1), session.infills.slice(hole + 1));
    const numLines = infill.infill.split("\n").length;
    const body = { ...page.infillFields, parts: [before], rank_by: "mean", max_lines: numLines };
    const { candidates } = await page.server.infill(body, signal, () => {});
    const [best] = candidates;
    if (best === undefined) return;
    const leftToRight = holeCandidate(best, 0, before);
    result.replaceChildren(...comparisonElements({ before, after, infill, leftToRight }));
    page.run.say("Both have the same settings, and as many lines.");
  });
}

function comparisonElements(comparison: Comparison): HTMLElement[] {
  const { infill, leftToRight } = comparison;
  return [
    legend(),
    element(
      "div",
      { class: "comparison" },
      column("Infill", "The model saw the code before and after the gap.", comparison, infill),
      column("Left to right", "The model saw only the code before the gap.", comparison, leftToRight),
    ),
  ];
}

function column(title: string, explained: string, { before, after }: Comparison, one: HoleCandidate): HTMLElement {
  const above = element("span", { class: "around" }, before.split("\n").slice(-NUM_LINES).join("\n"));
  const below = element("span", { class: "around" }, after.split("\n").slice(0, NUM_LINES).join("\n"));
  const code = element("pre", {}, above, element("span", { class: "gap" }, ...pieceSpans(one.pieces)), below);
  const score = element("small", {}, element("b", {}, percent(one.probability)), " per token, on average");
  return element(
    "section",
    { class: "card" },
    element("h3", {}, title),
    element("p", { class: "hint" }, explained),
    code,
    score,
  );
}
