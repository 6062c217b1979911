// The panel that says everything known of one node.

import { byId, make, replaceInside } from "./dom.js";
import { folded, openRunOf, opened } from "./fold.js";
import {
  MARKS,
  count,
  interval,
  joules,
  markName,
  mebibytes,
  megaflop,
  number,
  parameters,
  percent,
  runsText,
  seconds,
  shape,
  watts,
} from "./format.js";

const FEATURES = {
  num_parameters: { label: "Parameters", format: parameters },
  flops: { label: "Arithmetic", format: megaflop },
  tiled_flops: { label: "Arithmetic in whole tiles", format: megaflop },
  mem_bytes: { label: "Memory, as IrEne counts it", format: mebibytes },
  moved_bytes: { label: "Moved", format: mebibytes },
  copied_bytes: { label: "Copied between layouts", format: mebibytes },
  parameter_bytes: { label: "Parameters moved", format: mebibytes },
  cache_bytes: { label: "Cache moved", format: mebibytes },
  kernels: { label: "Kernel launches", format: count },
};

// Not features of a node, but a node may lie beyond them too.
const SIZES = { batch_size: "Batch size", seq_len: "Sequence length" };

const PROVENANCE = { predicted: "predicted, not measured", measured: "measured" };
const SHEET = "data_sheet";

// A heading and its figures; those that are not known are left out, and the heading with them if none is left.
function section(title, figures) {
  const known = figures.filter(([, text]) => text);
  if (known.length === 0) return [];
  return [
    make("h3", {}, title),
    make(
      "dl",
      { class: "pairs" },
      known.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text))),
    ),
  ];
}

// A tensor as an operation sees it: its shape, its number format, and its role unless that is to be computed.
function operand({ shape: sizes, format, role }) {
  const named = role && typeof role === "object" ? Object.keys(role)[0] : role;
  return [shape(sizes), format, named].filter(Boolean).join(" ");
}

function operationFigures(operation) {
  if (!operation) return [];
  return [
    ["Kind", operation.kind],
    ["Inputs", operation.inputs?.map(operand).join(", ")],
    ["Output", operation.output && operand(operation.output)],
    ["In the same kernel", operation.fused?.join(", ")],
    ["Runs on", operation.on_host ? "the host, not the device" : ""],
  ];
}

// The features that lie outside the training data, and how far.
function beyondTraining(node) {
  const factors = Object.entries(node.raw.extrapolated ?? {});
  if (factors.length === 0) return "";
  const line = ([feature, factor]) => {
    const name = FEATURES[feature]?.label ?? SIZES[feature] ?? feature.replaceAll("_", " ");
    return make("li", { data: { feature } }, `${name}: ${number(factor)} times beyond the nearest value that was seen`);
  };
  return make("ul", {}, factors.map(line));
}

function marks(node) {
  if (node.marks.length === 0) return [];
  const line = (mark) => {
    const meaning = MARKS[mark] ? `: ${MARKS[mark].long}` : "";
    const more = mark === "extrapolated" ? beyondTraining(node) : "";
    return make("li", { data: { mark } }, make("strong", {}, markName(mark)), meaning, more);
  };
  return [make("h3", {}, "Marks"), make("ul", { class: "marks" }, node.marks.map(line))];
}

// Nodes that run more than once are told one by one too.
function ofOne(node) {
  if (node.runs === 1) return [];
  const one = (value) => (value === undefined ? undefined : value / node.runs);
  return [
    ["Runs in one of the whole", runsText(node.runs)],
    ["Energy of one", joules(one(node.energy))],
    ["Latency of one", seconds(one(node.latency))],
  ];
}

export function createDetails(act) {
  const panel = byId("details");

  // Between one layer for all and each by itself.
  function foldButtons(node, prediction, { layers }) {
    const button = (text, changed) =>
      make(
        "button",
        { id: "details-fold", type: "button", on: { click: () => act.go({ layers: changed, node: node.key }) } },
        text,
      );
    if (node.count > 1) return button(`Show each of the ${node.count}`, opened(layers, node.scope));
    const run = openRunOf(node, prediction, layers);
    return run ? button(`Fold the ${run.count}`, folded(layers, run.scope)) : "";
  }

  return {
    show(node, prediction, state) {
      const { raw } = node;
      const { predictor } = prediction;
      replaceInside(
        panel,
        make("h2", {}, node.name, make("small", {}, node.typeText)),
        make("p", { class: "scope", data: { scope: node.scope } }, node.scope),
        make(
          "div",
          { class: "tools" },
          make(
            "button",
            { id: "details-tree", type: "button", on: { click: () => act.showInTree(node) } },
            "Show in tree",
          ),
          make(
            "button",
            { id: "details-icicle", type: "button", on: { click: () => act.showInIcicle(node) } },
            "Zoom in icicle",
          ),
          foldButtons(node, prediction, state),
        ),
        ...section("Prediction", [
          [node.runs === 1 ? "Energy" : "Energy of all of them", joules(node.energy)],
          ["Share", percent(node.share)],
          ["90% interval", interval(node.low, node.high)],
          ["Own part", joules(node.own)],
          ["Latency", seconds(node.latency)],
          ["Mean power", watts(node.power)],
          ["By the GPU’s driver", joules(node.gpuEnergy)],
          ...ofOne(node),
        ]),
        ...marks(node),
        ...section("Operation", operationFigures(raw.operation)),
        ...section(
          node.runs === 1 ? "Features" : "Features of one",
          Object.entries(FEATURES).map(([name, { label, format }]) => [label, format(raw[name])]),
        ),
        ...section("Where the figures come from", [
          ["Figures", PROVENANCE[predictor.provenance] ?? predictor.provenance],
          ["Device", predictor.device],
          ["Method", predictor.method.replaceAll("_", " ")],
          [predictor.method === SHEET ? "Source" : "Training data", predictor.training_data],
        ]),
      );
    },
  };
}
