// Word of what changes: for the page that loads this, or, run as a shared worker, for all pages of a browser that are looked at. A
// browser has six connections for one server, whatever is open in it, and word takes one.
"use strict";

// Tells in one word whether it will be heard of ("open", "lost"; "refused" for good) and what has changed.
function listen(tell) {
  const events = new EventSource("/events");
  events.addEventListener("open", () => tell("open"));
  events.addEventListener("changed", (event) => tell(event.data));
  events.addEventListener("error", () => tell(events.readyState === EventSource.CLOSED ? "refused" : "lost"));
  return events;
}

if (self.SharedWorkerGlobalScope) {
  const pages = new Set();
  let events = null;
  const tellAll = (word) => pages.forEach((page) => page.postMessage(word));
  self.addEventListener("connect", ({ ports: [page] }) => {
    page.onmessage = ({ data }) => {
      if (data === "listen") {
        pages.add(page);
        if (!events || events.readyState === EventSource.CLOSED) events = listen(tellAll);
        else if (events.readyState === EventSource.OPEN) page.postMessage("open");
      } else {
        pages.delete(page);
        if (pages.size > 0) return;
        events?.close();
        events = null;
      }
    };
  });
}
