// The code and settings of this tab, kept in sessionStorage, so that a reload loses nothing.

import { settingsFrom } from "./settings.js";
import { cleanPath, type Shared } from "./share.js";

const DRAFT = "incoder.draft";

/** Keeps a state until the tab is closed. A state that is too large for the browser is not kept. */
export function keepDraft(draft: Shared): void {
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    sessionStorage.removeItem(DRAFT);
  }
}

/** Returns the state that was kept, or null. */
export function keptDraft(): Shared | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
    const { text, path, settings } = (kept ?? {}) as Record<string, unknown>;
    if (typeof text !== "string" || typeof path !== "string") return null;
    return { text, path: cleanPath(path), settings: settingsFrom(settings) };
  } catch {
    return null;
  }
}
