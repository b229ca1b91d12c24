// Keeps the page up to date and shows times in the reader's zone. Without it the page is whole, and in UTC.
"use strict";

const live = document.getElementById("live");
const formats = {
  near: new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }),
  far: new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }),
};

function localTimes(root) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("time")) {
    const at = new Date(element.dateTime);
    if (isNaN(at)) continue;
    const format = at.toDateString() === today ? formats.near : formats.far;
    element.textContent = format.format(at);
  }
}

function prepare(root) {
  localTimes(root);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}

async function copy(text) {
  // Only where the page came over TLS, or from this machine.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("not copied");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  try {
    await copy(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not copied";
  }
  setTimeout(() => (button.textContent = label), 2000);
});

// Whether a form holds what was not sent yet.
function isTouched(root) {
  return [...root.querySelectorAll("input, textarea, option")].some((field) => {
    if (field.matches("option")) return !field.closest("datalist") && field.selected !== field.defaultSelected;
    return field.value !== field.defaultValue || field.checked !== field.defaultChecked;
  });
}

let loading = false;
let again = false;
let waits = false;

// What has changed is fetched as a whole page, of which the content is taken: there is no second way to make it.
async function refresh() {
  // Something is typed, or was just sent: it stays until its reader goes on.
  if (document.querySelector("[data-still]")) return;
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok && answer.status >= 500) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, next] = [document.getElementById("main"), page.getElementById("main")];
    prepare(next);
    document.title = page.title;
    live.textContent = "";
    // Somebody is typing, or has: the content waits until they are done.
    const focused = document.activeElement;
    waits = (now.contains(focused) && focused !== now) || isTouched(now);
    if (waits) return;
    const open = [...now.querySelectorAll("details")].map((details) => details.open);
    next.querySelectorAll("details").forEach((details, at) => (details.open ||= open[at] ?? false));
    if (now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
  } catch {
    live.textContent = "not up to date: trommel does not answer";
  } finally {
    loading = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

prepare(document);
document.addEventListener("focusout", () => {
  if (waits) setTimeout(refresh);
});
const events = new EventSource("/events");
let connected = false;
events.addEventListener("changed", (event) => {
  // Only the overview shows how things stand.
  if (event.data === "findings" || document.querySelector("[data-state]")) refresh();
});
events.addEventListener("open", () => {
  if (connected) refresh();
  connected = true;
  live.textContent = "";
});
events.addEventListener("error", () => {
  live.textContent = "not up to date: trommel does not answer";
});
