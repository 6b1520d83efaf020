/**
 * The real language server over the protocol, with the extension's own settings and process.
 *
 * INCODER_TEST_COMMAND is the program `incoder`; without it these tests are skipped. The tests in
 * tests/language_server/test_vscode.py of the repository set it.
 */

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import {
  type ClientCapabilities,
  createProtocolConnection,
  DidChangeConfigurationNotification,
  DidChangeTextDocumentNotification,
  DidOpenNotebookDocumentNotification,
  DidOpenTextDocumentNotification,
  ExecuteCommandRequest,
  ExitNotification,
  type InitializeResult,
  InitializedNotification,
  InitializeRequest,
  type InlineCompletionItem,
  InlineCompletionRequest,
  InlineCompletionTriggerKind,
  NotebookCellKind,
  type Position,
  type ProtocolConnection,
  ShowMessageNotification,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
} from "vscode-languageserver-protocol/node";
import manifest from "../package.json";
import { ServerProcess } from "../src/serverProcess.js";
import { launchSettings, serverSettingNames, serverSettings } from "../src/settings.js";

const COMMAND = process.env["INCODER_TEST_COMMAND"];
const PATIENCE = { timeout: 240_000 }; // the first suggestion waits for a model
const NAMES = serverSettingNames(Object.keys(manifest.contributes.configuration.properties));
const DEFAULTS: Record<string, { default: unknown }> = manifest.contributes.configuration.properties;
// What vscode-languageclient 11 announces, as far as it matters to a server for suggestions.
const CAPABILITIES: ClientCapabilities = {
  general: { positionEncodings: ["utf-16"] },
  textDocument: {
    inlineCompletion: { dynamicRegistration: true },
    synchronization: { dynamicRegistration: true, didSave: true },
  },
  notebookDocument: { synchronization: { dynamicRegistration: true, executionSummarySupport: true } },
  workspace: { configuration: true, workspaceFolders: true, didChangeConfiguration: { dynamicRegistration: true } },
  window: { workDoneProgress: true, showMessage: {} },
};
const INVOKED: InlineCompletionTriggerKind = InlineCompletionTriggerKind.Invoked;
const URI = "file:///work/mean.py";
const TEXT = "# 🙂 größe\ndef mean(xs):\n    return \n\n\nprint(mean([1, 2]))\n";
const AT_RETURN: Position = { line: 2, character: 11 };

suite("the language server", { skip: COMMAND ? false : "needs INCODER_TEST_COMMAND" }, () => {
  let server: ServerProcess;
  let connection: ProtocolConnection;
  let initialized: InitializeResult;
  const messages: string[] = [];

  before(async () => {
    server = await ServerProcess.start(launchSettings((name) => (name === "command" ? COMMAND : undefined)));
    const { stdout, stdin } = server.child;
    connection = createProtocolConnection(new StreamMessageReader(stdout), new StreamMessageWriter(stdin));
    connection.onNotification(ShowMessageNotification.type, ({ message }) => {
      messages.push(message);
    });
    connection.onUnhandledNotification(() => undefined); // its log
    connection.onRequest("window/workDoneProgress/create", () => null);
    connection.onRequest("client/registerCapability", () => null);
    connection.listen();
    initialized = await connection.sendRequest(InitializeRequest.type, {
      processId: process.pid,
      rootUri: null, // eslint-disable-line @typescript-eslint/no-deprecated -- the protocol requires it
      capabilities: CAPABILITIES,
      workspaceFolders: null,
      initializationOptions: settings({}),
    });
    await connection.sendNotification(InitializedNotification.type, {});
    await connection.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri: URI, languageId: "python", version: 1, text: TEXT },
    });
  }, PATIENCE);

  after(() => {
    connection.dispose();
    server.kill();
  });

  /** The settings as the extension sends them, with some other values. */
  function settings(changed: Record<string, unknown>): Record<string, unknown> {
    return serverSettings(NAMES, (name) => changed[name] ?? DEFAULTS[`incoder.${name}`]?.default);
  }

  async function change(changed: Record<string, unknown>): Promise<void> {
    await connection.sendNotification(DidChangeConfigurationNotification.type, {
      settings: { incoder: settings(changed) },
    });
  }

  async function suggestions(
    position: Position,
    { uri = URI, triggerKind = INVOKED } = {},
  ): Promise<InlineCompletionItem[]> {
    const found = await connection.sendRequest(InlineCompletionRequest.type, {
      textDocument: { uri },
      position,
      context: { triggerKind },
    });
    return found === null ? [] : Array.isArray(found) ? found : found.items;
  }

  test("it announces inline completion and its commands", () => {
    assert.ok(initialized.capabilities.inlineCompletionProvider);
    assert.equal(initialized.capabilities.positionEncoding, "utf-16");
    assert.ok(initialized.capabilities.executeCommandProvider?.commands.includes("incoder.accepted"));
  });

  test("it suggests code for the place between two texts, and counts what is accepted", PATIENCE, async () => {
    const items = await suggestions(AT_RETURN);
    const [first] = items;
    assert.ok(first && items.length <= 3);
    assert.equal(typeof first.insertText, "string");
    assert.deepEqual(first.range?.end, AT_RETURN);
    assert.equal(first.command?.command, "incoder.accepted");
    await connection.sendRequest(ExecuteCommandRequest.type, {
      command: first.command.command,
      arguments: first.command.arguments ?? [],
    });
    const counts = (await connection.sendRequest(ExecuteCommandRequest.type, {
      command: "incoder.statistics",
    })) as Record<string, { accepted: number }>;
    assert.equal(counts["python"]?.accepted, 1);
  });

  test("what is shown stays while it is typed", PATIENCE, async () => {
    const [before] = await suggestions(AT_RETURN);
    const text = before?.insertText;
    assert.ok(typeof text === "string");
    const key = text.slice(0, 1);
    await connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri: URI, version: 2 },
      contentChanges: [{ range: { start: AT_RETURN, end: AT_RETURN }, text: key }],
    });
    const typed = { ...AT_RETURN, character: AT_RETURN.character + 1 };
    const [after] = await suggestions(typed, { triggerKind: InlineCompletionTriggerKind.Automatic });
    assert.equal(after?.insertText, text.slice(1));
    await connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri: URI, version: 3 },
      contentChanges: [{ range: { start: AT_RETURN, end: typed }, text: "" }],
    });
  });

  test("a cell of a notebook gets suggestions", PATIENCE, async () => {
    const cells = ["import math\n", "math."].map((text, index) => ({
      uri: `vscode-notebook-cell:/work/sums.ipynb#C${index}`,
      languageId: "python",
      version: 1,
      text,
    }));
    await connection.sendNotification(DidOpenNotebookDocumentNotification.type, {
      notebookDocument: {
        uri: "file:///work/sums.ipynb",
        notebookType: "jupyter-notebook",
        version: 1,
        cells: cells.map(({ uri }) => ({ kind: NotebookCellKind.Code, document: uri })),
      },
      cellTextDocuments: cells,
    });
    const [item] = await suggestions({ line: 0, character: 5 }, { uri: String(cells[1]?.uri) });
    assert.ok(item);
  });

  test("turned off, it suggests nothing, and turned on it does again", PATIENCE, async () => {
    await change({ enabled: false });
    assert.deepEqual(await suggestions(AT_RETURN), []);
    await change({});
    assert.notDeepEqual(await suggestions(AT_RETURN), []);
  });

  test("the extension's settings are the server's own, and a wrong value is reported", async () => {
    assert.deepEqual(messages, []);
    await change({ lines: "all" });
    await suggestions({ line: 0, character: 0 });
    assert.match(messages.join(), /^InCoder: the setting incoder\.lines is "all": it must be/);
    await change({});
  });

  test("it ends when the editor ends", async () => {
    await connection.sendRequest(ShutdownRequest.type);
    await connection.sendNotification(ExitNotification.type);
    assert.equal(await server.problem(30_000), "incoder lsp has ended with status 0");
  });
});
