// Two keys answer; a key held down answers once, and no image that has not been seen.
import { areKeysOn, startKeys } from "/static/keys.js";

const form = document.getElementById("blind");
const image = form.querySelector("img");

document.addEventListener("keydown", (event) => {
  if (!areKeysOn() || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !image.complete) return;
  const button = form.querySelector(`[data-shortcut="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

form.addEventListener("submit", (event) => {
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
startKeys();
addEventListener("pageshow", () => delete form.dataset.sent);
