// @ts-check
/** What keys do on the picture, and the list of them. */

/**
 * @param {HTMLElement} canvas that has the keys while it is focused @param {HTMLDialogElement} dialog that lists them
 * @param {HTMLElement} button that opens it @param {Record<string, () => void>} actions by key
 */
export function installKeys(canvas, dialog, button, actions) {
  button.addEventListener("click", () => dialog.showModal());
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") dialog.showModal();
    const act = actions[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
