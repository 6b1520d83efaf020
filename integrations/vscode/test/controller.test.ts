import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, Controller, type Host, type State } from "../src/controller.js";
import { Restarts } from "../src/restarts.js";
import { statusText } from "../src/status.js";

/** An editor that notes what happens; its servers fail to start as often as it says. */
class FakeHost implements Host {
  readonly events: string[] = [];
  isOn = true;
  numFailures = 0;
  isRetried = false;
  #numClients = 0;

  newClient(): Client {
    const number = ++this.#numClients;
    return {
      start: async () => {
        this.events.push(`start ${number}`);
        await Promise.resolve();
        if (this.numFailures-- > 0) {
          throw new Error("there is no model x");
        }
      },
      stop: async () => {
        await Promise.resolve();
        this.events.push(`stop ${number}`);
      },
      sendSettings: async () => {
        await Promise.resolve();
        this.events.push(`settings ${number}`);
      },
    };
  }

  isEnabled(): boolean {
    return this.isOn;
  }

  setEnabled(isEnabled: boolean): Promise<void> {
    this.isOn = isEnabled;
    return Promise.resolve();
  }

  show(state: State): void {
    this.events.push(state.kind === "ready" ? `ready ${state.isEnabled ? "on" : "off"}` : state.kind);
  }

  report(problem: string): Promise<boolean> {
    this.events.push(`report: ${problem}`);
    return Promise.resolve(this.isRetried);
  }
}

test("a server is started, and stopped before it is started again", async () => {
  const host = new FakeHost();
  const controller = new Controller(host);
  await controller.restart();
  await controller.restart();
  await controller.stop();
  assert.deepEqual(host.events, [
    "off",
    ...["starting", "start 1", "ready on"],
    ...["stop 1", "starting", "start 2", "ready on"],
    ...["stop 2", "off"],
  ]);
});

test("two restarts at once leave one server", async () => {
  const host = new FakeHost();
  const controller = new Controller(host);
  await Promise.all([controller.restart(), controller.restart()]);
  assert.equal(host.events.filter((event) => event.startsWith("start ")).length, 2);
  assert.equal(host.events.filter((event) => event.startsWith("stop")).length, 1);
  assert.equal(host.events.at(-1), "ready on");
});

test("a server that does not start is reported, and started again only if the user says so", async () => {
  const host = new FakeHost();
  host.numFailures = 2;
  const controller = new Controller(host);
  await controller.restart();
  assert.deepEqual(host.events.slice(-2), ["failed", "report: there is no model x"]);
  host.isRetried = true;
  await controller.restart();
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.equal(host.events.at(-1), "ready on");
});

test("a client that cannot be made is reported as one that does not start", async () => {
  const host = new FakeHost();
  host.newClient = () => {
    throw new Error("too old");
  };
  await new Controller(host).restart();
  assert.deepEqual(host.events.slice(-2), ["failed", "report: too old"]);
});

test("toggling changes the setting, which is sent to the server", async () => {
  const host = new FakeHost();
  const controller = new Controller(host);
  await controller.restart();
  await controller.toggle();
  assert.equal(host.isOn, false);
  await controller.settingsChanged();
  assert.deepEqual(host.events.slice(-2), ["settings 1", "ready off"]);
});

test("settings that change without a server are not sent", async () => {
  const host = new FakeHost();
  await new Controller(host).settingsChanged();
  assert.deepEqual(host.events, ["off"]);
});

test("a server that has ended is reported and not stopped again", async () => {
  const host = new FakeHost();
  const controller = new Controller(host);
  await controller.restart();
  controller.ended("killed");
  await controller.restart();
  assert.ok(host.events.includes("report: killed"));
  assert.ok(!host.events.includes("stop 1"));
});

test("a server that cannot be stopped is replaced all the same", async () => {
  const host = new FakeHost();
  const newClient = host.newClient.bind(host);
  host.newClient = () => ({ ...newClient(), stop: () => Promise.reject(new Error("no answer")) });
  const controller = new Controller(host);
  await controller.restart();
  await controller.restart();
  assert.equal(host.events.at(-1), "ready on");
});

test("a server is started again four times in three minutes", () => {
  let now = 0;
  const restarts = new Restarts(() => now);
  assert.deepEqual([1, 2, 3, 4, 5].map(() => restarts.allowed()), [true, true, true, true, false]);
  now += 3 * 60 * 1000;
  assert.equal(restarts.allowed(), true);
});

test("the status bar shows each state, and a click does what its tooltip says", () => {
  const states: [State, string, string][] = [
    [{ kind: "off" }, "$(circle-slash) InCoder", "incoder.restart"],
    [{ kind: "starting" }, "$(loading~spin) InCoder", "incoder.showLog"],
    [{ kind: "ready", isEnabled: true }, "$(sparkle) InCoder", "incoder.toggle"],
    [{ kind: "ready", isEnabled: false }, "$(circle-slash) InCoder", "incoder.toggle"],
    [{ kind: "failed", problem: "no model" }, "$(error) InCoder", "incoder.restart"],
  ];
  for (const [state, text, command] of states) {
    const shown = statusText(state);
    assert.deepEqual([shown.text, shown.command, shown.isError], [text, command, state.kind === "failed"]);
  }
  assert.match(statusText({ kind: "failed", problem: "no model" }).tooltip, /^no model\. Click/);
});
