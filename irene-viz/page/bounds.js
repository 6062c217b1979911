// Fields for how long an answer may take: seconds in the address and the API, milliseconds on the screen.

import { field, numberInput } from "./field.js";
import { term } from "./term.js";

const WORDS = {
  max_ttft: ["ttft", "First token within"],
  max_itl: ["itl", "Between tokens at most"],
  max_latency: ["latency", "Request within"],
};

const toSeconds = (text) => (text === "" ? "" : String(Number((Number(text) / 1000).toPrecision(9))));
const toMilliseconds = (text) => (text === "" ? "" : String(Number((Number(text) * 1000).toPrecision(9))));

// Those of these keys of the state; `prefix` keeps the ids of two views apart.
export function createBounds(prefix, keys, onChange) {
  const fields = keys.map((key) => {
    const [word, label] = WORDS[key];
    const input = numberInput(`${prefix}-${key.replace("_", "-")}`, { placeholder: "none" });
    input.addEventListener("change", () => onChange({ [key]: toSeconds(input.value.trim()) }));
    return { key, input, element: field(term(word, label), input, { unit: "ms" }) };
  });
  return {
    elements: fields.map(({ element }) => element),
    show(state) {
      for (const { key, input } of fields)
        if (document.activeElement !== input) input.value = toMilliseconds(state[key]);
    },
  };
}
