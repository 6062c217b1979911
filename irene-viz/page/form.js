// The form that says what to predict. What it may not contain is for the server to say, in one place.

import { byId, make } from "./dom.js";
import { count } from "./format.js";
import { isUpload, keepUpload, storedUploads, uploadName } from "./uploads.js";

export function createForm(act) {
  const form = byId("selection");
  const model = byId("model");
  const device = byId("device");
  const batch = byId("batch");
  const seq = byId("seq");
  const math = byId("math");
  const file = byId("config-file");
  const hint = byId("hint");
  let models = [];
  let devices = [];

  const chosen = () => ({
    model: model.value,
    device: device.value,
    batch: batch.value,
    seq: seq.value,
    math: math.checked ? "true" : "",
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
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

  function offerModels() {
    const uploads = storedUploads();
    model.replaceChildren(
      ...models.map(({ name }) => make("option", { value: name }, name)),
      ...uploads.map((upload) => make("option", { value: upload }, `${uploadName(upload)} (yours)`)),
    );
  }

  return {
    offer(allModels, allDevices) {
      models = allModels;
      devices = allDevices;
      offerModels();
      device.replaceChildren(...devices.map(({ name }) => make("option", { value: name }, name)));
    },
    show(state) {
      if (isUpload(state.model)) offerModels();
      model.value = state.model;
      device.value = state.device;
      batch.value = state.batch;
      seq.value = state.seq;
      math.checked = state.math !== "";
      showHint();
    },
  };
}
