// Small charts of the last fifteen minutes.

import { rate, time } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 300, HIGH = 44, STEP = 5;
/** So many points are shown: no more than there have been for long. */
const WINDOWS = [24, 60, 180];

/** What is drawn: its title, and its lines: how each looks, what it says in words, its numbers in a point, and how a number is written. */
const CHARTS = [
  { title: "Requests a second", lines: [["", "requests", (p) => p[1] / STEP, rate]] },
  { title: "First byte p50/95/99", lines: [["", "p50", (p) => p[4], time], ["second", "p95", (p) => p[5], time], ["third", "p99", (p) => p[6], time]] },
  { title: "Refused, failed a second", lines: [["bad", "refused", (p) => p[2] / STEP, rate], ["third", "failed", (p) => p[3] / STEP, rate]] },
  { title: "Slots taken, in line", lines: [["", "taken", (p) => p[7], count], ["second", "in line", (p) => p[8], count]],
    now: (pool) => [pool.slots.all - pool.slots.idle, pool.queue.waiting] },
];

function count(value) {
  return value.toLocaleString("en");
}

function svg(kind, wide, high) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("class", kind);
  return svg;
}

function line(svg, kind) {
  const path = document.createElementNS(SVG, "path");
  if (kind) path.setAttribute("class", kind);
  svg.append(path);
  return path;
}

export function makeCharts(root) {
  return CHARTS.map((chart) => {
    const figure = document.createElement("figure");
    figure.className = "chart";
    const caption = document.createElement("figcaption"), title = document.createElement("span"), values = document.createElement("b");
    title.textContent = chart.title;
    caption.append(title, values);
    const drawing = svg("drawing", WIDE, HIGH);
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("role", "img");
    const lines = chart.lines.map(([kind]) => {
      // Before each value, the line that it is the end of.
      if (chart.lines.length > 1) {
        const sample = svg("sample", 12, 4);
        sample.setAttribute("aria-hidden", "true");
        line(sample, kind).setAttribute("d", "M0 2H12");
        values.append(sample);
      }
      const value = document.createElement("span");
      values.append(value);
      return { value, path: line(drawing, kind) };
    });
    const axis = document.createElement("p");
    axis.className = "axis";
    axis.setAttribute("aria-hidden", "true");
    const [from, peak, to] = ["", "", "now"].map((text) => { const part = document.createElement("span"); part.textContent = text; return part; });
    axis.append(from, peak, to);
    figure.append(caption, drawing, axis);
    root.append(figure);
    return { chart, figure, drawing, lines, from, peak };
  });
}

export function drawCharts(made, points, pool) {
  const shown = WINDOWS.find((window) => points.length <= window) ?? WINDOWS.at(-1);
  const minutes = shown * STEP / 60;
  for (const { chart, figure, drawing, lines, from, peak } of made) {
    const told = chart.lines.map(([, , of]) => points.map(of));
    const highest = Math.max(1e-9, ...told.flat().filter((value) => value !== null));
    const last = chart.now ? chart.now(pool) : told.map((line) => line[line.length - 1] ?? null);
    const words = [];
    lines.forEach(({ value, path }, nth) => {
      const [, name, , say] = chart.lines[nth];
      path.setAttribute("d", course(told[nth], highest, shown));
      value.textContent = last[nth] === null ? "–" : say(last[nth]);
      words.push(`${name} ${value.textContent}`);
    });
    from.textContent = `${minutes} min ago`;
    peak.textContent = highest > 1e-9 ? `up to ${chart.lines[0][3](highest)}` : "";
    figure.title = `The last ${minutes} minutes, a point for each ${STEP} seconds`;
    drawing.setAttribute("aria-label", `${chart.title}: now ${words.join(", ")}`);
  }
}

/** The newest at the right; a gap where there is nothing. */
function course(line, highest, shown) {
  let text = "", isDown = false;
  line.forEach((value, nth) => {
    if (value === null) { isDown = false; return; }
    const x = WIDE - (line.length - 1 - nth) * (WIDE / (shown - 1));
    const y = HIGH - 2 - (value / highest) * (HIGH - 6);
    text += `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = true;
  });
  return text;
}
