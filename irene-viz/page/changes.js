// Changes to a selection, as `set_b` and its like have them in the address: NAME=VALUE;NAME=VALUE. The names are those of
// the API's parameters, else fields of the model's config.

import { parameterName, stateName } from "./api.js";
import { LOADS, loadOf } from "./state.js";

// How much runs at once is said by one of these; naming one unsays the others.
const LOAD_PARAMETERS = LOADS.map(parameterName);

// The words that stand for the usual value of a setting.
const USUAL = ["default", "usual"];

export function readChanges(text) {
  const parts = text.split(";").filter((part) => part.includes("="));
  return new Map(
    parts.map((part) => {
      const at = part.indexOf("=");
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    }),
  );
}

export const writeChanges = (changes) => [...changes].map(([name, value]) => `${name}=${value}`).join(";");

// The text with one change more, or without it where the value is the empty one.
export function withChange(text, name, value) {
  const changes = readChanges(text);
  if (LOAD_PARAMETERS.includes(name)) for (const load of LOAD_PARAMETERS) changes.delete(load);
  changes.delete(name);
  if (value !== "") changes.set(name, value);
  return writeChanges(changes);
}

// The page's state with the changes made to it: parameters have keys of their own, fields of the
// config are in `set`.
export function asState(text, state) {
  const next = {};
  const changes = readChanges(text);
  // Fields of one model's config are not those of another's.
  const isOther = changes.has("model") && changes.get("model") !== state.model;
  let set = isOther ? "" : state.set;
  for (const [name, written] of changes) {
    const value = USUAL.includes(written) ? "" : written;
    if (LOAD_PARAMETERS.includes(name)) for (const load of LOADS) next[load] = "";
    // All formats at once are those of the weights and the cache, too.
    if (name === "dtype") [next.weights, next.cache] = ["", ""];
    if (stateName(name)) next[stateName(name)] = value;
    else set = withChange(set, name, value);
  }
  if (next.generate === "") next.generate = "0";
  return { ...next, set, ...(isOther ? { config: "" } : {}) };
}

// The load of a state as a change would have it.
export const loadChange = (state) => ({ name: parameterName(loadOf(state)), value: state[loadOf(state)] });

// People's names for the settings that change.
const LABELS = {
  model: "Model",
  device: "Device",
  batch_size: "Batch size",
  concurrency: "At once",
  rate: "Requests a second",
  seq_len: "Prompt tokens",
  generate: "Generated tokens",
  weights: "Weights",
  dtype: "All formats",
  cache: "Cache format",
  kernels: "Kernels",
  engine: "Engine",
  tensor_parallel: "GPUs to each layer",
  pipeline_parallel: "Stages of layers",
  expert_parallel: "GPUs to the experts",
  data_parallel: "Copies of the model",
  power_limit_w: "Power limit, W",
  num_hidden_layers: "Layers",
  hidden_size: "Hidden size",
  num_attention_heads: "Attention heads",
  num_key_value_heads: "Key/value heads",
  intermediate_size: "Feed-forward width",
  hidden_act: "Activation",
  norm: "Norm",
  vocab_size: "Vocabulary",
};

// Number formats by the names that people know.
export const formatName = (format) => ({ f8_e4m3: "fp8", f8_e5m2: "fp8 (e5m2)" })[format] ?? format;

// The formats of weights that most compare.
export const USUAL_FORMATS = ["bf16", "f8_e4m3", "int4"].map((format) => [format, formatName(format)]);

export const changeLabel = (name) => LABELS[name] ?? name.replaceAll("_", " ");

// How a change is said: "prompt 128 tokens", "6 layers".
const WORDS = {
  model: (value) => value,
  device: (value) => `on ${value}`,
  batch_size: (value) => `batch ${value}`,
  concurrency: (value) => `${value} at once`,
  rate: (value) => `${value} a second`,
  seq_len: (value) => `prompt ${value}`,
  generate: (value) => `generated ${value}`,
  weights: (value) => `${formatName(value)} weights`,
  cache: (value) => `${formatName(value)} cache`,
  kernels: (value) => `${value} kernels`,
  engine: (value) => value,
  num_hidden_layers: (value) => `${value} layers`,
  hidden_act: (value) => value,
  tensor_parallel: (value) => `${value} GPUs to each layer`,
  pipeline_parallel: (value) => `${value} stages`,
  expert_parallel: (value) => `${value} GPUs to the experts`,
  data_parallel: (value) => `${value} copies`,
  power_limit_w: (value) => `${value} W each`,
};

export function changesInWords(text) {
  const all = [...readChanges(text)].map(([name, value]) => WORDS[name]?.(value) ?? `${changeLabel(name)} ${value}`);
  return all.join(", ");
}
