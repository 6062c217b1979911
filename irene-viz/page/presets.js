// The usual questions, each a change to what is selected; a question that the selection answers is turned round.

import { loadChange } from "./changes.js";

const [FIRST_DEVICE, OTHER_DEVICE] = ["h100-sxm", "l4"];
const [FEW, MANY] = ["1", "32"];
const [SHORT, LONG] = ["128", "512"];

function activationName(value) {
  const names = { silu: "SiLU", swish: "SiLU", relu: "ReLU", relu2: "ReLU²" };
  return names[value] ?? (value.startsWith("gelu") ? "GELU" : value);
}

function halfTheLayers({ num_hidden_layers: layers }) {
  if (!(layers >= 2)) return null;
  const half = Math.floor(layers / 2);
  return {
    id: "layers",
    label: "Half the layers",
    about: `${half} instead of ${layers}`,
    set: `num_hidden_layers=${half}`,
  };
}

function otherActivation({ hidden_act: now }) {
  if (typeof now !== "string") return null;
  const [to, name] = now === "relu" ? ["gelu", "GELU"] : ["relu", "ReLU"];
  return {
    id: "activation",
    label: `${name} for ${activationName(now)}`,
    about: "another activation",
    set: `hidden_act=${to}`,
  };
}

function otherLoad(state) {
  const { name, value } = loadChange(state);
  if (name === "rate") return null;
  const to = value === FEW ? MANY : FEW;
  const label = name === "batch_size" ? `Batch ${to}` : to === FEW ? "One at a time" : `${to} at once`;
  return { id: "load", label, about: `instead of ${value}, by token`, set: `${name}=${to}` };
}

function otherLength({ seq }) {
  const to = seq === SHORT ? LONG : SHORT;
  return { id: "length", label: `Prompt of ${to}`, about: `tokens, instead of ${seq}`, set: `seq_len=${to}` };
}

function otherWeights({ weights, dtype }) {
  const isInt4 = weights === "int4" || dtype.startsWith("int4");
  const [to, from] = isInt4 ? ["bf16", "int4"] : ["int4", weights || "the model’s own"];
  return { id: "weights", label: `${to} weights`, about: `instead of ${from}`, set: `weights=${to}` };
}

function otherDevice({ device }, devices) {
  const name = device === OTHER_DEVICE ? FIRST_DEVICE : OTHER_DEVICE;
  const other = devices.find((each) => each.name === name);
  return (
    other && { id: "device", label: `On ${other.title ?? name}`, about: `instead of ${device}`, set: `device=${name}` }
  );
}

function twoGpus({ tp, model }, models) {
  // Encoders are not split.
  const task = models.find(({ name }) => name === model)?.task ?? "decoder";
  if (Number(tp || 1) !== 1 || task !== "decoder") return null;
  return { id: "gpus", label: "On two GPUs", about: "each layer split over both", set: "tensor_parallel=2" };
}

// `config` has the fields of the model's config by their usual names.
export function presets(state, config, devices, models) {
  const all = [
    halfTheLayers(config),
    otherActivation(config),
    otherLoad(state),
    otherLength(state),
    otherWeights(state),
    otherDevice(state, devices),
    twoGpus(state, models),
  ];
  return all.filter(Boolean);
}
