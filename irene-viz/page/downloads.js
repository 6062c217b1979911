// Saves what is shown as files: those of the view that is open.

import { byId, make } from "./dom.js";
import { isKnown } from "./format.js";

const ofAll = (name) => (node) => (isKnown(node.raw[name]) ? node.raw[name] * node.runs : undefined);

const COLUMNS = [
  ["scope", (node) => node.scope],
  ["parent", (node) => node.parent?.scope],
  ["depth", (node) => node.depth],
  ["instance_type", (node) => node.type],
  ["type", (node) => node.raw.type],
  ["runs", (node) => node.runs],
  ["energy_j", (node) => node.energy],
  ["energy_low_j", (node) => node.low],
  ["energy_high_j", (node) => node.high],
  ["own_energy_j", (node) => node.own],
  ["share", (node) => node.share],
  ["latency_s", (node) => node.latency],
  ["power_w", (node) => node.power],
  ["gpu_energy_j", (node) => node.gpuEnergy],
  // A module that runs again has the same parameters.
  ["num_parameters", (node) => (isKnown(node.raw.num_parameters) ? node.raw.num_parameters * node.copies : undefined)],
  ["mflop", ofAll("flops")],
  ["mem_mib", ofAll("mem_bytes")],
  ["moved_mib", ofAll("moved_bytes")],
  ["kernels", ofAll("kernels")],
  ["marks", (node) => node.marks.join(" ")],
];

function csvField(value) {
  const text = value === undefined || value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Columns whose values have these names in a row.
export const plainColumns = (...names) => names.map((name) => [name, (row) => row[name]]);

// `columns` are [name, value of a row].
export function csv(columns, rows) {
  const lines = [columns.map(([name]) => name), ...rows.map((row) => columns.map(([, value]) => value(row)))];
  return lines.map((fields) => `${fields.map(csvField).join(",")}\n`).join("");
}

export const nodesCsv = (nodes) => csv(COLUMNS, nodes);

export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") }).click();
  // The browser has to have opened it before it goes.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const TYPES = { csv: "text/csv", svg: "image/svg+xml", json: "application/json" };

// `shown` gives the state of the moment, and the prediction and the view if there are any. A view's `downloads` are
// [extension, what it is, text of it]; the prediction itself can be had from all.
export function createDownloads(shown) {
  const place = byId("downloads");

  function download(extension, text) {
    const { state } = shown();
    save(`${state.model}-${state.device}-${state.view}.${extension}`, TYPES[extension], text());
  }

  function button(extension, about, text) {
    const listener = () => download(extension, text);
    return make(
      "button",
      { type: "button", id: `download-${extension}`, on: { click: listener } },
      `Download ${extension.toUpperCase()} `,
      make("span", { class: "quiet" }, about),
    );
  }

  return {
    enable() {
      const { prediction, view } = shown();
      const own = view?.downloads?.() ?? [];
      const all = prediction ? [...own, ["json", "prediction", () => prediction.text]] : own;
      place.replaceChildren(...all.map((each) => button(...each)));
    },
  };
}
