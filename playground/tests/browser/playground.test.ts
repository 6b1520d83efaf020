// The playground in Chromium, against a server with the embedded model.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { checkAccess, done, KEY, open, set, shownCode, type, URL_OF_SERVER, URL_WITH_KEY } from "./page.js";

const SEED = { seed: "1", numCandidates: "8", temperature: "1" };
const FIRST_HOLE = '#infills-list fieldset:nth-of-type(1) input[type="radio"]';
const cardsOf = (page: Page, hole: number) =>
  page.$$eval(`#infills-list fieldset:nth-of-type(${hole}) .card pre`, (cards) => cards.map((one) => one.textContent));
const filledHole = (page: Page, hole: number) =>
  page.$eval(`#editor .hole[data-hole="${hole - 1}"]`, (one) => one.textContent?.replace(/^\d+/, ""));
/** An infill of the first example's first hole as its card shows it: without the hole's indentation. */
const onCard = (infill: string | undefined) => infill?.replaceAll("\n        ", "\n");

test("two holes are filled, the second candidate is chosen, and the later hole follows", async (t) => {
  const page = await open(t);
  await set(page, SEED);
  await page.click("#fill");
  await done(page);
  const first = await cardsOf(page, 1);
  assert.ok(first.length > 1, "there are several candidates");
  const before = await filledHole(page, 2);
  assert.equal(onCard(await filledHole(page, 1)), first[0]);

  const bodies: string[] = [];
  page.on("request", (request) => bodies.push(request.postData() ?? ""));
  await page.click(`${FIRST_HOLE} >> nth=1`);
  assert.equal(onCard(await filledHole(page, 1)), first[1]);
  await done(page);
  assert.equal(bodies.length, 1);
  const { parts } = JSON.parse(bodies[0] ?? "") as { parts: string[] };
  assert.equal(parts.length, 2, "the request has the second hole only");
  const chosenFirst = await filledHole(page, 1);
  assert.ok(parts[0]?.includes(`self.x = x\n        ${chosenFirst}\n`), "and the chosen infill in its text");
  assert.deepEqual(await cardsOf(page, 1), first);
  assert.equal(await filledHole(page, 2), (await cardsOf(page, 2))[0]);
  assert.ok(before);

  const chosen = [chosenFirst, await filledHole(page, 2)];
  await page.click("#apply");
  const code = await shownCode(page);
  assert.ok(chosen.every((infill) => code.includes(infill?.split("\n")[0] ?? "?")));
  assert.equal(await page.locator("#editor .hole").count(), 0);
  await page.keyboard.press("ControlOrMeta+z");
  assert.equal(await page.locator("#editor .hole.empty").count(), 2);
});

test("tokens have the colours of their probabilities, which are different ones", async (t) => {
  const page = await open(t);
  await set(page, SEED);
  await page.click("#fill");
  await done(page);
  const pieces = await page.$$eval("#infills-list .card .piece", (all) =>
    all.map((one) => ({
      title: one.getAttribute("title") ?? "",
      colour: getComputedStyle(one).backgroundColor,
      name: one.className,
    })),
  );
  assert.ok(pieces.length > 4);
  assert.ok(pieces.every((one) => /^[<>]?\d+ %/.test(one.title) && one.colour !== "rgba(0, 0, 0, 0)"));
  assert.ok(new Set(pieces.map((one) => one.colour)).size > 1);
  for (const { title, name } of pieces) {
    const percent = Number(/\d+/.exec(title)?.[0]);
    if (name.includes("sure") && !name.includes("unsure")) assert.ok(percent >= 90, title);
    if (name.includes("rare")) assert.ok(percent <= 10, title);
  }
  const inEditor = await page.$$eval("#editor .hole .piece", (all) =>
    all.map((one) => getComputedStyle(one).backgroundColor),
  );
  assert.ok(inEditor.length > 0 && inEditor.every((colour) => colour !== "rgba(0, 0, 0, 0)"));
});

test("a link fills the editor, runs nothing until a button is pressed, and leaves the address", async (t) => {
  const page = await open(t);
  await type(page, "def area(r):\n    return <FILL>  # 🙂\n");
  await page.fill("#path", "area.py");
  await set(page, { temperature: "0.3" });
  await page.click("#share");
  const link = await page.inputValue("#share-link");
  assert.ok(link.startsWith(`${URL_OF_SERVER}/#v1=`));

  const calls: string[] = [];
  const other = await (await page.context().browser()?.newContext())?.newPage();
  assert.ok(other);
  other.on("request", (request) => calls.push(`${request.method()} ${new URL(request.url()).pathname}`));
  await other.goto(link);
  await other.waitForFunction(() => document.querySelectorAll("#setting-model option").length > 0);
  await other.waitForTimeout(500);
  assert.equal(await shownCode(other), "def area(r):\n    return 1hole  # 🙂\n");
  assert.equal(await other.inputValue("#path"), "area.py");
  assert.equal(await other.inputValue("#setting-temperature"), "0.3");
  assert.deepEqual(
    calls.filter((call) => !call.startsWith("GET /playground/") && call !== "GET /"),
    ["GET /v1/models"],
  );
  assert.ok(!(await other.evaluate(() => location.href)).includes("#"));
  await other.reload();
  assert.equal(await shownCode(other), "def area(r):\n    return 1hole  # 🙂\n");
});

test("a damaged link is refused in plain words, and the example is there", async (t) => {
  const page = await open(t, { url: `${URL_OF_SERVER}/#v1=AAAA` });
  assert.match(await page.innerText("#problem"), /This link is damaged/);
  assert.equal(await page.locator("#editor .hole.empty").count(), 2);
});

test("everything is done by the keyboard alone", async (t) => {
  const page = await open(t);
  await set(page, SEED);
  await page.focus(".cm-content");
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("def double(x):\nreturn ");
  await page.keyboard.press("Alt+Enter");
  assert.equal(await page.locator("#editor .hole.empty").count(), 1);
  await page.keyboard.press("ControlOrMeta+Enter");
  await done(page);
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.matches('#infills-list input[type="radio"]'))) break;
  }
  const cards = await cardsOf(page, 1);
  assert.ok(cards.length > 1);
  await page.keyboard.press("ArrowDown");
  assert.equal(await filledHole(page, 1), cards[1]);
  assert.equal(await page.evaluate(() => (document.activeElement as HTMLInputElement).value), "1");
  await page.focus("#tab-infills");
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.isVisible("#comparison"));
  assert.ok(!(await page.isVisible("#infills")));
});

test("selected code is cut out to a hole, and a mark that is typed is one", async (t) => {
  const page = await open(t);
  await type(page, "x = 1 + 2\n");
  await page.keyboard.press("ControlOrMeta+Home");
  for (let steps = 0; steps < 4; steps++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Shift+End");
  assert.equal(await page.innerText("#make-hole-label"), "Cut out a hole");
  await page.click("#make-hole");
  assert.equal(await shownCode(page), "x = 1hole\n");
  await page.keyboard.press("ControlOrMeta+End");
  await page.keyboard.type("y = <FILL>");
  assert.equal(await page.innerText("#fill-label"), "Fill 2 holes");
  await page.keyboard.press("Backspace");
  assert.equal(await page.innerText("#fill-label"), "Fill the hole");
});

test("Esc cancels the request, and the page goes on", async (t) => {
  const page = await open(t);
  await set(page, { numCandidates: "16", maxNewTokens: "1024", temperature: "2" });
  await type(page, '"""<FILL>');
  const failed = page.waitForEvent("requestfailed");
  await page.click("#fill");
  await page.waitForSelector("#cancel:visible");
  await page.keyboard.press("Escape");
  assert.match((await failed).url(), /\/v1\/infill$/);
  assert.equal(await page.innerText("#status"), "Cancelled.");
  assert.ok(await page.isVisible("#fill"));
  assert.equal(await page.innerText("#problem"), "");
});

test("errors of the server are shown in words", async (t) => {
  const page = await open(t, { expectedErrors: /status of 400|ERR_FAILED/ });
  await type(page, "<FILL>\n".repeat(70));
  await page.click("#fill");
  await done(page);
  assert.match(await page.innerText("#problem"), /^A request may ask for at most 64 parts, got 71\.$/);
  await type(page, "x = 1\n");
  await page.click("#fill");
  assert.match(await page.innerText("#problem"), /There is no hole to fill yet/);
  await page.route("**/v1/infill", (route) => route.abort());
  await type(page, "x = <FILL>\n");
  await page.click("#fill");
  await done(page);
  assert.match(await page.innerText("#problem"), /The server does not answer/);
});

test("the same gap is filled from both sides and from the left", async (t) => {
  const page = await open(t);
  await set(page, SEED);
  await page.click("#tab-comparison");
  await page.selectOption("#comparison-hole", { index: 1 });
  await page.click("#compare");
  await done(page);
  assert.deepEqual(await page.locator("#comparison-result h3").allInnerTexts(), ["Infill", "Left to right"]);
  const gaps = await page.locator("#comparison-result .gap").allInnerTexts();
  assert.equal(gaps[0], await filledHole(page, 2));
  assert.equal((await page.locator("#comparison-result .gap .piece").count()) > 1, true);
});

test("the prompt is shown token by token", async (t) => {
  const page = await open(t);
  await page.click("#tab-prompt");
  await page.click("#show-prompt");
  await done(page);
  const special = await page.locator("#prompt-result .special").allInnerTexts();
  assert.deepEqual(special.slice(0, 4), ["<|endoftext|>", "<|mask:0|>", "<|mask:1|>", "<|mask:2|>"]);
  assert.equal(special.at(-1), "<|mask:0|>");
  assert.ok((await page.locator("#prompt-result .token").count()) > 20);
  await page.selectOption("#prompt-hole", { index: 1 });
  await page.click("#show-prompt");
  await done(page);
  assert.match(await page.innerText("#problem"), /Fill the holes first/);
});

test("an editing tool shows the difference, and writes it into the code when asked", async (t) => {
  const page = await open(t, { expectedErrors: /status of 400/ });
  await page.click("#tab-editing");
  await page.click("#run-tool");
  await done(page);
  assert.match(await page.innerText("#problem"), /The code has holes/);
  await type(page, "def area(r):\n    return 3 * r * r\n");
  await page.selectOption("#tool", "rename");
  await page.fill("#tool-name", "r");
  await page.fill("#tool-to", "radius");
  await page.click("#run-tool");
  await done(page);
  assert.match(await page.innerText(".difference .cm-content"), /def area\(r\):[\s\S]*def area\(radius\):/);
  assert.match(await shownCode(page), /def area\(r\):/);
  await page.click("#editing-result .primary");
  assert.equal(await shownCode(page), "def area(radius):\n    return 3 * radius * radius\n");
  await page.fill("#tool-name", "nothing");
  await page.click("#run-tool");
  await done(page);
  assert.match(await page.innerText("#problem"), /no variable/);
});

test("a server with a key asks for it once, and the tab keeps it", async (t) => {
  const page = await open(t, { url: URL_WITH_KEY, expectedErrors: /status of 401/ });
  await page.waitForSelector("#key-dialog[open]");
  await page.fill("#key", "wrong");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("key-problem")?.textContent !== "");
  await page.fill("#key", KEY);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelectorAll("#setting-model option").length > 0);
  assert.ok(!(await page.isVisible("#key-dialog")));
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll("#setting-model option").length > 0);
  assert.ok(!(await page.isVisible("#key-dialog")));
  assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie]), [0, ""]);
  await page.click("#fill");
  await done(page);
  assert.ok((await cardsOf(page, 1)).length > 0);
});

test("code, names and infills are text, whatever they look like", async (t) => {
  const page = await open(t);
  const hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
  await page.fill("#path", `${hostile}.py`);
  await type(page, `# ${hostile}\nx = <FILL>\n`);
  await page.click("#fill");
  await done(page);
  await page.click("#tab-prompt");
  await page.click("#show-prompt");
  await done(page);
  assert.equal(await page.title(), "InCoder playground");
  assert.equal(await page.locator("main img:not(.cm-widgetBuffer), main script").count(), 0);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe-core finds no serious violation in a ${colorScheme} page`, async (t) => {
    const page = await open(t, { colorScheme });
    await set(page, SEED);
    await checkAccess(page);
    await page.click("#fill");
    await done(page);
    await page.click("#infills-list summary >> nth=0");
    await page.click(".settings summary");
    await checkAccess(page);
    await page.click("#tab-comparison");
    await page.click("#compare");
    await done(page);
    await checkAccess(page);
    await page.click("#tab-prompt");
    await page.click("#show-prompt");
    await done(page);
    await checkAccess(page);
    await type(page, "def area(r):\n    return 3 * r * r\n");
    await page.click("#tab-editing");
    await page.selectOption("#tool", "rename");
    await page.fill("#tool-name", "r");
    await page.fill("#tool-to", "radius");
    await page.click("#run-tool");
    await done(page);
    await checkAccess(page);
    await page.click("#share");
    await checkAccess(page);
  });
}

for (const width of [390, 320]) {
  test(`a page of ${width} pixels is not wider than its window`, async (t) => {
    const page = await open(t, { viewport: { width, height: 800 }, hasTouch: true });
    await set(page, SEED);
    const widths = () => page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    for (const action of ["#fill", "#tab-comparison", "#compare", "#tab-prompt", "#show-prompt", "#tab-editing"]) {
      await page.click(action);
      await done(page);
      const [content, window] = await widths();
      assert.ok(
        content !== undefined && window !== undefined && content <= window,
        `${action}: ${content} > ${window}`,
      );
    }
    await checkAccess(page);
  });
}
