// The page: hears what the gateway tells, and shows it.

import { Board } from "./board.js";
import { Cards, age, element } from "./cards.js";
import { drawErrors, drawFeed } from "./feed.js";
import { Session, ask } from "./session.js";
import { many, stateOf, stateWord, time, verdict, workState, workWords } from "./words.js";

/** Who has heard nothing for so long has lost the connection: something comes every two seconds. */
const SILENCE = 5000;
const byId = (id) => document.getElementById(id);

const board = new Board();
const cards = new Cards(byId("pools"), byId("nothing"), openBackend);
const session = new Session(drawSession);

let heard = 0;
let asked = performance.now();
let source = null;
let refused = "";
let mayAsk = true;
let linkState = "";
let isDue = false;
let lastEvent = -1;
let errorsShown = -1;
let spoken = "";
let open = null;

// ---- What the gateway tells.

function listen() {
  source?.close();
  source = null;
  // A browser has six connections for a gateway: those that nobody looks at are for others.
  if (document.hidden) return;
  asked = performance.now();
  source = new EventSource("/v1/watch");
  source.addEventListener("whole", (event) => take(event, true));
  source.addEventListener("change", (event) => take(event, false));
  source.addEventListener("error", async ({ target }) => {
    drawLink();
    // By itself it tries again only where the connection broke.
    if (target.readyState !== EventSource.CLOSED) return;
    refused = await whyNot();
    drawLink();
    setTimeout(() => { if (target === source) listen(); }, 2000);
  });
}

/** Why one may not look on, in words; asks for the token where that is missing. */
async function whyNot() {
  if (!await session.look()) {
    if (!mayAsk) return "Sign in to look on";
    mayAsk = false;
    askForToken();
    return "Sign in to look on";
  }
  const stop = new AbortController();
  try {
    const answer = await fetch("/v1/watch", { signal: stop.signal });
    if (answer.ok) return "";
    const told = await answer.json();
    return `${told.title}: ${told.detail}`;
  } catch {
    return "";
  } finally {
    stop.abort();
  }
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) { source?.close(); source = null; document.title = "Idleway"; return; }
  heard = 0;
  drawLink();
  listen();
});

function take(event, isWhole) {
  heard = performance.now();
  refused = "";
  board.take(JSON.parse(event.data), isWhole);
  // It may be another process now, which does not know who had signed in.
  if (isWhole) {
    lastEvent = -1; errorsShown = -1;
    session.look();
    // What was asked before may not be what is meant now.
    if (open?.order) { open.order = null; byId("backend-outcome").textContent = "Everything was told anew: look again before you order something."; }
  }
  // Nobody sees more than one picture a frame; a page that is not seen draws nothing.
  if (!isDue) { isDue = true; requestAnimationFrame(draw); }
}

function draw() {
  isDue = false;
  const changed = board.takeChanged();
  cards.draw(board, changed);
  drawVerdict();
  const newest = board.events.at(-1)?.number ?? 0;
  if (newest !== lastEvent) { lastEvent = newest; drawFeed(byId("feed"), byId("feed-empty"), board.events); }
  if (board.errors !== errorsShown) lookAtErrors();
  if (board.gateway) {
    const { address, version, started_unix_seconds: started } = board.gateway;
    byId("where").textContent = `${address ?? "embedded"}, version ${version}, up for ${time(board.now() - started)}`;
  }
  drawLink();
  if (open) drawBackend();
}

function drawVerdict() {
  const said = verdict(board);
  const gateway = board.gateway;
  let { kind, text, details } = said;
  if (gateway && !gateway.ready && gateway.reasons.includes("draining")) { kind = "draining"; text = `The gateway is stopping; ${text.charAt(0).toLowerCase()}${text.slice(1)}`; }
  if (gateway?.reloads.trouble) details += "; the last reload failed, and what was in force stays";
  byId("verdict").textContent = text;
  byId("verdict").dataset.kind = kind;
  byId("details").textContent = details;
  if (linkState === "live") document.title = kind === "well" ? "Idleway: all is well" : `Idleway: ${text}`;
  // Whoever listens is told of turns, not of each request.
  if (kind !== spoken) { byId("spoken").textContent = text; spoken = kind; }
}

let looking = false;
async function lookAtErrors() {
  if (looking) return;
  looking = true;
  errorsShown = board.errors;
  try {
    const answer = await ask("GET", "/v1/errors");
    if (answer.ok) drawErrors(byId("errors"), byId("errors-empty"), byId("errors-count"), answer.told);
  } catch { /* shown at the next change */ }
  // A flood of them is looked at now and then.
  setTimeout(() => { looking = false; if (board.errors !== errorsShown) lookAtErrors(); }, 1000);
}

function drawLink() {
  // Nobody sees it, and there is nothing to hear.
  if (document.hidden) return;
  const silent = performance.now() - (heard || asked);
  const isLost = silent > SILENCE || (heard > 0 && source?.readyState !== EventSource.OPEN);
  const state = refused ? "refused" : isLost ? "lost" : heard === 0 ? "waiting" : "live";
  const words = { waiting: "Connecting", live: "Live", refused, lost: `No connection for ${time(Math.max(1, silent / 1000))}, trying again` }[state];
  const link = byId("link");
  if (link.dataset.state !== state) link.dataset.state = state;
  if (link.textContent !== words) link.textContent = words;
  // What was told before this tab was looked at again is old as well.
  document.body.classList.toggle("stale", state === "lost" || (state === "waiting" && board.gateway !== null));
  if (state === linkState) return;
  const before = linkState;
  linkState = state;
  // Whoever does not see it is told of the turn.
  if (state === "lost") { document.title = "Idleway: no connection"; byId("spoken").textContent = "No connection to the gateway: what is shown is old."; }
  if (state === "refused") byId("spoken").textContent = refused;
  if (state === "live") { if (before === "lost") byId("spoken").textContent = "The gateway is there again."; if (board.gateway) drawVerdict(); }
}

setInterval(() => {
  drawLink();
  if (document.body.classList.contains("stale") || document.hidden) return;
  const now = board.now();
  for (const span of document.querySelectorAll("[data-since]")) {
    const words = time(now - Number(span.dataset.since));
    if (span.textContent !== words) span.textContent = words;
  }
}, 1000);

// ---- A backend, and what is ordered of it.

const ORDERS = {
  drain: { does: "Drain", asks: (name) => `Drain ${name}? It gets no new requests; what runs is finished.` },
  maintenance: { does: "Take out", asks: (name) => `Take ${name} out? It gets neither requests nor probes; what runs is finished.` },
  ready: { does: "Bring back", asks: (name) => `Bring ${name} back? It gets requests again.` },
};

function openBackend(pool, name) {
  open = { pool, name, order: null, sending: null };
  byId("backend-outcome").textContent = "";
  drawBackend();
  byId("backend").showModal();
}

/** By its name: another process knows it by another key. */
function opened() {
  const named = [...board.backends.get(open.pool)?.values() ?? []].filter((backend) => backend.name === open.name);
  return named.find((backend) => !backend.removed) ?? named[0];
}

function drawBackend() {
  const backend = opened();
  byId("backend-title").textContent = `${open.pool}/${open.name}`;
  if (!backend || backend.removed) open.order = null;
  drawOrders(backend);
  if (!backend) { byId("backend-state").textContent = "It is gone."; byId("backend-work").replaceChildren(); return; }
  const { all, idle, busy, lingering, resting } = backend.slots;
  const state = [stateWord(stateOf(backend))];
  if (backend.mode !== "ready" && backend.health === "down") state.push("down");
  if (backend.health === "down") state.push(...[backend.cause, backend.fault].filter(Boolean));
  byId("backend-state").textContent = `${state.join(", ")}. ${many(all, "slot")}: ${idle} idle, ${busy} busy, ${lingering} lingering, ${resting} resting.`;
  const works = [...backend.work].sort((a, b) => a.since_unix_seconds - b.since_unix_seconds);
  byId("backend-work").replaceChildren(...works.map((work) => {
    const item = element("li");
    const about = [work.client ? `from ${work.client}` : "", work.key ? `key ${work.key}` : "", workState(work), work.id ? `id ${work.id}` : ""].filter(Boolean).join(", ");
    item.append(`${workWords(work)} `, age(work.since_unix_seconds, board.now()), about ? `, ${about}` : "");
    return item;
  }), ...(backend.work_left_out > 0 ? [Object.assign(element("li", "quiet"), { textContent: `and ${backend.work_left_out} more` })] : []));
}

function drawOrders(backend) {
  for (const button of document.querySelectorAll("[data-order]")) {
    const isNow = !backend || backend.removed || button.dataset.order === backend.mode;
    button.hidden = open.order !== null || open.sending !== null || isNow;
    button.disabled = !session.mayChange;
    button.title = session.mayChange ? "" : "Sign in to change something";
  }
  const question = open.order ? ORDERS[open.order].asks(open.name) : "";
  if (byId("backend-question").textContent !== question) byId("backend-question").textContent = question;
  const yes = byId("backend-yes");
  yes.hidden = open.order === null;
  yes.textContent = open.order ? `Yes: ${ORDERS[open.order].does.toLowerCase()}` : "";
  byId("backend-close").textContent = open.order ? "Cancel" : "Close";
}

for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => { open.order = button.dataset.order; drawBackend(); byId("backend-yes").focus(); });
}

byId("backend-yes").addEventListener("click", async () => {
  const asked = open;
  // A second click orders nothing.
  if (!asked?.order || asked.sending) return;
  const order = asked.order;
  [asked.order, asked.sending] = [null, new AbortController()];
  byId("backend-outcome").textContent = "Sending";
  drawBackend();
  byId("backend-close").focus();
  const path = `/v1/pools/${encodeURIComponent(asked.pool)}/backends/${encodeURIComponent(asked.name)}/mode`;
  const answer = await ask("PUT", path, { mode: order }, asked.sending.signal).catch(() => null);
  asked.sending = null;
  if (answer?.status === 401) session.look();
  const refusal = answer?.status === 401 ? "The session is over: sign in again." : `${answer?.told.title ?? "That did not work"}: ${answer?.told.detail ?? ""}`;
  // It may be about another one by now.
  if (open !== asked) return;
  byId("backend-outcome").textContent = !answer ? "No answer came: look whether it was done before you order it again."
    : answer.ok ? "Done; the log says so too." : refusal;
  drawBackend();
});

byId("backend").addEventListener("close", () => {
  // What was not sent yet is not sent any more.
  open?.sending?.abort();
  open = null;
  // Its card may be gone.
  if (document.activeElement === document.body) byId("find").focus();
});
byId("backend-close").addEventListener("click", (event) => {
  if (open?.order) { event.preventDefault(); open.order = null; drawBackend(); }
});

// ---- Signing in.

function drawSession() {
  const button = byId("sign");
  const readOnly = session.isOver ? "The session is over: sign in" : "Read only: sign in";
  button.textContent = session.mayChange ? "Sign out" : session.hasToken ? readOnly : "Read only: there is no token";
  if (session.isOver) byId("spoken").textContent = "The session is over, as after a new start of the gateway: sign in again to change something.";
  button.disabled = !session.hasToken;
  if (open) drawBackend();
}

function askForToken(trouble = "") {
  if (trouble || !byId("signing").open) byId("signing-outcome").textContent = trouble;
  if (!byId("signing").open) byId("signing").showModal();
}

byId("sign").addEventListener("click", () => { session.mayChange ? session.close() : askForToken(); });
byId("signing-cancel").addEventListener("click", () => byId("signing").close());
byId("signing-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const trouble = await session.open(byId("token").value.trim());
  if (trouble) { askForToken(trouble); return; }
  byId("token").value = "";
  byId("signing").close();
  refused = "";
  mayAsk = true;
  listen();
});

// ---- Finding.

function filter() {
  cards.filter(byId("find").value, byId("problems").getAttribute("aria-pressed") === "true");
  cards.draw(board, { all: false, backends: new Set(), pools: new Set() });
}
byId("find").addEventListener("input", filter);
byId("problems").addEventListener("click", () => {
  byId("problems").setAttribute("aria-pressed", String(byId("problems").getAttribute("aria-pressed") !== "true"));
  filter();
});
addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) { event.preventDefault(); byId("find").focus(); }
});

// The address that was printed, put into a tab that shows the page already.
addEventListener("hashchange", async () => {
  const trouble = await session.begin();
  if (trouble) askForToken(trouble); else if (byId("signing").open && session.mayChange) byId("signing").close();
});

const trouble = await session.begin();
if (trouble) { mayAsk = false; askForToken(trouble); }
listen();
