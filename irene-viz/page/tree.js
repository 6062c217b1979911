// The tree view: an ARIA treegrid whose rows exist only while their parents are open.

import { fillCell, nodeColumns } from "./columns.js";
import { insertLazily, make } from "./dom.js";
import { nodesCsv } from "./downloads.js";
import { options } from "./field.js";
import { createLayersSwitch, opened } from "./fold.js";
import { pathTo } from "./nodes.js";
import { readOpenness } from "./openness.js";

const [NODE, ...FIGURES] = nodeColumns("node", "type", "energy", "share", "own", "interval", "latency", "marks");

export function createTreeView(panel, act) {
  const depthSelect = make("select", {
    id: "depth",
    on: { change: () => act.go({ depth: depthSelect.value, toggled: "" }) },
  });
  const layers = createLayersSwitch("tree-layers", act);
  const tools = make(
    "div",
    { class: "tools" },
    make(
      "button",
      { id: "expand-all", type: "button", on: { click: () => act.go({ depth: "all", toggled: "" }) } },
      "Expand all",
    ),
    make(
      "button",
      { id: "collapse-all", type: "button", on: { click: () => act.go({ depth: "0", toggled: "" }) } },
      "Collapse",
    ),
    make("label", {}, "Depth ", depthSelect),
    layers.element,
  );
  const body = make("div", { role: "rowgroup" });
  const grid = make(
    "div",
    { role: "treegrid", class: "treegrid", "aria-label": "Nodes of the model" },
    make(
      "div",
      { role: "rowgroup", class: "head" },
      make(
        "div",
        { role: "row", class: "row" },
        [NODE, ...FIGURES].map(({ id, label, numeric, bar }) =>
          make(
            "span",
            { role: "columnheader", data: { field: id }, class: bar ? "bar" : numeric && "number" },
            make("span", {}, label),
          ),
        ),
      ),
    ),
    body,
  );
  panel.append(tools, make("div", { class: "scroller" }, grid));

  let openness;
  let shown;
  let pending;
  let rows = new Map();
  let nodes = new Map();
  let current;
  let nodesShown = [];

  function buildRow(node) {
    const isBranch = node.children.length > 0;
    const cell = (column, data) => make("span", { role: "gridcell", data: { field: column.id, ...data } });
    const name = cell(NODE);
    name.append(make("span", { class: isBranch ? "twisty" : "leaf" }, node.name));
    if (node.count > 1) name.append(make("span", { class: "count", title: "Show each (U)" }, `×${node.count}`));
    name.style.setProperty("--depth", node.depth);
    const row = make(
      "div",
      {
        role: "row",
        class: "row",
        tabindex: "-1",
        "aria-level": node.depth + 1,
        "aria-posinset": node.position + 1,
        "aria-setsize": node.parent ? node.parent.children.length : 1,
        "aria-expanded": isBranch ? String(openness.isOpen(node)) : undefined,
        "aria-selected": "false",
        data: { scope: node.scope, key: node.key },
      },
      name,
      FIGURES.map((column) => fillCell(cell(column, column.data?.(node)), column, node)),
    );
    // A long one is cut.
    row.querySelector("[data-field=type]").title = node.typeText;
    rows.set(node, row);
    nodes.set(row, node);
    return row;
  }

  function visibleBelow(node) {
    return openness.isOpen(node) ? node.children.flatMap((child) => [child, ...visibleBelow(child)]) : [];
  }

  function toggle(node) {
    if (node.children.length === 0) return;
    pending.finish();
    const wasOpen = openness.isOpen(node);
    if (wasOpen) {
      for (const below of visibleBelow(node)) {
        rows.get(below).remove();
        rows.delete(below);
      }
    }
    openness.toggle(node);
    if (!wasOpen) pending = insertLazily(body, visibleBelow(node), buildRow, rows.get(node));
    rows.get(node).setAttribute("aria-expanded", String(!wasOpen));
    act.note({ toggled: openness.text() });
  }

  // Shows each of those that a node stands for.
  function unfold(node) {
    act.go((wanted) => ({ layers: opened(wanted.layers, node.scope), node: node.key }));
  }

  function makeCurrent(node) {
    const before = rows.get(current);
    before?.setAttribute("tabindex", "-1");
    before?.setAttribute("aria-selected", "false");
    current = node;
    rows.get(node).setAttribute("tabindex", "0");
    rows.get(node).setAttribute("aria-selected", "true");
  }

  function focus(node) {
    pending.finish();
    rows.get(node).focus();
  }

  function onKey(event) {
    const node = nodes.get(event.target.closest("[role=row]"));
    if (!node || event.altKey || event.ctrlKey || event.metaKey) return;
    const row = rows.get(node);
    const isOpen = openness.isOpen(node);
    pending.finish();
    switch (event.key) {
      case "ArrowDown":
        row.nextElementSibling?.focus();
        break;
      case "ArrowUp":
        row.previousElementSibling?.focus();
        break;
      case "ArrowRight":
        if (isOpen) focus(node.children[0]);
        else toggle(node);
        break;
      case "ArrowLeft":
        if (isOpen) toggle(node);
        else if (node.parent) focus(node.parent);
        break;
      case "Home":
        body.firstElementChild.focus();
        break;
      case "End":
        body.lastElementChild.focus();
        break;
      case "u":
        if (node.count > 1) unfold(node);
        break;
      case "Enter":
      case " ":
        toggle(node);
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  const nodeOf = (event) => nodes.get(event.target.closest("[role=row]"));
  body.addEventListener("keydown", onKey);
  body.addEventListener("focusin", (event) => {
    const node = nodeOf(event);
    makeCurrent(node);
    act.select(node);
  });
  body.addEventListener("click", (event) => {
    const node = nodeOf(event);
    if (!node) return;
    focus(node);
    if (event.target.closest(".count")) unfold(node);
    else if (event.target.closest(".twisty")) toggle(node);
  });
  body.addEventListener("dblclick", (event) => {
    const node = nodeOf(event);
    if (node && !event.target.closest(".twisty")) toggle(node);
  });
  body.addEventListener("pointerover", (event) => act.preview(nodeOf(event)));
  body.addEventListener("pointerleave", () => act.preview());

  function showDepths(state, prediction) {
    const deepest = Math.max(...prediction.nodes.map((node) => node.depth));
    const depths = [...Array(deepest).keys()].map(String);
    depthSelect.replaceChildren(...options([...depths, "all"].map((depth) => [depth])));
    depthSelect.value = depths.includes(state.depth) ? state.depth : "all";
  }

  return {
    render(state, prediction) {
      const hadFocus = body.contains(document.activeElement);
      pending?.cancel();
      shown = state;
      layers.show(state, prediction);
      openness = readOpenness(state);
      rows = new Map();
      nodes = new Map();
      showDepths(state, prediction);
      // A column of nothing only takes room from the others.
      grid.classList.toggle("unmarked", prediction.nodes.every((node) => node.marks.length === 0));
      body.replaceChildren();
      pending = insertLazily(body, [prediction.root, ...visibleBelow(prediction.root)], buildRow);
      // A selected node under a closed one has no row: the nearest one above it stands in.
      const selected = prediction.find(state.node) ?? prediction.root;
      if (!rows.has(selected)) pending.finish();
      makeCurrent(pathTo(selected).findLast((node) => rows.has(node)));
      if (current !== selected) rows.get(current).setAttribute("aria-selected", "false");
      if (hadFocus) focus(current);
      nodesShown = prediction.nodes;
    },
    downloads: () => [["csv", "nodes", () => nodesCsv(nodesShown)]],
  };
}
