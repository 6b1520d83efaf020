/**
 * The part of VS Code's interface that the extension and its language client touch, without an editor.
 *
 * It notes what is shown to the user and which providers are registered, and calls back when a setting changes.
 */

type Listener = (event: { affectsConfiguration: (section: string) => boolean }) => unknown;

const nothing = () => ({ dispose: () => undefined });
const listeners: Listener[] = [];

export const seen = {
  bar: {} as { text?: string; tooltip?: string },
  messages: [] as string[],
  log: [] as string[],
  providers: [] as string[],
  commands: new Map<string, () => unknown>(),
  settings: new Map<string, unknown>(),
};

/** Gives what is not listed as a function that does nothing. */
function partly<T extends object>(listed: T): T {
  return new Proxy(listed, { get: (target, name) => Reflect.get(target, name) ?? nothing });
}

const note = (text: string) => {
  seen.log.push(text);
};
const message = (text: string) => {
  seen.messages.push(text);
  return Promise.resolve(undefined);
};

export const window = partly({
  createOutputChannel: () =>
    partly({ name: "InCoder", info: note, warn: note, error: note, append: note, appendLine: note }),
  createStatusBarItem: () => (seen.bar = partly({})),
  showErrorMessage: message,
  showWarningMessage: message,
  visibleTextEditors: [],
  tabGroups: partly({ all: [] }),
});

export const workspace = partly({
  textDocuments: [],
  notebookDocuments: [],
  workspaceFolders: [],
  isTrusted: true,
  getConfiguration: () => ({
    get: (name: string) => seen.settings.get(name),
    inspect: () => ({}),
    update: async (name: string, value: unknown) => {
      seen.settings.set(name, value);
      const affectsConfiguration = (section: string) => ["incoder", `incoder.${name}`].includes(section);
      await Promise.all(listeners.map((listener) => listener({ affectsConfiguration })));
    },
  }),
  onDidChangeConfiguration: (listener: Listener) => {
    listeners.push(listener);
    return nothing();
  },
});

export const commands = partly({
  registerCommand: (id: string, run: () => unknown) => {
    seen.commands.set(id, run);
    return nothing();
  },
  executeCommand: () => Promise.resolve(),
});

export const languages = new Proxy(
  {},
  {
    get: (_, name) => () => {
      seen.providers.push(String(name));
      return nothing();
    },
  },
);

export const env = { language: "en", appName: "stub" };
export const version = "1.91.0";
export const StatusBarAlignment = { Left: 1, Right: 2 };
export const ConfigurationTarget = { Global: 1, Workspace: 2 };
export const ThemeColor = class {};

export class EventEmitter {
  readonly #listeners: ((event: unknown) => void)[] = [];
  readonly event = (listener: (event: unknown) => void) => {
    this.#listeners.push(listener);
    return nothing();
  };
  fire(event: unknown): void {
    this.#listeners.forEach((listener) => {
      listener(event);
    });
  }
  dispose(): void {
    this.#listeners.length = 0;
  }
}

export class Disposable {
  constructor(readonly dispose: () => void) {}
  static from = nothing;
}

export class CancellationTokenSource {
  readonly token = { isCancellationRequested: false, onCancellationRequested: nothing };
  cancel = nothing;
  dispose = nothing;
}

/** An enumeration whose values are its names. */
const named = () => new Proxy({}, { get: (_, name) => String(name) });

export const CodeActionKind = named();
export const CodeActionTriggerKind = named();
export const CompletionItemKind = named();
export const CompletionItemTag = named();
export const CompletionTriggerKind = named();
export const DiagnosticSeverity = named();
export const DiagnosticTag = named();
export const DocumentHighlightKind = named();
export const FileType = named();
export const FoldingRangeKind = named();
export const InlineCompletionTriggerKind = named();
export const LogLevel = named();
export const NotebookCellKind = named();
export const ProgressLocation = named();
export const SignatureHelpTriggerKind = named();
export const SymbolKind = named();
export const SymbolTag = named();
export const TextDocumentChangeReason = named();
export const TextDocumentSaveReason = named();

// Classes that the language client extends, or compares with.
export const CallHierarchyItem = class {};
export const CancellationError = class extends Error {};
export const CodeAction = class {};
export const CodeLens = class {};
export const CompletionItem = class {};
export const Diagnostic = class {};
export const DocumentLink = class {};
export const InlayHint = class {};
export const SymbolInformation = class {};
export const TypeHierarchyItem = class {};
export const RelativePattern = class {};
export const TabInputCustom = class {};
export const TabInputNotebook = class {};
export const TabInputText = class {};
export const TabInputTextDiff = class {};
export const Uri = class {};
