// The words that are ours or the field's, each explained where it stands: in a tip, and all of them in one list.

import { byId, make } from "./dom.js";
import { MARKS, markName } from "./format.js";

const GLOSSARY = {
  energy: {
    name: "Energy",
    text: "Electricity that the run takes, in joules. One joule is one watt for one second; 3.6 million are a kilowatt-hour. It is that of the GPUs alone or, where a machine was measured at the wall, of the whole computer; cooling and network are in neither.",
  },
  interval: {
    name: "90% interval",
    text: "The range that held nine of ten measurements where the predictor was tested. On devices of which nothing was measured it held fewer.",
  },
  measured: {
    name: "Measured machine",
    text: "A machine on which runs of models were measured: the figures are learned from those.",
  },
  data_sheet: {
    name: "Data sheet",
    text: "Peaks, bandwidth, memory and power of a device as its maker states them: the figures follow from those and from what an engine is known to reach.",
  },
  batch: { name: "Batch", text: "Sequences that run through the model together, start to end." },
  concurrency: {
    name: "At once",
    text: "Requests that are served together, on average; when one ends, one that waits takes its place.",
  },
  rate: { name: "Per second", text: "Requests that arrive in a second. Too many for the device are refused." },
  prompt: { name: "Prompt", text: "Tokens that a request brings; the model reads all of them at once." },
  generated: { name: "Generated", text: "Tokens that the model writes after the prompt, one after the other." },
  token: { name: "Token", text: "A piece of text, in English about three quarters of a word." },
  ttft: {
    name: "Time to first token",
    text: "From a request's arrival to its first generated token: reading the prompt, and waiting for others.",
  },
  itl: {
    name: "Time between tokens",
    text: "From one generated token of a request to its next, in the median: steps that also read other requests' prompts take longer.",
  },
  latency: { name: "Latency", text: "From the start of a run or request to its end." },
  kernels: {
    name: "Kernels",
    text: "How operations become programs of the device: one each (eager), or several as one (fused), which saves memory traffic.",
  },
  weights: { name: "Weights", text: "The number format of the parameters. Fewer bits are fewer bytes to read." },
  cache: {
    name: "Cache",
    text: "Keys and values of the tokens so far, kept so that each new token does not compute them again. It grows with every token.",
  },
  engine: { name: "Engine", text: "The program that runs the model, with its version: vLLM, llama.cpp, transformers." },
  tensor_parallel: { name: "Tensor parallel", text: "GPUs that share every layer of one copy of the model." },
  pipeline_parallel: { name: "Pipeline parallel", text: "Stages one after the other, each with a part of the layers." },
  expert_parallel: { name: "Expert parallel", text: "GPUs that the experts of a mixture are spread over." },
  data_parallel: { name: "Copies", text: "Whole copies of the model, each with a part of the requests." },
  power_limit: { name: "Power limit", text: "The most power that each GPU may take. Less is slower, and often saves energy." },
  head: { name: "Head", text: "The last layer, on top of the trunk: scores of tokens (lm) or of classes." },
  math: { name: "Math operations", text: "Single operations (products, softmax, sums) as nodes of their own below the modules." },
  own: { name: "Own part", text: "What a node spends beside its children." },
  share: { name: "Share", text: "Part of the whole model's energy." },
  marks: { name: "Marks", text: "Where a figure is less certain than its interval says, and why." },
  extrapolated: { name: "Extrapolated", text: "Lies outside the range of the training data, so the figure is less certain." },
  front: {
    name: "Pareto front",
    text: "Those that no other beats in everything at once: to gain in one figure, they lose in another.",
  },
  co2e: {
    name: "CO₂e",
    text: "Greenhouse gases of making the electricity, as grams of carbon dioxide; by the grid's mean of a year. The machine's making is not in it.",
  },
  sandwich: {
    name: "Sandwich view",
    text: "One type of module in the middle: who contains it above, what it contains below, summed over the whole model.",
  },
  workspace: { name: "Workspace", text: "Memory that the engine keeps for itself." },
};

const TIP = "term-tip";
let shownBy;

function tip() {
  const element = byId(TIP);
  if (element) return element;
  const made = make("div", { id: TIP, role: "tooltip", hidden: true });
  document.body.append(made);
  return made;
}

function hide() {
  if (shownBy?.matches("button")) shownBy.removeAttribute("aria-describedby");
  shownBy = undefined;
  tip().hidden = true;
}

function show(button, text) {
  hide();
  const element = tip();
  element.textContent = text;
  element.hidden = false;
  const at = button.getBoundingClientRect();
  const left = Math.min(at.left, innerWidth - element.offsetWidth - 8);
  const isBelow = at.bottom + element.offsetHeight + 12 < innerHeight;
  element.style.left = `${Math.max(left, 8) + scrollX}px`;
  element.style.top = `${(isBelow ? at.bottom + 6 : at.top - element.offsetHeight - 6) + scrollY}px`;
  if (button.matches("button")) button.setAttribute("aria-describedby", TIP);
  shownBy = button;
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && shownBy) hide();
});

// The word, and its explanation on demand; `label` where it is called otherwise here.
export function term(id, label) {
  const { name, text } = GLOSSARY[id];
  return explained(id, label ?? name, text);
}

// Marks after other words, each with its meaning.
export const marksWithTips = (marks) =>
  marks.flatMap((mark) => ["; ", MARKS[mark] ? explained(mark, markName(mark), MARKS[mark].long) : markName(mark)]);

function explained(id, label, text) {
  const button = make("button", { type: "button", class: "term", data: { term: id } }, label);
  button.addEventListener("pointerenter", () => show(button, text));
  button.addEventListener("pointerleave", hide);
  button.addEventListener("focus", () => show(button, text));
  button.addEventListener("blur", hide);
  button.addEventListener("click", () => show(button, text));
  return button;
}

// The words of the form have explanations too, where `data-term` says so: a tip for who points at the label, and a
// description for who hears the control.
export function explainLabels(root) {
  for (const label of root.querySelectorAll("label[data-term]")) {
    const { text } = GLOSSARY[label.dataset.term];
    label.control?.setAttribute("aria-description", text);
    label.addEventListener("pointerenter", () => show(label, text));
    label.addEventListener("pointerleave", hide);
  }
}

// The dialog with all of them, in the order of the alphabet.
export function createGlossary(opener) {
  const words = Object.values(GLOSSARY).toSorted((a, b) => a.name.localeCompare(b.name, "en"));
  const dialog = make(
    "dialog",
    { id: "glossary", "aria-labelledby": "glossary-title" },
    make(
      "div",
      { class: "dialog-head" },
      make("h2", { id: "glossary-title" }, "Glossary"),
      make("button", { type: "button", on: { click: () => dialog.close() } }, "Close"),
    ),
    make(
      "dl",
      {},
      words.map(({ name, text }) => make("div", {}, make("dt", {}, name), make("dd", {}, text))),
    ),
  );
  document.body.append(dialog);
  opener.addEventListener("click", () => dialog.showModal());
}
