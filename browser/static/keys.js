// Single keys that decide. Who speaks to the machine, or rests a hand on its keys, can switch them
// off (WCAG 2.1.4); the choice is kept in this browser, for review and blind studies alike.
const off = "single keys are off";

export const areKeysOn = () => localStorage.getItem(off) === null;

function show() {
  const on = areKeysOn();
  document.documentElement.classList.toggle("keys-off", !on);
  for (const button of document.querySelectorAll("[data-shortcut]")) {
    if (on) button.setAttribute("aria-keyshortcuts", button.dataset.shortcut);
    else button.removeAttribute("aria-keyshortcuts");
  }
}

export function startKeys() {
  const box = document.getElementById("use-keys");
  box.checked = areKeysOn();
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(off);
    else localStorage.setItem(off, "yes");
    show();
  });
  box.closest("label").hidden = false; // from now on keys do something
  show();
}
