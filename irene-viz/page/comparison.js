// Two predictions side by side, as /api/v1/compare has them, of the predictions themselves: an uploaded config has one
// too, and the page has A's already.

import { difference, isKnown } from "./format.js";

function whole({ tree }, device) {
  const { model_name: model, batch_size: batch, seq_len: seq, frontend_tree: root } = tree;
  const energy = root.predicted_energy;
  const perToken = isKnown(energy) ? energy / (batch * (tree.generated ?? seq)) : undefined;
  return { model, batch, seq, device, energy_j: energy, energy_per_token_j: perToken };
}

const listed = (node) => [node, ...(node.child_nodes_obj ?? []).flatMap(listed)];

// Rows of both by their key and place among equals: a's in their order, then what only b has. `absent` is the energy of
// a row that one of them does not have.
function pair(a, b, key, energy, absent) {
  const rows = new Map();
  for (const [side, items] of [["a_j", a], ["b_j", b]]) {
    const seen = new Map();
    for (const item of items) {
      const name = key(item);
      const times = (seen.get(name) ?? 0) + 1;
      seen.set(name, times);
      const id = `${name} ${times}`;
      rows.set(id, { ...item, a_j: absent, b_j: absent, ...rows.get(id), [side]: energy(item) });
    }
  }
  return [...rows.values()].map((row) => ({ ...row, difference_j: difference(row.a_j, row.b_j) }));
}

export function compare(a, b, deviceA, deviceB) {
  const sides = { a: whole(a, deviceA), b: whole(b, deviceB) };
  const [aJoules, bJoules] = [sides.a.energy_j, sides.b.energy_j];
  return {
    ...sides,
    difference_j: difference(aJoules, bJoules),
    ratio: isKnown(bJoules) && aJoules > 0 ? bJoules / aJoules : undefined,
    nodes: pair(
      listed(a.tree.frontend_tree),
      listed(b.tree.frontend_tree),
      (node) => `${node.scope} ${node.instance_type}`,
      (node) => node.predicted_energy,
    ),
    // Of a type that only one has, the other spends nothing on it.
    by_type: pair(
      a.bottlenecks,
      b.bottlenecks,
      (row) => `${row.instance_type} ${row.level}`,
      (row) => row.energy_j,
      0,
    ),
  };
}
