// Pools and their backends.

import { drawCharts, makeCharts } from "./charts.js";
import { facts, lately, many, number, rank, stateOf, stateWord, time, workState, workWords } from "./words.js";

/** More backends than this are shown small. */
const FEW = 24;
/** So many cells and waiting people are drawn, the others are a number; and the work of so many slots is told beside them. */
const CELLS = 32, PEOPLE = 30, ROWS = 3;
let sections = 0;

export class Cards {
  constructor(root, nothing, open) {
    Object.assign(this, { root, nothing, open, pools: new Map(), order: "", find: "", onlyProblems: false });
  }

  filter(find, onlyProblems) {
    this.find = find.trim().toLowerCase();
    this.onlyProblems = onlyProblems;
  }

  draw(board, changed) {
    for (const [name, drawn] of this.pools) if (!board.pools.has(name)) { drawn.section.remove(); this.pools.delete(name); }
    let shown = 0;
    const states = new Map();
    for (const name of board.pools.keys()) {
      const isNew = !this.pools.has(name);
      const drawn = this.pools.get(name) ?? this.makePool(name);
      const state = board.stateOfPool(name);
      states.set(name, state);
      if (isNew || changed.all || changed.pools.has(name)) this.drawPool(drawn, board, name, state);
      // It grows old by itself.
      const words = lately(state);
      if (drawn.lately.textContent !== words) drawn.lately.textContent = words;
      shown += this.drawBackends(drawn, board, name, changed, state) ? 1 : 0;
    }
    this.sortPools(states);
    this.nothing.hidden = shown > 0 || board.pools.size === 0;
  }

  /** Those with something wrong first, the others by their names. */
  sortPools(states) {
    const place = (name) => {
      const { down, refused, failed, out, isLined } = states.get(name);
      return down > 0 ? 0 : refused + failed > 0 ? 1 : out > 0 ? 2 : isLined ? 3 : 4;
    };
    const names = [...this.pools.keys()].sort((a, b) => place(a) - place(b) || a.localeCompare(b, "en", { numeric: true }));
    const order = names.join(" ");
    if (order === this.order) return;
    this.order = order;
    keepingFocus(this.root, () => this.root.append(...names.map((name) => this.pools.get(name).section)));
  }

  makePool(name) {
    const section = element("section", "pool");
    section.dataset.pool = name;
    const head = element("div", "pool-head"), title = element("h2"), facts = element("p", "quiet"), lately = element("p", "lately");
    title.textContent = name;
    title.id = `pool-${sections += 1}`;
    section.setAttribute("aria-labelledby", title.id);
    head.append(title, facts, lately);
    const line = element("div", "line"), people = element("span", "people"), words = element("span", "words");
    people.setAttribute("aria-hidden", "true");
    line.append(people, words);
    const charts = element("div", "charts"), list = element("ul", "backends");
    section.append(head, line, charts, list);
    this.root.append(section);
    const drawn = { section, facts, lately, people, words, charts: makeCharts(charts), list, cards: new Map(), order: "" };
    this.pools.set(name, drawn);
    return drawn;
  }

  drawPool(drawn, board, name, state) {
    const pool = board.pools.get(name);
    const { queue, estimate } = pool;
    const left = pool.slots.busy + pool.slots.lingering;
    drawn.facts.textContent = pool.leaving ? `leaving: ${many(left, "request")} at work still` : facts(state);
    const count = Math.min(queue.waiting, PEOPLE);
    while (drawn.people.childElementCount > count) drawn.people.lastElementChild.remove();
    while (drawn.people.childElementCount < count) drawn.people.append(document.createElement("i"));
    let words = queue.length === 0 ? "No line: who finds no idle slot is refused at once" : "Nobody waits in line";
    if (queue.waiting > 0) {
      words = `${queue.waiting.toLocaleString("en")} of ${queue.length.toLocaleString("en")} in line wait`;
      if (queue.longest_wait_seconds !== null) words += `, the oldest for ${time(queue.longest_wait_seconds)}`;
    }
    if (estimate.wait_seconds !== null && queue.length > 0) words += `; a newcomer waits about ${time(estimate.wait_seconds)}`;
    drawn.words.textContent = words;
    drawCharts(drawn.charts, board.points.get(name) ?? [], pool);
  }

  /** Answers whether there is something of the pool to be seen. */
  drawBackends(drawn, board, name, changed, { refused, failed, isLined }) {
    const all = board.backends.get(name) ?? new Map();
    drawn.list.classList.toggle("many", all.size > FEW);
    for (const [key, card] of drawn.cards) if (!all.has(key)) { card.item.remove(); drawn.cards.delete(key); }
    let shown = 0;
    for (const [key, backend] of all) {
      const isNew = !drawn.cards.has(key);
      const card = drawn.cards.get(key) ?? this.makeCard(drawn, name, key);
      if (isNew || changed.all || changed.backends.has(`${name}\n${key}`)) drawCard(card, backend, board.now(), board.downSince(name, backend));
      const isShown = this.isShown(backend, name);
      if (card.item.hidden === isShown) card.item.hidden = !isShown;
      shown += isShown ? 1 : 0;
    }
    this.sort(drawn, all);
    const isProblem = this.onlyProblems && !this.find && (refused + failed > 0 || isLined);
    const hides = shown === 0 && (this.onlyProblems || this.find !== "") && !isProblem;
    if (drawn.section.hidden !== hides) drawn.section.hidden = hides;
    return !hides;
  }

  isShown(backend, pool) {
    if (this.onlyProblems && rank(backend) === 3) return false;
    if (!this.find) return true;
    const texts = [backend.name, pool, stateWord(stateOf(backend)), ...backend.work.map((work) => `${work.method ?? ""} ${work.route ?? ""} ${work.client ?? ""} ${work.key ?? ""}`)];
    return texts.some((text) => text.toLowerCase().includes(this.find));
  }

  /** Problems first. Only what is wrong moves a card: one that is busy stays where it is. */
  sort(drawn, all) {
    const place = (backend) => Math.min(rank(backend), 2);
    const keys = [...all.keys()].sort((a, b) => place(all.get(a)) - place(all.get(b)) || all.get(a).name.localeCompare(all.get(b).name, "en", { numeric: true }));
    const order = keys.join(" ");
    if (order === drawn.order) return;
    drawn.order = order;
    keepingFocus(drawn.list, () => drawn.list.append(...keys.map((key) => drawn.cards.get(key).item)));
  }

  makeCard(drawn, pool, key) {
    const item = element("li", "card");
    const head = element("button", "card-head"), name = element("span", "name"), state = element("span", "state");
    head.type = "button";
    head.append(name, state);
    const first = element("span", "first"), last = element("span", "last");
    name.append(first, last);
    const cells = element("div", "cells"), work = element("div", "work");
    cells.setAttribute("role", "img");
    item.append(head, cells, work);
    drawn.list.append(item);
    const card = { item, head, first, last, state, cells, work, backend: null, places: new Map() };
    head.addEventListener("click", () => this.open(pool, card.backend));
    drawn.cards.set(key, card);
    return card;
  }
}

/** What moves keeps the focus that it has. */
function keepingFocus(root, move) {
  const focused = document.activeElement;
  move();
  if (focused && root.contains(focused)) focused.focus({ preventScroll: true });
}

function drawCard(card, backend, now, downSince) {
  const state = stateOf(backend);
  if (card.backend !== backend.name) {
    // What tells one from the next is at the end, and is never cut off.
    const at = backend.name.lastIndexOf(":");
    card.first.textContent = at < 0 ? backend.name : backend.name.slice(0, at);
    card.last.textContent = at < 0 ? "" : backend.name.slice(at);
    card.head.title = card.backend = backend.name;
  }
  const word = stateWord(state);
  card.item.dataset.backend = backend.name;
  card.item.dataset.state = state;
  card.state.textContent = word;
  if (state === "down" && downSince !== null) card.state.append(" ", age(downSince, now));
  drawCells(card, backend);
  const rows = Math.min(ROWS, Math.max(1, backend.slots.all));
  card.work.style.setProperty("--rows", rows);
  card.work.classList.toggle("why", state === "down");
  const works = [...backend.work].sort((a, b) => a.since_unix_seconds - b.since_unix_seconds);
  const told = works.map((work) => {
    const row = element("p");
    row.append(`${workWords(work)} `, age(work.since_unix_seconds, now));
    const rest = [work.state === "busy" ? "" : workState(work), work.key && `key ${work.key}`, work.client && `from ${work.client}`].filter(Boolean).join(", ");
    if (rest) row.append(Object.assign(element("span", "quiet"), { textContent: ` ${rest}` }));
    row.title = workTitle(work);
    return row;
  });
  if (state === "down") {
    const why = element("p");
    why.textContent = (backend.fault ?? backend.cause ?? "").replace(/^connect failed: | \(os error \d+\)/g, "");
    why.title = [backend.cause, backend.fault].filter(Boolean).join(": ");
    told.unshift(why);
  } else if (told.length === 0 && backend.elsewhere > 0) {
    told.push(Object.assign(element("p"), { textContent: `${backend.elsewhere} at work for another pool or process` }));
  }
  const left = told.length - rows + backend.work_left_out;
  if (left > 0) told.splice(rows - 1, told.length, Object.assign(element("p", "quiet"), { textContent: `and ${left + 1} more` }));
  card.work.replaceChildren(...told);
}

function workTitle(work) {
  return [workWords(work), work.client && `from ${work.client}`, work.key && `key ${work.key}`, workState(work)].filter(Boolean).join(", ");
}

/** A cell for each slot, and what is at work stays in its own. Of many slots each cell stands for several. */
function drawCells(card, backend) {
  const root = card.cells;
  const { all, idle, busy, lingering, resting } = backend.slots;
  const counts = { busy, lingering, resting, [backend.health === "down" ? "down" : "idle"]: idle };
  const works = [];
  let states = [];
  if (all <= CELLS) {
    // By the place of its slot in the pool, as long as that is taken.
    const places = new Map();
    for (const work of backend.work) if (card.places.has(work.slot)) places.set(work.slot, card.places.get(work.slot));
    const taken = new Set(places.values());
    for (const work of backend.work) {
      if (!places.has(work.slot)) { let nth = 0; while (taken.has(nth)) nth += 1; taken.add(nth); places.set(work.slot, nth); }
      const nth = places.get(work.slot), state = work.state === "busy" || work.state === "lingering" ? work.state : "resting";
      states[nth] = state; works[nth] = work; counts[state] -= 1;
    }
    card.places = places;
  }
  let nth = 0;
  for (const [state, count] of Object.entries(counts)) {
    const share = all <= CELLS ? count : Math.ceil(count / all * CELLS - 0.5) || Math.sign(count);
    for (let left = share; left > 0; left -= 1) { while (states[nth]) nth += 1; states[nth] = state; }
  }
  states = [...states].filter(Boolean);
  states = states.slice(0, CELLS);
  const spare = root.querySelector(".more");
  const cells = [...root.querySelectorAll(".cell")];
  while (cells.length > states.length) cells.pop().remove();
  states.forEach((state, nth) => {
    const cell = cells[nth] ?? root.insertBefore(element("span", "cell"), spare);
    if (cell.dataset.state !== state) cell.dataset.state = state;
    cell.title = works[nth] ? workTitle(works[nth]) : "";
  });
  if (all > CELLS) (spare ?? root.appendChild(element("b", "more"))).textContent = `${number(busy)} of ${many(all, "slot")} busy`;
  else spare?.remove();
  root.setAttribute("aria-label", `${many(all, "slot")}: ${idle} idle, ${busy} busy, ${lingering} lingering, ${resting} resting`);
}

/** For how long, going on by itself. */
export function age(since, now) {
  const span = element("span", "age");
  span.dataset.since = since;
  span.textContent = time(now - since);
  return span;
}

export function element(name, kind) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  return made;
}
