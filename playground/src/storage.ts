// The tab's sessionStorage, or memory where the browser allows no storage. Gone when the tab is closed.

const memory = new Map<string, string>();

/** Returns what is kept under a name, or null. */
export function kept(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Keeps a value under a name; one that is too large for the browser is not kept, nor is an older one. */
export function keep(name: string, value: string): void {
  try {
    sessionStorage.removeItem(name);
    sessionStorage.setItem(name, value);
  } catch {
    memory.set(name, value);
  }
}
