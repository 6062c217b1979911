// Line and scatter charts with labelled axes. Each is drawn beside a table with the same figures, which is what a
// screen reader reads.

import { makeSvg } from "./dom.js";

const MARGIN = { top: 12, right: 16, bottom: 44, left: 76 };
const LEAST_WIDTH = 280;
const LEAST_HEIGHT = 300;
// Of the width, and of the window, so that a chart is seen whole.
const HEIGHT = 0.48;
const MOST_HEIGHT = 0.68;
const MARKER = 4;
const LINE_HEIGHT = 15;
// A dot, and the halo of a name.
const DOT_ROOM = MARKER + 3;
const NAME_CHARACTER = 7;
const NAME_HEIGHT = 14;
const NAME_GAP = 9;
const DESCENT = 3;
const TICK_ROOM = 54;

export function log(low, high) {
  return { low, high, place: (value) => Math.log(value / low) / Math.log(high / low || 1) };
}

export function linear(low, high) {
  return { low, high, place: (value) => (value - low) / (high - low || 1) };
}

// Round values within the scale, 1, 2 and 5 of each power of ten; of a wide scale only the powers.
export function logTicks({ low, high }) {
  const factors = high / low > 5000 ? [1] : [1, 2, 5];
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const powers = Array.from({ length: last - first + 1 }, (_, at) => first + at);
  return powers
    .flatMap((power) => factors.map((factor) => factor * 10 ** power))
    .filter((tick) => tick >= low && tick <= high);
}

export function linearTicks({ low, high }) {
  const rough = (high - low || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, at) => (first + at) * step);
}

// The frame of a chart: axes, and where a point lies. `x` and `y` each have `scale`, `ticks`, `format` and `label`.
function frame({ room, right, title, x, y }) {
  const width = Math.max(room, LEAST_WIDTH);
  const height = Math.max(Math.min(width * HEIGHT, innerHeight * MOST_HEIGHT), LEAST_HEIGHT);
  const inner = { width: width - MARGIN.left - (right ?? MARGIN.right), height: height - MARGIN.top - MARGIN.bottom };
  const toX = (value) => MARGIN.left + x.scale.place(value) * inner.width;
  const toY = (value) => MARGIN.top + (1 - y.scale.place(value)) * inner.height;
  const bottom = MARGIN.top + inner.height;
  const middle = { x: MARGIN.left + inner.width / 2, y: MARGIN.top + inner.height / 2 };
  const svg = makeSvg(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title },
    x.ticks.map((tick) => makeSvg("line", { class: "grid", x1: toX(tick), x2: toX(tick), y1: MARGIN.top, y2: bottom })),
    y.ticks.map((tick) =>
      makeSvg("line", { class: "grid", x1: MARGIN.left, x2: MARGIN.left + inner.width, y1: toY(tick), y2: toY(tick) }),
    ),
    apart(x.ticks, toX).map((tick) =>
      makeSvg("text", { x: toX(tick), y: bottom + 16, "text-anchor": "middle" }, x.format(tick)),
    ),
    y.ticks.map((tick) =>
      makeSvg("text", { x: MARGIN.left - 6, y: toY(tick) + 4, "text-anchor": "end" }, y.format(tick)),
    ),
    makeSvg("text", { class: "axis", x: middle.x, y: height - 8, "text-anchor": "middle" }, x.label),
    makeSvg(
      "text",
      { class: "axis", "text-anchor": "middle", transform: `translate(12 ${middle.y}) rotate(-90)` },
      y.label,
    ),
  );
  return { svg, toX, toY, width, bottom };
}

// The ticks whose labels do not run into the one before.
function apart(ticks, toX) {
  let free = -Infinity;
  return ticks.filter((tick) => {
    if (toX(tick) < free) return false;
    free = toX(tick) + TICK_ROOM;
    return true;
  });
}

// Moves labels apart that would lie on each other: downwards, and back up where they would leave the chart.
function spread(labels, bottom) {
  const sorted = labels.toSorted((a, b) => a.y - b.y);
  let least = -Infinity;
  for (const label of sorted) {
    label.y = Math.max(label.y, least);
    least = label.y + LINE_HEIGHT;
  }
  let most = bottom;
  for (const label of sorted.reverse()) {
    label.y = Math.min(label.y, most);
    most = label.y - LINE_HEIGHT;
  }
  return labels;
}

// `lines` have a `label` and `points` of [x, y]; a point may carry a third item that makes its marker hollow.
export function lineChart({ lines, ...options }) {
  const { svg, toX, toY, bottom } = frame({ ...options, right: 90 });
  lines.forEach((line, at) => {
    const colour = `series-${at % 6}`;
    const points = line.points.map(([x, y]) => `${toX(x)},${toY(y)}`).join(" ");
    svg.append(makeSvg("polyline", { class: `line ${colour}`, points }));
    for (const [x, y, isHollow] of line.points) {
      svg.append(
        makeSvg("circle", { class: `${isHollow ? "hollow" : "dot"} ${colour}`, cx: toX(x), cy: toY(y), r: MARKER }),
      );
    }
  });
  const ends = lines.map((line, at) => {
    const [x, y] = line.points.at(-1);
    return { text: line.label, colour: `series-${at % 6}`, x: toX(x) + 10, y: toY(y) + 4 };
  });
  svg.append(
    ...spread(ends, bottom).map(({ text, colour, x, y }) => makeSvg("text", { class: `end ${colour}`, x, y }, text)),
  );
  return svg;
}

// `points` have `x`, `y`, `label` (empty where there is no room for it) and `isOnFront`; those on the front are joined,
// unless it is a front in more than these two.
export function scatterChart({ points, isJoined = true, ...options }) {
  const { svg, toX, toY, width, bottom } = frame(options);
  const front = points.filter((point) => point.isOnFront).toSorted((a, b) => a.x - b.x);
  const path = front.map(({ x, y }) => `${toX(x)},${toY(y)}`).join(" ");
  if (isJoined) svg.append(makeSvg("polyline", { class: "line front", points: path }));
  for (const point of points) {
    svg.append(
      makeSvg(
        "circle",
        { class: point.isOnFront ? "dot front" : "hollow", cx: toX(point.x), cy: toY(point.y), r: MARKER + 1 },
        makeSvg("title", {}, point.title),
      ),
    );
  }
  const named = front.filter(({ label }) => label).map(({ x, y, label }) => ({ x: toX(x), y: toY(y), text: label }));
  const dots = points.map(({ x, y }) => box(toX(x) - DOT_ROOM, toY(y) - DOT_ROOM, 2 * DOT_ROOM, 2 * DOT_ROOM));
  svg.append(
    ...placed(named, dots, width, bottom, isJoined).map(({ text, x, side, low }) =>
      makeSvg(
        "text",
        { class: "end", x: x + side * NAME_GAP, y: low - DESCENT, "text-anchor": side > 0 ? "start" : "end" },
        text,
      ),
    ),
  );
  return svg;
}

const box = (left, top, wide, high) => ({ left, top, right: left + wide, low: top + high });
const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.low && b.top < a.low;

// Where a name may stand beside its dot, from the nearest place on: to its right or left, and so many lines below it.
const PLACES = [
  [1, 0],
  [-1, 0],
  ...[1, 2].flatMap((far) => [
    [1, far],
    [1, -far],
    [-1, -far],
    [-1, far],
  ]),
];
// A line that rises from left to right is below a name on its left, and above one on its right.
const PLACES_BY_LINE = [[1, 0.8], [-1, -0.8], ...PLACES];

// Each name at the first place where it lies on no dot and no other name; a name without one is left to its dot's title.
function placed(names, dots, width, bottom, isJoined) {
  const taken = [...dots];
  return names.flatMap(({ x, y, text }) => {
    const wide = text.length * NAME_CHARACTER;
    const at = ([side, lines]) => ({
      ...box(side > 0 ? x + NAME_GAP : x - NAME_GAP - wide, y + (lines - 0.5) * NAME_HEIGHT, wide, NAME_HEIGHT),
      side,
    });
    const isFree = (name) =>
      name.left > MARGIN.left && name.right < width && name.top > 0 && name.low < bottom && !taken.some((other) => meet(name, other));
    const found = (isJoined ? PLACES_BY_LINE : PLACES).map(at).find(isFree);
    if (!found) return [];
    taken.push(found);
    return [{ text, x, ...found }];
  });
}
