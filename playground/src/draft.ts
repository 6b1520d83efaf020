// The code and settings of this tab, kept so that a reload loses nothing.

import { settingsFrom } from "./settings.js";
import { cleanPath, type Shared } from "./share.js";
import { keep, kept } from "./storage.js";

const DRAFT = "incoder.draft";

/** Keeps a state until the tab is closed. */
export function keepDraft(draft: Shared): void {
  keep(DRAFT, JSON.stringify(draft));
}

/** Returns the state that was kept, or null. */
export function keptDraft(): Shared | null {
  const { text, path, settings } = (JSON.parse(kept(DRAFT) ?? "{}") ?? {}) as Record<string, unknown>;
  if (typeof text !== "string" || typeof path !== "string") return null;
  return { text, path: cleanPath(path), settings: settingsFrom(settings) };
}
