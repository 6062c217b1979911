// Which nodes of the tree are open: those above a depth, but for the ones a person has toggled since.
// The state holds both, `depth` as a number or `all`, `toggled` as the nodes' places in the tree.

import { pathTo } from "./nodes.js";

export function readOpenness(state) {
  const depth = state.depth === "all" ? Infinity : Number.parseInt(state.depth, 10) || 0;
  const toggled = new Set(state.toggled.split(".").filter(Boolean).map(Number));
  return {
    isOpen: (node) => node.children.length > 0 && node.depth < depth !== toggled.has(node.index),
    toggle(node) {
      if (!toggled.delete(node.index)) toggled.add(node.index);
    },
    text: () => [...toggled].sort((a, b) => a - b).join("."),
  };
}

// What `toggled` becomes so that a node is to be seen.
export function toggledToShow(state, node) {
  const openness = readOpenness(state);
  for (const above of pathTo(node).slice(0, -1)) {
    if (!openness.isOpen(above)) openness.toggle(above);
  }
  return openness.text();
}
