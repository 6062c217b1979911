// The controls of What if: which part of a selection each changes, and what that part is now.
//
// A knob has `id`, `label`, `about` (one line for who does not know the word), `name` (that of the change), `value` (A's,
// as text) and either `choices` ([value, text] pairs) or nothing, for a whole number of at least `least`.

import { stateName } from "./api.js";
import { changeLabel, loadChange, readChanges } from "./changes.js";

const FORMATS = [
  ["bf16", "bf16, 16 bits"],
  ["f16", "f16, 16 bits"],
  ["f8_e4m3", "fp8, 8 bits"],
  ["int8", "int8, 8 bits"],
  ["int4", "int4, 4 bits"],
  ["mxfp4", "mxfp4, 4 bits"],
  ["q4_k", "q4_k, GGUF"],
  ["q8_0", "q8_0, GGUF"],
  ["f32", "f32, 32 bits"],
];
const CACHE_FORMATS = FORMATS.filter(([name]) => ["bf16", "f16", "f8_e4m3", "f32"].includes(name));
const KERNELS = [
  ["fused", "fused"],
  ["eager", "eager, one by one"],
];
const ACTIVATIONS = ["gelu", "gelu_new", "silu", "relu", "tanh"].map((name) => [name, name]);

// Fields of the config, by the names that every family answers to.
const ARCHITECTURE = [
  ["num_hidden_layers", "Blocks of attention and feed-forward, one after another"],
  ["hidden_size", "Numbers that stand for one token between the layers"],
  ["num_attention_heads", "Parts that attention is split into"],
  ["num_key_value_heads", "Heads that the cache keeps; fewer make it smaller"],
  ["intermediate_size", "Numbers inside each feed-forward part"],
  ["hidden_act", "The function inside the feed-forward part", { choices: ACTIVATIONS }],
  ["vocab_size", "Tokens that the model knows"],
];

const LOADS = {
  batch_size: { about: "Sequences that run together" },
  concurrency: { about: "Requests that are being answered at the same time", isFraction: true },
  rate: { about: "Requests that arrive in a second", isFraction: true },
};

const knob = (name, about, value, more) => ({
  name,
  id: name.replaceAll("_", "-"),
  label: changeLabel(name),
  about,
  value,
  ...more,
});

// Which norm a model has is its architecture's own: no field of a config is another's.
const normOf = (nodes) => nodes.find(({ type }) => /norm/i.test(type))?.type;

function ofModel({ state, config, models, nodes }, changes) {
  const named = models.map(({ name }) => [name, name]);
  const model = knob("model", "Another model in its place", state.model, { choices: named });
  // The fields are those of A's model.
  if (changes.has("model")) return [model];
  const norm = normOf(nodes);
  const fixed = norm ? [knob("norm", "How numbers are scaled between the parts", norm, { isFixed: true })] : [];
  const has = ([name]) => config[name] !== undefined && config[name] !== null;
  return [
    model,
    ...ARCHITECTURE.filter(has).map(([name, about, more]) => knob(name, about, String(config[name]), more)),
    ...fixed,
  ];
}

function ofLoad({ state }) {
  const { name, value } = loadChange(state);
  return [
    knob(name, LOADS[name].about, value, LOADS[name]),
    knob("seq_len", "Tokens that are read", state.seq),
    knob("generate", "Tokens that are written", state.generate, { least: 0 }),
  ];
}

function ofRun({ state, selection, engines }) {
  const [weights = "", activations = weights, cache = activations] = (state.dtype || selection.precision || "").split(
    ",",
  );
  const choice = (name, about, now = "", choices) => knob(name, about, state[name] || now, { choices });
  return [
    choice("weights", "The format that weights are kept in", weights, FORMATS),
    choice("cache", "The format of the keys and values of earlier tokens", cache, CACHE_FORMATS),
    choice("kernels", "Operations as programs of the GPU: one each, or several as one", selection.kernels, KERNELS),
    choice(
      "engine",
      "The program that serves the model",
      selection.engine,
      engines.map(({ name }) => [name, name]),
    ),
  ];
}

function ofPlace({ state, devices }) {
  const named = devices.map(({ name, title }) => [name, title ?? name]);
  const gpus = (name, about) => knob(name, about, state[stateName(name)] || "1");
  return [
    knob("device", "The GPU, or each of them", state.device, { choices: named }),
    gpus("tensor_parallel", "Tensor parallel: each layer is split over so many"),
    gpus("pipeline_parallel", "Pipeline parallel: the layers are dealt out to so many"),
    gpus("expert_parallel", "Expert parallel: the experts are dealt out to so many"),
    gpus("data_parallel", "Data parallel: each copy has its own requests"),
    knob("power_limit_w", "What each GPU may draw; less is slower", state.power, {
      isFraction: true,
      placeholder: "none",
    }),
  ];
}

// The groups of controls for what is selected: `config` and `selection` are those of its prediction. A change that has no
// control of its own, as one in a shared address may, gets one.
export function knobGroups(selected) {
  const changes = readChanges(selected.state.set_b);
  const groups = [
    { title: "The model", knobs: ofModel(selected, changes) },
    { title: "What it is asked", knobs: ofLoad(selected) },
    { title: "How it runs", knobs: ofRun(selected) },
    { title: "Where it runs", knobs: ofPlace(selected) },
  ];
  const known = new Set(groups.flatMap(({ knobs }) => knobs.map(({ name }) => name)));
  const others = [...changes.keys()].filter((name) => !known.has(name));
  if (others.length > 0)
    groups.push({ title: "Other changes", knobs: others.map((name) => knob(name, name, "", { isText: true })) });
  return groups;
}
