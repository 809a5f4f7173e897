// Pools and their backends.

import { drawCharts, makeCharts } from "./charts.js";
import { facts, many, number, rank, stateOf, stateWord, time, workState, workWords } from "./words.js";

/** More backends than this are shown small. */
const FEW = 24;
/** So many cells and waiting people are drawn, the others are a number. */
const CELLS = 32, PEOPLE = 40;
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
    for (const name of board.pools.keys()) {
      const isNew = !this.pools.has(name);
      const drawn = this.pools.get(name) ?? this.makePool(name);
      if (isNew || changed.all || changed.pools.has(name)) this.drawPool(drawn, board, name);
      shown += this.drawBackends(drawn, board, name, changed);
    }
    this.sortPools(board);
    this.nothing.hidden = shown > 0 || board.pools.size === 0;
  }

  /** Those with something down first, the others by their names. */
  sortPools(board) {
    const place = (name) => Math.min(2, ...[...(board.backends.get(name)?.values() ?? [])].map(rank));
    const names = [...this.pools.keys()].sort((a, b) => place(a) - place(b) || a.localeCompare(b, "en", { numeric: true }));
    const order = names.join(" ");
    if (order === this.order) return;
    this.order = order;
    keepingFocus(this.root, () => this.root.append(...names.map((name) => this.pools.get(name).section)));
  }

  makePool(name) {
    const section = element("section", "pool");
    section.dataset.pool = name;
    const head = element("div", "pool-head"), title = element("h2"), facts = element("p", "quiet");
    title.textContent = name;
    title.id = `pool-${sections += 1}`;
    section.setAttribute("aria-labelledby", title.id);
    head.append(title, facts);
    const line = element("div", "line"), people = element("span", "people"), words = element("span", "words");
    people.setAttribute("aria-hidden", "true");
    line.append(people, words);
    const charts = element("div", "charts"), list = element("ul", "backends");
    section.append(head, line, charts, list);
    this.root.append(section);
    const drawn = { section, facts, people, words, charts: makeCharts(charts), list, cards: new Map(), order: "" };
    this.pools.set(name, drawn);
    return drawn;
  }

  drawPool(drawn, board, name) {
    const pool = board.pools.get(name);
    const { slots, queue, estimate } = pool;
    const backends = [...(board.backends.get(name)?.values() ?? [])];
    drawn.facts.textContent = facts(pool.up, pool.backends, slots, backends) + (pool.leaving ? ", leaving: it finishes its work" : "");
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

  /** Answers how many there are to be seen. */
  drawBackends(drawn, board, name, changed) {
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
    const hides = all.size > 0 && shown === 0;
    if (drawn.section.hidden !== hides) drawn.section.hidden = hides;
    return shown;
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
    head.addEventListener("click", () => this.open(pool, key));
    const cells = element("div", "cells"), work = element("p", "work");
    cells.setAttribute("role", "img");
    item.append(head, cells, work);
    drawn.list.append(item);
    const card = { item, name, state, cells, work };
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
  if (card.name.textContent !== backend.name) card.name.textContent = backend.name;
  const word = stateWord(state);
  card.item.dataset.backend = backend.name;
  card.item.dataset.state = state;
  card.state.textContent = word;
  if (state === "down" && downSince !== null) card.state.append(" ", age(downSince, now));
  drawCells(card.cells, backend);
  const oldest = backend.work.reduce((old, work) => !old || work.since_unix_seconds < old.since_unix_seconds ? work : old, null);
  card.work.classList.toggle("why", state === "down");
  card.work.replaceChildren();
  if (state === "down") {
    card.work.append((backend.fault ?? backend.cause ?? "").replace(/^connect failed: | \(os error \d+\)/g, ""));
    card.work.title = [backend.cause, backend.fault].filter(Boolean).join(": ");
  } else if (oldest) {
    card.work.append(`${workWords(oldest)} `, age(oldest.since_unix_seconds, now));
    if (oldest.key) card.work.append(` key ${oldest.key}`);
    card.work.title = [workWords(oldest), oldest.client && `from ${oldest.client}`, oldest.key && `key ${oldest.key}`, workState(oldest)].filter(Boolean).join(", ");
  } else {
    card.work.title = "";
    if (backend.elsewhere > 0) card.work.append(`${backend.elsewhere} at work for another pool or process`);
  }
}

/** A cell for each slot: first what is taken, in the order of the slots' places. Of many slots each cell stands for several. */
function drawCells(root, backend) {
  const { all, idle, busy, lingering, resting } = backend.slots;
  const counts = { busy, lingering, resting, [backend.health === "down" ? "down" : "idle"]: idle };
  let states = [];
  if (all <= CELLS) {
    for (const work of backend.work) states.push(work.state === "busy" || work.state === "lingering" ? work.state : "resting");
    for (const state of states) counts[state] -= 1;
  }
  for (const [state, count] of Object.entries(counts)) {
    const share = all <= CELLS ? count : Math.ceil(count / all * CELLS - 0.5) || Math.sign(count);
    for (let nth = 0; nth < share; nth += 1) states.push(state);
  }
  states = states.slice(0, CELLS);
  const spare = root.querySelector(".more");
  const cells = [...root.querySelectorAll(".cell")];
  while (cells.length > states.length) cells.pop().remove();
  states.forEach((state, nth) => {
    const cell = cells[nth] ?? root.insertBefore(element("span", "cell"), spare);
    if (cell.dataset.state !== state) cell.dataset.state = state;
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
