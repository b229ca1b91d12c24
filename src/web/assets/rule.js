// Looks at a change of a rule as it is typed. Without it the button does the same.
"use strict";

const PAUSE = 600;
let timer = 0;
let newest = 0;

// The answer is the page that the button would give, of which what came of it is taken: there is no second way to make it.
async function look(form) {
  const number = ++newest;
  const fields = new URLSearchParams(new FormData(form));
  fields.set("do", "check");
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [now, next] = [document.getElementById("result"), page.getElementById("result")];
    if (number === newest && now && next) now.replaceChildren(...next.childNodes);
  } catch {
    // The line at the top says that trommel does not answer.
  }
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form.change");
  if (!form) return;
  // What is typed must outlive a page that brings itself up to date.
  form.dataset.still = "";
  clearTimeout(timer);
  timer = setTimeout(look, PAUSE, form);
});
