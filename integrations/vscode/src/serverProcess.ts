/** The process of `incoder lsp`: its command line, its start, and why it ended. Knows no editor. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { LaunchSettings } from "./settings.js";

const MAX_REMEMBERED = 4000; // characters of standard error

/** Returns the program and its arguments. `~/` at the beginning is the user's home, as in a shell. */
export function commandLine(settings: LaunchSettings): [command: string, args: string[]] {
  const command = settings.command.startsWith("~/")
    ? join(homedir(), settings.command.slice(2))
    : settings.command;
  const server = settings.server ? ["--server", settings.server] : [];
  return [command, ["lsp", ...server, ...settings.arguments]];
}

/** A running language server, and what it wrote to standard error last. */
export class ServerProcess {
  #errors = "";
  readonly #closed: Promise<void>;

  private constructor(readonly child: ChildProcessWithoutNullStreams) {
    this.#closed = new Promise((resolve) => {
      child.once("close", () => {
        resolve();
      });
    });
    child.stderr.setEncoding("utf8");
    child.stderr.on("data", (data: string) => {
      this.#errors = (this.#errors + data).slice(-MAX_REMEMBERED);
    });
  }

  /**
   * Starts the server.
   *
   * @throws {Error} if there is no such program, or it may not be run; the message says what to do
   */
  static async start(settings: LaunchSettings): Promise<ServerProcess> {
    const [command, args] = commandLine(settings);
    const child = spawn(command, args, { stdio: "pipe" });
    return await new Promise((resolve, reject) => {
      child.once("spawn", () => {
        resolve(new ServerProcess(child));
      });
      child.once("error", (error: NodeJS.ErrnoException) => {
        reject(new Error(startProblem(command, error)));
      });
    });
  }

  /**
   * Returns why the server has ended: its error message, else its status.
   *
   * @returns undefined if it has not ended after `patience` milliseconds
   */
  async problem(patience = 1000): Promise<string | undefined> {
    const hasEnded = await Promise.race([this.#closed.then(() => true), setTimeout(patience, false, { ref: false })]);
    if (!hasEnded) {
      return undefined;
    }
    const written = this.#errors.trim();
    const message = /^error: (.*)$/ms.exec(written)?.[1] ?? written.split("\n").at(-1);
    const { exitCode, signalCode } = this.child;
    return message || `incoder lsp has ended with ${signalCode ?? `status ${exitCode ?? 0}`}`;
  }

  /** Ends the server if it has not ended after the protocol's own shutdown. */
  kill(): void {
    this.child.kill();
  }
}

function startProblem(command: string, error: NodeJS.ErrnoException): string {
  if (error.code !== "ENOENT") {
    return `${command} cannot be started: ${error.message}`;
  }
  return (
    `the program ${command} was not found. Install InCoder (pip install '.[server,lsp]' in its clone), or give ` +
    "its path in the setting incoder.command, such as ~/incoder/.venv/bin/incoder"
  );
}
