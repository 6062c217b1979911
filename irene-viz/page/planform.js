// The form of a plan: the service, and the machines to choose from.

import { createBounds } from "./bounds.js";
import { USUAL_FORMATS } from "./changes.js";
import { make } from "./dom.js";
import { field, fieldsForm, numberInput, select } from "./field.js";
import { term } from "./term.js";

export const DEFAULT_RATE = "1";

const listed = (text) =>
  text
    .split(",")
    .map((each) => each.trim())
    .filter(Boolean);

// Boxes to tick; all of them are the same as none, and the state has the empty string for it.
function createBoxes(key, title, onChange) {
  const summary = make("summary", {});
  const filter = make("input", {
    type: "search",
    placeholder: "find",
    "aria-label": `Find in ${title.toLowerCase()}`,
    id: `${key.replace("_", "-")}-find`,
  });
  const list = make("div", { class: "boxes" });
  const element = make(
    "details",
    { class: "choose", id: key.replace("_", "-") },
    summary,
    make("div", { class: "chooser" }, filter, list),
  );
  let boxes = [];

  const chosen = () => boxes.filter(({ box }) => box.checked).map(({ value }) => value);
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const { label, text } of boxes) label.hidden = !text.toLowerCase().includes(wanted);
  });
  list.addEventListener("change", () => {
    const now = chosen();
    onChange({ [key]: now.length === boxes.length ? "" : now.join(",") });
  });

  return {
    element,
    offer(choices) {
      filter.hidden = choices.length < 12;
      boxes = choices.map(([value, text]) => {
        const box = make("input", { type: "checkbox", value });
        return { value, text: `${text} ${value}`, box, label: make("label", { class: "check" }, box, ` ${text}`) };
      });
      list.replaceChildren(...boxes.map(({ label }) => label));
    },
    show(text) {
      const wanted = listed(text);
      const isAll = wanted.length === 0 || text === "all";
      for (const { box, value } of boxes) box.checked = !isAll && wanted.includes(value);
      summary.textContent = `${title}: ${isAll ? `all ${boxes.length}` : wanted.length === 1 ? wanted[0] : `${wanted.length} chosen`}`;
    },
  };
}

// Prices of hire as the API takes them: the state says `none` for electricity alone, as public prices are what is shown
// where nothing is chosen.
export const hirePrices = (text) => ({ "": "public", none: "" })[text] ?? text;

function createMoney(onChange) {
  const choice = select("plan-money", [
    ["", "hire at public prices"],
    ["none", "electricity alone"],
    ["own", "hire at my prices"],
  ]);
  const prices = make("input", {
    id: "plan-hire",
    placeholder: "h100-sxm:2.5, l4:0.7",
    spellcheck: "false",
    autocomplete: "off",
  });
  const own = field("USD a GPU-hour", prices, { hint: "device:price, as many as you know" });
  choice.addEventListener("change", () => {
    own.hidden = choice.value !== "own";
    if (own.hidden) onChange({ plan_hire: choice.value });
    else prices.focus();
  });
  prices.addEventListener("change", () => onChange({ plan_hire: prices.value.replace(/\s+/g, "") }));
  return {
    elements: [field("Costs", choice), own],
    show(text) {
      const isOwn = text !== "" && text !== "none";
      choice.value = isOwn ? "own" : text;
      own.hidden = !isOwn;
      if (document.activeElement !== prices) prices.value = isOwn ? text.replaceAll(",", ", ") : "";
    },
  };
}

export function createPlanForm(onChange) {
  const numbers = [
    ["plan_rate", "plan-rate", term("rate", "Requests a second"), { step: "any", placeholder: DEFAULT_RATE }],
    ["seq", "plan-prompt", term("prompt", "Prompt tokens"), { step: 1, min: 1 }],
    ["generate", "plan-generate", term("generated", "Generated tokens"), { step: 1 }],
    ["plan_max_gpus", "plan-max-gpus", "GPUs at most", { step: 1, min: 1, placeholder: "8" }],
  ].map(([key, id, label, options]) => {
    const input = numberInput(id, options);
    input.addEventListener("change", () => onChange({ [key]: input.value.trim() }));
    return { key, input, element: field(label, input) };
  });
  const bounds = createBounds("plan", ["max_ttft", "max_itl"], onChange);
  const devices = createBoxes("plan_devices", "Devices", onChange);
  const formats = createBoxes("plan_formats", "Weights", onChange);
  formats.offer(USUAL_FORMATS);
  const money = createMoney(onChange);
  const [rate, ...others] = numbers;
  const element = fieldsForm(
    "What the plan has to serve",
    rate.element,
    ...bounds.elements,
    ...others.map((each) => each.element),
    devices.element,
    formats.element,
    ...money.elements,
  );
  element.classList.add("plan-form");
  return {
    element,
    // Plans are made by data sheets, which measured machines of a known vendor have too.
    offer: (all) =>
      devices.offer(all.filter(({ kind, vendor }) => kind !== "measured" || vendor).map(({ name, title }) => [name, title ?? name])),
    show(state) {
      for (const { key, input } of numbers) {
        const fallback = key === "plan_rate" ? state.rate : "";
        if (document.activeElement !== input) input.value = state[key] || fallback;
      }
      bounds.show(state);
      devices.show(state.plan_devices);
      formats.show(state.plan_formats);
      money.show(state.plan_hire);
    },
  };
}
