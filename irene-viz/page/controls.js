// The controls of What if: each shows A's value until it is changed, and then says what it was and how to go back.

import { readChanges } from "./changes.js";
import { byId, make } from "./dom.js";
import { select } from "./field.js";
import { labelled } from "./form.js";

// Between the last key press and the answer.
const PAUSE_MS = 350;

function choices(knob) {
  const known = knob.choices.some(([value]) => value === knob.value);
  const all = known || knob.value === "" ? knob.choices : [[knob.value, knob.value], ...knob.choices];
  // A setting that the engine or the config chooses itself has no name here.
  const unset = knob.value === "" ? [["", "as it is"]] : [];
  return [...unset, ...all];
}

function input(knob) {
  if (knob.choices) return select(`b-${knob.id}`, choices(knob));
  if (knob.isFixed) return make("input", { id: `b-${knob.id}`, type: "text", readonly: true });
  return make("input", {
    id: `b-${knob.id}`,
    type: knob.isText ? "text" : "number",
    inputmode: knob.isText ? undefined : knob.isFraction ? "decimal" : "numeric",
    min: knob.least ?? (knob.isFraction ? 0 : 1),
    step: knob.isFraction ? "any" : 1,
    placeholder: knob.placeholder,
  });
}

// The changes that a problem is about: those that it names, or the only one there is.
function culprits(changes, problem) {
  if (problem === "") return [];
  const spellings = (name) => ["_", "-", " "].map((between) => name.replaceAll("_", between));
  const named = [...changes.keys()].filter((name) => spellings(name).some((each) => problem.includes(each)));
  return named.length === 0 && changes.size === 1 ? [...changes.keys()] : named;
}

// `onChange(name, value)` is told the name of a change and its value, the empty one where it is to be as A's.
export function createControls(onChange) {
  const element = make("form", { class: "controls", novalidate: true, "aria-label": "What is different in B" });
  let controls = [];
  let shape = "";

  element.addEventListener("submit", (event) => event.preventDefault());

  function build(knob) {
    const field = input(knob);
    field.setAttribute("aria-describedby", `b-${knob.id}-was`);
    const was = make("span", { class: "was", id: `b-${knob.id}-was` });
    const reset = make(
      "button",
      {
        type: "button",
        class: "reset",
        "aria-label": `${knob.label}: back to A’s`,
        title: "Back to A’s",
        hidden: true,
      },
      "↺",
    );
    const row = make(
      "div",
      { class: "control", data: { knob: knob.id } },
      make("label", { for: `b-${knob.id}`, title: knob.about }, knob.label),
      make("span", { class: "with-reset" }, field, reset),
      was,
    );
    const control = { knob, field, was, reset, row };
    // Each control has its own: a change of another one does not take it back.
    let timer = 0;
    const tell = (value) => onChange(control.knob.name, value === control.knob.value ? "" : value);
    field.addEventListener(knob.choices ? "change" : "input", () => {
      clearTimeout(timer);
      if (knob.choices) return tell(field.value);
      // An empty number is not yet one, and an answer that comes meanwhile may set the field.
      const typed = field.value.trim();
      timer = setTimeout(() => tell(typed), PAUSE_MS);
    });
    reset.addEventListener("click", () => {
      clearTimeout(timer);
      tell("");
      // With the focus it is taken for what a person types, and kept.
      field.value = control.knob.value;
      field.focus();
    });
    return control;
  }

  function rebuild(groups) {
    controls = [];
    element.replaceChildren(
      ...groups.map((group) => {
        const built = group.knobs.map(build);
        controls.push(...built);
        return make(
          "fieldset",
          {},
          make("legend", {}, group.title),
          built.map(({ row }) => row),
        );
      }),
    );
  }

  function mark(control, value, isWrong, problem) {
    const { knob, field, was, reset, row } = control;
    const isChanged = value !== undefined;
    row.classList.toggle("changed", isChanged);
    reset.hidden = !isChanged;
    if (isWrong) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    const before = knob.isFixed ? "fixed by the architecture" : isChanged ? `A has ${knob.value || "none"}` : "";
    was.textContent = isWrong ? labelled(problem) : before;
    was.classList.toggle("wrong", isWrong);
    // A value that is being typed is the person's own.
    if (document.activeElement !== field || knob.choices) field.value = value ?? knob.value;
  }

  return {
    element,
    // `text` is the list of changes; `problem`, if not empty, why they cannot be.
    show(groups, text, problem = "") {
      const next = JSON.stringify(
        groups.map(({ knobs }) => knobs.map(({ id, name, value, choices }) => [id, name, value, choices?.length])),
      );
      const focused = element.contains(document.activeElement) && document.activeElement.id;
      if (next !== shape) rebuild(groups);
      shape = next;
      const changes = readChanges(text);
      const wrong = culprits(changes, problem);
      for (const control of controls) {
        const { name } = control.knob;
        mark(control, changes.get(name), wrong.includes(name), problem);
      }
      if (focused && document.activeElement.id !== focused) byId(focused)?.focus();
    },
  };
}
