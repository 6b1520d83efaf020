// The editor's language, by the extension of a file's name.

import { cpp } from "@codemirror/lang-cpp";
import { go } from "@codemirror/lang-go";
import { java } from "@codemirror/lang-java";
import { javascript } from "@codemirror/lang-javascript";
import { python } from "@codemirror/lang-python";
import { rust } from "@codemirror/lang-rust";
import type { Extension } from "@codemirror/state";

const BY_EXTENSION: Record<string, () => Extension> = {
  py: python,
  pyi: python,
  js: () => javascript(),
  mjs: () => javascript(),
  cjs: () => javascript(),
  jsx: () => javascript({ jsx: true }).language, // alone: its support would close <FILL> as a tag
  ts: () => javascript({ typescript: true }),
  tsx: () => javascript({ typescript: true, jsx: true }).language,
  java,
  c: cpp,
  h: cpp,
  cc: cpp,
  cpp,
  cxx: cpp,
  hpp: cpp,
  rs: rust,
  go,
};

/** Returns the language of a file; a name without a known extension has none, and is shown without colours. */
export function languageOf(path: string): Extension {
  const extension = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  return Object.hasOwn(BY_EXTENSION, extension) ? (BY_EXTENSION[extension]?.() ?? []) : [];
}
