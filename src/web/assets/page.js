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

const NO_ANSWER = "not up to date: trommel does not answer";
// Whether all was heard of that has changed since the page was made.
let isCurrent = !document.hidden;
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
    if (isCurrent) live.textContent = "";
    // Somebody is typing, or has: the content waits until they are done.
    const focused = document.activeElement;
    waits = (now.contains(focused) && focused !== now) || isTouched(now);
    if (waits) return;
    const open = [...now.querySelectorAll("details")].map((details) => details.open);
    next.querySelectorAll("details").forEach((details, at) => (details.open ||= open[at] ?? false));
    if (now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
  } catch {
    live.textContent = NO_ANSWER;
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

// How long a page that is refused waits, in milliseconds. Where nobody answers, browsers ask again by themselves.
const REFUSED_MS = 30000;
let leave = null;
let asksAgain;

// Has `hear` told; returns what ends that.
function subscribe() {
  let worker;
  try {
    worker = new SharedWorker(document.getElementById("events").src);
  } catch {
    // Not every browser has them.
    const events = listen(hear);
    return () => events.close();
  }
  worker.port.onmessage = ({ data }) => hear(data);
  worker.port.postMessage("listen");
  return () => {
    worker.port.postMessage("leave");
    worker.port.close();
  };
}

function hear(word) {
  if (word === "open") {
    live.textContent = "";
    if (!isCurrent) refresh();
    isCurrent = true;
  } else if (word === "lost") {
    isCurrent = false;
    live.textContent = NO_ANSWER;
  } else if (word === "refused") {
    isCurrent = false;
    live.textContent = "renewed every 30 s: too many browsers look at trommel";
    refresh();
    leave?.();
    leave = null;
    asksAgain = setTimeout(attend, REFUSED_MS);
  } else if (word === "findings" || document.querySelector("[data-state]")) {
    // Only the overview shows how things stand.
    refresh();
  }
}

// Only a page that is looked at is told; when it is shown again it catches up.
function attend() {
  clearTimeout(asksAgain);
  if (document.hidden) {
    leave?.();
    leave = null;
    isCurrent = false;
  } else {
    leave ??= subscribe();
  }
}
document.addEventListener("visibilitychange", attend);
attend();
