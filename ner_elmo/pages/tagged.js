"use strict";
// The page of tagged texts. Its pages of text stand in <noscript>, where they cost no more than their characters: one at
// a time is shown. What it writes as HTML was escaped when the file was written; everything else is set as text.
(() => {
  const get = (id) => document.getElementById(id);
  const make = (name, words, className) => {
    const element = document.createElement(name);
    if (words !== undefined) element.textContent = words;
    if (className) element.className = className;
    return element;
  };
  const parts = [...document.querySelectorAll("noscript.part")].map((holder) => {
    const html = holder.textContent;
    holder.remove();
    return html;
  });
  // The legend by the labels' numbers; it stands in the order of their counts.
  const legend = [...document.querySelectorAll("#labels li")];
  legend.sort((a, b) => a.querySelector("input").dataset.l - b.querySelector("input").dataset.l);
  const boxes = legend.map((row) => row.querySelector("input"));
  const counts = legend.map((row) => row.querySelector(".count"));
  const names = legend.map((row) => row.querySelector(".chip").textContent);
  const text = get("text"), places = get("places"), page = get("page"), least = get("least");
  const MOST_PLACES = 100; // listed at a time
  const AROUND = 50; // characters shown on either side of a place
  const SLICE = 40; // milliseconds of work before the browser may do something else
  let at = 0;
  let opener = null;
  let search = null; // the list that is being filled

  document.documentElement.classList.add("on");
  if (matchMedia("(max-width: 50rem)").matches) document.querySelectorAll("aside details").forEach((d) => (d.open = false));

  // White space as the program that wrote the counts folds it.
  const folded = (words) => words.replace(/[ \t\n\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g, " ").trim();
  const number = (n) => n.toLocaleString("en");
  const say = (words) => (get("status").textContent = words);

  // Which entities are shown ---------------------------------------------------------------------------------------

  const threshold = () => (least ? Math.round(100 * least.value) : 0);
  const isShown = (label, p) => boxes[label].checked && !(p >= 0 && p < threshold());
  const ofMark = (mark) => [+mark.dataset.l, "p" in mark.dataset ? +mark.dataset.p : -1];

  let all = null; // of every entity: its label and its probability
  const index = () => {
    if (all) return all;
    const labels = [], scores = [];
    const opening = /<mark class=k\d+ data-l=(\d+)(?: data-p=(\d+))?( data-x)?>/g;
    for (const html of parts) {
      for (const found of html.matchAll(opening)) {
        if (found[3]) continue; // the second piece of one that crosses another
        labels.push(+found[1]);
        scores.push(found[2] === undefined ? -1 : +found[2]);
      }
    }
    all = { labels: Uint32Array.from(labels), scores: Int32Array.from(scores) };
    return all;
  };

  const count = () => {
    if (!threshold()) return counts.forEach((cell) => (cell.textContent = cell.dataset.all));
    const { labels, scores } = index();
    const left = new Array(counts.length).fill(0);
    for (let i = 0; i < labels.length; i++) if (scores[i] < 0 || scores[i] >= threshold()) left[labels[i]]++;
    counts.forEach((cell, label) => (cell.textContent = `${number(left[label])} of ${cell.dataset.all}`));
  };

  const choose = (mark) => {
    const before = text.querySelector("mark[tabindex='0']");
    if (before) before.tabIndex = -1;
    if (mark) mark.tabIndex = 0;
  };

  const apply = () => {
    let shown = 0, total = 0;
    for (const mark of text.querySelectorAll("mark")) {
      const isOn = isShown(...ofMark(mark));
      mark.classList.toggle("off", !isOn);
      mark.tabIndex = -1;
      if (isOn) mark.setAttribute("role", "button");
      else mark.removeAttribute("role");
      total += 1;
      shown += isOn;
    }
    for (const unit of text.querySelectorAll(".u")) {
      unit.hidden = get("only").checked && !unit.querySelector("mark:not(.off)");
    }
    choose(text.querySelector("mark:not(.off)"));
    return `page ${number(at + 1)} of ${number(parts.length)}: ${number(shown)} of ${number(total)} entities shown`;
  };

  const filter = () => {
    if (least) get("least-shown").textContent = `${least.value} %`;
    count();
    say(apply());
  };

  // One page of text -----------------------------------------------------------------------------------------------

  const show = (n) => {
    at = Math.max(0, Math.min(parts.length - 1, n));
    text.innerHTML = parts[at] || "";
    page.value = at + 1;
    for (const [id, isEnd] of [["first", at === 0], ["before", at === 0], ["after", at >= parts.length - 1],
      ["last", at >= parts.length - 1], ["before-below", at === 0], ["after-below", at >= parts.length - 1]]) {
      get(id).disabled = isEnd;
    }
    const said = apply();
    try {
      history.replaceState(null, "", `#page=${at + 1}`);
    } catch { /* a page without an address of its own */ }
    return said;
  };

  const turn = (n) => {
    say(show(n));
    get("view").scrollIntoView();
  };

  // Where something stands -----------------------------------------------------------------------------------------

  // The text of a unit without its number and the labels, and where its marks are in it.
  const plainOf = (unit) => {
    let words = "";
    const marks = new Map();
    const walk = (node) => {
      for (const child of node.childNodes) {
        if (child.nodeType === Node.TEXT_NODE) words += child.data;
        else if (child.className !== "n" && child.localName !== "small") {
          const start = words.length;
          walk(child);
          if (child.localName === "mark") marks.set(child, [start, words.length]);
        }
      }
    };
    walk(unit);
    return { words, marks };
  };

  const escaped = (words) => {
    const holder = make("i", words);
    return holder.innerHTML.replace(/"/g, "&quot;").replace(/'/g, "&#x27;");
  };
  const MARKUP = /<span class=n[^>]*>[^<]*<\/span>|<small>.*?<\/small>|<[^>]*>/g; // all that is no text
  // The longest piece of some words as it stands between the markup: pages without it need no closer look.
  const sign = (words) => escaped(folded(words).split(" ").sort((a, b) => b.length - a.length)[0]).toLowerCase();

  function* everywhere(found, needle) {
    const holder = document.createElement("template");
    const parsed = (html) => {
      holder.innerHTML = html;
      return holder.content.firstElementChild;
    };
    for (let part = 0; part < parts.length; part++) {
      let heading = "";
      let unit = -1;
      for (const html of parts[part].split(/(?=<p class=u |<h2 class=f )/)) {
        if (html.startsWith("<h2")) heading = html;
        if (!html.startsWith("<p")) continue;
        unit += 1;
        if (needle && !html.replace(MARKUP, "").toLowerCase().includes(needle)) continue;
        for (const hit of found(parsed(html))) yield { part, unit, heading, ...hit };
      }
      yield null; // a page is done
    }
  }

  const lineOf = (unit) => {
    const line = unit.querySelector(".n");
    return line ? line.textContent : "";
  };

  const hitsOfMarks = (isWanted) => function* (unit) {
    const marks = [...unit.querySelectorAll("mark")];
    let plain = null;
    for (let i = 0; i < marks.length; i++) {
      if ("x" in marks[i].dataset) continue;
      plain = plain || plainOf(unit);
      const [start, end] = plain.marks.get(marks[i]);
      if (isWanted(marks[i], plain.words.slice(start, end))) yield { words: plain.words, line: lineOf(unit), start, end, mark: i };
    }
  };

  const hitsOfWords = (words) => {
    const escapedWords = words.split(" ").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    const pattern = new RegExp(escapedWords.join("\\s+"), "giu");
    return function* (unit) {
      const plain = plainOf(unit).words;
      for (const found of plain.matchAll(pattern)) {
        yield { words: plain, line: lineOf(unit), start: found.index, end: found.index + found[0].length, mark: -1 };
      }
    };
  };

  const go = (hit) => {
    show(hit.part);
    const unit = text.querySelectorAll(".u")[hit.unit];
    unit.hidden = false;
    if (hit.mark >= 0) {
      const mark = unit.querySelectorAll("mark")[hit.mark];
      choose(mark);
      mark.focus({ preventScroll: true });
      mark.scrollIntoView({ block: "center" });
      return;
    }
    unit.tabIndex = -1;
    unit.focus({ preventScroll: true });
    const range = rangeOf(unit, hit.start, hit.end);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    (range.startContainer.parentElement || unit).scrollIntoView({ block: "center" });
  };

  const rangeOf = (unit, start, end) => {
    const range = document.createRange();
    const walker = document.createTreeWalker(unit, NodeFilter.SHOW_TEXT);
    let done = 0;
    range.selectNodeContents(unit);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (node.parentElement.closest(".n, small")) continue;
      const next = done + node.data.length;
      if (start >= done && start < next) range.setStart(node, start - done);
      if (end > done && end <= next) range.setEnd(node, end - done);
      done = next;
    }
    return range;
  };

  const itemOf = (hit) => {
    const item = make("li"), button = make("button");
    button.type = "button";
    const file = document.createElement("template");
    file.innerHTML = hit.heading;
    const place = [file.content.textContent.trim(), hit.line && `line ${hit.line}`, `page ${number(hit.part + 1)}`];
    button.append(make("span", place.filter(Boolean).join(", "), "place"));
    const words = make("span");
    words.dir = "auto";
    const from = Math.max(0, hit.start - AROUND), to = Math.min(hit.words.length, hit.end + AROUND);
    words.append((from ? "…" : "") + hit.words.slice(from, hit.start), make("b", hit.words.slice(hit.start, hit.end)),
      hit.words.slice(hit.end, to) + (to < hit.words.length ? "…" : ""));
    button.append(words);
    button.addEventListener("click", () => go(hit));
    item.append(button);
    return item;
  };

  const list = (title, found, needle) => {
    const mine = { hits: everywhere(found, needle), shown: 0, waiting: null };
    search = mine;
    opener = document.activeElement;
    get("places-title").textContent = title;
    get("places-list").replaceChildren();
    places.hidden = false;
    get("places-title").focus();
    places.scrollIntoView({ block: "nearest" });
    more(mine);
  };

  const more = async (mine) => {
    get("places-more").hidden = true;
    get("places-count").textContent = "looking …";
    const wanted = mine.shown + MOST_PLACES;
    let since = performance.now();
    let next = mine.waiting;
    mine.waiting = null;
    for (;;) {
      if (next) {
        if (mine.shown >= wanted) break;
        get("places-list").append(itemOf(next));
        mine.shown += 1;
      }
      if (performance.now() - since > SLICE) {
        await new Promise((resolve) => setTimeout(resolve));
        since = performance.now();
        if (search !== mine) return;
      }
      const step = mine.hits.next();
      if (step.done) {
        next = null;
        break;
      }
      next = step.value;
    }
    mine.waiting = next;
    const words = `${number(mine.shown)} ${mine.shown === 1 ? "place" : "places"}`;
    get("places-count").textContent = next ? `the first ${words}` : words;
    get("places-more").hidden = !next;
    say(get("places-count").textContent);
  };

  const close = () => {
    search = null;
    places.hidden = true;
    if (opener && opener.isConnected) opener.focus();
  };

  const listEntity = (label, words) => {
    const isWanted = (mark, found) => +mark.dataset.l === label && folded(found) === words;
    list(`${words} (${names[label]})`, hitsOfMarks(isWanted), sign(words));
  };

  const listShown = () => {
    const isWanted = (mark) => isShown(...ofMark(mark));
    const on = names.filter((_, label) => boxes[label].checked);
    const score = threshold() ? `, at least ${least.value} % probable` : "";
    list(`Entities of ${on.length === names.length ? "all labels" : on.join(", ") || "no label"}${score}`, hitsOfMarks(isWanted), "");
  };

  const listWords = (event) => {
    event.preventDefault();
    const words = folded(get("words").value);
    if (words) list(`“${words}” in the text`, hitsOfWords(words), sign(words));
  };

  // Keys and clicks ------------------------------------------------------------------------------------------------

  const step = (mark, by) => {
    const marks = [...text.querySelectorAll("mark:not(.off)")].filter((one) => !one.closest("[hidden]"));
    const place = marks.indexOf(mark);
    const next = by === "first" ? marks[0] : by === "last" ? marks[marks.length - 1] : marks[place + by];
    if (!next) return;
    choose(next);
    next.focus();
  };

  text.addEventListener("keydown", (event) => {
    const mark = event.target.closest("mark");
    if (!mark || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const forward = getComputedStyle(mark.parentElement).direction === "rtl" ? -1 : 1;
    const moves = { ArrowRight: forward, ArrowLeft: -forward, Home: "first", End: "last" };
    if (event.key in moves) step(mark, moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") mark.click();
    else return;
    event.preventDefault();
  });
  text.addEventListener("focusin", (event) => {
    const mark = event.target.closest("mark:not(.off)");
    if (mark) choose(mark);
  });
  text.addEventListener("click", (event) => {
    const mark = event.target.closest("mark:not(.off)");
    if (!mark || String(getSelection())) return; // whoever marks words wants to copy them
    mark.focus();
    const unit = mark.closest(".u");
    const plain = plainOf(unit);
    listEntity(+mark.dataset.l, folded(plain.words.slice(...plain.marks.get(mark))));
  });
  places.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  for (const [id, action] of [["first", () => turn(0)], ["before", () => turn(at - 1)], ["after", () => turn(at + 1)],
    ["last", () => turn(parts.length - 1)], ["before-below", () => turn(at - 1)], ["after-below", () => turn(at + 1)],
    ["places-more", () => search && more(search)], ["places-close", close], ["list", listShown]]) {
    get(id).addEventListener("click", action);
  }
  page.addEventListener("change", () => turn((parseInt(page.value, 10) || 1) - 1));
  get("search").addEventListener("submit", listWords);
  boxes.forEach((box) => box.addEventListener("change", filter));
  if (least) least.addEventListener("input", filter);
  get("only").addEventListener("change", filter);
  for (const cell of document.querySelectorAll("#frequent td.e")) {
    const button = make("button", cell.textContent);
    button.type = "button";
    button.addEventListener("click", () => listEntity(+cell.dataset.l, cell.textContent));
    cell.replaceChildren(button);
  }
  const ofHash = () => {
    const found = /^#page=(\d+)$/.exec(location.hash);
    return found ? +found[1] - 1 : 0;
  };
  addEventListener("hashchange", () => turn(ofHash()));
  show(ofHash());
})();
