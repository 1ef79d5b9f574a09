// Review by keyboard: every key press is posted at once, and what was done is said.
import { areKeysOn, startKeys } from "/static/keys.js";

const form = document.getElementById("review");
const cards = () => [...document.querySelectorAll("#cards .card")];
const cardOf = (element) => element?.closest?.("#cards .card") ?? null;
const boxOf = (card) => card.querySelector(".pick input");
const only = form?.querySelector("input[type=hidden][name=sample]");
let current = null; // the card that keys without a selection mean
let awaitsReason = false;
let lastPicked = null;

function say(words, isWrong = false) {
  const said = document.getElementById("said");
  said.textContent = words;
  said.classList.toggle("wrong", isWrong);
}

// What was decided on these pages last, so that undo also reaches the sample before.
const memory = `review ${form?.dataset.dataset}`;
const remembered = () => JSON.parse(sessionStorage.getItem(memory) ?? "[]");
const remember = (posts) => sessionStorage.setItem(memory, JSON.stringify(posts.slice(-100)));

const picked = () => cards().map(boxOf).filter((box) => box.checked);

function meant() {
  if (only) return [only.value];
  const ticked = picked().map((box) => box.value);
  return ticked.length || !current?.isConnected ? ticked : [boxOf(current).value];
}

function newPost() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The same post is sent again when its answer is lost: its decisions are kept once.
async function send(fields) {
  for (let left = 2; ; left--) {
    try {
      return await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json" },
        body: fields,
      });
    } catch (error) {
      if (!left) throw error;
    }
  }
}

async function post(decision, samples, reason) {
  if (!samples.length) return say("Choose a sample first: tick it, or go to it with l.", true);
  const fields = new URLSearchParams(new FormData(form));
  fields.delete("sample");
  for (const one of samples) fields.append("sample", one);
  fields.set("post", newPost());
  fields.set("decision", decision);
  fields.set("reason", reason);
  let answer, found;
  try {
    answer = await send(fields);
    found = await answer.json(); // a page instead says that the token is asked for again
  } catch {
    return say("No clear answer from the server: nothing is known to be kept. Try again, or reload.", true);
  }
  if (!answer.ok) return say(found.what, true);
  for (const one of samples) mark(one, found.marks[one]);
  say(found.said);
  return true;
}

function mark(sample, found) {
  for (const place of document.querySelectorAll(`[data-mark="${CSS.escape(sample)}"]`)) {
    place.textContent = found?.text ?? "";
    place.title = found?.detail ?? "";
    place.className = `mark badge ${found?.kind ?? ""}`;
    place.hidden = !found;
  }
}

async function decide(decision, reason = "") {
  const samples = meant();
  if (!(await post(decision, samples, reason))) return;
  remember([...remembered(), samples]);
  const wasPicked = picked().length > 0;
  for (const box of picked()) box.checked = false;
  showPicked();
  if (!only && !wasPicked) step(1);
}

async function undo() {
  const posts = remembered();
  const samples = posts.pop() ?? meant();
  if (await post("withdrawn", samples, "")) remember(posts);
}

function chosenReason() {
  return document.getElementById("reason").value;
}

function awaitReason(waits) {
  awaitsReason = waits;
  form.querySelector("[value=reject]").setAttribute("aria-pressed", String(waits));
}

function reject(key) {
  awaitReason(false);
  const option = form.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (option) decide("reject", option.value);
  else say("Not rejected: after r comes the number of a reason.", true);
}

function startReject() {
  awaitReason(true);
  const lines = [...form.querySelectorAll("[data-key]")].map((one) => one.textContent);
  say(`Reject because: ${lines.join(" · ")}`);
}

function step(by) {
  if (only) {
    document.querySelector(by > 0 ? "[data-next]" : "[data-previous]")?.click();
    return;
  }
  const all = cards();
  const at = all.indexOf(current);
  const to = all[at < 0 ? 0 : at + by];
  to?.querySelector("a").focus();
}

function pick(card, withRange) {
  const all = cards();
  const [from, to] = [all.indexOf(lastPicked), all.indexOf(card)].sort((a, b) => a - b);
  const box = boxOf(card);
  if (withRange && from >= 0) for (const one of all.slice(from, to + 1)) boxOf(one).checked = box.checked;
  lastPicked = card;
  showPicked();
}

function pickAll(on) {
  for (const card of cards()) boxOf(card).checked = on;
  showPicked();
}

function showPicked() {
  if (only) return;
  const [num, all] = [picked().length, cards().length];
  document.getElementById("picked").textContent = num ? `${num} ticked` : "none ticked";
  const box = document.getElementById("pick-all");
  box.checked = num > 0 && num === all;
  box.indeterminate = num > 0 && num < all;
}

const keys = {
  k: () => decide("keep"),
  r: startReject,
  f: () => decide("flag", ""),
  u: undo,
  j: () => step(-1),
  l: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
};
const keysOfGrid = {
  a: () => pickAll(picked().length < cards().length),
  x: (event) => {
    if (!current?.isConnected) return;
    boxOf(current).checked = !boxOf(current).checked;
    pick(current, event.shiftKey);
  },
};

function onKey(event) {
  if (!areKeysOn()) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea, .viewer")) return;
  if (event.key === "Shift") return;
  if (awaitsReason) {
    event.preventDefault();
    return reject(event.key);
  }
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const action = keys[name] ?? (only ? undefined : keysOfGrid[name]);
  if (!action) return;
  event.preventDefault();
  action(event);
}

if (form) {
  document.addEventListener("keydown", onKey);
  document.querySelector(".keys").hidden = false;
  startKeys();
  document.addEventListener("focusin", (event) => (current = cardOf(event.target) ?? current));
  document.addEventListener("click", (event) => {
    if (!event.target.matches(".pick input")) return;
    pick(cardOf(event.target), event.shiftKey);
  });
  document.getElementById("pick-all")?.addEventListener("change", (event) => {
    pickAll(event.target.checked);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const decision = event.submitter?.value;
    if (decision === "withdrawn") undo();
    else if (decision) decide(decision, decision === "keep" ? "" : chosenReason());
  });
}
