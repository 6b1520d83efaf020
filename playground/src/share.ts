// The page's state as the fragment of a URL, which a browser sends to no server, and back. Pure.
//
// A link is untrusted: it is bounded before and after it is inflated, and every field is checked.

import { differences, type Settings, settingsFrom } from "./settings.js";

/** What a link holds. */
export interface Shared {
  readonly text: string;
  readonly path: string;
  readonly settings: Settings;
}

/** The greatest size of a fragment, and of the JSON in it, in bytes. */
export const MAX_BYTES = 100_000;
const PREFIX = "#v1=";

export class ShareError extends Error {}

/** Returns the fragment for a state, with its `#`. Throws ShareError if it is too long. */
export async function fragmentOf(shared: Shared): Promise<string> {
  const { text, path, settings } = shared;
  const json = new TextEncoder().encode(JSON.stringify({ text, path, settings: differences(settings) }));
  if (json.length > MAX_BYTES) {
    throw new ShareError(
      `A link holds at most ${MAX_BYTES / 1000} kB; this code has ${Math.ceil(json.length / 1000)} kB.`,
    );
  }
  return PREFIX + toBase64(await through(json, new CompressionStream("deflate-raw"), Number.POSITIVE_INFINITY));
}

/** Returns the state in a fragment, null if it holds none. Throws ShareError if it cannot be read. */
export async function sharedIn(fragment: string): Promise<Shared | null> {
  if (!fragment.startsWith("#v")) return null;
  if (!fragment.startsWith(PREFIX)) throw new ShareError("This link was made by another version of the page.");
  if (fragment.length > MAX_BYTES) throw new ShareError(`This link is longer than ${MAX_BYTES / 1000} kB.`);
  let value: unknown;
  try {
    const data = await through(
      fromBase64(fragment.slice(PREFIX.length)),
      new DecompressionStream("deflate-raw"),
      MAX_BYTES,
    );
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch (error) {
    if (error instanceof ShareError) throw error;
    throw new ShareError("This link is damaged; part of it may be missing.");
  }
  const { text, path, settings } = (value ?? {}) as Record<string, unknown>;
  if (typeof text !== "string") throw new ShareError("This link holds no code.");
  return { text, path: typeof path === "string" ? cleanPath(path) : "", settings: settingsFrom(settings) };
}

/** Returns a file's name without control characters, and not longer than a name is. */
export function cleanPath(path: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
  return path.replace(/[\u0000-\u001f\u007f]/g, "").slice(0, 200);
}

async function through(
  data: Uint8Array,
  stream: CompressionStream | DecompressionStream,
  most: number,
): Promise<Uint8Array> {
  const readable = new Blob([data as BlobPart])
    .stream()
    .pipeThrough(stream as ReadableWritablePair<Uint8Array, Uint8Array>);
  const reader = readable.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > most) {
      await reader.cancel();
      throw new ShareError(`This link holds more than ${MAX_BYTES / 1000} kB.`);
    }
    chunks.push(read.value);
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

function toBase64(data: Uint8Array): string {
  const characters = Array.from(data, (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}
