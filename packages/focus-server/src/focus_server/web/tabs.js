// @ts-check
/** The row of windows: one is looked at, each says how it is, all go on. */

/** @typedef {import("./window.js").LiveWindow} LiveWindow */

export class Tabs {
  #list;
  #events;
  /** @type {Map<LiveWindow, HTMLElement>} */ #tabs = new Map();

  /** @param {HTMLElement} list @param {{ choose: (window: LiveWindow) => void, close: (window: LiveWindow) => void }} events */
  constructor(list, events) {
    this.#list = list;
    this.#events = events;
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {readonly LiveWindow[]} windows @param {LiveWindow} active */
  show(windows, active) {
    for (const [window, tab] of this.#tabs) {
      if (windows.includes(window)) continue;
      tab.remove();
      this.#tabs.delete(window);
    }
    for (const window of windows) {
      const tab = this.#tabs.get(window) ?? this.#add(window);
      const [button, close] = /** @type {HTMLButtonElement[]} */ ([...tab.children]);
      const chosen = window === active;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
      close.hidden = windows.length === 1;
      this.said(window);
    }
  }

  /** Tell anew how a window is. @param {LiveWindow} window */
  said(window) {
    const tab = this.#tabs.get(window);
    if (!tab) return;
    const [button, close] = /** @type {HTMLButtonElement[]} */ ([...tab.children]);
    const { name, state } = window;
    if (tab.dataset.state !== state) tab.dataset.state = state;
    const [, text, hidden] = /** @type {HTMLElement[]} */ ([...button.children]);
    if (text.textContent !== name) {
      text.textContent = name;
      close.title = `Close ${name}`;
    }
    if (hidden.textContent !== `, ${state}`) hidden.textContent = `, ${state}`;
  }

  /** @param {LiveWindow} window */
  #add(window) {
    const tab = document.createElement("div");
    tab.className = "tab";
    tab.setAttribute("role", "presentation");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "tab");
    button.dataset.testid = "tab";
    button.append(part("lamp"), part("name"), part("unseen"));
    button.firstElementChild?.setAttribute("aria-hidden", "true");
    button.addEventListener("click", () => this.#events.choose(window));
    const close = document.createElement("button");
    close.type = "button";
    close.className = "close";
    close.dataset.testid = "close-window";
    close.textContent = "×";
    // A list of tabs holds nothing but tabs for those who hear it; with the keyboard Delete closes one.
    close.tabIndex = -1;
    close.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-keyshortcuts", "Delete");
    close.addEventListener("click", () => this.#events.close(window));
    tab.append(button, close);
    this.#list.append(tab);
    this.#tabs.set(window, tab);
    return tab;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const windows = [...this.#tabs.keys()];
    const at = windows.findIndex((window) => this.#tabs.get(window)?.contains(document.activeElement));
    if (at < 0) return;
    /** @type {Record<string, number>} */ const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: windows.length - 1 };
    if (event.key === "Delete" && windows.length > 1) {
      this.#events.close(windows[at]);
      this.#focus(windows[at === windows.length - 1 ? at - 1 : at + 1]);
    } else if (event.key in steps) {
      const to = steps[event.key];
      const window = windows[(to + windows.length) % windows.length];
      this.#events.choose(window);
      this.#focus(window);
    } else return;
    event.preventDefault();
  }

  /** @param {LiveWindow} window */
  #focus(window) {
    /** @type {HTMLElement | null | undefined} */ (this.#tabs.get(window)?.querySelector("[role=tab]"))?.focus();
  }
}

/** @param {string} name */
function part(name) {
  const span = document.createElement("span");
  span.className = name;
  return span;
}
