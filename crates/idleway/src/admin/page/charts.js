// Small charts of the last fifteen minutes.

import { rate, time } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 300, HIGH = 44, KEPT = 180, STEP = 5;

/** What is drawn: its title, its lines by the numbers of a point, and how its last value is said. */
const CHARTS = [
  { title: "Requests a second", lines: [["", (p) => p[1] / STEP]], say: ([requests]) => rate(requests) },
  { title: "First byte: p50 — p95 - - p99 ···", lines: [["", (p) => p[4]], ["second", (p) => p[5]], ["third", (p) => p[6]]],
    say: (all) => all.every((v) => v === null) ? "–" : all.map((v) => v === null ? "–" : time(v)).join(" · ") },
  { title: "Refused — failed ··· a second", lines: [["bad", (p) => p[2] / STEP], ["third", (p) => p[3] / STEP]], say: (all) => all.map(rate).join(" · ") },
  { title: "Slots taken — in line - -", lines: [["", (p) => p[7]], ["second", (p) => p[8]]], say: (all) => all.map((v) => v.toLocaleString("en")).join(" · "),
    now: (pool) => [pool.slots.all - pool.slots.idle, pool.queue.waiting] },
];

export function makeCharts(root) {
  return CHARTS.map((chart) => {
    const figure = document.createElement("figure");
    figure.className = "chart";
    const caption = document.createElement("figcaption");
    const title = document.createElement("span"), value = document.createElement("b");
    title.textContent = chart.title;
    caption.append(title, value);
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    const paths = chart.lines.map(([kind]) => {
      const path = document.createElementNS(SVG, "path");
      if (kind) path.setAttribute("class", kind);
      svg.append(path);
      return path;
    });
    figure.append(caption, svg);
    root.append(figure);
    return { chart, value, svg, paths };
  });
}

export function drawCharts(made, points, pool) {
  for (const { chart, value, svg, paths } of made) {
    const lines = chart.lines.map(([, of]) => points.map(of));
    const highest = Math.max(1e-9, ...lines.flat().filter((v) => v !== null));
    lines.forEach((line, nth) => paths[nth].setAttribute("d", path(line, highest)));
    const last = chart.now ? chart.now(pool) : lines.map((line) => line.length ? line[line.length - 1] : 0);
    value.textContent = points.length || chart.now ? chart.say(last) : "–";
    svg.parentElement.title = `The last 15 minutes, a point for each 5 seconds; the highest ${chart.say([highest])}`;
    svg.setAttribute("aria-label", `${chart.title}: now ${value.textContent}`);
  }
}

/** The newest at the right; a gap where there is nothing. */
function path(line, highest) {
  let text = "", isDown = false;
  line.forEach((value, nth) => {
    if (value === null) { isDown = false; return; }
    const x = WIDE - (line.length - 1 - nth) * (WIDE / (KEPT - 1));
    const y = HIGH - 2 - (value / highest) * (HIGH - 6);
    text += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  });
  return text;
}
