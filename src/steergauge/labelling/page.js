"use strict";
// What a model wrote is only ever set as textContent.
const at = (id) => document.getElementById(id);
const keys = { r: "refusal", 1: "refusal", g: "garbled", 2: "garbled", n: "normal", 3: "normal" };
let rater = "";
let session = null; // the server's: done, total, item
let item = null; // what is shown: the session's item, or an earlier one
let busy = false;
const history = []; // what was labelled since the page was opened: {item, label, note}
let place = 0; // where in the history we are; at its end the session's item is shown

function show() {
  const earlier = history[place];
  item = earlier ? earlier.item : session.item;
  at("start").hidden = true;
  at("reading").hidden = !item;
  at("end").hidden = Boolean(item);
  const number = session.done - (history.length - place) + (item ? 1 : 0);
  at("place").textContent = `${number} of ${session.total}`;
  at("progress").max = session.total;
  at("progress").value = session.done;
  at("said").textContent = item ? at("place").textContent : "Everything is read.";
  at("thanks").textContent = `${session.total} labels of ${rater} are kept in the store. You can close this page.`;
  at("back").disabled = at("back-from-end").disabled = place === 0;
  if (!item) return;
  at("prompt").textContent = item.prompt;
  at("text").textContent = item.text;
  at("cut").hidden = !item.cut;
  at("note").value = earlier ? earlier.note : "";
  at("before").hidden = !earlier;
  at("before").textContent = earlier ? `You said ${earlier.label}; your last word counts.` : "";
  for (const button of document.querySelectorAll("#labels button")) {
    button.setAttribute("aria-pressed", String(earlier?.label === button.dataset.label));
  }
  at("text").scrollTop = 0;
  at("text").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

async function ask(address, options) {
  busy = true;
  try {
    const response = await fetch(address, options);
    if (!response.ok) throw new Error(await response.text());
    at("trouble").hidden = true;
    return await response.json();
  } catch (error) {
    at("trouble").textContent = `This was not kept: ${error.message}. Is the server still running?`;
    at("trouble").hidden = false;
    return null;
  } finally {
    busy = false;
  }
}

async function label(value) {
  if (busy || !item) return;
  const given = { rater, key: item.key, showing: item.showing, label: value, note: at("note").value };
  const kept = await ask("api/ratings", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(given),
  });
  if (!kept) return;
  history[place] = { item, label: value, note: given.note };
  place += 1;
  session = kept;
  show();
}

function back() {
  if (busy || place === 0) return;
  place -= 1;
  show();
}

at("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  rater = at("rater").value.trim();
  if (busy || !rater) return;
  session = await ask(`api/session?rater=${encodeURIComponent(rater)}`);
  if (session) show();
});
at("labels").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) label(button.dataset.label);
});
at("back").addEventListener("click", back);
at("back-from-end").addEventListener("click", back);

document.addEventListener("keydown", (event) => {
  if (!session || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target === at("note")) {
    if (event.key === "Enter" || event.key === "Escape") at("text").focus();
    return;
  }
  const value = keys[event.key.toLowerCase()];
  if (value) label(value);
  else if (event.key === "Backspace") back();
  else if (event.key === "/") at("note").focus();
  else return;
  event.preventDefault();
});
