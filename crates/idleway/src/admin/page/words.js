// How things are said.

/** What happened within so many seconds is news. */
export const LATELY = 15;

/** Seconds, as exactly as anybody wants to know. */
export function time(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.0995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 36000) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function rate(count) {
  if (count === 0) return "0";
  return count < 10 ? count.toFixed(1) : Math.round(count).toLocaleString("en");
}

export function number(count) { return count.toLocaleString("en"); }

export function many(count, one, more = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : more}`;
}

export function clock(seconds) {
  const at = new Date(seconds * 1000), today = new Date();
  const day = at.toDateString() === today.toDateString() ? "" : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} `;
  return day + at.toLocaleTimeString("en-GB");
}

/** What a backend is, in a word: what is wrong comes first. */
export function stateOf(backend) {
  if (backend.removed) return "leaving";
  if (backend.mode !== "ready") return backend.mode;
  if (backend.health === "down") return "down";
  const { busy, lingering, resting, idle } = backend.slots;
  if (busy > 0) return "busy";
  if (lingering > 0) return "lingering";
  if (resting > 0 && idle === 0) return "resting";
  return "idle";
}

const STATES = {
  idle: "idle", busy: "busy", lingering: "works on", resting: "resting", down: "down",
  drain: "draining", maintenance: "taken out", leaving: "leaving",
};
export function stateWord(state) { return STATES[state] ?? state; }

/** Problems first. */
export function rank(backend) {
  const state = stateOf(backend);
  if (backend.health === "down") return 0;
  if (state === "leaving" || state === "drain" || state === "maintenance") return 1;
  if (backend.slots.lingering > 0 || backend.slots.resting > 0) return 2;
  return 3;
}

export function workWords(work) {
  if (!work.method) return { probe: "a probe", proof: "a probe" }[work.purpose] ?? "a request";
  return `${work.method} ${work.route ?? ""}`;
}

const WORK_STATES = {
  lingering: "nobody waits for it any more", unproven: "nobody knows whether it works on: rests until a probe is answered",
  doubted: "nobody knows whether it works on", resting: "resting",
};
export function workState(work) { return WORK_STATES[work.state] ?? ""; }

/** How many backends are up, and how many of their slots are taken; `unused` of those are idle and of no use, since nothing is sent there. */
export function facts({ up, all, slots, idle, unused }) {
  return `${number(up)} of ${many(all, "backend")} up, ${number(slots - idle)} of ${many(slots - unused, "usable slot")} taken`;
}

/** What went wrong within the last seconds, in words. */
export function lately({ refused, failed }) {
  const parts = [];
  if (refused > 0) parts.push(`${many(refused, "request")} refused`);
  if (failed > 0) parts.push(refused > 0 ? `${number(failed)} failed` : `${many(failed, "request")} failed`);
  return parts.length > 0 ? `${parts.join(" and ")} within ${LATELY} s` : "";
}

/** The state of everything, in a sentence; and whether that is well. */
export function verdict(board) {
  const sum = { all: 0, up: 0, down: 0, out: 0, slots: 0, idle: 0, unused: 0, refused: 0, failed: 0 };
  const full = [];
  let waiting = 0, oldest = null;
  for (const [name, pool] of board.pools) {
    waiting += pool.queue.waiting;
    if (pool.queue.longest_wait_seconds !== null) oldest = Math.max(oldest ?? 0, pool.queue.longest_wait_seconds);
    const state = board.stateOfPool(name);
    for (const key of Object.keys(sum)) sum[key] += state[key];
    if (state.isFull) full.push(name);
  }
  const line = waiting === 0 ? "nobody waits" : `${many(waiting, "request")} ${waiting === 1 ? "waits" : "wait"}` +
    (oldest === null ? "" : `, the oldest for ${time(oldest)}`);
  const trouble = [];
  if (sum.down > 0) trouble.push(`${many(sum.down, "backend")} of ${number(sum.all)} ${sum.down === 1 ? "is" : "are"} down`);
  if (sum.refused + sum.failed > 0) trouble.push(lately(sum));
  if (sum.out > 0) trouble.push(`${many(sum.out, "backend")} ${sum.out === 1 ? "is" : "are"} drained or taken out`);
  if (sum.all === 0) return { kind: "none", text: "There are no backends", details: "" };
  const details = facts(sum);
  if (trouble.length > 0) {
    const kind = sum.down > 0 ? "down" : sum.refused + sum.failed > 0 ? "failing" : "out";
    return { kind, text: `${trouble.join(", ")}; ${line}`, details };
  }
  if (full.length > 0) {
    const whose = board.pools.size === 1 ? "" : full.length === 1 ? ` of ${full[0]}` : ` of ${full.length} pools`;
    return { kind: "full", text: `All slots${whose} are taken, and ${line}`, details };
  }
  return { kind: "well", text: `All is well: ${line}`, details };
}
