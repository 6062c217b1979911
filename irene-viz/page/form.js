// The form that says what to predict. What it may not contain is for the server to say, in one place.

import { stateName } from "./api.js";
import { createCombobox } from "./combobox.js";
import { byId, make } from "./dom.js";
import { clearFieldErrors, setFieldError } from "./field.js";
import { parameters as parametersText } from "./format.js";
import { LOADS, SELECTION, loadOf } from "./state.js";
import { explainLabels } from "./term.js";
import { ownConfigs } from "./uploads.js";

// Fields whose value is that of the state's key of the same name.
const PLAIN = SELECTION.filter((name) => !LOADS.includes(name) && name !== "config");
const BEHIND_MORE = ["engine", "dtype", "cache", "tp", "pp", "ep", "dp", "power", "head", "past", "set"];

const LOAD_TEXT = { batch: "batch of", concurrency: "at once:", rate: "a second:" };

// A selection in a few words.
function selectionText(state) {
  const load = loadOf(state);
  const generated = state.generate === "0" ? "" : ` + ${state.generate}`;
  return `${state.model}, ${LOAD_TEXT[load]} ${state[load]}, ${state.seq}${generated} tokens, on ${state.device}`;
}

// The API's names of parameters as the form has them, where the message begins with one, quotes one or writes it as an
// option of the command.
const LOAD_NAMES = { batch_size: "Batch", concurrency: "Requests at once", rate: "Requests a second" };
const labelOf = (parameter) =>
  LOAD_NAMES[parameter] ?? byId(stateName(parameter) ?? "")?.labels?.[0]?.textContent.trim();

export function labelled(message) {
  return message
    .replace(/; \/api\/v1\/\w+ lists the known ones$/, "; choose one of the list")
    .replace(/^[a-z_]+(?=: | is missing)/, (parameter) => labelOf(parameter) ?? parameter)
    .replaceAll(/--([a-z]+(?:-[a-z]+)*)/g, (all, option) => labelOf(option.replaceAll("-", "_")) ?? all)
    .replaceAll(/`([^`]*)`/g, (all, quoted) => labelOf(quoted) ?? `“${quoted}”`);
}

// The answer, or its problem in a line: an answer too.
export async function orProblem(answer) {
  try {
    return await answer;
  } catch (error) {
    return { problem: labelled(error.message) };
  }
}

function modelItem({ name, series, family, architecture, num_parameters: parameters }) {
  const note = parameters ? `${parametersText(parameters)} parameters` : "";
  return { value: name, note, group: series ?? family ?? architecture ?? "Models" };
}

function deviceItem({ name, kind, title, vendor, class: rank, year, memory_gib: memory, tdp_w: tdp, description }) {
  const figures = [memory && `${Math.round(memory)} GiB`, tdp && `${Math.round(tdp)} W`, year]
    .filter(Boolean)
    .join(", ");
  const isMeasured = kind === "measured";
  const group = isMeasured ? "Measured machines" : `Data sheets: ${[vendor, rank].filter(Boolean).join(", ")}`;
  return {
    value: name,
    note: [title !== name && title, figures].filter(Boolean).join(", "),
    group,
    words: description,
  };
}

export function createForm(act) {
  const form = byId("selection");
  const inputs = Object.fromEntries(PLAIN.map((name) => [name, byId(name)]));
  const load = byId("load");
  const amount = byId("load-value");
  const math = byId("math");
  const hint = byId("hint");
  const change = byId("change");
  const more = byId("more");
  const model = createCombobox(inputs.model, chooseModel);
  const device = createCombobox(inputs.device, changed);
  let models = [];
  let devices = [];
  // The state that is shown, what the form had when it was filled for it, and what it had when it last asked.
  let shown;
  let filled;
  let asked;

  // A model of a person's own is known by the name that it has in the list. The one that is shown stays even where an
  // address gave it the name of a built-in model.
  function configOf(name) {
    if (shown?.config && name === shown.model) return shown.config;
    if (models.some((model) => model.name === name)) return "";
    return Object.fromEntries(ownConfigs())[name] ?? "";
  }

  function chosen() {
    const plain = Object.fromEntries(PLAIN.map((name) => [name, inputs[name].value.trim()]));
    const loads = Object.fromEntries(LOADS.map((name) => [name, name === load.value ? amount.value.trim() : ""]));
    return {
      ...plain,
      ...loads,
      generate: plain.generate || "0",
      config: configOf(plain.model),
      math: math.checked ? "true" : "",
    };
  }

  // On a narrow screen the form is folded away behind what was chosen, until that is to change.
  const isOpen = () => change.getAttribute("aria-expanded") === "true";
  const open = (isToOpen) => change.setAttribute("aria-expanded", String(isToOpen));
  change.addEventListener("click", () => open(!isOpen()));
  let isSubmitted = false;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    isSubmitted = true;
    ask();
  });
  math.addEventListener("change", ask);

  function ask() {
    // The server would take a device of its own, which the address would not name.
    if (inputs.device.value.trim() === "") {
      isSubmitted = false;
      math.checked = Boolean(shown?.math);
      setFieldError(inputs.device, "Choose a device of the list.");
      return;
    }
    asked = chosen();
    act.go(asked);
  }

  const isSame = (a, b) => Object.keys(a).every((name) => a[name] === b[name]);

  form.addEventListener("input", changed);
  form.addEventListener("change", changed);

  // The form and the results are told apart until they agree again.
  function changed() {
    act.showStale(filled !== undefined && !isSame(chosen(), filled));
    showHint();
  }

  // A model that cannot write is asked to write nothing.
  function chooseModel() {
    const found = models.find(({ name }) => name === inputs.model.value);
    if (found?.task && found.task !== "decoder") inputs.generate.value = "0";
    changed();
  }

  function modelHint() {
    const found = models.find(({ name }) => name === inputs.model.value);
    if (!found) return "";
    const { num_parameters: parameters, layers, max_seq_len: longest } = found;
    const parts = [
      parameters && `${parametersText(parameters)} parameters`,
      layers && `${layers} layers`,
      longest && `sequences of up to ${longest.toLocaleString("en")} tokens`,
    ];
    return parts.filter(Boolean).join(", ");
  }

  function deviceHint() {
    const on = devices.find(({ name }) => name === inputs.device.value);
    if (!on) return "";
    if (!on.batch_sizes || !on.seq_lens) return deviceItem(on).note;
    return `${on.name} was measured at batch ${on.batch_sizes.join(" to ")}, sequence ${on.seq_lens.join(" to ")}`;
  }

  function showHint() {
    hint.textContent = [modelHint(), deviceHint()].filter(Boolean).join("; ");
  }

  function offerModels() {
    const own = ownConfigs().map(([name]) => ({ value: name, group: "Your own" }));
    model.offer([...own, ...models.map(modelItem)]);
  }

  function fill(state) {
    for (const name of PLAIN) {
      // A select has only its options: another value of the address becomes one.
      const isMissing = inputs[name].options && ![...inputs[name].options].some(({ value }) => value === state[name]);
      if (isMissing) inputs[name].append(make("option", { value: state[name] }, state[name]));
      inputs[name].value = state[name];
    }
    load.value = loadOf(state);
    amount.value = state[load.value];
    math.checked = state.math !== "";
    if (BEHIND_MORE.some((name) => state[name] !== "")) more.open = true;
    filled = { ...chosen(), config: state.config };
  }

  // Typed text stays as long as the selection does, and where the answer is the one that was asked for.
  function follow(state) {
    const isAsked = asked !== undefined && isSame(asked, state);
    const isShown = shown !== undefined && [...SELECTION, "math"].every((name) => state[name] === shown[name]);
    if (isAsked) filled = asked;
    else if (!isShown) fill(state);
    asked = undefined;
  }

  function controlOf(parameter) {
    const name = stateName(parameter) ?? parameter;
    if (LOADS.includes(name)) return amount;
    if (name in inputs) return inputs[name];
    // Other names are fields of the config.
    return parameter && inputs.set.value.includes(parameter) ? inputs.set : undefined;
  }

  explainLabels(form);
  return {
    chosen,
    offer(allModels, allDevices, engines) {
      models = allModels;
      devices = allDevices;
      offerModels();
      device.offer(devices.map(deviceItem));
      const known = [...inputs.engine.options].map(({ value }) => value);
      const added = engines.filter(({ name }) => !known.includes(name));
      inputs.engine.append(...added.map(({ name, about }) => make("option", { value: name, title: about }, name)));
    },
    show(state) {
      clearFieldErrors(form);
      offerModels();
      follow(state);
      shown = state;
      changed();
      change.textContent = selectionText(state);
      if (isSubmitted && isOpen()) {
        open(false);
        // The button that has the focus goes with the form.
        change.focus();
      }
      isSubmitted = false;
    },
    // The values of an address that cannot be had or has no answer yet, so that they can be put right.
    fill(state) {
      shown = undefined;
      fill(state);
      filled = undefined;
      changed();
      change.textContent = selectionText(state);
    },
    // Beside its field, if the problem names one; whether it does.
    showError({ message, parameter }) {
      clearFieldErrors(form);
      const control = controlOf(parameter);
      if (!control) return false;
      if (control.closest("#more")) more.open = true;
      setFieldError(control, labelled(message));
      return true;
    },
  };
}
