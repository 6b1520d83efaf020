// Calls to the server that this page came from: the key, errors in plain words, streams, and their end.

import type { InfillAnswer, InfillEvent, ModelEntry } from "./api.js";
import { EventReader } from "./events.js";
import { keep, kept } from "./storage.js";

const KEY = "incoder.key"; // of the tab's storage

/** An answer that is no success, or none at all. The message is for the visitor. */
export class ServerError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** Asks the visitor for the key; null if they give none. */
export type AskKey = (wasWrong: boolean) => Promise<string | null>;

export class Server {
  private asking: Promise<string | null> | null = null;

  constructor(private readonly askKey: AskKey) {}

  /** Whether calls are made with a key. */
  get hasKey(): boolean {
    return kept(KEY) !== null;
  }

  /** Returns the models that this server has. */
  async models(): Promise<ModelEntry[]> {
    const response = await this.call("GET", "/v1/models", null, null);
    return ((await response.json()) as { data: ModelEntry[] }).data;
  }

  /** Posts a body, and returns the answer. Throws ServerError, and AbortError if `signal` says so. */
  async post<Answer>(path: string, body: object, signal: AbortSignal): Promise<Answer> {
    const response = await this.call("POST", path, body, signal);
    return (await response.json()) as Answer;
  }

  /** Fills holes; `onText` gets each piece of text while it is written. Throws as `post` does. */
  async infill(
    body: object,
    signal: AbortSignal,
    onText: (candidate: number, hole: number, text: string) => void,
  ): Promise<InfillAnswer> {
    const response = await this.call("POST", "/v1/infill", { ...body, stream: true }, signal);
    const events = new EventReader();
    for await (const piece of texts(response)) {
      for (const event of events.push(piece) as InfillEvent[]) {
        if (event.type === "error") throw new ServerError(sentence(event.error.message), event.error.code);
        if (event.type === "result") return event;
        onText(event.candidate, event.hole, event.text);
      }
    }
    throw new ServerError("The server ended its answer before the result.", 0);
  }

  private async call(method: string, path: string, body: object | null, signal: AbortSignal | null): Promise<Response> {
    for (let wasWrong = false; ; wasWrong = true) {
      const key = kept(KEY);
      const response = await send(method, path, body, signal, key);
      if (response.ok) return response;
      const error = await errorOf(response);
      if (response.status !== 401 || !(await this.hasNewKey(key, wasWrong || key !== null))) throw error;
      signal?.throwIfAborted();
    }
  }

  /** Asks for the key, once for all calls that wait for one; returns whether there is a new one. */
  private async hasNewKey(used: string | null, wasWrong: boolean): Promise<boolean> {
    if (kept(KEY) !== used) return true;
    this.asking ??= this.askKey(wasWrong).finally(() => {
      this.asking = null;
    });
    const key = await this.asking;
    if (key === null) return false;
    keep(KEY, key);
    return true;
  }
}

async function send(
  method: string,
  path: string,
  body: object | null,
  signal: AbortSignal | null,
  key: string | null,
): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (key !== null) headers.authorization = `Bearer ${key}`;
  try {
    return await fetch(path, { method, headers, signal, body: body === null ? null : JSON.stringify(body) });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ServerError("The server does not answer. Is `incoder serve` still running?", 0);
  }
}

/** Yields the pieces of a stream as they arrive. */
async function* texts(response: Response): AsyncGenerator<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let read = await reader?.read(); read !== undefined && !read.done; read = await reader?.read()) {
      yield read.value;
    }
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ServerError("The connection to the server was lost.", 0);
  }
}

async function errorOf(response: Response): Promise<ServerError> {
  try {
    const { error } = (await response.json()) as { error: { message: string } };
    return new ServerError(sentence(error.message), response.status);
  } catch {
    return new ServerError(`The server answered with status ${response.status}.`, response.status);
  }
}

/** Whether an error only says that a call was cancelled. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function sentence(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}
