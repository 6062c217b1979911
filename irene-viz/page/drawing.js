// How an icicle is drawn (a flame graph that hangs): each node as wide as its energy, below its parent.

import { make, makeSvg } from "./dom.js";
import { HEAT_STEPS, heat, isKnown, joules, percent, tick } from "./format.js";
import { pathTo } from "./nodes.js";

export const LEAST_ROW = 40;
export const LEAST_WIDTH = 280;
export const CHARACTER = 7.3;
const LINE = 16;
export const PADDING = 5;
const NARROWEST = 0.5;
// Narrower, and it cannot be seen that it is one.
const NARROWEST_OWN = 3;
const DOWNLOAD_WIDTH = 1400;

// The size of a node in a drawing, which has no room for less than nothing.
export const spent = (node) => (isKnown(node.energy) ? Math.max(node.energy, 0) : 0);

// Children as the model runs them, or the heaviest first.
const ordered = (node, order) =>
  order === "heavy" ? node.children.toSorted((a, b) => spent(b) - spent(a)) : node.children;

// Cells of the zoomed node and everything below it, under the nodes above it, which keep the full width as the way out.
// A node's own part is a cell below it too.
export function layOut(top, width, order) {
  const cells = pathTo(top)
    .slice(0, -1)
    .map((node) => ({ node, x: 0, width, isAbove: true }));
  const place = (node, x, room) => {
    cells.push({ node, x, width: room, isAbove: false });
    const sum = node.children.reduce((total, child) => total + spent(child), 0);
    // A module is predicted apart from its children, so they may sum to a little more than it.
    const whole = Math.max(sum, spent(node));
    let left = x;
    for (const child of ordered(node, order)) {
      const childRoom = whole > 0 ? (room * spent(child)) / whole : 0;
      if (childRoom >= NARROWEST) place(child, left, childRoom);
      left += childRoom;
    }
    const own = x + room - left;
    if (node.children.length > 0 && own >= NARROWEST_OWN) cells.push({ of: node, node, x: left, width: own, isOwn: true });
  };
  place(top, 0, width);
  return cells;
}

const figuresOf = (node) => [joules(node.energy), percent(node.share)].filter(Boolean).join(", ");

// The label in one or two lines; a part that does not fit whole is left out.
function labels(node, width) {
  const room = Math.floor((width - 2 * PADDING) / CHARACTER);
  const first = [`${node.name} ${node.typeText}`, node.name, node.typeText].find((text) => text.length <= room);
  const second = [figuresOf(node), joules(node.energy)].find((text) => text.length <= room);
  return first ? [first, second].filter(Boolean) : [];
}

function ownLabels(node, width) {
  const room = Math.floor((width - 2 * PADDING) / CHARACTER);
  return ["own part", joules(node.own)].every((text) => text.length <= room) ? ["own part", joules(node.own)] : [];
}

// Lines under one another in the middle of the cell; in a narrow cell that is high enough, its name from top to bottom.
function drawLabels(cell, y, row, fill) {
  const { node, x, width } = cell;
  const lines = cell.isOwn ? ownLabels(node, width) : labels(node, width);
  if (lines.length === 0) {
    const isHighEnough = !cell.isOwn && width >= LINE && node.name.length * CHARACTER <= row - 2 * PADDING;
    const place = `translate(${x + width / 2 - 4} ${y + PADDING}) rotate(90)`;
    return isHighEnough ? makeSvg("text", { transform: place, fill }, node.name) : "";
  }
  const top = y + (row - LINE * lines.length) / 2 + 12;
  // With a space between, for who hears them as one text.
  return lines.flatMap((line, at) => [makeSvg("text", { x: x + PADDING, y: top + at * LINE, fill }, line), " "]);
}

// A description of a node: its visible text first, because people who speak to the page say what they see.
export function describe(node, seen = "") {
  const known = [node.name, node.typeText, joules(node.energy), percent(node.share)];
  const unseen = known.filter((text) => text && !seen.includes(text));
  return [seen, ...unseen, `at ${node.scope}`].filter(Boolean).join(" ");
}

// `colour` gives the fill and text colours of a step, for a file that has no style sheet; the page's own needs none.
function drawCell(cell, row, colour) {
  const { node, x, width } = cell;
  const step = heat(node.share);
  const paint = cell.isOwn ? colour?.(0) : colour?.(step);
  const y = (node.depth + (cell.isOwn ? 1 : 0)) * row;
  const kind = cell.isOwn ? "own" : `cell heat-${step}${cell.isAbove ? " above" : ""}`;
  const title = cell.isOwn ? `What ${node.scope} spends beside its children: ${joules(node.own)}` : describe(node);
  return makeSvg(
    "g",
    { class: kind, data: cell.isOwn ? undefined : { scope: node.scope, key: node.key } },
    // In the page a cell has a label of its own, and the details beside it say more.
    colour || cell.isOwn ? makeSvg("title", {}, title) : "",
    makeSvg("rect", { x, y, width: Math.max(width - 1, NARROWEST), height: row - 1, rx: 2, fill: paint?.fill }),
    drawLabels(cell, y, row, paint?.text),
  );
}

// The node that a key leads to: down to the first child, up, to the next of the row, or to its ends.
export function nextNode(cells, node, key) {
  const nodes = cells.filter((cell) => !cell.isOwn).map((cell) => cell.node);
  const row = nodes.filter(({ depth }) => depth === node.depth);
  const at = row.indexOf(node);
  const moves = {
    ArrowDown: () => nodes.find(({ parent }) => parent === node),
    ArrowUp: () => node.parent,
    ArrowLeft: () => row[at - 1],
    ArrowRight: () => row[at + 1],
    Home: () => row[0],
    End: () => row.at(-1),
  };
  return key in moves ? (moves[key]() ?? node) : undefined;
}

// How a cell is read out, in a tree of which one can be reached by the tab key.
export function labelCell(element, node, text) {
  const attributes = {
    role: "treeitem",
    tabindex: "-1",
    "aria-level": node.depth + 1,
    "aria-posinset": node.position + 1,
    "aria-setsize": node.parent ? node.parent.children.length : 1,
    "aria-selected": "false",
    "aria-label": text,
  };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

export const countRows = (cells) => 1 + Math.max(...cells.map((cell) => cell.node.depth + (cell.isOwn ? 1 : 0)));

export function drawing(cells, width, row, colour) {
  const height = countRows(cells) * row;
  const svg = makeSvg("svg", { class: "icicle", viewBox: `0 0 ${width} ${height}`, width, height });
  svg.append(...cells.map((cell) => drawCell(cell, row, colour)));
  return svg;
}

// The steps of the colours by the shares that they begin at.
export function legend() {
  const amount = (share) => `${tick()(share * 100)}%`;
  const names = [`below ${amount(HEAT_STEPS[0])}`, ...HEAT_STEPS.map((least) => `from ${amount(least)}`)];
  return make(
    "ul",
    { class: "legend", "aria-label": "Colours by share of the energy" },
    names.map((name, step) => make("li", { class: `heat-${step}` }, name)),
  );
}

// The icicle as a file of its own, with its colours written into it.
export function icicleFile(prediction, { zoom, order }) {
  const style = getComputedStyle(document.documentElement);
  const variable = (name) => style.getPropertyValue(name).trim();
  const colour = (step) => ({ fill: variable(`--heat-${step}`), text: variable(`--heat-${step}-text`) });
  const top = prediction.find(zoom) ?? prediction.root;
  const svg = drawing(layOut(top, DOWNLOAD_WIDTH, order), DOWNLOAD_WIDTH, LEAST_ROW, colour);
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "ui-monospace, Menlo, Consolas, monospace");
  svg.setAttribute("font-size", "12");
  return new XMLSerializer().serializeToString(svg);
}
