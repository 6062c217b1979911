// The icicle view: zoomed, searched, its layers folded or each, in the model's order or the heaviest first; and one type
// of module in the middle, between those that contain it and those that it contains.

import { make } from "./dom.js";
import {
  LEAST_ROW,
  LEAST_WIDTH,
  countRows,
  describe,
  drawing,
  icicleFile,
  labelCell,
  layOut,
  legend,
  nextNode,
} from "./drawing.js";
import { options } from "./field.js";
import { createLayersSwitch } from "./fold.js";
import { percent } from "./format.js";
import { createSandwich } from "./sandwich.js";

// A row is as high as the window has room for, within LEAST_ROW and this.
const MOST_ROW = 104;
const ROOM_BELOW = 150;

// The outermost of those that match, so that nothing is counted twice.
function outermost(nodes, isMatch) {
  return nodes.filter((node) => {
    if (!isMatch(node)) return false;
    for (let above = node.parent; above; above = above.parent) if (isMatch(above)) return false;
    return true;
  });
}

export function createIcicleView(panel, act) {
  const out = make("button", { id: "zoom-out", type: "button", on: { click: () => zoomOut() } }, "Zoom out");
  const where = make("span", { class: "where" });
  const layers = createLayersSwitch("icicle-layers", act);
  const search = make("input", { id: "find", type: "search", placeholder: "scope or type", autocomplete: "off" });
  const found = make("span", { class: "quiet", role: "status" });
  const heavy = make("input", {
    id: "heavy",
    type: "checkbox",
    on: { change: () => act.go({ order: heavy.checked ? "heavy" : "" }) },
  });
  const types = make("select", { id: "sandwich", on: { change: () => act.go({ sandwich: types.value }) } });
  const holder = make("div", { class: "icicle-holder" });
  const sandwich = createSandwich((type) => act.go({ sandwich: type }));
  const help = make(
    "p",
    { class: "quiet" },
    "Each as wide as its energy. Click or Enter zooms in, Escape zooms out, arrow keys move.",
  );
  panel.append(
    make(
      "div",
      { class: "tools" },
      out,
      layers.element,
      make("label", { class: "check" }, heavy, " Heaviest first"),
      make("label", {}, "Search ", search),
      found,
      make("label", {}, "Callers and callees of ", types),
      legend(),
    ),
    make("p", {}, where),
    holder,
    help,
    sandwich.element,
  );

  let shown;
  let state;
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

  function onKey(event) {
    const node = shown.find(event.target.dataset.key);
    if (!node || event.altKey || event.ctrlKey || event.metaKey) return;
    const next = nextNode(cells, node, event.key);
    if (next) elements.get(next)?.focus();
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
  search.addEventListener("input", () => {
    act.note({ search: search.value });
    highlight();
  });

  // Nodes that the search finds stand out, and their share of the whole is told.
  function highlight() {
    const wanted = search.value.trim().toLowerCase();
    const isMatch = (node) => [node.scope, node.type].some((text) => text.toLowerCase().includes(wanted));
    holder.firstChild.classList.toggle("is-searched", wanted !== "");
    for (const [node, element] of elements) element.classList.toggle("match", wanted !== "" && isMatch(node));
    const matched = wanted === "" ? [] : outermost(shown.nodes, isMatch);
    const share = matched.reduce((sum, node) => sum + (node.share ?? 0), 0);
    found.textContent = wanted === "" ? "" : `${matched.length} found${matched.length > 0 ? `, ${percent(share)} of the energy` : ""}`;
    found.dataset.share = share;
  }

  function draw(selected) {
    const hadFocus = holder.contains(document.activeElement);
    const width = Math.max(holder.clientWidth, LEAST_WIDTH);
    cells = layOut(top, width, state.order);
    const room = innerHeight - holder.getBoundingClientRect().top - scrollY - ROOM_BELOW;
    const row = Math.min(Math.max(room / countRows(cells), LEAST_ROW), MOST_ROW);
    const svg = drawing(cells, width, Math.floor(row));
    svg.setAttribute("role", "tree");
    svg.setAttribute("aria-label", "Icicle of the model's energy");
    elements = new Map();
    cells.forEach((cell, at) => {
      if (cell.isOwn) svg.children[at].setAttribute("aria-hidden", "true");
      else elements.set(cell.node, svg.children[at]);
    });
    for (const [node, element] of elements) labelCell(element, node, describe(node, element.textContent.trim()));
    holder.replaceChildren(svg);
    highlight();
    makeCurrent(elements.has(selected) ? selected : top);
    if (hadFocus) elements.get(current).focus({ preventScroll: true });
  }

  function offerTypes() {
    const names = [...new Set(shown.nodes.map((node) => node.type))].sort();
    types.replaceChildren(...options([["", "no type"], ...names.map((name) => [name])]));
    types.value = names.includes(state.sandwich) ? state.sandwich : "";
    sandwich.show(shown, types.value);
  }

  return {
    render(newState, prediction) {
      // Zooming out with the button to the very top disables it, and the focus must not be lost with it.
      const hadFocus = document.activeElement === out;
      shown = prediction;
      state = newState;
      top = prediction.find(state.zoom) ?? prediction.root;
      out.disabled = !top.parent;
      where.textContent = top.parent ? top.scope : "";
      heavy.checked = state.order === "heavy";
      layers.show(state, prediction);
      if (document.activeElement !== search) search.value = state.search;
      offerTypes();
      draw(prediction.find(state.node));
      if (hadFocus && out.disabled) elements.get(current).focus();
    },
    resize() {
      if (holder.clientWidth !== holder.firstChild?.clientWidth) draw(current);
    },
    downloads: () => [["svg", "icicle", () => icicleFile(shown, state)]],
  };
}
