/** What the status bar shows in each state. Knows no editor. */

import type { State } from "./controller.js";

export interface StatusText {
  text: string;
  tooltip: string;
  command: string;
  isError: boolean;
}

/** Returns the status bar's text, and the command of a click on it. */
export function statusText(state: State): StatusText {
  switch (state.kind) {
    case "off":
      return status("$(circle-slash) InCoder", "The language server is not running. Click to start it.", "restart");
    case "starting":
      return status("$(loading~spin) InCoder", "The language server is starting.", "showLog");
    case "failed":
      return status("$(error) InCoder", `${state.problem}. Click to start it again.`, "restart", true);
    case "ready":
      return state.isEnabled
        ? status("$(sparkle) InCoder", "Suggestions are on. Click to turn them off.", "toggle")
        : status("$(circle-slash) InCoder", "Suggestions are off. Click to turn them on.", "toggle");
  }
}

function status(text: string, tooltip: string, command: string, isError = false): StatusText {
  return { text, tooltip, command: `incoder.${command}`, isError };
}
