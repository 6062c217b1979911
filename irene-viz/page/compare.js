// Compare: the prediction beside another selection, node by node and type by type.

import { getPrediction } from "./api.js";
import { energies, figures, words } from "./columns.js";
import { compare } from "./comparison.js";
import { make } from "./dom.js";
import { change, isKnown, joules, times } from "./format.js";
import { createTable } from "./table.js";

const ratio = (row) => (isKnown(row.a_j) && isKnown(row.b_j) && row.a_j > 0 ? row.b_j / row.a_j : undefined);

// Of what only one has, all is a change.
function size(row) {
  const changed = row.difference_j ?? row.a_j ?? row.b_j;
  return isKnown(changed) ? Math.abs(changed) : undefined;
}

function differenceText(row) {
  if (isKnown(row.difference_j)) return change(row.difference_j);
  if (isKnown(row.a_j)) return "only in A";
  return isKnown(row.b_j) ? "only in B" : "";
}

// `most` gives the largest difference of the table, which has the longest bar.
const figureColumns = (most) => [
  energies("a", "A", (row) => row.a_j),
  energies("b", "B", (row) => row.b_j),
  // The largest changes first, whichever way they go.
  figures("difference", "Difference, B − A", size, joules, {
    text: differenceText,
    data: (row) => ({ joules: row.difference_j }),
    bar: (row) => ({
      share: most() > 0 ? size(row) / most() : 0,
      colour: row.difference_j > 0 || !isKnown(row.a_j) ? "more" : "less",
    }),
  }),
  figures("ratio", "B ÷ A", ratio, times),
];
const TYPE = words("type", "Type", (row) => row.instance_type);

// A table of pairs, which knows the largest difference of those that it shows.
function createPairTable({ caption, columns, rowAttributes }) {
  let most = 0;
  const all = [...columns, ...figureColumns(() => most)];
  const table = createTable({ caption, columns: all, sort: "-difference", rowAttributes });
  return {
    element: table.element,
    show(rows) {
      most = Math.max(0, ...rows.map(size).filter(isKnown));
      table.show(rows);
    },
  };
}

const modelOptions = (models) => models.map(({ name }) => make("option", { value: name }, name));

export function createCompareView(panel, act) {
  const model = make("select", { id: "other-model" });
  const device = make("select", { id: "other-device" });
  const batch = make("input", { id: "other-batch", type: "number", inputmode: "numeric", min: 1, max: 4096 });
  const seq = make("input", { id: "other-seq", type: "number", inputmode: "numeric", min: 1, max: 8192 });
  const form = make(
    "form",
    {
      class: "fields",
      novalidate: true,
      "aria-label": "What to compare with",
      on: { submit: (event) => submit(event) },
    },
    make("label", {}, "Model B ", model),
    make("label", {}, "Device B ", device),
    make("label", {}, "Batch size B ", batch),
    make("label", {}, "Sequence length B ", seq),
    make("button", { id: "compare", class: "primary" }, "Compare"),
  );
  const sides = make("dl", { id: "compare-totals", class: "figures", "aria-live": "polite" });
  const byType = createPairTable({
    caption: "By type, each by what its nodes spend themselves",
    columns: [TYPE, words("level", "Level", (row) => row.level)],
    rowAttributes: (row) => ({ data: { type: row.instance_type } }),
  });
  const byNode = createPairTable({
    caption: "Node by node",
    columns: [words("node", "Node", (row) => row.scope), TYPE],
    rowAttributes: (row) => ({ data: { scope: row.scope } }),
  });
  const tables = make("div", { class: "beside late" }, byType.element, byNode.element);
  const results = make("div", { class: "stack" }, sides, tables);
  panel.append(form, results);

  // What is not said of B is as it is of A.
  const other = (state) => ({
    ...state,
    model: state.other_model || state.model,
    device: state.other_device || state.device,
    batch: state.other_batch || state.batch,
    seq: state.other_seq || state.seq,
  });

  async function load(state) {
    const b = other(state);
    const [ofA, ofB] = await Promise.all([getPrediction(state), getPrediction(b)]);
    return compare(ofA.data, ofB.data, state.device, b.device);
  }

  function submit(event) {
    event.preventDefault();
    act.go({ other_model: model.value, other_device: device.value, other_batch: batch.value, other_seq: seq.value });
  }

  let named = [];

  function figure(term, text, data, more) {
    return make("div", {}, make("dt", {}, term), make("dd", { data }, text), more);
  }

  function side(letter, of) {
    const title = `${letter}: ${of.model}, batch ${of.batch}, sequence ${of.seq}, on ${of.device}`;
    const perToken = joules(of.energy_per_token_j);
    return figure(
      title,
      joules(of.energy_j),
      { joules: of.energy_j, side: letter.toLowerCase() },
      perToken && make("dd", { class: "quiet", data: { joules: of.energy_per_token_j } }, `${perToken} a token`),
    );
  }

  return {
    offer(models, devices) {
      // The choices of B are those of A.
      named = models;
      device.replaceChildren(...devices.map(({ name }) => make("option", { value: name }, name)));
    },
    load: (state) => (state.other_model ? load(state) : null),
    render(state, prediction, comparison) {
      // Until B is chosen it starts out as A.
      const b = other(state);
      model.replaceChildren(...modelOptions(named));
      model.value = b.model;
      device.value = b.device;
      batch.value = b.batch;
      seq.value = b.seq;
      results.hidden = !comparison;
      if (!comparison) return;
      sides.replaceChildren(
        side("A", comparison.a),
        side("B", comparison.b),
        figure("Difference, B − A", differenceText(comparison), { joules: comparison.difference_j }),
        figure("B ÷ A", times(comparison.ratio)),
      );
      byType.show(comparison.by_type);
      byNode.show(comparison.nodes);
    },
  };
}
