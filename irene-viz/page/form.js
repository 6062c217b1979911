// The form that says what to predict. What it may not contain is for the server to say, in one place.

import { byId, make } from "./dom.js";
import { count } from "./format.js";
import { isUpload, keepUpload, modelOptions, uploadName } from "./uploads.js";

export function createForm(act) {
  const form = byId("selection");
  const model = byId("model");
  const device = byId("device");
  const batch = byId("batch");
  const seq = byId("seq");
  const math = byId("math");
  const file = byId("config-file");
  const hint = byId("hint");
  const change = byId("change");
  let models = [];
  let devices = [];

  const chosen = () => ({
    model: model.value,
    device: device.value,
    batch: batch.value,
    seq: seq.value,
    math: math.checked ? "true" : "",
  });

  // On a narrow screen the form is folded away behind what was chosen, until that is to change.
  const isOpen = () => change.getAttribute("aria-expanded") === "true";
  const open = (isToOpen) => change.setAttribute("aria-expanded", String(isToOpen));
  change.addEventListener("click", () => open(!isOpen()));
  let isSubmitted = false;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    isSubmitted = true;
    act.go(chosen());
  });
  math.addEventListener("change", () => act.go(chosen()));
  model.addEventListener("change", () => showHint());
  device.addEventListener("change", () => showHint());
  file.addEventListener("change", () =>
    act.attempt(async () => {
      if (file.files.length === 0) return;
      const uploaded = keepUpload(file.files[0].name, await file.files[0].text());
      // Choosing the same file again, edited, has to be a change too.
      file.value = "";
      await act.load({ ...chosen(), model: uploaded });
    }),
  );

  function showHint() {
    const of = models.find(({ name }) => name === model.value);
    const on = devices.find(({ name }) => name === device.value);
    const parts = [];
    if (of) {
      const layers = of.layers ? `${of.layers} layers` : "";
      const parameters = of.num_parameters ? `${count(of.num_parameters)} parameters` : "";
      const longest = of.max_seq_len ? `sequences to ${of.max_seq_len}` : "";
      parts.push([parameters, layers, longest].filter(Boolean).join(", "));
    }
    if (on?.batch_sizes && on.seq_lens) {
      parts.push(
        `${on.name} was trained on batch ${on.batch_sizes.join(" to ")}, sequence ${on.seq_lens.join(" to ")}`,
      );
    }
    hint.textContent = parts.filter(Boolean).join("; ");
  }

  return {
    offer(allModels, allDevices) {
      models = allModels;
      devices = allDevices;
      model.replaceChildren(...modelOptions(models));
      device.replaceChildren(...devices.map(({ name }) => make("option", { value: name }, name)));
    },
    show(state) {
      if (isUpload(state.model)) model.replaceChildren(...modelOptions(models));
      model.value = state.model;
      device.value = state.device;
      batch.value = state.batch;
      seq.value = state.seq;
      math.checked = state.math !== "";
      showHint();
      const name = isUpload(state.model) ? uploadName(state.model) : state.model;
      change.textContent = `${name}, ${state.batch} × ${state.seq} on ${state.device}`;
      if (isSubmitted && isOpen()) {
        open(false);
        // The button that has the focus goes with the form.
        change.focus();
      }
      isSubmitted = false;
    },
  };
}
