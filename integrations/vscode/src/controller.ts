/**
 * Starts, restarts and stops the language server, and says in which state it is.
 *
 * It sees the editor as a `Host` and the server as a `Client`, so that it runs in tests without an editor.
 */

export type State =
  | { kind: "off" }
  | { kind: "starting" }
  | { kind: "ready"; isEnabled: boolean }
  | { kind: "failed"; problem: string };

/** A language server with its connection. */
export interface Client {
  start(): Promise<void>;
  stop(): Promise<void>;
  sendSettings(): Promise<void>;
}

/** What the controller needs of an editor. */
export interface Host {
  newClient(): Client;
  isEnabled(): boolean;
  setEnabled(isEnabled: boolean): Promise<void>;
  show(state: State): void;
  /** Tells the user about a problem; the answer is true if the server is to be started again. */
  report(problem: string): Promise<boolean>;
}

export class Controller {
  #client: Client | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(private readonly host: Host) {
    host.show({ kind: "off" });
  }

  /** Starts the server, or starts it again. Calls are done one after the other. */
  restart(): Promise<void> {
    return this.#queue(async () => {
      await this.#end();
      await this.#start();
    });
  }

  /** Stops the server. */
  stop(): Promise<void> {
    return this.#queue(async () => {
      await this.#end();
      this.host.show({ kind: "off" });
    });
  }

  /** Turns suggestions on or off; the server stays. */
  toggle(): Promise<void> {
    return this.host.setEnabled(!this.host.isEnabled());
  }

  /** Sends the settings to the server, after the user has changed them. */
  settingsChanged(): Promise<void> {
    return this.#queue(async () => {
      if (this.#client) {
        await this.#client.sendSettings();
        this.#showReady();
      }
    });
  }

  /** The server has ended by itself, and is not started again. */
  ended(problem: string): void {
    this.#client = undefined;
    this.#failed(problem);
  }

  #queue(task: () => Promise<void>): Promise<void> {
    const done = this.#work.then(task);
    this.#work = done.catch(() => undefined); // the caller gets the error; the next task runs all the same
    return done;
  }

  async #start(): Promise<void> {
    this.host.show({ kind: "starting" });
    let client: Client;
    try {
      client = this.host.newClient();
      await client.start();
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#client = client;
    this.#showReady();
  }

  async #end(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    try {
      await client?.stop();
    } catch {
      // It does not answer; its process ends with the connection.
    }
  }

  #showReady(): void {
    this.host.show({ kind: "ready", isEnabled: this.host.isEnabled() });
  }

  #failed(problem: string): void {
    this.host.show({ kind: "failed", problem });
    void this.host.report(problem).then((isRetried) => (isRetried ? this.restart() : undefined));
  }
}
