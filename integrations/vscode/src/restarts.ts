/** How often a server that ends by itself is started again. Knows no editor. */

const MAX_RESTARTS = 4;
const PERIOD = 3 * 60 * 1000; // milliseconds

/** Allows a few restarts in a period, so that a server that always ends is not started for ever. */
export class Restarts {
  #times: number[] = [];

  constructor(private readonly now: () => number = Date.now) {}

  /** Whether the server, which has just ended, may be started again. */
  allowed(): boolean {
    const now = this.now();
    this.#times = [...this.#times.filter((time) => now - time < PERIOD), now];
    return this.#times.length <= MAX_RESTARTS;
  }
}
