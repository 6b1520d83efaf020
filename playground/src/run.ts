// What the page is doing: one thing at a time, which the visitor can cancel, with its progress and its errors.

import { byId } from "./dom.js";
import { isAbort } from "./server.js";

export class Run {
  private controller: AbortController | null = null;

  constructor() {
    byId("cancel", HTMLButtonElement).addEventListener("click", () => this.cancel());
  }

  /** Cancels what runs, and does this instead. Its errors are shown. Returns whether it was done. */
  async start(task: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    this.controller?.abort();
    const controller = new AbortController();
    this.controller = controller;
    this.show(true);
    this.say("");
    this.complain("");
    try {
      await task(controller.signal);
      return true;
    } catch (error) {
      if (this.controller !== controller) return false; // something newer runs
      if (isAbort(error)) this.say("Cancelled.");
      else {
        this.say("");
        this.complain(error instanceof Error ? error.message : String(error));
      }
      return false;
    } finally {
      if (this.controller === controller) {
        this.controller = null;
        this.show(false);
      }
    }
  }

  /** Cancels what runs; returns whether there was anything. */
  cancel(): boolean {
    this.controller?.abort();
    return this.controller !== null;
  }

  /** Shows a line of progress, which screen readers say. */
  say(text: string): void {
    byId("status", HTMLElement).textContent = text;
  }

  /** Shows what went wrong; an empty text takes it away. */
  complain(text: string): void {
    byId("problem", HTMLElement).textContent = text;
  }

  private show(isBusy: boolean): void {
    const [fill, cancel] = [byId("fill", HTMLButtonElement), byId("cancel", HTMLButtonElement)];
    const hasFocus = document.activeElement === fill || document.activeElement === cancel;
    fill.hidden = isBusy;
    cancel.hidden = !isBusy;
    if (hasFocus) (isBusy ? cancel : fill).focus();
    document.body.classList.toggle("busy", isBusy);
  }
}
