// Models of a person's own: a config.json, or a file of weights of which only the first bytes are read, chosen or
// dropped anywhere on the page.

import { getModels, readFile } from "./api.js";
import { byId } from "./dom.js";
import { freeName, packConfig } from "./uploads.js";

const baseName = (name) => name.replace(/\.(json|safetensors|gguf)$/i, "");

// A built-in model's name means that model everywhere, whatever config a file has under it.
async function ownName(name, config) {
  const models = await getModels();
  const isTaken = models.some((model) => model.name === name);
  return freeName(isTaken ? `${name} (own)` : name, config);
}

// The changes of the selection that the file asks for.
async function changesOf(file) {
  const read = await readFile(file);
  const { note } = read;
  if (read.config) {
    const text = JSON.stringify(read.config);
    const model = await ownName(read.name ?? baseName(file.name), text);
    // A config says its formats itself, and an engine may serve it in others.
    return { changes: { weights: "", model, config: await packConfig(model, text) }, note };
  }
  if (read.name) return { changes: { weights: read.dtype ?? "", model: read.name, config: "" }, note };
  throw new Error(`${file.name} says no architecture${read.note ? `: ${read.note}` : "; its config.json does"}.`);
}

export function createDrop(act, form) {
  const input = byId("config-file");
  const cover = byId("drop");
  let depth = 0;

  const take = (file) =>
    act.attempt(async () => {
      const { changes, note } = await changesOf(file);
      // The rest is as the form has it, so that a size chosen before stays.
      await act.load({ ...form.chosen(), ...changes });
      if (note) byId("hint").textContent = note;
    });

  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    await take(file);
    // Choosing the same file again, edited, has to be a change too.
    input.value = "";
  });

  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  const show = (isShown) => {
    cover.hidden = !isShown;
  };
  addEventListener("dragenter", (event) => {
    if (!hasFile(event)) return;
    depth += 1;
    show(true);
  });
  addEventListener("dragleave", () => {
    depth = Math.max(depth - 1, 0);
    show(depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (hasFile(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    take(event.dataTransfer.files[0]);
  });
}
