// What the pages do beyond links and forms; all of them work without it.
import { startViewer } from "/static/viewer.js";

document.documentElement.classList.add("has-script");
for (const hidden of document.querySelectorAll("[data-needs-script]")) {
  hidden.hidden = "copy" in hidden.dataset && !navigator.clipboard; // TLS or loopback have one
}

// Filters: a change asks for the new page and puts its filters and results in place of the old.
const form = document.getElementById("filters");
let latest = 0;

function addressOf(filters) {
  for (const slider of filters.querySelectorAll("[data-off]")) {
    const [now, off] = [Number(slider.value), Number(slider.dataset.off)];
    slider.disabled = Math.abs(now - off) <= 1e-6 * Math.abs(off); // browsers round the value
  }
  const query = new URLSearchParams(new FormData(filters));
  for (const slider of filters.querySelectorAll("[data-off]")) slider.disabled = false;
  if (!query.get("q")) query.delete("q");
  if (query.get("sort") === "index") query.delete("sort");
  return `${filters.getAttribute("action")}${query.size ? `?${query}` : ""}`;
}

async function show(address, remember) {
  const asked = ++latest;
  const results = document.getElementById("results");
  results.classList.add("busy");
  const answer = await fetch(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (asked !== latest) return; // a later change overtook this one
  if (!answer.ok || !page.getElementById("filters")) return location.assign(address);
  const focused = document.activeElement;
  const open = document.getElementById("facets").open;
  for (const id of ["facets", "results"]) {
    document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
  }
  document.getElementById("facets").open = open;
  if (remember) history.pushState(null, "", address);
  keepFocus(focused);
  watchMore();
}

function keepFocus(was) {
  if (!was?.name || document.contains(was)) return;
  const same = [...document.getElementsByName(was.name)];
  (same.find((one) => one.type === "range" || one.value === was.value) ?? same[0])?.focus();
}

form?.addEventListener("change", (event) => {
  if (event.target.form === form) show(addressOf(form), true); // a card's tick is of another form
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  show(addressOf(form), true);
});
document.addEventListener("input", (event) => {
  if (event.target.type !== "range" || !event.target.id) return;
  const output = document.querySelector(`output[for="${CSS.escape(event.target.id)}"]`);
  if (output) output.textContent = Number(Number(event.target.value).toPrecision(4));
});
if (form) addEventListener("popstate", () => location.reload());
if (form && innerWidth < 800) document.getElementById("facets").open = false;

// Next page: its cards are added to these when the link comes near.
const near = new IntersectionObserver((seen) => {
  for (const one of seen) if (one.isIntersecting) more(one.target);
}, { rootMargin: "600px" });

function watchMore() {
  const link = document.querySelector("[data-more]");
  if (link) near.observe(link);
}

async function more(link) {
  near.unobserve(link);
  const answer = await fetch(link.href, { headers: { "X-Fragment": "cards" } });
  if (!answer.ok || !link.isConnected) return;
  const cards = document.createElement("template");
  cards.innerHTML = await answer.text();
  link.closest("li").replaceWith(cards.content);
  watchMore();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  }
});

watchMore();
startViewer(document.getElementById("viewer"));
