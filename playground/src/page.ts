// What the parts of the page share: the code, the settings, the calls, and the session of infills.

import { byId } from "./dom.js";
import type { Editor } from "./editor.js";
import type { Filling } from "./filling.js";
import { partsOf } from "./holes.js";
import type { Run } from "./run.js";
import type { Server } from "./server.js";
import { editFields, infillFields } from "./settings.js";
import type { SettingsView } from "./settings_view.js";
import { cleanPath, type Shared } from "./share.js";

export class Page {
  constructor(
    readonly editor: Editor,
    readonly settings: SettingsView,
    readonly server: Server,
    readonly run: Run,
    readonly filling: Filling,
  ) {}

  /** The name in the file field; its extension names the language. */
  get path(): string {
    return pathField();
  }

  get state(): Shared {
    return { text: this.editor.text, path: this.path, settings: this.settings.settings };
  }

  /** The fields of /v1/infill, but the text. */
  get infillFields(): Record<string, unknown> {
    return infillFields(this.settings.settings, this.path);
  }

  /** The fields that the editing tools have in common, but the text. */
  get editFields(): Record<string, unknown> {
    return editFields(this.settings.settings, this.path);
  }

  /** The parts of the code. Throws if it has no hole. */
  get parts(): string[] {
    const parts = partsOf(this.editor.text);
    if (parts.length > 1) return parts;
    throw new Error(
      "There is no hole to fill yet. Put the cursor where code is missing, or select code, and press Alt+Enter.",
    );
  }

  /** Shows code and settings from an example, a link or an earlier visit. */
  open(shared: Shared, isFirst = false): void {
    byId("path", HTMLInputElement).value = shared.path;
    this.editor.setLanguage(shared.path);
    this.settings.show(shared.settings);
    this.editor.setText(shared.text, isFirst);
  }
}

/** Returns the name in the file field. */
export function pathField(): string {
  return cleanPath(byId("path", HTMLInputElement).value.trim());
}
