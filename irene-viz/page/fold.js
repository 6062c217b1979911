// Which layers are shown each, and which as one for all: the state's `layers` is empty, `all`, or the first scopes of
// the runs that are opened.

import { make } from "./dom.js";

export function opened(layers, scope) {
  return [...layers.split(",").filter(Boolean), scope].join(",");
}

export function folded(layers, scope) {
  return layers
    .split(",")
    .filter((each) => each && each !== scope)
    .join(",");
}

// The first scope and length of the run that a node is one of, if it is opened.
export function openRunOf(node, { repeats = [] }, layers) {
  if (layers === "all" || layers === "" || !node.parent) return undefined;
  const scopes = node.parent.raw.child_nodes_obj.map((each) => each.scope);
  return repeats.find(({ scope, count }) => {
    const first = scopes.indexOf(scope);
    const at = scopes.indexOf(node.scope);
    return layers.split(",").includes(scope) && first >= 0 && at >= first && at < first + count;
  });
}

// The switch of a view between one layer for all and each by itself.
export function createLayersSwitch(id, act) {
  const box = make("input", { id, type: "checkbox", on: { change: () => act.go({ layers: box.checked ? "all" : "" }) } });
  const label = make("label", { class: "check" }, box, " All layers");
  return {
    element: label,
    show(state, { repeats = [] }) {
      label.hidden = repeats.length === 0;
      box.checked = state.layers === "all";
      box.indeterminate = state.layers !== "" && state.layers !== "all";
    },
  };
}
