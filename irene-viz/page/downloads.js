// Saves what is shown as files.

import { byId, make } from "./dom.js";
import { icicleFile } from "./icicle.js";

const COLUMNS = [
  ["scope", (node) => node.scope],
  ["parent", (node) => node.parent?.scope],
  ["depth", (node) => node.depth],
  ["instance_type", (node) => node.type],
  ["type", (node) => node.raw.type],
  ["energy_j", (node) => node.energy],
  ["energy_low_j", (node) => node.low],
  ["energy_high_j", (node) => node.high],
  ["own_energy_j", (node) => node.own],
  ["share", (node) => node.share],
  ["latency_s", (node) => node.latency],
  ["power_w", (node) => node.power],
  ["gpu_energy_j", (node) => node.raw.predicted_gpu_energy_mean],
  ["num_parameters", (node) => node.raw.num_parameters],
  ["mflop", (node) => node.raw.flops],
  ["mem_mib", (node) => node.raw.mem_bytes],
  ["moved_mib", (node) => node.raw.moved_bytes],
  ["kernels", (node) => node.raw.kernels],
  ["marks", (node) => node.marks.join(" ")],
];

function csvField(value) {
  const text = value === undefined || value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function nodesCsv(prediction) {
  const lines = [
    COLUMNS.map(([name]) => name),
    ...prediction.nodes.map((node) => COLUMNS.map(([, value]) => value(node))),
  ];
  return lines.map((fields) => `${fields.map(csvField).join(",")}\n`).join("");
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  // The browser has to have opened it before it goes.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// `shown` gives the prediction and state of the moment.
export function createDownloads(shown) {
  const name = ({ tree }, extension) =>
    `${tree.model_name}-${tree.batch_size}x${tree.seq_len}.${extension}`.replace(/[^\w.-]+/g, "_");
  const files = {
    json: ({ prediction }) => ["application/json", prediction.text],
    csv: ({ prediction }) => ["text/csv", nodesCsv(prediction)],
    svg: ({ prediction, state }) => ["image/svg+xml", icicleFile(prediction, state.zoom)],
  };
  const buttons = Object.entries(files).map(([extension, contents]) => {
    const button = byId(`download-${extension}`);
    button.addEventListener("click", () => {
      const [type, text] = contents(shown());
      save(name(shown().prediction, extension), type, text);
    });
    return button;
  });
  return {
    enable() {
      for (const button of buttons) button.disabled = false;
    },
  };
}
