// The columns that tables are made of, in one form for all of them.
//
// A column has `id`, `label`, `text` (of a row) and `value` (what it sorts by); `numeric` aligns it right and sorts it
// downwards first; `bar` (a share of one, and the class of its colour) draws one; `data` sets data-* attributes.

import { make } from "./dom.js";
import { clipped, count, heat, interval, joules, marksText, percent, runsText, seconds, watts } from "./format.js";

// What is left out in `value` sorts last, as what is not known does.
export function words(id, label, value) {
  return { id, label, value: (row) => value(row) || undefined, text: (row) => value(row) ?? "" };
}

export function figures(id, label, value, format, more) {
  return { id, label, numeric: true, value, text: (row) => format(value(row)), ...more };
}

export function energies(id, label, value, more) {
  return figures(id, label, value, joules, { data: (row) => ({ joules: value(row) }), ...more });
}

export function intervals(low, high) {
  return figures("interval", "90% interval", low, joules, { text: (row) => interval(low(row), high(row)) });
}

// A bar as long as a share of the row, in the colour of that share.
export const shareBar = (share) => (row) => ({ share: share(row), colour: `heat-${heat(share(row))}` });

function shares(value) {
  return figures("share", "Share", value, percent, { bar: shareBar(value) });
}

const NODE = [
  words("node", "Node", (node) => node.scope),
  words("type", "Type", (node) => node.typeText),
  // Where there is no tree to see it from, with all runs of it in the whole.
  words("kind", "Type", (node) => (node.runs === 1 ? node.type : `${node.type} ×${runsText(node.runs)}`)),
  words("level", "Level", (node) => node.raw.type),
  energies("energy", "Energy", (node) => node.energy),
  shares((node) => node.share),
  figures("own", "Own part", (node) => node.own, joules),
  intervals(
    (node) => node.low,
    (node) => node.high,
  ),
  figures("latency", "Latency", (node) => node.latency, seconds),
  figures("power", "Power", (node) => node.power, watts),
  words("marks", "Marks", (node) => marksText(node.marks)),
];

// Those of a node that go by these names, in this order.
export const nodeColumns = (...ids) => ids.map((id) => NODE.find((column) => column.id === id));

export const TYPE_COLUMNS = [
  words("type", "Type", (row) => row.instance_type),
  words("level", "Level", (row) => row.level),
  figures("count", "Nodes", (row) => row.count, count),
  energies("energy", "Energy", (row) => row.energy_j),
  shares((row) => row.share),
];

// What a cell of the column has inside and as attributes, whatever element it is.
export function fillCell(cell, column, row) {
  const bar = column.bar?.(row);
  if (!bar) {
    if (column.numeric) cell.classList.add("number");
    cell.append(column.text(row));
    return cell;
  }
  cell.classList.add("bar", bar.colour);
  cell.style.setProperty("--share", clipped(bar.share ?? 0));
  cell.append(make("span", {}, column.text(row)));
  return cell;
}
