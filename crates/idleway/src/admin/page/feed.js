// What happened, the last first.

import { element } from "./cards.js";
import { clock } from "./words.js";

const SHOWN = 60;

/** The mark of an event, how it is meant, and what it says. */
function words(event) {
  const who = event.backend ? `${event.pool}/${event.backend}` : "";
  switch (event.kind) {
    case "backend_up": return ["good", "up", `${who} serves again`];
    case "backend_down": return ["bad", "down", `${who}: ${(event.fault || event.cause).replace(/ \(os error \d+\)/, "")}`];
    case "mode_set": return ["warn", { ready: "brought back", drain: "drained", maintenance: "taken out" }[event.mode] ?? event.mode, `${who}, by order`];
    case "slots_set": return ["warn", "slots", `${who}: ${event.slots === null ? "as many as the file says" : `${event.slots} by order`}`];
    case "reloaded": return ["good", "reloaded", "the configuration is in force"];
    case "not_reloaded": return ["bad", "not reloaded", event.why];
    case "missed": return ["warn", "missed", `${event.events} events came too fast`];
    default: return ["warn", event.kind, who];
  }
}

export function drawFeed(list, empty, events) {
  const last = events.slice(-SHOWN).reverse();
  empty.hidden = last.length > 0;
  list.replaceChildren(...last.map((event) => {
    const [kind, mark, text] = words(event);
    return entry(event.at_unix_seconds, kind, mark, text);
  }));
}

export function drawErrors(list, empty, count, told) {
  count.textContent = told.count > 0 ? told.count.toLocaleString("en") : "";
  empty.hidden = told.errors.length > 0;
  list.replaceChildren(...told.errors.slice(0, SHOWN).map((error) => {
    const text = `${error.method} ${error.path}${error.backend ? ` at ${error.backend}` : ""}: ${error.reason ?? "answered by the backend"}`;
    const is5xx = error.status === null || error.status >= 500;
    return entry(error.at_unix_seconds, is5xx ? "bad" : "warn", error.status === null ? "no answer" : String(error.status), text);
  }));
}

function entry(at, kind, mark, text) {
  const item = element("li"), when = element("time"), word = element("span", `mark ${kind}`);
  when.textContent = clock(at);
  when.dateTime = new Date(at * 1000).toISOString();
  word.textContent = mark;
  item.append(when, word, ` ${text}`);
  item.title = text;
  return item;
}
