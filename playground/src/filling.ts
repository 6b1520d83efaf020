// Filling the holes of a text: the rounds of a session, each a request, shown in the editor and as candidates.

import type { InfillAnswer } from "./api.js";
import { byId } from "./dom.js";
import type { Editor } from "./editor.js";
import { FillSession } from "./fill_session.js";
import { InfillsView } from "./infills_view.js";
import type { Run } from "./run.js";
import type { Server } from "./server.js";

export interface FillingOptions {
  readonly editor: Editor;
  readonly server: Server;
  readonly run: Run;
  /** The fields of a request, besides its parts. */
  fields(): Record<string, unknown>;
  /** Called when a hole becomes the one that is looked at. */
  onHole(hole: number): void;
}

export class Filling {
  private current: FillSession | null = null;
  private readonly view: InfillsView;

  constructor(private readonly options: FillingOptions) {
    this.view = new InfillsView(byId("infills-list", HTMLElement), {
      onChoose: (hole, candidate) => this.choose(hole, candidate),
      onFocus: (hole) => options.onHole(hole),
      onApply: () => this.apply(),
      onAgain: () => void this.again(),
    });
  }

  /** The session of the editor's text; null before it is filled, and after the text has changed. */
  get session(): FillSession | null {
    return this.current;
  }

  /** Begins a new session and fills all its holes. Throws as `Server.infill` does. */
  async fill(parts: readonly string[], signal: AbortSignal): Promise<FillSession> {
    const session = new FillSession(parts);
    this.current = session;
    byId("welcome", HTMLElement).hidden = true;
    this.view.begin(session);
    this.options.editor.showInfills([]);
    await this.rounds(session, signal);
    return session;
  }

  /** Returns the session of these parts with all holes filled: the current one, or a new one. Throws as `fill`. */
  async filled(parts: readonly string[], signal: AbortSignal): Promise<FillSession> {
    if (this.current === null) return this.fill(parts, signal);
    await this.rounds(this.current, signal);
    return this.current;
  }

  /** The text was changed, so the infills belong to another one. */
  end(): void {
    if (this.current === null) return;
    this.current = null;
    this.view.retire();
  }

  private async rounds(session: FillSession, signal: AbortSignal): Promise<void> {
    const { run, server } = this.options;
    const started = performance.now();
    for (let hole = session.nextHole; hole !== null; hole = session.nextHole) {
      const round = hole;
      run.say(`Filling hole ${round + 1} of ${session.holes.length} …`);
      const texts = new Map<number, string>();
      const body = { ...this.options.fields(), parts: session.request(round) };
      const answer: InfillAnswer = await server.infill(body, signal, (candidate, later, text) => {
        if (later > 0 || session !== this.current) return;
        texts.set(candidate, (texts.get(candidate) ?? "") + text);
        if (session.holes[round]?.candidates.length === 0) this.view.write(round, texts);
      });
      session.receive(round, answer.candidates);
      if (session === this.current) this.show(session);
    }
    run.say(`Done in ${((performance.now() - started) / 1000).toFixed(1)} seconds. Choose an infill for each hole.`);
  }

  private choose(hole: number, candidate: number): void {
    const session = this.current;
    if (session === null) return;
    session.choose(hole, candidate);
    this.show(session);
    if (session.nextHole !== null) void this.options.run.start((signal) => this.rounds(session, signal));
  }

  private show(session: FillSession): void {
    this.options.editor.showInfills(session.holes.map((hole) => hole.candidates[hole.chosen]?.pieces ?? null));
    this.view.update();
  }

  private apply(): void {
    if (this.current === null) return;
    this.options.run.cancel();
    this.options.editor.setText(this.current.text);
    this.options.run.say("The infills are in the code now. Undo in the editor brings the holes back.");
    this.options.editor.focus();
  }

  private async again(): Promise<void> {
    const parts = this.current?.parts;
    if (parts !== undefined) await this.options.run.start(async (signal) => void (await this.fill(parts, signal)));
  }
}
