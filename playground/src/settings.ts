// The settings of a request as the page offers them: defaults, ranges, and the fields of a body. Pure.

export interface Settings {
  /** An empty name is the server's first model. */
  readonly model: string;
  readonly numCandidates: number;
  readonly temperature: number;
  readonly topP: number;
  readonly maxNewTokens: number;
  readonly lines: "" | "auto" | "one" | "block";
  readonly stoppingRules: boolean;
  /** Null draws a new seed for each request. */
  readonly seed: number | null;
}

export const DEFAULTS: Settings = {
  model: "",
  numCandidates: 4,
  temperature: 0.8,
  topP: 0.95,
  maxNewTokens: 48,
  lines: "",
  stoppingRules: true,
  seed: null,
};

export const RANGES = {
  numCandidates: [1, 16],
  temperature: [0, 2],
  topP: [0.01, 1],
  maxNewTokens: [1, 1024],
  seed: [0, Number.MAX_SAFE_INTEGER],
} as const;

const NUM_ALTERNATIVES = 4;

/** Returns the settings that a value of unknown origin has; what is missing or wrong has its default. */
export function settingsFrom(value: unknown): Settings {
  const given = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const number = (name: keyof typeof RANGES, isWhole: boolean): number | null => {
    const [least, most] = RANGES[name];
    const one = given[name];
    if (typeof one !== "number" || !(one >= least && one <= most)) return DEFAULTS[name];
    return isWhole ? Math.round(one) : one;
  };
  const { model, lines, stoppingRules } = given;
  return {
    model: typeof model === "string" && model.length <= 200 ? model : DEFAULTS.model,
    numCandidates: number("numCandidates", true) ?? DEFAULTS.numCandidates,
    temperature: number("temperature", false) ?? DEFAULTS.temperature,
    topP: number("topP", false) ?? DEFAULTS.topP,
    maxNewTokens: number("maxNewTokens", true) ?? DEFAULTS.maxNewTokens,
    lines: lines === "auto" || lines === "one" || lines === "block" ? lines : "",
    stoppingRules: typeof stoppingRules === "boolean" ? stoppingRules : DEFAULTS.stoppingRules,
    seed: number("seed", true),
  };
}

/** Returns the settings that differ from the defaults. */
export function differences(settings: Settings): Partial<Settings> {
  const changed = Object.entries(settings).filter(([name, value]) => value !== DEFAULTS[name as keyof Settings]);
  return Object.fromEntries(changed);
}

/** Returns the settings as fields of /v1/infill. */
export function infillFields(settings: Settings, path: string): Record<string, unknown> {
  return {
    ...editFields(settings, path),
    top_p: settings.topP,
    lines: settings.lines === "" ? null : settings.lines,
    stopping_rules: settings.stoppingRules,
    num_alternatives: NUM_ALTERNATIVES,
    rank_by: "syntax",
  };
}

/** Returns the settings that the editing tools have, too. */
export function editFields(settings: Settings, path: string): Record<string, unknown> {
  return {
    model: settings.model || null,
    path: path || null,
    num_candidates: settings.numCandidates,
    temperature: settings.temperature,
    max_new_tokens: settings.maxNewTokens,
    seed: settings.seed,
  };
}

/** Says the settings in a few words. */
export function summary(settings: Settings): string {
  const count = settings.numCandidates === 1 ? "1 candidate" : `${settings.numCandidates} candidates`;
  return `${settings.model || "the server’s model"}, ${count}, temperature ${settings.temperature}`;
}
