// Does it fit: the device's memory and what would be in it.

import { getPrediction } from "./api.js";
import { stackedBar } from "./bars.js";
import { make } from "./dom.js";
import { labelled } from "./form.js";
import { bytes, count, joules, perToken } from "./format.js";

const PARTS = [
  ["weights", "Weights"],
  ["cache", "Cache"],
  ["activations", "Activations"],
  ["workspace", "Workspace"],
];

export function memoryBar(memory) {
  if (!memory) return "";
  const whole = memory.usable_bytes ?? memory.device_bytes;
  const parts = PARTS.map(([id, name]) => [name, memory[`${id}_bytes`], `memory-${id}`])
    .filter(([, size]) => size > 0)
    .map(([name, size, colour]) => ({ name, share: size / whole, text: bytes(size), colour }));
  const room = memory.most_sequences ? `; room for ${count(memory.most_sequences)} sequences at once` : "";
  const left = memory.usable_bytes < memory.device_bytes ? ` that the engine takes of its ${bytes(memory.device_bytes)}` : "";
  const label = `Memory of each GPU: ${bytes(memory.total_bytes)} of ${bytes(whole)}${left}${room}`;
  return stackedBar(parts, label);
}

// Changes that make a model smaller or its memory larger, the least change first.
const WAYS = [
  ["weights in 8 bits", { weights: "int8", dtype: "" }],
  ["weights in 4 bits", { weights: "int4", dtype: "" }],
  ["two GPUs", { tp: "2" }],
  ["four GPUs", { tp: "4" }],
  ["eight GPUs", { tp: "8" }],
  ["one at once", { batch: "", rate: "", concurrency: "1" }],
];

// The answer for a selection that does not fit: how much is missing, and the ways that would do, each tried.
export function createMisfit(act) {
  async function tried(state, [name, change]) {
    const { data } = await getPrediction({ ...state, math: "", ...change });
    return { name, change, figures: data.figures };
  }

  async function showWays(state, list) {
    const found = await Promise.allSettled(WAYS.map((way) => tried(state, way)));
    const ways = found.filter((each) => each.status === "fulfilled").map((each) => each.value);
    const link = ({ name, change, figures }) =>
      make(
        "li",
        { data: { way: Object.entries(change).flat().filter(Boolean).join("-") } },
        act.link(change, `With ${name}`),
        figures ? `: ${perToken(figures) || joules(figures.energy_per_request_j)}` : "",
      );
    list.replaceChildren(
      ...ways.map(link),
      make(
        "li",
        {},
        act.link({ view: "plan" }, "Plan"),
        ": every device and number of GPUs on which it does",
      ),
    );
  }

  return (state, problem) => {
    const trying = make("p", { class: "quiet" }, "Trying smaller formats and more GPUs…");
    const list = make("ul", { class: "ways" }, make("li", {}, trying));
    showWays(state, list);
    return make(
      "div",
      { class: "empty misfit" },
      make("h2", {}, `${state.model} does not fit on ${state.device} this way`),
      make("p", {}, labelled(problem.message)),
      make("p", {}, "It would:"),
      list,
    );
  };
}
