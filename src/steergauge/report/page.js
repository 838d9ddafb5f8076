"use strict";
// Outputs are untrusted: everything here goes into the page through textContent.
(() => {
  const BATCH = 200;
  const EVERYTHING = "*";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("outputs-data").textContent);
  const outputs = data.outputs.map((
    [group, prompt, label, text, evidence, place, tokens, finish, unsteeredRefused],
  ) => ({
    group: data.groups[group], prompt: data.prompts[prompt], number: prompt + 1,
    label, text, evidence, place, tokens, finish, unsteeredRefused,
  }));
  // A page of several gauges names the control of each group; a page of one has one control.
  const controlOf = (group) => group.control ?? "unsteered";
  const place = (group, prompt) => JSON.stringify([group, prompt.text]);
  const controls = new Set(data.groups.map(controlOf));
  const unsteered = new Map(outputs.filter((o) => controls.has(o.group.id)).map((o) => [place(o.group.id, o.prompt), o]));
  const dialog = byId("outputs");
  const choice = byId("outputs-condition");
  const search = byId("outputs-search");
  const compare = byId("outputs-compare");
  const list = byId("outputs-list");
  const more = byId("outputs-more");
  const filters = [...dialog.querySelectorAll("input[name=label]")];
  let kept = [];

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function option(value, text, parent) {
    const made = element("option", "", text);
    made.value = value;
    parent.append(made);
  }

  function fillChoice() {
    option(EVERYTHING, `Everything, ${outputs.length} outputs`, choice);
    const headings = new Map();
    for (const group of data.groups) {
      if (!headings.has(group.heading)) {
        const made = element("optgroup");
        made.label = group.heading;
        headings.set(group.heading, made);
        choice.append(made);
      }
      option(group.id, group.rates ? `${group.title}: ${group.rates}` : group.title, headings.get(group.heading));
    }
  }

  // Places count code points, as Python does; a string's own count UTF-16 units.
  function withEvidence({ text, place, label }) {
    const made = element("div", "text");
    const [start, end] = place;
    if (start === end) {
      made.textContent = text;
      return made;
    }
    const points = [...text];
    const part = (from, to) => points.slice(from, to).join("");
    made.append(part(0, start), element("mark", label, part(start, end)), part(end));
    return made;
  }

  function writing(output, heading) {
    const box = element("div", "writing");
    const top = element("p", "writing-top");
    if (heading) top.append(element("span", "writing-who", heading));
    top.append(element("span", `chip ${output.label}`, output.label));
    const text = withEvidence(output);
    text.dir = "auto";
    const ends = {
      stop: "ended by itself", length: "cut at the limit",
      decided: "ended early, as more text could not change its label",
    };
    const end = ends[output.finish];
    const evidence = output.evidence ? `evidence: ${output.evidence} · ` : "";
    box.append(top, text, element("p", "facts", `${evidence}${output.tokens} tokens, ${end}`));
    if (!output.text.trim()) text.classList.add("blank");
    return box;
  }

  function item(output, everything) {
    const made = element("li", "output");
    const head = element("div", "output-head");
    const prompt = element("h3", "", output.prompt.text);
    prompt.dir = "auto";
    const facts = [`${output.number}`, output.prompt.category];
    if (everything) facts.push(output.group.title);
    if (output.group.id === data.best) facts.push(output.prompt.half);
    if (output.unsteeredRefused) facts.push("refused unsteered too, left out of the effect");
    head.append(element("p", "facts", facts.filter(Boolean).join(" · ")), prompt);
    const pair = element("div", "pair");
    const control = unsteered.get(place(controlOf(output.group), output.prompt));
    const comparing = compare.checked && control && control !== output;
    pair.append(writing(output, comparing ? "Steered" : ""));
    if (comparing) {
      const beside = writing(control, "Unsteered");
      beside.classList.add("control");
      pair.append(beside);
    }
    made.append(head, pair);
    return made;
  }

  // A batch at a time: thousands of outputs at once would hold up a phone.
  function drawMore() {
    const drawn = list.children.length;
    const everything = choice.value === EVERYTHING;
    list.append(...kept.slice(drawn, drawn + BATCH).map((output) => item(output, everything)));
    const left = kept.length - list.children.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(BATCH, left)} more of ${left}`;
  }

  function draw() {
    const everything = choice.value === EVERYTHING;
    const of = everything ? outputs : outputs.filter((o) => o.group.id === choice.value);
    const wanted = search.value.trim().toLowerCase();
    const found = of.filter((o) => !wanted || o.text.toLowerCase().includes(wanted)
      || o.prompt.text.toLowerCase().includes(wanted));
    for (const filter of filters) {
      const count = filter.value === EVERYTHING ? found.length : found.filter((o) => o.label === filter.value).length;
      filter.nextElementSibling.querySelector(".count").textContent = String(count);
    }
    const label = filters.find((filter) => filter.checked).value;
    kept = found.filter((o) => label === EVERYTHING || o.label === label);
    const group = data.groups.find((g) => g.id === choice.value);
    byId("outputs-title").textContent = everything ? "Everything" : group.title;
    byId("outputs-rates").textContent = everything ? "All conditions and controls" : group.rates;
    const status = `${kept.length} of ${of.length} outputs`;
    byId("outputs-status").textContent = of.length ? status : "No outputs were kept with this result.";
    list.replaceChildren();
    drawMore();
    for (const opener of document.querySelectorAll("[data-condition]")) {
      opener.toggleAttribute("aria-current", dialog.open && opener.dataset.condition === choice.value);
    }
  }

  function redraw() {
    draw();
    byId("outputs-scroll").scrollTop = 0;
  }

  function remember() {
    const hash = dialog.open ? `#outputs/${encodeURIComponent(choice.value)}` : "#";
    history.replaceState(null, "", hash);
  }

  function open(condition, label = EVERYTHING) {
    choice.value = condition;
    if (choice.selectedIndex < 0) return;
    filters.find((filter) => filter.value === label).checked = true;
    search.value = "";
    if (!dialog.open) dialog.showModal();
    redraw();
    remember();
    byId("outputs-title").focus({ preventScroll: true });
  }

  function sort(button) {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = (row) => row.cells[head.cellIndex].dataset.value;
    const compareKeys = (a, b) => (Number.isNaN(Number(a)) ? a.localeCompare(b) : Number(a) - Number(b));
    const rows = [...body.rows].sort((a, b) => (rising ? 1 : -1) * compareKeys(key(a), key(b)));
    body.append(...rows);
  }

  fillChoice();
  compare.checked = matchMedia("(min-width: 720px)").matches;
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-condition]");
    if (opener) open(opener.dataset.condition, opener.dataset.label);
    const sorter = event.target.closest("[data-sort]");
    if (sorter) sort(sorter);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { draw(); remember(); });
  byId("outputs-close").addEventListener("click", () => dialog.close());
  choice.addEventListener("change", () => { redraw(); remember(); });
  search.addEventListener("input", redraw);
  compare.addEventListener("change", draw);
  more.addEventListener("click", drawMore);
  for (const filter of filters) filter.addEventListener("change", redraw);
  const linked = /^#outputs\/(.+)$/.exec(location.hash);
  if (linked) open(decodeURIComponent(linked[1]));
})();
