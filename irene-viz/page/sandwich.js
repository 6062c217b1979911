// One type of module in the middle: above it those that contain it, below it what it contains, each summed over the
// whole model and as wide as its energy.

import { make } from "./dom.js";
import { spent } from "./drawing.js";
import { heat, joules, percent, runsText } from "./format.js";
import { pathTo } from "./nodes.js";

const add = (into, type, energy) => {
  if (!into.has(type)) into.set(type, { type, energy: 0, below: new Map() });
  const entry = into.get(type);
  entry.energy += energy;
  return entry;
};

// The nodes of a type that are in no other of it.
const ofType = ({ nodes }, type) =>
  nodes.filter((node) => node.type === type && !pathTo(node.parent ?? node).some((above) => above !== node && above.type === type));

// Both as nested maps by type: callers from the nearest outwards, callees inwards.
function merge(prediction, type) {
  const found = ofType(prediction, type);
  const whole = { type, energy: found.reduce((sum, node) => sum + spent(node), 0) };
  const callers = new Map();
  const callees = new Map();
  const addBelow = (into, node) => {
    for (const child of node.children) addBelow(add(into, child.type, spent(child)).below, child);
  };
  for (const node of found) {
    let into = callers;
    for (let above = node.parent; above; above = above.parent) into = add(into, above.type, spent(node)).below;
    addBelow(callees, node);
  }
  return { whole, callers, callees, count: found.reduce((sum, node) => sum + node.runs, 0) };
}

// Rows of cells, each with its place as shares of the width.
function rowsOf(entries, whole, x = 0, depth = 0, rows = []) {
  let left = x;
  for (const entry of [...entries.values()].toSorted((a, b) => b.energy - a.energy)) {
    const width = whole > 0 ? entry.energy / whole : 0;
    (rows[depth] ??= []).push({ ...entry, x: left, width });
    rowsOf(entry.below, whole, left, depth + 1, rows);
    left += width;
  }
  return rows;
}

const NARROWEST = 0.002;

export function createSandwich(onChoose) {
  const element = make("section", { class: "sandwich", "aria-label": "Callers and callees", hidden: true });

  function cell({ type, energy, x, width }, total) {
    const share = total > 0 ? energy / total : undefined;
    const text = `${type}: ${joules(energy)}, ${percent(share)}`;
    return make(
      "button",
      {
        type: "button",
        class: `heat-${heat(share)}`,
        title: text,
        data: { type, joules: energy },
        style: { "--x": x, "--share": width },
        on: { click: () => onChoose(type) },
      },
      make("span", {}, text),
    );
  }

  const row = (cells, total) =>
    make("div", { class: "sandwich-row" }, cells.filter(({ width }) => width >= NARROWEST).map((each) => cell(each, total)));

  return {
    element,
    show(prediction, type) {
      element.hidden = type === "";
      if (type === "") return;
      const hadFocus = element.contains(document.activeElement);
      const { whole, callers, callees, count } = merge(prediction, type);
      const total = prediction.root.energy;
      const above = rowsOf(callers, whole.energy).toReversed();
      const below = rowsOf(callees, whole.energy);
      element.replaceChildren(
        make("h3", {}, `${type}: ${runsText(count)} in the model, ${joules(whole.energy)}`),
        make("p", { class: "quiet" }, "Above, what contains it; below, what it contains. Choose a type to put it in the middle."),
        ...above.map((cells) => row(cells, total)),
        make("div", { class: "sandwich-row middle" }, cell({ ...whole, x: 0, width: 1 }, total)),
        ...below.map((cells) => row(cells, total)),
      );
      // The type that was chosen is in the middle now.
      if (hadFocus) element.querySelector(".middle button").focus();
    },
  };
}
