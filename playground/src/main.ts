// The page: its controls, and what each of them starts. Nothing runs before a visitor asks for it.

import { compare } from "./comparison_tab.js";
import { byId } from "./dom.js";
import { keepDraft, keptDraft } from "./draft.js";
import { EditingTab } from "./editing_tab.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { Filling } from "./filling.js";
import { partsOf } from "./holes.js";
import { askForKey } from "./key_dialog.js";
import { Page, pathField } from "./page.js";
import { showPrompt } from "./prompt_tab.js";
import { Run } from "./run.js";
import { Server } from "./server.js";
import { DEFAULTS, infillFields } from "./settings.js";
import { SettingsView } from "./settings_view.js";
import { openLink, share } from "./sharing.js";
import { Tabs } from "./tabs.js";

const DRAFT_DELAY = 300; // milliseconds after the last change

const nonce = document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "";
const examples = byId("examples", HTMLSelectElement);
const holeLists = ["comparison-hole", "prompt-hole"].map((id) => byId(id, HTMLSelectElement));

const run = new Run();
const server = new Server(askForKey);
const settings = new SettingsView(DEFAULTS, () => changed());
const tabs = new Tabs(byId("tabs", HTMLElement), () => run.complain(""));
const editor = new Editor(byId("editor", HTMLElement), nonce, {
  onChange: () => {
    filling.end();
    run.cancel();
    changed();
  },
  onSelect: () => {
    byId("make-hole-label", HTMLElement).textContent = editor.hasSelection ? "Cut out a hole" : "Make a hole";
    editing.showScope();
  },
  onHole: (hole) => look(hole),
  onFill: () => void fill(),
  onEscape: () => run.cancel(),
});
const filling = new Filling({
  editor,
  server,
  run,
  fields: () => infillFields(settings.settings, pathField()),
  onHole: (hole) => look(hole),
});
const page = new Page(editor, settings, server, run, filling);
const editing = new EditingTab(page, nonce);

async function fill(): Promise<void> {
  tabs.show("infills");
  // In a narrow window, the infills are below the code.
  if (window.matchMedia("(max-width: 62rem)").matches) byId("tabs", HTMLElement).scrollIntoView();
  await run.start(async (signal) => void (await filling.fill(page.parts, signal)));
}

/** Looks at a hole: the editor marks it, and the other tabs are about it. */
function look(hole: number): void {
  editor.setActive(hole);
  for (const list of holeLists) list.value = `${hole}`;
}

let draftTimer = 0;

/** The code or the settings have changed. */
function changed(): void {
  const count = partsOf(editor.text).length - 1;
  const label = count === 0 ? "Fill" : count === 1 ? "Fill the hole" : `Fill ${count} holes`;
  byId("fill-label", HTMLElement).textContent = label;
  for (const list of holeLists) {
    if (list.options.length === count) continue;
    list.replaceChildren(...Array.from({ length: count }, (_, hole) => new Option(`${hole + 1}`, `${hole}`)));
  }
  window.clearTimeout(draftTimer);
  draftTimer = window.setTimeout(() => keepDraft(page.state), DRAFT_DELAY);
}

async function begin(): Promise<void> {
  const options = EXAMPLES.map((one, index) => new Option(one.title, `${index}`));
  examples.append(new Option("Choose …", ""), ...options);
  if (!(await openLink(page, true))) page.open(keptDraft() ?? { ...EXAMPLES[0], settings: DEFAULTS }, true);
  changed();
  try {
    settings.offer(await server.models());
  } catch (error) {
    run.complain((error as Error).message);
  }
  byId("routes-link", HTMLElement).hidden = server.hasKey; // a browser opens a page without a key
}

function onPress(id: string, action: () => unknown): void {
  byId(id, HTMLButtonElement).addEventListener("click", () => void action());
}

onPress("make-hole", () => editor.makeHole());
onPress("fill", fill);
onPress("welcome-fill", fill);
onPress("compare", () => compare(page));
onPress("show-prompt", () => showPrompt(page));
onPress("share", () => share(page));
examples.addEventListener("change", () => {
  const example = EXAMPLES[Number(examples.value || "-1")];
  examples.value = "";
  if (example !== undefined) page.open({ ...example, settings: settings.settings });
});
byId("path", HTMLInputElement).addEventListener("input", () => {
  editor.setLanguage(page.path);
  changed();
});
window.addEventListener("hashchange", () => void openLink(page, false));
window.addEventListener("pagehide", () => keepDraft(page.state));
window.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
  if (event.key === "Escape") run.cancel();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    void fill();
  }
});
if (navigator.platform.startsWith("Mac")) {
  for (const key of document.querySelectorAll("kbd.modifier")) key.textContent = "⌘ ↵";
}
void begin();
