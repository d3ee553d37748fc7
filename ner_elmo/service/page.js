// The page at /: sends a text to /tag, shows what comes back, and makes files of it. Nothing is put into the page but as
// text, so that no input can become markup.

import { at, call, element, say } from "./shared.js";

const shownMost = 100_000; // characters; a longer text is marked for its beginning, and downloaded whole
let found = []; // for each chosen model: {model, text, entities}
let models = [];
let hidden = new Set(); // labels that are off
let running = null;

async function loadModels() {
  const known = await call("models");
  models = known.models;
  at("explore").hidden = !known.explore;
  at("models").replaceChildren(element("legend", models.length > 1 ? "Models (several: side by side)" : "Model"));
  models.forEach((model, number) => {
    const label = element("label");
    const box = element("input", null, { type: "checkbox", value: model.name });
    box.checked = number === 0;
    label.append(box, document.createTextNode(`${model.name}${model.language && model.language !== model.name ? ` (${model.language})` : ""}`));
    at("models").append(label);
  });
}

function colourOf(label) {
  for (const model of models) if (label in model.colours) return model.colours[label];
  return 11;
}

async function ask(event) {
  event?.preventDefault();
  const text = at("text").value || at("text").placeholder;
  running?.abort();
  running = new AbortController();
  try {
    if (!models.length) await loadModels();
    const chosen = [...at("models").querySelectorAll("input:checked")].map((box) => box.value);
    if (!chosen.length) throw new Error("choose a model first");
    say("Reading …");
    const begun = performance.now();
    const answers = await Promise.all(chosen.map((model) => call("tag", { text, model, offsets: "utf16" }, running.signal)));
    found = answers.map((answer, number) => ({ model: chosen[number], ...answer }));
    const n = found.map((one) => one.entities.length).join(" and ");
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    say(`${n} ${n === "1" ? "name" : "names"} found in ${seconds} s`);
    show();
  } catch (error) {
    if (error.name !== "AbortError") say(`Could not read it: ${error.message}`, true);
  }
}

function show() {
  at("found").hidden = false;
  showLabels();
  at("which").replaceChildren(...found.map((one) => element("option", one.model)));
  at("whichrow").hidden = found.length < 2;
  at("results").replaceChildren(...found.map(resultOf));
}

function counts() {
  const all = new Map();
  for (const one of found) for (const entity of one.entities) all.set(entity.label, (all.get(entity.label) || 0) + 1);
  return [...all].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

function showLabels() {
  at("labels").replaceChildren(...counts().map(([name, times]) => {
    const item = element("li");
    const label = element("label");
    const box = element("input", null, { type: "checkbox" });
    box.checked = !hidden.has(name);
    box.addEventListener("change", () => { box.checked ? hidden.delete(name) : hidden.add(name); filter(); });
    label.append(box, element("span", name, { class: `chip k${colourOf(name)}` }), element("span", String(times), { class: "count" }));
    item.append(label);
    return item;
  }));
}

const least = () => Number(at("least").value) / 100;
const isOn = (entity) => !hidden.has(entity.label) && (entity.score ?? 1) >= least();
const percent = (score) => (score === null || score === undefined ? "" : `${(100 * score).toFixed(1)} %`);

function resultOf(one) {
  const section = element("section", null, { class: "result", "aria-label": `Model ${one.model}` });
  if (found.length > 1) section.append(element("h2", one.model));
  const text = element("div", null, { class: "tagged", dir: "auto", tabindex: "0", role: "group",
    "aria-label": "the text with its names marked" });
  const short = one.text.slice(0, shownMost);
  let done = 0;
  for (const entity of one.entities) {
    if (entity.end > short.length) break;
    text.append(short.slice(done, entity.start));
    const mark = element("mark", short.slice(entity.start, entity.end),
      { class: `k${colourOf(entity.label)}`, title: `${entity.label} ${percent(entity.score)}` });
    mark.append(element("small", entity.label), element("span", ` ${percent(entity.score)}`, { class: "vh" }));
    mark.entity = entity;
    text.append(mark);
    done = entity.end;
  }
  text.append(short.slice(done));
  section.append(text);
  if (short.length < one.text.length) section.append(element("p",
    `… and ${(one.text.length - short.length).toLocaleString("en")} more characters, which downloads have`));
  section.append(tableOf(one));
  filterIn(section);
  return section;
}

function tableOf(one) {
  const details = element("details");
  details.append(element("summary", "As a table"));
  const frame = element("div", null, { class: "table", tabindex: "0", role: "region", "aria-label": "table of names" });
  const table = element("table");
  const head = element("tr");
  for (const name of ["name", "label", "probability"]) head.append(element("th", name, { scope: "col" }));
  table.append(head);
  const rows = one.entities.slice(0, 2000).map((entity) => {
    const row = element("tr");
    row.append(element("td", entity.text, { class: "e", dir: "auto" }), element("td", entity.label), element("td", percent(entity.score)));
    row.entity = entity;
    return row;
  });
  table.append(...rows);
  frame.append(table);
  details.append(frame);
  return details;
}

function filterIn(section) {
  for (const mark of section.querySelectorAll("mark")) mark.classList.toggle("off", !isOn(mark.entity));
  for (const row of section.querySelectorAll("tr")) if (row.entity) row.hidden = !isOn(row.entity);
}

function filter() {
  at("leastshown").textContent = `${at("least").value} %`;
  for (const section of at("results").children) filterIn(section);
}

// --- files ---

const points = (text, units) => [...text.slice(0, units)].length; // code points before a place in UTF-16

function kept(one) {
  return one.entities.filter(isOn).map((entity) => ({
    start: points(one.text, entity.start), end: points(one.text, entity.end), label: entity.label, text: entity.text,
    score: entity.score,
  }));
}

function cell(value) {
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet would take it for a formula
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function brat(one) {
  return kept(one).map((entity, number) => {
    const lines = entity.text.split("\n");
    let place = entity.start;
    const spans = lines.map((line) => { const size = [...line].length; const span = `${place} ${place + size}`; place += size + 1; return span; });
    return `T${number + 1}\t${entity.label.replaceAll(/\s/g, "_")} ${spans.join(";")}\t${entity.text.replaceAll("\n", " ")}\n`;
  }).join("");
}

function redacted(one) {
  let text = "", done = 0;
  for (const entity of one.entities.filter(isOn)) {
    text += `${one.text.slice(done, entity.start)}[${entity.label}]`;
    done = entity.end;
  }
  return text + one.text.slice(done);
}

const makers = {
  jsonl: (one) => [["names.jsonl", `${JSON.stringify({ text: one.text, entities: kept(one) })}\n`]],
  csv: (one) => [["names.csv", ["start,end,label,text,score", ...kept(one).map((entity) =>
    [entity.start, entity.end, entity.label, entity.text, entity.score].map(cell).join(","))].join("\r\n") + "\r\n"]],
  brat: (one) => [["names.txt", one.text], ["names.ann", brat(one)]],
  redacted: (one) => [["redacted.txt", redacted(one)]],
};

function download(format) {
  const one = found[Math.max(0, at("which").selectedIndex)];
  for (const [name, content] of makers[format](one)) {
    const link = element("a", null, { href: URL.createObjectURL(new Blob([content], { type: "text/plain;charset=utf-8" })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

async function take(file) {
  if (!file) return;
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    at("text").value = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    await ask();
  } catch {
    say(`${file.name} is no text in UTF-8`, true);
  }
}

at("ask").addEventListener("submit", ask);
at("text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask(event); });
at("file").addEventListener("change", (event) => take(event.target.files[0]));
at("clear").addEventListener("click", () => { at("text").value = ""; at("found").hidden = true; say(""); at("text").focus(); });
at("least").addEventListener("input", filter);
at("found").addEventListener("click", (event) => { const format = event.target.dataset?.format; if (format) download(format); });
document.addEventListener("dragover", (event) => { event.preventDefault(); at("text").classList.add("over"); });
document.addEventListener("dragleave", () => at("text").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("text").classList.remove("over");
  const file = event.dataTransfer.files[0];
  if (file) take(file);
  else { at("text").value = event.dataTransfer.getData("text"); ask(); }
});
at("key").addEventListener("change", () => loadModels().then(() => say("")).catch((error) => say(error.message, true)));
loadModels().catch((error) => say(error.message, true));
