// The icicle (a flame graph that hangs): each node as wide as its energy, below its parent.

import { make, makeSvg } from "./dom.js";
import { HEAT_STEPS, heat, isKnown, joules, percent, tick } from "./format.js";
import { pathTo } from "./nodes.js";

// A row is as high as the window has room for, within these.
const LEAST_ROW = 40;
const MOST_ROW = 104;
const ROOM_BELOW = 150;
const CHARACTER = 7.3;
const LINE = 16;
const PADDING = 5;
const NARROWEST = 0.5;
const LEAST_WIDTH = 280;
const DOWNLOAD_WIDTH = 1400;

// Cells of the zoomed node and everything below it, under the nodes above it, which keep the full width as the way out.
function layOut(top, width) {
  const cells = pathTo(top)
    .slice(0, -1)
    .map((node) => ({ node, x: 0, width, isAbove: true }));
  const place = (node, x, room) => {
    cells.push({ node, x, width: room, isAbove: false });
    const energies = node.children.map((child) => (isKnown(child.energy) ? Math.max(child.energy * child.times, 0) : 0));
    const sum = energies.reduce((a, b) => a + b, 0);
    // A module is predicted apart from its children, so they may sum to a little more than it.
    const whole = Math.max(sum, node.energy ?? 0);
    let left = x;
    node.children.forEach((child, at) => {
      const childRoom = whole > 0 ? (room * energies[at]) / whole : 0;
      if (childRoom >= NARROWEST) place(child, left, childRoom);
      left += childRoom;
    });
  };
  place(top, 0, width);
  return cells;
}

// What of it fits, as one or two lines.
function labels(node, width) {
  const room = Math.floor((width - 2 * PADDING) / CHARACTER);
  const figures = [joules(node.energy), percent(node.share)].filter(Boolean).join(", ");
  const first = [`${node.name} ${node.type}`, node.name].find((text) => text.length <= room);
  const second = [figures, joules(node.energy)].find((text) => text.length <= room);
  return first ? [first, second].filter(Boolean) : [];
}

// Lines under one another in the middle of the cell; in a narrow cell that is high enough, its name from top to bottom.
function drawLabels(node, x, y, width, row, fill) {
  const lines = labels(node, width);
  if (lines.length === 0) {
    if (width >= LINE && node.name.length * CHARACTER <= row - 2 * PADDING) {
      const place = `translate(${x + width / 2 - 4} ${y + PADDING}) rotate(90)`;
      return makeSvg("text", { transform: place, fill }, node.name);
    }
    // The drawing cuts off what does not fit.
    if (width >= 3 * CHARACTER + 2 * PADDING) lines.push(node.name);
  }
  const top = (row - LINE * lines.length) / 2 + 12;
  return makeSvg(
    "svg",
    { x: x + PADDING, y, width: Math.max(width - 2 * PADDING, 0), height: row },
    lines.map((line, at) => makeSvg("text", { y: top + at * LINE, fill }, line)),
  );
}

function describe(node) {
  const figures = [joules(node.energy), percent(node.share)].filter(Boolean).join(", ");
  return `${node.scope}, ${node.type}${figures && `: ${figures}`}`;
}

// `colour` gives the fill and text colours of a step, for a file that has no style sheet; the page's own needs none.
function drawCell(cell, row, colour) {
  const { node, x, width } = cell;
  const step = heat(node.share);
  const paint = colour?.(step);
  const y = node.depth * row;
  return makeSvg(
    "g",
    { class: `cell heat-${step}${cell.isAbove ? " above" : ""}`, data: { scope: node.scope, key: node.key } },
    makeSvg("title", {}, describe(node)),
    makeSvg("rect", { x, y, width: Math.max(width - 1, NARROWEST), height: row - 1, rx: 2, fill: paint?.fill }),
    drawLabels(node, x, y, width, row, paint?.text),
  );
}

const countRows = (cells) => 1 + Math.max(...cells.map((cell) => cell.node.depth));

function drawing(cells, width, row, colour) {
  const height = countRows(cells) * row;
  const svg = makeSvg("svg", { class: "icicle", viewBox: `0 0 ${width} ${height}`, width, height });
  svg.append(...cells.map((cell) => drawCell(cell, row, colour)));
  return svg;
}

// The steps of the colours by the shares that they begin at.
function legend() {
  const amount = (share) => `${tick()(share * 100)}%`;
  const names = [`below ${amount(HEAT_STEPS[0])}`, ...HEAT_STEPS.map((least) => `from ${amount(least)}`)];
  return make(
    "ul",
    { class: "legend", "aria-label": "Colours by share of the energy" },
    names.map((name, step) => make("li", { class: `heat-${step}` }, name)),
  );
}

// The icicle as a file of its own, with its colours written into it.
export function icicleFile(prediction, zoom) {
  const style = getComputedStyle(document.documentElement);
  const variable = (name) => style.getPropertyValue(name).trim();
  const colour = (step) => ({ fill: variable(`--heat-${step}`), text: variable(`--heat-${step}-text`) });
  const top = prediction.find(zoom) ?? prediction.root;
  const svg = drawing(layOut(top, DOWNLOAD_WIDTH), DOWNLOAD_WIDTH, LEAST_ROW, colour);
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("font-family", "ui-monospace, Menlo, Consolas, monospace");
  svg.setAttribute("font-size", "12");
  return new XMLSerializer().serializeToString(svg);
}

export function createIcicleView(panel, act) {
  const out = make("button", { id: "zoom-out", type: "button", on: { click: () => zoomOut() } }, "Zoom out");
  const where = make("span", { class: "where" });
  const holder = make("div", { class: "icicle-holder" });
  const help = make(
    "p",
    { class: "quiet" },
    "Each as wide as its energy. Click or Enter zooms in, Escape zooms out, arrow keys move.",
  );
  panel.append(make("div", { class: "tools" }, out, where, legend()), holder, help);

  let shown;
  let top;
  let current;
  let cells = [];
  let elements = new Map();

  function zoom(node) {
    act.go({ zoom: node.parent ? node.key : "", node: node.key });
  }

  function zoomOut() {
    if (top?.parent) zoom(top.parent);
  }

  function activate(node) {
    if (node === top) zoomOut();
    else zoom(node);
  }

  function makeCurrent(node) {
    elements.get(current)?.setAttribute("tabindex", "-1");
    elements.get(current)?.setAttribute("aria-selected", "false");
    current = node;
    elements.get(node).setAttribute("tabindex", "0");
    elements.get(node).setAttribute("aria-selected", "true");
  }

  // The next cell of the same row, whoever its parent is.
  function beside(node, step) {
    const row = cells.filter((cell) => cell.node.depth === node.depth).map((cell) => cell.node);
    return row[row.indexOf(node) + step];
  }

  function onKey(event) {
    const node = shown.find(event.target.dataset.key);
    if (!node || event.altKey || event.ctrlKey || event.metaKey) return;
    const row = cells.filter((cell) => cell.node.depth === node.depth);
    const moves = {
      ArrowDown: () => elements.get(cells.find((cell) => cell.node.parent === node)?.node),
      ArrowUp: () => elements.get(node.parent),
      ArrowLeft: () => elements.get(beside(node, -1)),
      ArrowRight: () => elements.get(beside(node, 1)),
      Home: () => elements.get(row[0].node),
      End: () => elements.get(row.at(-1).node),
    };
    if (event.key in moves) moves[event.key]()?.focus();
    else if (event.key === "Enter" || event.key === " ") activate(node);
    else if (event.key === "Escape" || event.key === "Backspace") zoomOut();
    else return;
    event.preventDefault();
  }

  const nodeOf = (event) => shown.find(event.target.closest("[data-key]")?.dataset.key);
  holder.addEventListener("keydown", onKey);
  holder.addEventListener("focusin", (event) => {
    makeCurrent(nodeOf(event));
    act.select(current);
  });
  holder.addEventListener("click", (event) => {
    const node = nodeOf(event);
    if (node) activate(node);
  });
  holder.addEventListener("pointerover", (event) => act.preview(nodeOf(event)));
  holder.addEventListener("pointerleave", () => act.preview());

  function draw(selected) {
    const hadFocus = holder.contains(document.activeElement);
    const width = Math.max(holder.clientWidth, LEAST_WIDTH);
    cells = layOut(top, width);
    const room = innerHeight - holder.getBoundingClientRect().top - scrollY - ROOM_BELOW;
    const row = Math.min(Math.max(room / countRows(cells), LEAST_ROW), MOST_ROW);
    const svg = drawing(cells, width, Math.floor(row));
    svg.setAttribute("role", "tree");
    svg.setAttribute("aria-label", "Icicle of the model's energy");
    elements = new Map(cells.map((cell, at) => [cell.node, svg.children[at]]));
    for (const [node, element] of elements) {
      element.setAttribute("role", "treeitem");
      element.setAttribute("tabindex", "-1");
      element.setAttribute("aria-level", node.depth + 1);
      element.setAttribute("aria-posinset", node.position + 1);
      element.setAttribute("aria-setsize", node.parent ? node.parent.children.length : 1);
      element.setAttribute("aria-selected", "false");
      element.setAttribute("aria-label", describe(node));
    }
    holder.replaceChildren(svg);
    makeCurrent(elements.has(selected) ? selected : top);
    if (hadFocus) elements.get(current).focus({ preventScroll: true });
  }

  return {
    render(state, prediction) {
      // Zooming out with the button to the very top disables it, and the focus must not be lost with it.
      const hadFocus = document.activeElement === out;
      shown = prediction;
      top = prediction.find(state.zoom) ?? prediction.root;
      out.disabled = !top.parent;
      where.textContent = top.parent ? top.scope : "";
      draw(prediction.find(state.node));
      if (hadFocus && out.disabled) elements.get(current).focus();
    },
    resize() {
      if (holder.clientWidth !== holder.firstChild?.clientWidth) draw(current);
    },
  };
}
