// Compare: the prediction beside another selection, node by node and type by type.

import { getComparison } from "./api.js";
import { make } from "./dom.js";
import { isKnown, joules, number, signedJoules } from "./format.js";
import { createTable } from "./table.js";
import { isUpload } from "./uploads.js";

const size = (value) => (isKnown(value) ? Math.abs(value) : undefined);

function ratio(row) {
  return isKnown(row.a_j) && isKnown(row.b_j) && row.a_j > 0 ? row.b_j / row.a_j : undefined;
}

const times = (value) => (isKnown(value) ? `${number(value)} ×` : "");

const FIGURES = [
  {
    id: "a",
    label: "A",
    numeric: true,
    text: (row) => joules(row.a_j),
    value: (row) => row.a_j,
    data: (row) => ({ joules: row.a_j }),
  },
  {
    id: "b",
    label: "B",
    numeric: true,
    text: (row) => joules(row.b_j),
    value: (row) => row.b_j,
    data: (row) => ({ joules: row.b_j }),
  },
  {
    id: "difference",
    label: "Difference, B − A",
    numeric: true,
    text: (row) => signedJoules(row.difference_j),
    // The largest changes first, whichever way they go; of what only one has, all is a change.
    value: (row) => size(row.difference_j ?? row.a_j ?? row.b_j),
    data: (row) => ({ joules: row.difference_j }),
  },
  { id: "ratio", label: "B ÷ A", numeric: true, text: (row) => times(ratio(row)), value: ratio },
];
const TYPE = { id: "type", label: "Type", text: (row) => row.instance_type, value: (row) => row.instance_type };

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
  const sides = make("dl", { id: "compare-totals", class: "figures" });
  const byType = createTable({
    caption: "By type, each by what its nodes spend themselves",
    columns: [TYPE, { id: "level", label: "Level", text: (row) => row.level, value: (row) => row.level }, ...FIGURES],
    sort: "-difference",
    rowAttributes: (row) => ({ data: { type: row.instance_type } }),
  });
  const byNode = createTable({
    caption: "Node by node; a figure is missing where only one of the two has the node",
    columns: [{ id: "node", label: "Node", text: (row) => row.scope, value: (row) => row.scope }, TYPE, ...FIGURES],
    sort: "-difference",
    rowAttributes: (row) => ({ data: { scope: row.scope } }),
  });
  const results = make("div", { class: "stack" }, sides, byType.element, byNode.element);
  panel.append(form, results);

  function submit(event) {
    event.preventDefault();
    act.go({ other_model: model.value, other_device: device.value, other_batch: batch.value, other_seq: seq.value });
  }

  function figure(term, text, data, more) {
    return make("div", {}, make("dt", {}, term), make("dd", { data }, text), more);
  }

  function side(letter, of) {
    const title = `${letter}: ${of.model}, batch ${of.batch_size}, sequence ${of.seq_len}, on ${of.device}`;
    const perToken = joules(of.energy_per_token_j);
    return figure(
      title,
      joules(of.energy_j),
      { joules: of.energy_j, side: letter.toLowerCase() },
      perToken && make("dd", { class: "quiet", data: { joules: of.energy_per_token_j } }, `${perToken} a token`),
    );
  }

  return {
    // The choices of B are those of A.
    offer(models, devices) {
      model.replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
      device.replaceChildren(...devices.map(({ name }) => make("option", { value: name }, name)));
    },
    load: (state) => (state.other_model ? getComparison(state) : null),
    render(state, prediction, comparison) {
      // Until B is chosen it starts out as A.
      model.value = state.other_model || (isUpload(state.model) ? model.options[0].value : state.model);
      device.value = state.other_device || state.device;
      batch.value = state.other_batch || state.batch;
      seq.value = state.other_seq || state.seq;
      results.hidden = !comparison;
      if (!comparison) return;
      const { a, b } = comparison;
      sides.replaceChildren(
        side("A", a),
        side("B", b),
        figure("Difference, B − A", signedJoules(comparison.difference_j), { joules: comparison.difference_j }),
        figure("B ÷ A", times(comparison.ratio)),
      );
      byType.show(comparison.by_type);
      byNode.show(comparison.nodes);
    },
  };
}
