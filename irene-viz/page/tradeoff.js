// Trade-off: all models by their energy at this size, and accuracy against energy from a table of a person's own.

import { getLeaderboard, getTradeoff } from "./api.js";
import { linear, linearTicks, log, logTicks, scatterChart } from "./chart.js";
import { make } from "./dom.js";
import { count, heat, interval, isKnown, joules, number, seconds } from "./format.js";
import { createTable } from "./table.js";

const CHART_HEIGHT = 440;
const EXAMPLE = "model,accuracy\nbert-base-uncased,84.6\ndistilbert-base-uncased,82.2";

const POINT_COLUMNS = [
  { id: "model", label: "Model", text: (point) => point.model, value: (point) => point.model },
  {
    id: "accuracy",
    label: "Accuracy",
    numeric: true,
    text: (point) => number(point.accuracy),
    value: (point) => point.accuracy,
  },
  {
    id: "energy",
    label: "Energy",
    numeric: true,
    text: (point) => joules(point.energy_j),
    value: (point) => point.energy_j,
    data: (point) => ({ joules: point.energy_j }),
  },
  {
    id: "front",
    label: "Pareto front",
    text: (point) => (point.is_on_front ? "on the front" : ""),
    value: (point) => (point.is_on_front ? "on the front" : undefined),
  },
];

export function createTradeoffView(panel, act) {
  let most = 0;
  const share = (entry) => (isKnown(entry.energy_j) && most > 0 ? entry.energy_j / most : 0);
  const board = createTable({
    caption: "All models at this size, least energy first; choose one to predict it",
    columns: [
      { id: "model", label: "Model", text: (entry) => entry.model, value: (entry) => entry.model },
      {
        id: "parameters",
        label: "Parameters",
        numeric: true,
        text: (entry) => count(entry.num_parameters),
        value: (entry) => entry.num_parameters,
      },
      {
        id: "energy",
        label: "Energy",
        numeric: true,
        text: (entry) => joules(entry.energy_j),
        value: (entry) => entry.energy_j,
        data: (entry) => ({ joules: entry.energy_j }),
        bar: (entry) => ({ share: share(entry), step: heat(share(entry)) }),
      },
      {
        id: "interval",
        label: "90% interval",
        numeric: true,
        text: (entry) => interval(entry.energy_low_j, entry.energy_high_j),
        value: (entry) => entry.energy_low_j,
      },
      {
        id: "token",
        label: "Per token",
        numeric: true,
        text: (entry) => joules(entry.energy_per_token_j),
        value: (entry) => entry.energy_per_token_j,
      },
      {
        id: "latency",
        label: "Latency",
        numeric: true,
        text: (entry) => seconds(entry.latency_s),
        value: (entry) => entry.latency_s,
      },
    ],
    sort: "energy",
    rowAttributes: (entry) => ({ data: { model: entry.model } }),
    onActivate: (entry) => act.go({ model: entry.model, view: "tree" }),
  });

  const csv = make("textarea", { id: "accuracy-csv", rows: 6, placeholder: EXAMPLE, spellcheck: "false" });
  const file = make("input", { id: "accuracy-file", type: "file", accept: ".csv,text/csv" });
  const form = make(
    "form",
    { class: "stack", novalidate: true },
    make("h2", {}, "Accuracy against energy"),
    make("label", { class: "block" }, "A CSV of model,accuracy ", csv),
    make("label", { class: "file" }, "or a file of it ", file),
    make("button", { id: "draw-tradeoff", class: "primary" }, "Draw"),
  );
  const chart = make("div", { class: "chart-holder" });
  const points = createTable({
    caption: "Accuracy and energy",
    columns: POINT_COLUMNS,
    sort: "energy",
    rowAttributes: (point) => ({ data: { model: point.model, front: String(point.is_on_front) } }),
  });
  points.element.hidden = true;
  panel.append(
    make("div", { class: "stack" }, board.element),
    form,
    chart,
    make("div", { class: "stack" }, points.element),
  );

  let shown = { size: "", points: [] };
  let current;

  function drawChart() {
    const drawable = shown.points.filter(
      (point) => isKnown(point.energy_j) && point.energy_j > 0 && isKnown(point.accuracy),
    );
    if (drawable.length === 0) {
      chart.replaceChildren();
      return;
    }
    const energies = drawable.map((point) => point.energy_j);
    const accuracies = drawable.map((point) => point.accuracy);
    const [low, high] = [Math.min(...accuracies), Math.max(...accuracies)];
    const margin = (high - low) * 0.1 || 1;
    const x = log(Math.min(...energies) * 0.8, Math.max(...energies) * 1.25);
    const y = linear(low - margin, high + margin);
    chart.replaceChildren(
      scatterChart({
        room: chart.clientWidth,
        height: CHART_HEIGHT,
        title: "Accuracy against energy with the Pareto front; the table below has the figures",
        x: { scale: x, ticks: logTicks(x), format: joules, label: "Energy" },
        y: { scale: y, ticks: linearTicks(y), format: number, label: "Accuracy" },
        points: drawable.map((point) => ({
          x: point.energy_j,
          y: point.accuracy,
          label: point.model,
          title: `${point.model}: ${number(point.accuracy)}, ${joules(point.energy_j)}`,
          isOnFront: point.is_on_front,
        })),
      }),
    );
  }

  const sizeOf = (state) => [state.device, state.batch, state.seq].join();

  async function update() {
    const state = current;
    const found = csv.value.trim() === "" ? [] : await getTradeoff(state, csv.value);
    shown = { size: sizeOf(state), points: found };
    points.element.hidden = found.length === 0;
    points.show(found);
    drawChart();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act.attempt(update);
  });
  file.addEventListener("change", () =>
    act.attempt(async () => {
      if (file.files.length === 0) return;
      csv.value = await file.files[0].text();
      await update();
    }),
  );

  return {
    load: getLeaderboard,
    render(state, prediction, entries) {
      current = state;
      most = Math.max(0, ...entries.map((entry) => entry.energy_j).filter(isKnown));
      board.show(entries);
      // The points hold for the size they were asked at.
      if (shown.points.length > 0 && shown.size !== sizeOf(state)) act.attempt(update);
    },
    resize: drawChart,
  };
}
