// The nodes of a prediction as the views use them: in order, with parent, depth, share and a key of their own.

import { isKnown } from "./format.js";

function share(energy, total) {
  return isKnown(energy) && isKnown(total) && total > 0 ? energy / total : undefined;
}

function localName(scope, parentScope) {
  return parentScope && scope.startsWith(`${parentScope}.`) ? scope.slice(parentScope.length + 1) : scope;
}

// Nodes in the tree's own order, parents before children. A scope may occur more than once (two matmuls of one module),
// so the second is told apart in the URL as `scope~2`.
export function indexNodes(tree) {
  const nodes = [];
  const seen = new Map();
  const total = tree.predicted_energy;
  const visit = (raw, parent, position) => {
    const times = (seen.get(raw.scope) ?? 0) + 1;
    seen.set(raw.scope, times);
    // How often the node runs in one run of the whole.
    const runs = (parent?.runs ?? 1) * (raw.times ?? 1);
    const often = raw.times === undefined ? "" : ` ×${Number(raw.times.toPrecision(6))}`;
    const node = {
      raw,
      parent,
      runs,
      times: raw.times ?? 1,
      position,
      index: nodes.length,
      depth: parent ? parent.depth + 1 : 0,
      scope: raw.scope,
      key: times === 1 ? raw.scope : `${raw.scope}~${times}`,
      name: localName(raw.scope, parent?.scope) + often,
      type: raw.instance_type,
      energy: raw.predicted_energy,
      share: share(isKnown(raw.predicted_energy) ? raw.predicted_energy * runs : undefined, total),
      own: raw.own_energy,
      low: raw.predicted_energy_low,
      high: raw.predicted_energy_high,
      latency: raw.predicted_times_mean,
      power: raw.predicted_power,
      marks: raw.marks ?? [],
      children: [],
    };
    nodes.push(node);
    node.children = (raw.child_nodes_obj ?? []).map((child, at) => visit(child, node, at));
    return node;
  };
  visit(tree, null, 0);
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  return { nodes, root: nodes[0], find: (key) => byKey.get(key) };
}

// From the root to the node itself.
export function pathTo(node) {
  return node.parent ? [...pathTo(node.parent), node] : [node];
}
