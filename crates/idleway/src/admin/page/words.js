// How things are said.

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
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
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

/** How many backends are up, and how many of their slots are taken; `idle` of them are of no use, since nothing is sent there. */
export function facts(up, all, slots, backends) {
  let idle = 0;
  for (const backend of backends) if (backend.health === "down" || backend.mode !== "ready" || backend.removed) idle += backend.slots.idle;
  return `${number(up)} of ${many(all, "backend")} up, ${number(slots.all - slots.idle)} of ${many(slots.all - idle, "usable slot")} taken`;
}

/** The state of everything, in a sentence; and whether that is well. */
export function verdict(pools, backends) {
  let up = 0, all = 0, waiting = 0, oldest = null, out = 0;
  const slots = { all: 0, idle: 0 };
  for (const pool of pools) {
    slots.all += pool.slots.all; slots.idle += pool.slots.idle;
    waiting += pool.queue.waiting;
    if (pool.queue.longest_wait_seconds !== null) oldest = Math.max(oldest ?? 0, pool.queue.longest_wait_seconds);
  }
  let down = 0;
  for (const backend of backends) {
    if (backend.removed) continue;
    all += 1;
    if (backend.health === "down") down += 1;
    // As the gateway counts: one that gets no requests is not up.
    else if (backend.mode === "ready") up += 1;
    if (backend.mode !== "ready") out += 1;
  }
  const line = waiting === 0 ? "nobody waits" : `${many(waiting, "request")} ${waiting === 1 ? "waits" : "wait"}` +
    (oldest === null ? "" : `, the oldest for ${time(oldest)}`);
  const trouble = [];
  if (down > 0) trouble.push(`${many(down, "backend")} of ${all.toLocaleString("en")} ${down === 1 ? "is" : "are"} down`);
  if (out > 0) trouble.push(`${many(out, "backend")} ${out === 1 ? "is" : "are"} drained or taken out`);
  if (all === 0) return { kind: "none", text: "There are no backends", details: "" };
  const details = facts(up, all, slots, backends);
  if (trouble.length === 0) {
    const full = waiting > 0 && slots.idle === 0;
    return { kind: full ? "full" : "well", text: full ? `All slots are taken, and ${line}` : `All is well: ${line}`, details };
  }
  return { kind: down > 0 ? "down" : "out", text: `${trouble.join(", ")}; ${line}`, details };
}
