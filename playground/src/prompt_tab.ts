// The prompt as the model reads it, token by token.

import type { PromptAnswer, PromptToken } from "./api.js";
import { byId, element } from "./dom.js";
import { partsFrom } from "./holes.js";
import type { Page } from "./page.js";
import { visible } from "./pieces_view.js";

const MOST_SHOWN = 3000; // of more tokens, the page shows the beginning and the end

/** Shows the prompt for the chosen hole. The prompt of a later hole has the chosen infills before it. */
export async function showPrompt(page: Page): Promise<void> {
  const hole = Number(byId("prompt-hole", HTMLSelectElement).value);
  const result = byId("prompt-result", HTMLElement);
  await page.run.start(async (signal) => {
    result.replaceChildren();
    const { parts } = page;
    const infills = page.filling.session?.infills ?? [];
    if (infills.length < hole) {
      throw new Error(`Fill the holes first: the prompt for hole ${hole + 1} has the infills before it.`);
    }
    const body = { ...page.infillFields, parts: partsFrom(parts, infills, hole) };
    result.replaceChildren(...promptElements(await page.server.post<PromptAnswer>("/v1/infill/prompt", body, signal)));
  });
}

function promptElements(answer: PromptAnswer): HTMLElement[] {
  const { tokens } = answer;
  const facts = `${tokens.length} of at most ${answer.max_model_len} tokens, in the format “${answer.infilling_format}” of ${answer.model}.`;
  const half = MOST_SHOWN / 2;
  const isLong = tokens.length > MOST_SHOWN;
  const list = element("ol", { class: "tokens", "aria-label": "Tokens of the prompt" });
  list.append(...(isLong ? tokens.slice(0, half) : tokens).map(chip));
  if (isLong) {
    list.append(
      element("li", { class: "hint" }, `… ${tokens.length - MOST_SHOWN} more …`),
      ...tokens.slice(-half).map(chip),
    );
  }
  return [element("p", {}, facts), list, ...required(answer.required_prefix)];
}

function chip(token: PromptToken): HTMLElement {
  const attributes = { class: token.is_special ? "token special" : "token", title: `token ${token.id}` };
  const shown = element("span", attributes, token.is_special ? token.text : visible(token.text));
  return element("li", {}, shown, token.text.endsWith("\n") ? element("br") : null);
}

function required(prefix: string): HTMLElement[] {
  if (prefix === "") return [];
  const text =
    "The model writes the infill from here. It must begin with the text before the hole that is not in the prompt, so that it can choose tokens across the hole’s edge: ";
  return [element("p", {}, text, element("code", { class: "token" }, visible(prefix)))];
}
