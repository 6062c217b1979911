// The icicle of A, each part as wide as its energy there, in the colour of what B spends more or less on it. The tables
// beside it have the figures.

import { make, makeSvg } from "./dom.js";
import { labelCell, nextNode } from "./drawing.js";
import { change, isKnown, joules } from "./format.js";

const ROW = 34;
const LEAST_WIDTH = 280;
const NARROWEST = 1;
const CHARACTER = 7.3;
const PADDING = 5;
const DEEPEST = 5;
// The shares that count as little, some and much of a part's energy in A.
const STEPS = [0.01, 0.1, 0.4];

// Nodes of both sides by their scope, in order where a scope occurs more than once.
function byScope(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.scope, [...(found.get(row.scope) ?? []), row]);
  return (scope) => found.get(scope)?.[0];
}

function layOut(root, width) {
  const cells = [];
  const place = (node, x, room) => {
    cells.push({ node, x, width: room });
    if (node.depth >= DEEPEST) return;
    const energies = node.children.map((child) => (isKnown(child.energy) ? Math.max(child.energy, 0) : 0));
    const whole = Math.max(
      energies.reduce((a, b) => a + b, 0),
      node.energy ?? 0,
    );
    let left = x;
    node.children.forEach((child, at) => {
      const childRoom = whole > 0 ? (room * energies[at]) / whole : 0;
      if (childRoom >= NARROWEST) place(child, left, childRoom);
      left += childRoom;
    });
  };
  place(root, 0, width);
  return cells;
}

// By how much a part differs beside itself.
function colour(row) {
  if (!row || !isKnown(row.difference_j)) return "only";
  const share = row.a_j > 0 ? Math.abs(row.difference_j) / row.a_j : 0;
  const step = STEPS.filter((least) => share >= least).length;
  if (step === 0) return "same";
  return `${row.difference_j > 0 ? "more" : "less"}-${step}`;
}

function describe(node, row) {
  const amounts =
    row && isKnown(row.difference_j)
      ? `${joules(row.a_j)} in A, ${joules(row.b_j)} in B, ${change(row.difference_j)}`
      : "only in A";
  return `${node.scope}, ${node.type}: ${amounts}`;
}

// The drawing, and a line that says what the cell with the focus or under the pointer is.
export function differenceIcicle(prediction, nodes, room) {
  const width = Math.max(room, LEAST_WIDTH);
  const rowOf = byScope(nodes);
  const cells = layOut(prediction.root, width);
  const height = ROW * (1 + Math.max(...cells.map(({ node }) => node.depth)));
  const elements = new Map();
  const said = make("p", { class: "quiet", role: "status" }, "Arrow keys move from part to part.");
  const draw = ({ node, x, width: wide }) => {
    const row = rowOf(node.scope);
    const y = node.depth * ROW;
    const label = [`${node.name} ${node.type}`, node.name].find(
      (text) => text.length * CHARACTER <= wide - 2 * PADDING,
    );
    const element = makeSvg(
      "g",
      { class: `cell still diff-${colour(row)}`, data: { scope: node.scope, joules: row?.difference_j } },
      makeSvg("rect", { x, y, width: Math.max(wide - 1, NARROWEST / 2), height: ROW - 1, rx: 2 }),
      label && makeSvg("text", { x: x + PADDING, y: y + ROW / 2 + 4 }, label),
    );
    const text = describe(node, row);
    labelCell(element, node, label && !text.includes(label) ? `${label}, ${text}` : text);
    const say = () => (said.textContent = text);
    element.addEventListener("focus", () => {
      for (const other of elements.values()) other.setAttribute("tabindex", other === element ? "0" : "-1");
      say();
    });
    element.addEventListener("pointerenter", say);
    element.addEventListener("keydown", (event) => {
      const next = nextNode(cells, node, event.key);
      if (!next) return;
      elements.get(next)?.focus();
      event.preventDefault();
    });
    elements.set(node, element);
    return element;
  };
  const svg = makeSvg(
    "svg",
    {
      class: "icicle",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "tree",
      "aria-label": "Where B spends more or less than A, part by part; the tables have the figures",
    },
    cells.map(draw),
  );
  elements.get(prediction.root).setAttribute("tabindex", "0");
  return [svg, said];
}
