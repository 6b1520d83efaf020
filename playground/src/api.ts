// The bodies and answers of the server's routes, as far as the page uses them (docs/server.md).

export interface Alternative {
  readonly text: string;
  readonly logprob: number;
}

/** A token of an infill. `bytes` are given only where the token is no whole characters. */
export interface Token {
  readonly id: number;
  readonly text: string;
  readonly logprob: number | null;
  readonly bytes?: readonly number[];
  readonly alternatives?: readonly Alternative[];
}

export type FinishReason = "end" | "stop" | "length" | "time";

/** One infill of every hole of a request. */
export interface InfillCandidate {
  readonly text: string;
  readonly infills: readonly string[];
  readonly logprob: number;
  readonly finish_reasons: readonly FinishReason[];
  readonly tokens: readonly (readonly Token[])[];
}

export interface InfillAnswer {
  readonly model: string;
  readonly candidates: readonly InfillCandidate[];
  readonly usage: { readonly num_prompt_tokens: number; readonly num_completion_tokens: number };
  readonly seconds: { readonly total: number };
}

export type InfillEvent =
  | { readonly type: "text"; readonly candidate: number; readonly hole: number; readonly text: string }
  | ({ readonly type: "result" } & InfillAnswer)
  | { readonly type: "error"; readonly error: { readonly message: string; readonly code: number } };

export interface PromptToken {
  readonly id: number;
  readonly text: string;
  readonly is_special: boolean;
}

export interface PromptAnswer {
  readonly model: string;
  readonly infilling_format: string;
  readonly tokens: readonly PromptToken[];
  readonly required_prefix: string;
  readonly max_model_len: number;
}

/** An edit of a text; positions are in code points, as Python counts them. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface EditCandidate {
  readonly edits: readonly Edit[];
  readonly logprob: number;
  readonly problem: string | null;
}

export interface EditChange {
  readonly place: string;
  readonly line: number;
  readonly used: number | null;
  readonly candidates: readonly EditCandidate[];
}

export interface EditAnswer {
  readonly text: string;
  readonly changes: readonly EditChange[];
}

export interface ModelEntry {
  readonly id: string;
  readonly max_model_len: number;
  readonly capabilities: { readonly infill: boolean; readonly infilling_format: string };
}
