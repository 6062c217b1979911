// The config.json files that a person has uploaded, kept in this browser tab only, so that reloading keeps the view.

import { make } from "./dom.js";

const PREFIX = "upload:";

export function isUpload(model) {
  return model.startsWith(PREFIX);
}

export function uploadName(model) {
  return model.slice(PREFIX.length);
}

// The value of `model` in the state for an upload of this file.
export function keepUpload(fileName, text) {
  const model = PREFIX + fileName;
  sessionStorage.setItem(model, text);
  return model;
}

export function uploadText(model) {
  const text = sessionStorage.getItem(model);
  if (text === null) throw new Error(`This view is of an uploaded ${uploadName(model)}: upload it again to see it.`);
  return text;
}

// The choices of a select: the models that there are, and those that were uploaded.
export function modelOptions(models) {
  const uploads = Object.keys(sessionStorage).filter(isUpload).sort();
  return [
    ...models.map(({ name }) => make("option", { value: name }, name)),
    ...uploads.map((upload) => make("option", { value: upload }, `${uploadName(upload)} (yours)`)),
  ];
}
