// The page at /explore: asks for what is near to a marked word and shows it. Nothing is put into the page but as text,
// and the maps, which the server drew.

import { at, call, element, say } from "./shared.js";

let running = null;

function table(header, rows) {
  const made = element("table", null, { class: "words" });
  const head = element("tr");
  header.forEach((name) => head.append(element("th", name, { scope: "col" })));
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach((cell) => line.append(element("td", cell, { dir: "auto" })));
    body.append(line);
  }
  made.append(element("thead"), body);
  made.firstChild.append(head);
  const box = element("div", null, { class: "table", tabindex: "0", role: "group", "aria-label": "what is near" });
  box.append(made);
  return box;
}

function drawing(svg) {
  const figure = element("figure");
  const read = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  if (read.nodeName === "svg") figure.append(document.importNode(read, true));
  return figure;
}

function show(found) {
  const parts = [];
  for (const layer of found.layers) {
    const section = element("section");
    section.append(element("h2", `Layer ${layer.layer}: nearest in context`), drawing(layer.map));
    section.append(table(["", "cosine", "before", "word", "after"], layer.neighbours.map((one, number) =>
      [String(number + 1), one.cosine.toFixed(3), one.left, one.word, one.right])));
    parts.push(section);
  }
  for (const vectors of found.static) {
    const section = element("section");
    section.append(element("h2", `Without context: ${vectors.vectors}`));
    const near = vectors.neighbours.map((one) => `${one.form} ${one.cosine.toFixed(2)}`).join(", ");
    section.append(element("p", near || "It has no vector for this word."));
    parts.push(section);
  }
  at("found").replaceChildren(...parts);
}

async function ask(event) {
  event?.preventDefault();
  running?.abort();
  running = new AbortController();
  say("Looking …");
  try {
    const text = at("text").value || at("text").placeholder;
    const begun = performance.now();
    const value = await call("explore", { text, neighbours: Number(at("most").value) || 10 }, running.signal);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    say(`${value.tokens_searched.toLocaleString("en")} tokens searched in ${seconds} s. In a map, the square is the `
      + "question, each dot the neighbour of that number.");
    show(value);
  } catch (error) {
    if (error.name !== "AbortError") say(`Could not look: ${error.message}`, true);
  }
}

function mark() {
  const area = at("text");
  if (!area.value) area.value = area.placeholder;
  const inside = area.value.slice(area.selectionStart, area.selectionEnd).replace(/[[\]]/g, "").trim();
  if (!inside) { say("Select the word first.", true); return; }
  const before = area.value.slice(0, area.selectionStart).replace(/[[\]]/g, "");
  const after = area.value.slice(area.selectionEnd).replace(/[[\]]/g, "");
  area.value = `${before}[${inside}]${after}`;
  area.focus();
  say("");
}

at("ask").addEventListener("submit", ask);
at("mark").addEventListener("click", mark);
at("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask(event); });
