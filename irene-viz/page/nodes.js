// The nodes of a prediction as the views use them: in order, with parent, depth, share and a key of their own; what
// repeats (the layers of a model) is one node that counts for all, unless `layers` asks for them.

import { isKnown, runsText } from "./format.js";

function localName(scope, parentScope) {
  return parentScope && scope.startsWith(`${parentScope}.`) ? scope.slice(parentScope.length + 1) : scope;
}

// `layer.0` and `layer.11` are `layer.0–11`.
function rangeName(first, last) {
  if (first === last) return first;
  const [from, to] = [first, last].map((name) => /^(.*?)(\d+)$/.exec(name));
  return from && to && from[1] === to[1] ? `${first}–${to[2]}` : first;
}

// Gives each scope its key, in the order of a tree: a scope may occur more than once (two matmuls of one module), and the
// second is `scope~2`.
export function createKeys() {
  const seen = new Map();
  return (scope) => {
    const times = (seen.get(scope) ?? 0) + 1;
    seen.set(scope, times);
    return times === 1 ? scope : `${scope}~${times}`;
  };
}

const scaled = (value, by) => (isKnown(value) ? value * by : undefined);

// Which runs of equal siblings are one node: all, none, or all but those whose first scope is named.
function countsToFold(repeats, layers) {
  if (layers === "all") return new Map();
  const opened = layers.split(",");
  return new Map(repeats.filter(({ scope }) => !opened.includes(scope)).map(({ scope, count }) => [scope, count]));
}

// Nodes in the tree's own order, parents before children. Keys and indices are those of the whole tree, folded or not;
// the key of a node that is folded away finds the one that stands for it.
export function indexNodes(tree, repeats = [], layers = "") {
  const nodes = [];
  const byKey = new Map();
  const nextKey = createKeys();
  const counts = countsToFold(repeats, layers);
  const total = tree.predicted_energy;
  let index = -1;

  function keyOf(raw) {
    index += 1;
    return nextKey(raw.scope);
  }

  // A node that another stands for, and all below it.
  function alias(raw, shown) {
    byKey.set(keyOf(raw), shown);
    (raw.child_nodes_obj ?? []).forEach((child, at) => alias(child, shown.standIns[at] ?? shown));
  }

  function visit(raw, parent, position, count, last) {
    const times = (raw.times ?? 1) * count;
    const runs = (parent?.runs ?? 1) * times;
    const copies = (parent?.copies ?? 1) * count;
    const energy = scaled(raw.predicted_energy, runs);
    const node = {
      raw,
      parent,
      times,
      runs,
      // How many nodes of the tree it stands for.
      copies,
      count,
      position,
      key: keyOf(raw),
      index,
      depth: parent ? parent.depth + 1 : 0,
      scope: raw.scope,
      name: rangeName(localName(raw.scope, parent?.scope), localName(last.scope, parent?.scope)),
      type: raw.instance_type,
      // With how often it runs in one run of its parent.
      typeText: times === 1 ? raw.instance_type : `${raw.instance_type} ×${runsText(times)}`,
      energy,
      share: isKnown(energy) && total > 0 ? energy / total : undefined,
      own: scaled(raw.own_energy, runs),
      low: scaled(raw.predicted_energy_low, runs),
      high: scaled(raw.predicted_energy_high, runs),
      latency: scaled(raw.predicted_times_mean, runs),
      gpuEnergy: scaled(raw.predicted_gpu_energy_mean, runs),
      power: raw.predicted_power,
      marks: raw.marks ?? [],
      children: [],
      standIns: [],
    };
    nodes.push(node);
    byKey.set(node.key, node);
    visitChildren(node, raw.child_nodes_obj ?? []);
    return node;
  }

  function visitChildren(node, children) {
    for (let at = 0; at < children.length; ) {
      const wanted = counts.get(children[at].scope) ?? 1;
      const run = children.slice(at, at + wanted);
      const isRun = run.length === wanted && run.every((each) => each.instance_type === run[0].instance_type);
      const count = isRun ? wanted : 1;
      const child = visit(children[at], node, node.children.length, count, children[at + count - 1]);
      node.children.push(child);
      node.standIns.push(child);
      for (const other of children.slice(at + 1, at + count)) {
        node.standIns.push(child);
        alias(other, child);
      }
      at += count;
    }
  }

  visit(tree, null, 0, 1, tree);
  return { nodes, root: nodes[0], find: (key) => byKey.get(key) };
}

// From the root to the node itself.
export function pathTo(node) {
  return node.parent ? [...pathTo(node.parent), node] : [node];
}
