// A labelled field with its error beside it.

import { byId, make } from "./dom.js";

// Shows `message` beside a control, or takes it away where there is none.
export function setFieldError(control, message) {
  const id = `${control.id}-error`;
  byId(id)?.remove();
  if (!message) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
    return;
  }
  const said = make("span", { id, class: "field-error" }, message);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", id);
  (control.closest(".field") ?? control.parentElement).append(said);
}

export function clearFieldErrors(root) {
  for (const control of root.querySelectorAll("[aria-invalid]")) setFieldError(control, "");
}

// `label` may be a word or an element of term.js; a button cannot be inside a label, so it stands before the control.
export function field(label, control, { unit, hint } = {}) {
  const isText = typeof label === "string";
  if (!isText) control.setAttribute("aria-label", label.textContent);
  const name = isText ? make("label", { for: control.id }, label) : label;
  const beside = unit ? make("span", { class: "with-unit" }, control, make("span", { class: "quiet" }, unit)) : control;
  return make("div", { class: "field" }, name, beside, hint && make("span", { class: "quiet" }, hint));
}

// A form whose fields are heeded as they change.
export const fieldsForm = (label, ...content) =>
  make(
    "form",
    { class: "fields", novalidate: true, "aria-label": label, on: { submit: (event) => event.preventDefault() } },
    content,
  );

// A control that takes a number; the server says what it may be.
export const numberInput = (id, { min = 0, step = "any", placeholder } = {}) =>
  make("input", { id, type: "number", inputmode: step === "any" ? "decimal" : "numeric", min, step, placeholder });

// `pairs` are [value, text], or [value] where it is its own text.
export const options = (pairs) => pairs.map(([value, text]) => make("option", { value }, text ?? value));

export const select = (id, pairs) => make("select", { id }, options(pairs));
