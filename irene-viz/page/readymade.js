// Comparisons that are ready to be looked at: others than what is selected, each a list of changes to it.

import { changesInWords, loadChange } from "./changes.js";

// Models that people set beside each other, each with its kin.
const KIN = [
  ["bert-base-uncased", "distilbert-base-uncased", "bert-large-uncased"],
  ["roberta-base", "distilroberta-base", "roberta-large"],
  ["gpt2", "distilgpt2", "gpt2-medium", "gpt2-large"],
  ["Llama-3.1-8B", "Llama-3.2-3B", "Llama-3.2-1B"],
  ["Llama-3.1-8B", "Qwen2.5-7B", "Mistral-7B-v0.3"],
  ["Llama-3.1-70B", "Llama-3.1-8B"],
];

const compared = (title, sets) => ({ title, sets, about: ["A", ...sets.map(changesInWords)].join(", ") });

export function readyMade(state, models, devices) {
  const isModel = (name) => models.some((model) => model.name === name);
  const isDevice = (name) => devices.some((device) => device.name === name);
  const { name: load, value } = loadChange(state);
  const others = (names, is) => names.filter((name) => is(name)).slice(0, 3);
  const kin = KIN.filter((names) => names.includes(state.model)).map((names) =>
    others(
      names.filter((name) => name !== state.model),
      isModel,
    ),
  );
  const gpus = others(
    ["l4", "a100-sxm-80gb", "h100-sxm", "h200-sxm"].filter((name) => name !== state.device),
    isDevice,
  );
  const loads = ["1", "8", "64"].filter((other) => other !== value);
  const lengths = ["128", "512", "2048"].filter((other) => other !== state.seq).slice(0, 2);
  const formats = ["f8_e4m3", "int4"];
  return [
    ...kin
      .filter((names) => names.length > 0)
      .map((names) =>
        compared(
          `${state.model} beside ${names.join(" and ")}`,
          names.map((name) => `model=${name}`),
        ),
      ),
    gpus.length > 0 &&
      compared(
        `${state.device} beside other devices`,
        gpus.map((name) => `device=${name}`),
      ),
    compared(
      "Its weights in fewer bits",
      formats.map((format) => `weights=${format}`),
    ),
    load !== "rate" &&
      compared(
        "Few and many at once",
        loads.map((other) => `${load}=${other}`),
      ),
    compared(
      "Shorter and longer prompts",
      lengths.map((other) => `seq_len=${other}`),
    ),
  ].filter(Boolean);
}
