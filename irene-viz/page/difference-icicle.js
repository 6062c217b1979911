// The icicle of A, each part as wide as its energy there, in the colour of what the other spends more or less on it. The tables
// beside it have the figures.

import { make, makeSvg } from "./dom.js";
import { CHARACTER, LEAST_WIDTH, PADDING, labelCell, layOut, nextNode } from "./drawing.js";
import { change, difference, isKnown, joules } from "./format.js";
import { createKeys } from "./nodes.js";

const ROW = 34;
const NARROWEST = 1;
const DEEPEST = 5;
// The shares that count as little, some and much of a part's energy in A.
const STEPS = [0.01, 0.1, 0.4];

const sum = (a, b) => (isKnown(a) || isKnown(b) ? (a ?? 0) + (b ?? 0) : undefined);

// The energy that both spend on each node that is shown, and on all that it stands for. The rows are A's nodes in the order of the
// tree, and then those that only B has, whose keys lead to none.
function amountsOf(prediction, rows) {
  const nextKey = createKeys();
  const amounts = new Map();
  for (const { scope, a_j, b_j } of rows) {
    const node = prediction.find(nextKey(scope));
    const known = amounts.get(node);
    amounts.set(node, { a_j: sum(known?.a_j, a_j), b_j: sum(known?.b_j, b_j) });
  }
  return amounts;
}

// By how much a part differs beside itself.
function colour({ a_j, b_j } = {}) {
  const apart = difference(a_j, b_j);
  if (!isKnown(apart)) return "only";
  const share = a_j > 0 ? Math.abs(apart) / a_j : 0;
  const step = STEPS.filter((least) => share >= least).length;
  if (step === 0) return "same";
  return `${apart > 0 ? "more" : "less"}-${step}`;
}

function describe(node, { a_j, b_j } = {}, other) {
  const apart = difference(a_j, b_j);
  const amounts = isKnown(apart) ? `${joules(a_j)} in A, ${joules(b_j)} in ${other}, ${change(apart)}` : "only in A";
  return `${node.scope}, ${node.typeText}: ${amounts}`;
}

// The drawing, and a line that says what the cell with the focus or under the pointer is.
export function differenceIcicle(prediction, nodes, room, other) {
  const width = Math.max(room, LEAST_WIDTH);
  const amounts = amountsOf(prediction, nodes);
  const isDrawn = (cell) => !cell.isOwn && cell.node.depth <= DEEPEST && cell.width >= NARROWEST;
  const cells = layOut(prediction.root, width).filter(isDrawn);
  const height = ROW * (1 + Math.max(...cells.map(({ node }) => node.depth)));
  const elements = new Map();
  const said = make("p", { class: "quiet", role: "status" }, "Arrow keys move from part to part.");
  const draw = ({ node, x, width: wide }) => {
    const spent = amounts.get(node);
    const y = node.depth * ROW;
    const label = [`${node.name} ${node.type}`, node.name].find(
      (text) => text.length * CHARACTER <= wide - 2 * PADDING,
    );
    const element = makeSvg(
      "g",
      { class: `cell still diff-${colour(spent)}`, data: { scope: node.scope, joules: difference(spent?.a_j, spent?.b_j) } },
      makeSvg("rect", { x, y, width: Math.max(wide - 1, NARROWEST / 2), height: ROW - 1, rx: 2 }),
      label && makeSvg("text", { x: x + PADDING, y: y + ROW / 2 + 4 }, label),
    );
    const text = describe(node, spent, other);
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
      "aria-label": `Where ${other} spends more or less than A, part by part; the tables have the figures`,
    },
    cells.map(draw),
  );
  elements.get(prediction.root).setAttribute("tabindex", "0");
  return [svg, said];
}
