// The editing tools: which one, on which lines, and what it proposes.

import type { EditAnswer } from "./api.js";
import { byId } from "./dom.js";
import { EditView } from "./edit_view.js";
import { partsOf } from "./holes.js";
import type { Page } from "./page.js";

export class EditingTab {
  private readonly tool = byId("tool", HTMLSelectElement);
  private readonly view: EditView;

  constructor(
    private readonly page: Page,
    nonce: string,
  ) {
    this.view = new EditView(byId("editing-result", HTMLElement), nonce, (text) => this.apply(text));
    this.tool.addEventListener("change", () => this.showFields());
    byId("tool-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.propose();
    });
    this.showFields();
  }

  /** Says what the tool would be applied to, after the selection has changed. */
  showScope(): void {
    byId("tool-scope", HTMLElement).textContent = `Applies to ${this.scope().words}.`;
  }

  private showFields(): void {
    for (const label of document.querySelectorAll<HTMLElement>("[data-tool]")) {
      label.hidden = label.dataset.tool !== this.tool.value;
    }
    this.showScope();
  }

  /** The selected lines; without a selection, the tool's own choice: the cursor's line, or the whole file. */
  private scope(): { readonly lines: string | null; readonly words: string } {
    const [first, last] = this.page.editor.selectedLines;
    if (!this.page.editor.hasSelection && this.tool.value !== "edit") return { lines: null, words: "the whole file" };
    return { lines: `${first}:${last}`, words: first === last ? `line ${first}` : `lines ${first} to ${last}` };
  }

  private async propose(): Promise<void> {
    const { page } = this;
    const { text } = page.editor;
    const path = page.path;
    await page.run.start(async (signal) => {
      this.view.say("");
      if (partsOf(text).length > 1) {
        throw new Error("The code has holes. Fill them and write the infills into the code first.");
      }
      page.run.say("Looking for changes …");
      const body = { ...page.editFields, ...this.fields(), text, lines: this.scope().lines };
      const answer = await page.server.post<EditAnswer>(`/v1/edit/${this.tool.value}`, body, signal);
      page.run.say("");
      if (answer.changes.length === 0) this.view.say("The tool proposes no change here.");
      else this.view.show(text, path, answer);
    });
  }

  /** The fields that only this tool has. */
  private fields(): Record<string, unknown> {
    const value = (id: string) => byId(id, HTMLInputElement).value.trim();
    if (this.tool.value === "edit") return { comment: value("tool-comment") };
    if (this.tool.value === "rename") return { name: value("tool-name"), to: value("tool-to") || null };
    return {};
  }

  private apply(text: string): void {
    this.page.editor.setText(text);
    this.view.say("The changes are in the code now. Undo in the editor takes them back.");
    this.page.editor.focus();
  }
}
