/** The extension in VS Code: connects the controller to the editor and to the language client. */

import * as vscode from "vscode";
import {
  CloseAction,
  type CloseHandlerResult,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
} from "vscode-languageclient/node";
import { type Client, Controller, type Host, type State } from "./controller.js";
import { Restarts } from "./restarts.js";
import { ServerProcess } from "./serverProcess.js";
import { LAUNCH_SETTINGS, launchSettings, serverSettingNames, serverSettings } from "./settings.js";
import { statusText } from "./status.js";

const SECTION = "incoder";
const RETRY = "Start Again";
const OPEN_SETTINGS = "Open Settings";
const SHOW_LOG = "Show Log";

let controller: Controller | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("InCoder", { log: true });
  const bar = vscode.window.createStatusBarItem("incoder.status", vscode.StatusBarAlignment.Right);
  bar.name = "InCoder";
  bar.show();
  const manifest = context.extension.packageJSON as Manifest;
  const editor = new Editor(log, bar, serverSettingNames(Object.keys(manifest.contributes.configuration.properties)));
  const started = (controller = new Controller(editor));
  editor.onEnd = (problem) => {
    started.ended(problem);
  };
  context.subscriptions.push(
    log,
    bar,
    vscode.commands.registerCommand("incoder.restart", () => started.restart()),
    vscode.commands.registerCommand("incoder.toggle", () => started.toggle()),
    vscode.commands.registerCommand("incoder.showLog", () => {
      log.show();
    }),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (LAUNCH_SETTINGS.some((name) => event.affectsConfiguration(`${SECTION}.${name}`))) {
        await started.restart();
      } else if (event.affectsConfiguration(SECTION)) {
        await started.settingsChanged();
      }
    }),
  );
  void started.restart();
}

export function deactivate(): Promise<void> | undefined {
  return controller?.stop();
}

interface Manifest {
  contributes: { configuration: { properties: Record<string, unknown> } };
}

/** VS Code as the controller sees it. */
class Editor implements Host {
  onEnd: (problem: string) => void = () => undefined;

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly bar: vscode.StatusBarItem,
    private readonly serverNames: readonly string[],
  ) {}

  newClient(): Client {
    return new ConnectedClient(this.log, () => serverSettings(this.serverNames, read), this.onEnd);
  }

  isEnabled(): boolean {
    return read("enabled") !== false;
  }

  async setEnabled(isEnabled: boolean): Promise<void> {
    const configuration = vscode.workspace.getConfiguration(SECTION);
    const isSetHere = configuration.inspect("enabled")?.workspaceValue !== undefined;
    const target = isSetHere ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
    await configuration.update("enabled", isEnabled, target);
  }

  show(state: State): void {
    const shown = statusText(state);
    this.bar.text = shown.text;
    this.bar.tooltip = shown.tooltip;
    this.bar.command = shown.command;
    this.bar.backgroundColor = shown.isError ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  }

  async report(problem: string): Promise<boolean> {
    const answer = await vscode.window.showErrorMessage(`InCoder: ${problem}`, RETRY, OPEN_SETTINGS, SHOW_LOG);
    if (answer === OPEN_SETTINGS) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "incoder.command");
    } else if (answer === SHOW_LOG) {
      this.log.show();
    }
    return answer === RETRY;
  }
}

/** A language client that writes errors to the log only, since the controller reports them. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** The language client with the process that it started last. */
class ConnectedClient implements Client {
  readonly #client: QuietClient;
  readonly #restarts = new Restarts();
  #process: ServerProcess | undefined;
  #isFirst = true; // the first process is started before the client, which would show a failure with its stack
  #isReady = false;

  constructor(
    log: vscode.LogOutputChannel,
    private readonly settings: () => Record<string, unknown>,
    private readonly onEnd: (problem: string) => void,
  ) {
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { scheme: "vscode-notebook-cell" }],
      initializationOptions: settings,
      outputChannel: log,
      initializationFailedHandler: () => false, // start() rejects, and the controller reports it
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }), // closed() follows if it matters
        closed: () => this.#closed(),
      },
    };
    this.#client = new QuietClient(SECTION, "InCoder", () => this.#launch(), options);
  }

  async start(): Promise<void> {
    const started = (this.#process = await ServerProcess.start(launchSettings(read)));
    try {
      await this.#client.start();
    } catch (error) {
      const problem = await started.problem();
      started.kill();
      throw problem === undefined ? error : new Error(problem);
    }
    this.#isReady = true;
  }

  async stop(): Promise<void> {
    this.#isReady = false;
    try {
      await this.#client.dispose();
    } finally {
      this.#process?.kill(); // also if the client is just starting it again, when it cannot be stopped
    }
  }

  async sendSettings(): Promise<void> {
    await this.#client.sendNotification("workspace/didChangeConfiguration", {
      settings: { [SECTION]: this.settings() },
    });
  }

  async #launch(): Promise<ServerProcess["child"]> {
    if (!this.#isFirst || !this.#process) {
      this.#process = undefined;
      this.#process = await ServerProcess.start(launchSettings(read));
    }
    this.#isFirst = false;
    return this.#process.child;
  }

  /** The server has ended by itself: it is started again, unless it never was ready or ends too often. */
  async #closed(): Promise<CloseHandlerResult> {
    if (this.#isReady && this.#restarts.allowed()) {
      return { action: CloseAction.Restart, handled: true };
    }
    if (this.#isReady) {
      this.onEnd((await this.#process?.problem()) ?? "the language server does not answer");
    }
    return { action: CloseAction.DoNotRestart, handled: true };
  }
}

function read(name: string): unknown {
  return vscode.workspace.getConfiguration(SECTION).get(name);
}
