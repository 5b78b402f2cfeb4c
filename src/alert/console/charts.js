// Charts of the records page, drawn as SVG by the page itself: a column for each month, a bar for each word. In: names
// and counts. Out: an element whose sizes are told in rem, like every other; its words say all that it shows, for
// whoever does not see it.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

// A whole number as people read it.
function whole(n) {
  return n.toLocaleString("en-US");
}

function short(n) {
  if (n < 10000) return String(n);
  if (n < 1e6) return `${(n / 1e3).toFixed(n < 1e5 ? 1 : 0)}k`;
  return `${(n / 1e6).toFixed(1)}M`;
}

// One column for each month, the count above it. Columns begin at zero.
function columns(series, wide) {
  const unit = rem();
  const high = 9 * unit;
  const svg = draw("svg", { height: high, role: "img" });
  svg.setAttribute("aria-label", series.map(([month, n]) => `${month}: ${n}`).join(", "));
  const most = Math.max(1, ...series.map(([, n]) => n));
  const step = wide / Math.max(1, series.length);
  const foot = high - 1.4 * unit;
  const tall = foot - 1.4 * unit;
  // As many words as there is room for.
  const every = Math.max(1, Math.ceil(series.length * 3.2 * unit / wide));
  series.forEach(([month, n], at) => {
    const height = n / most * tall;
    const x = at * step + step * 0.15;
    const column = draw("rect", { x, y: foot - height, width: step * 0.7, height });
    column.append(draw("title", {}, `${month}: ${whole(n)}`));
    svg.append(column);
    const middle = Math.min(Math.max(x + step * 0.35, 1.6 * unit), wide - 1.6 * unit);
    const fits = (short(n).length + 1) * 0.62 * unit < step;
    if (fits || at % every === 0) svg.append(draw("text", { x: fits ? x + step * 0.35 : middle, y: foot - height - 0.3 * unit, "text-anchor": "middle" }, short(n)));
    if (at % every === 0) svg.append(draw("text", { x: middle, y: high - 0.3 * unit, "text-anchor": "middle", class: "axis" }, month.slice(2)));
  });
  svg.append(draw("line", { x1: 0, x2: wide, y1: foot, y2: foot }));
  return svg;
}

// One bar for each word, the largest first.
function bars(map, name, wide) {
  const unit = rem();
  const rows = Object.entries(map).filter(([, n]) => n > 0).sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
  const row = 1.7 * unit;
  const left = Math.min(11 * unit, wide * 0.5);
  const room = wide - left - 3.5 * unit;
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const svg = draw("svg", { height: Math.max(row, rows.length * row), role: "img" });
  svg.setAttribute("aria-label", rows.map(([word, n]) => `${name(word)}: ${n}`).join(", ") || "none");
  if (!rows.length) svg.append(draw("text", { x: 0, y: 1.1 * unit, class: "axis" }, "none"));
  rows.forEach(([word, n], at) => {
    const y = at * row;
    svg.append(draw("text", { x: left - 0.4 * unit, y: y + 1.15 * unit, "text-anchor": "end" }, name(word)));
    svg.append(draw("rect", { x: left, y: y + 0.25 * unit, width: Math.max(1, n / most * room), height: 1.2 * unit }));
    svg.append(draw("text", { x: left + n / most * room + 0.4 * unit, y: y + 1.15 * unit }, whole(n)));
  });
  return svg;
}
