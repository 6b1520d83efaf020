/** The extension's settings: which of them start the server, and which the server gets. Knows no editor. */

/** How the language server is started. */
export interface LaunchSettings {
  command: string;
  arguments: readonly string[];
  /** The URL of a model server; empty if the language server finds or starts one. */
  server: string;
}

/** The settings that only the extension reads; a change of one needs a new server. */
export const LAUNCH_SETTINGS = ["command", "arguments", "server"] as const;

/** Reads the value of a setting, such as `lines` for `incoder.lines`. */
export type ReadSetting = (name: string) => unknown;

/** Returns how the server is started. A value of the wrong type, which the editor has marked, is as if unset. */
export function launchSettings(read: ReadSetting): LaunchSettings {
  const given = read("arguments");
  return {
    command: text(read("command")) || "incoder",
    arguments: Array.isArray(given) ? given.filter((one): one is string => typeof one === "string") : [],
    server: text(read("server")),
  };
}

/** Returns the settings of the server with these names, as it reads them. */
export function serverSettings(names: readonly string[], read: ReadSetting): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, read(name)]));
}

/** Returns the names of the server's settings among the properties that package.json contributes. */
export function serverSettingNames(properties: readonly string[]): string[] {
  const ownNames: readonly string[] = LAUNCH_SETTINGS;
  return properties.map((name) => name.replace(/^incoder\./, "")).filter((name) => !ownNames.includes(name));
}

function text(value: unknown): string {
  return typeof value === "string" ? value.trim() : "";
}
