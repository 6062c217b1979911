// Accuracies of a person's own beside the energies that are predicted: a CSV that is pasted or opened.

import { getTradeoff } from "./api.js";
import { energies, figures, words } from "./columns.js";
import { make } from "./dom.js";
import { number } from "./format.js";
import { SELECTION } from "./state.js";
import { onDemand } from "./states.js";
import { createTable } from "./table.js";

const OF_MODEL = ["model", "set", "config"];
const EXAMPLE = "model,accuracy\nbert-base-uncased,84.6\ndistilbert-base-uncased,82.2";

const COLUMNS = [
  words("model", "Model", (point) => point.model),
  figures("accuracy", "Accuracy", (point) => point.accuracy, number),
  energies("energy", "A request", (point) => point.energy_per_request_j),
  words("front", "Pareto front", (point) => (point.is_on_front ? "on the front" : undefined)),
];

// `onChange` is told when there are other points; `selection` gives the state they hold for.
export function createOwnScores(act, selection, onChange) {
  const csv = make("textarea", { id: "accuracy-csv", rows: 5, placeholder: EXAMPLE, spellcheck: "false" });
  const file = make("input", { id: "accuracy-file", type: "file", accept: ".csv,text/csv" });
  const table = createTable({
    caption: "Your accuracies and the predicted energy",
    columns: COLUMNS,
    sort: "energy",
    rowAttributes: (point) => ({ data: { model: point.model, front: String(point.is_on_front) } }),
  });
  const form = make(
    "form",
    {
      class: "stack",
      novalidate: true,
      "aria-label": "Accuracies of your own",
      on: { submit: (event) => event.preventDefault() },
    },
    make("label", { class: "block" }, "Accuracies of your own, a CSV of model,accuracy ", csv),
    make(
      "div",
      { class: "tools" },
      make("button", { id: "draw-tradeoff", class: "primary", on: { click: () => act.attempt(update) } }, "Draw"),
      make("label", { class: "file button" }, "Open a file", file),
    ),
    table.element,
  );
  table.element.hidden = true;
  let points = [];
  let askedFor = "";

  // The CSV names the models.
  const question = (state) => JSON.stringify(SELECTION.filter((key) => !OF_MODEL.includes(key)).map((key) => state[key]));

  async function update() {
    const state = selection();
    points = csv.value.trim() === "" ? [] : await getTradeoff(state, csv.value);
    askedFor = question(state);
    table.element.hidden = points.length === 0;
    table.show(points);
    onChange();
  }

  file.addEventListener("change", () =>
    act.attempt(async () => {
      if (file.files.length === 0) return;
      csv.value = await file.files[0].text();
      // Choosing the same file again, edited, has to be a change too.
      file.value = "";
      await update();
    }),
  );

  return {
    element: onDemand("Draw accuracies of your own", form),
    points: () => points,
    // The points hold for the selection they were asked at.
    follow() {
      if (points.length > 0 && askedFor !== question(selection())) act.attempt(update);
    },
  };
}
