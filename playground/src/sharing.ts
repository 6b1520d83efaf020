// Links that hold code: made and shown by the dialog, and opened when the page has one in its address.

import { byId } from "./dom.js";
import type { Page } from "./page.js";
import { fragmentOf, sharedIn } from "./share.js";

/** Shows a link to the code, and copies it where the browser allows that. */
export async function share(page: Page): Promise<void> {
  const field = byId("share-link", HTMLInputElement);
  try {
    field.value = location.origin + location.pathname + (await fragmentOf(page.state));
  } catch (error) {
    page.run.complain((error as Error).message);
    return;
  }
  const copied = byId("share-copied", HTMLElement);
  copied.textContent = "";
  byId("share-dialog", HTMLDialogElement).showModal();
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    copied.textContent = "The link is in the clipboard.";
  } catch {
    copied.textContent = "Copy the link from the field.";
  }
}

/** Opens the code in the page's address, and runs nothing. Returns whether there was any. */
export async function openLink(page: Page, isFirst: boolean): Promise<boolean> {
  try {
    const shared = await sharedIn(location.hash);
    if (shared === null) return false;
    page.open(shared, isFirst);
    page.run.say("The code of this link is in the editor. Nothing runs before you press a button.");
    return true;
  } catch (error) {
    page.run.say("");
    page.run.complain((error as Error).message);
    return false;
  } finally {
    // The tab keeps the code from now on. With the fragment, a reload would bring the link's code back.
    if (location.hash !== "") history.replaceState(null, "", location.pathname);
  }
}
