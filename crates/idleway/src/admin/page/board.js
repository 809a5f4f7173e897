// What the gateway has told, as it stands now.

import { LATELY } from "./words.js";

export class Board {
  constructor() { this.clear(); }

  clear() {
    this.gateway = null;
    this.pools = new Map();
    this.backends = new Map();
    this.points = new Map();
    this.events = [];
    this.errors = 0;
    this.offset = 0;
    this.changed = { all: true, backends: new Set(), pools: new Set() };
  }

  /** The present by the gateway's clock, in seconds. */
  now() { return Date.now() / 1000 + this.offset; }

  /** Takes a message; what stands there takes the place of what stood there before. */
  take(told, isWhole) {
    if (isWhole) this.clear();
    this.offset = told.now_unix_seconds - Date.now() / 1000;
    if (told.gateway) this.gateway = told.gateway;
    if (told.errors !== undefined) this.errors = told.errors;
    for (const [name, pool] of Object.entries(told.pools ?? {})) { this.pools.set(name, pool); this.changed.pools.add(name); }
    for (const name of told.gone_pools ?? []) { this.pools.delete(name); this.backends.delete(name); this.points.delete(name); this.changed.all = true; }
    for (const [name, all] of Object.entries(told.backends ?? {})) {
      const known = this.backends.get(name) ?? new Map();
      this.backends.set(name, known);
      for (const [key, backend] of Object.entries(all)) { known.set(key, backend); this.changed.backends.add(`${name}\n${key}`); }
    }
    for (const [name, keys] of Object.entries(told.gone_backends ?? {})) {
      for (const key of keys) { this.backends.get(name)?.delete(String(key)); this.changed.backends.add(`${name}\n${key}`); }
    }
    for (const [name, points] of Object.entries(told.points ?? {})) {
      this.points.set(name, [...(this.points.get(name) ?? []), ...points].slice(-180));
      this.changed.pools.add(name);
    }
    if (told.events?.length) {
      // Of a flood the gateway keeps the last ones.
      const gap = this.events.length ? told.events[0].number - this.events.at(-1).number - 1 : 0;
      const missed = gap > 0 ? [{ number: told.events[0].number - 1, at_unix_seconds: told.events[0].at_unix_seconds, kind: "missed", events: gap }] : [];
      this.events = [...this.events, ...missed, ...told.events].slice(-256);
    }
  }

  /** What has changed since this was asked last. */
  takeChanged() {
    const changed = this.changed;
    this.changed = { all: false, backends: new Set(), pools: new Set() };
    return changed;
  }

  /** Since when a backend is down, as far as what happened goes back. */
  downSince(pool, backend) {
    if (backend.health !== "down") return null;
    const last = this.events.findLast((event) => event.kind.startsWith("backend_") && event.backend === backend.name && event.pool === pool);
    return last?.kind === "backend_down" ? last.at_unix_seconds : null;
  }

  /** What is to be said of a pool: its backends, the idle slots that are of no use, what went wrong lately, and its line. */
  stateOfPool(name) {
    const state = { all: 0, up: 0, down: 0, out: 0, slots: 0, idle: 0, unused: 0, refused: 0, failed: 0, isFull: false, isLined: false };
    for (const backend of this.backends.get(name)?.values() ?? []) {
      const isDown = backend.health === "down", isReady = backend.mode === "ready";
      // What is left of one that has gone is at work at the one that has its place, and is counted there.
      if (backend.removed) continue;
      state.slots += backend.slots.all; state.idle += backend.slots.idle;
      // As the gateway counts: one that gets no requests is not up.
      if (isDown || !isReady) state.unused += backend.slots.idle;
      state.all += 1;
      if (isDown) state.down += 1;
      else if (isReady) state.up += 1;
      if (!isReady) state.out += 1;
    }
    // A point is told when it is over, 5 s long.
    const last = (this.points.get(name) ?? []).slice(-LATELY / 5).filter((point) => point[0] > this.now() - LATELY - 5);
    for (const [, , refused, failed] of last) { state.refused += refused; state.failed += failed; }
    const pool = this.pools.get(name);
    state.isFull = pool.queue.waiting > 0 && state.idle <= state.unused;
    // For a while: who waits for a moment moves nothing on the page.
    state.isLined = last.length >= LATELY / 5 && last.every((point) => point[8] > 0);
    return state;
  }
}
