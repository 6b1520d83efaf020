// Asks for the server's key. It goes into sessionStorage (server.ts), and with each call to this server only.

import { byId } from "./dom.js";

/** Shows the dialog; returns the key, or null if the visitor closes it. */
export function askForKey(wasWrong: boolean): Promise<string | null> {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const input = byId("key", HTMLInputElement);
  byId("key-problem", HTMLElement).textContent = wasWrong ? "The server did not accept that key." : "";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use" ? input.value || null : null), {
      once: true,
    });
  });
}
