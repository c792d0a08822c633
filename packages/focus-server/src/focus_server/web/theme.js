// @ts-check
/** Dark or light: as the operator's system has it, until the button says otherwise; the choice is kept. */

const KEY = "liveview.theme";

/** @param {HTMLElement} root @param {HTMLButtonElement} button @param {() => void} changed */
export function installTheme(root, button, changed) {
  const system = matchMedia("(prefers-color-scheme: light)");
  const show = () => {
    const theme = localStorage.getItem(KEY) ?? (system.matches ? "light" : "dark");
    root.dataset.theme = theme;
    button.textContent = theme === "light" ? "Dark" : "Light";
    button.setAttribute("aria-label", `Switch to the ${button.textContent.toLowerCase()} theme`);
    changed();
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, root.dataset.theme === "light" ? "dark" : "light");
    show();
  });
  system.addEventListener("change", show);
  show();
}
