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

let loading = false;
let again = false;

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
    localTimes(next);
    // Somebody is typing: the list waits until they are done.
    if (!now.contains(document.activeElement) || document.activeElement === now) {
      if (now.innerHTML !== next.innerHTML) now.replaceChildren(...next.childNodes);
    }
    document.title = page.title;
    live.textContent = "";
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

localTimes(document);
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
