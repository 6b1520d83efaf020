// A browser with the playground in it, and the rules that hold in every test: no request leaves the origin, and
// the console has no error.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { TestContext } from "node:test";
import { type BrowserContextOptions, chromium, type Page } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The server that the tests are run against, and one that asks for a key. */
export const URL_OF_SERVER = required("INCODER_URL");
export const URL_WITH_KEY = required("INCODER_URL_WITH_KEY");
export const KEY = required("INCODER_KEY");

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is missing; tests/server/clients/test_playground.py sets it`);
  return value;
}

export interface Options extends BrowserContextOptions {
  readonly url?: string;
  /** Console errors that a test brings about, such as an answer of 401. */
  readonly expectedErrors?: RegExp;
}

/** Opens the playground for one test. */
export async function open(test: TestContext, options: Options = {}): Promise<Page> {
  const { url = URL_OF_SERVER, expectedErrors, ...context } = options;
  const executablePath = required("CHROMIUM");
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, ...context })).newPage();
  const problems: string[] = [];
  page.on("console", (message) => {
    const isExpected = expectedErrors?.test(message.text()) ?? false;
    if (["error", "warning"].includes(message.type()) && !isExpected) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) problems.push(`a request to ${request.url()}`);
  });
  test.after(async () => {
    await browser.close();
    assert.deepEqual(problems, []);
  });
  await page.goto(url);
  await page.waitForFunction(
    () => document.querySelectorAll("#setting-model option").length > 0 || document.querySelector("dialog[open]"),
  );
  return page;
}

/** Sets settings by their names, so that a test draws the same candidates each time. */
export async function set(page: Page, settings: Record<string, string>): Promise<void> {
  await page.click(".settings summary");
  for (const [name, value] of Object.entries(settings)) await page.fill(`#setting-${name}`, value);
  await page.click(".settings summary");
}

/** Replaces the code by typing, as a visitor does. */
export async function type(page: Page, code: string): Promise<void> {
  await page.click(".cm-content");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(code);
}

/** Waits until nothing runs any more. */
export async function done(page: Page): Promise<void> {
  await page.waitForFunction(() => !document.body.classList.contains("busy"), null, { timeout: 120_000 });
}

/** The text of the editor, with infills in their holes. */
export async function shownCode(page: Page): Promise<string> {
  return page.$$eval("#editor .cm-line", (lines) => lines.map((line) => line.textContent).join("\n"));
}

/** Raises if axe-core finds a serious violation on the page as it is. */
export async function checkAccess(page: Page): Promise<void> {
  // The page's policy allows no script but its own, so axe comes in by the debugger, not by an element.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    interface Violation {
      id: string;
      impact: string;
      nodes: { html: string; failureSummary: string }[];
    }
    const { violations } = await axe.run();
    return violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      nodes: nodes.map((one) => `${one.html} ${one.failureSummary}`),
    }));
  });
  assert.deepEqual(
    found.filter(({ impact }) => impact === "serious" || impact === "critical"),
    [],
  );
}
