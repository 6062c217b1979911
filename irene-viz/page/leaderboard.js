// Trade-off: all models by their energy at this size, and accuracy against energy from a table of a person's own.

import { getLeaderboard, getTradeoff } from "./api.js";
import { linear, linearTicks, log, logTicks, scatterChart } from "./chart.js";
import { energies, figures, intervals, shareBar, words } from "./columns.js";
import { make } from "./dom.js";
import { count, isKnown, joules, number, seconds, tick } from "./format.js";
import { createTable } from "./table.js";

const EXAMPLE = "model,accuracy\nbert-base-uncased,84.6\ndistilbert-base-uncased,82.2";

const POINT_COLUMNS = [
  words("model", "Model", (point) => point.model),
  figures("accuracy", "Accuracy", (point) => point.accuracy, number),
  energies("energy", "Energy", (point) => point.energy_j),
  words("front", "Pareto front", (point) => (point.is_on_front ? "on the front" : undefined)),
];

export function createLeaderboardView(panel, act) {
  let most = 0;
  const share = (entry) => (isKnown(entry.energy_j) && most > 0 ? entry.energy_j / most : 0);
  const board = createTable({
    caption: "Models of up to a billion parameters at this size, least energy first; choose one to predict it",
    columns: [
      words("model", "Model", (entry) => entry.model),
      figures("parameters", "Parameters", (entry) => entry.num_parameters, count),
      energies("energy", "Energy", (entry) => entry.energy_j, { bar: shareBar(share) }),
      intervals(
        (entry) => entry.energy_low_j,
        (entry) => entry.energy_high_j,
      ),
      figures("token", "Per token", (entry) => entry.energy_per_token_j, joules),
      figures("latency", "Latency", (entry) => entry.latency_s, seconds),
    ],
    sort: "energy",
    rowAttributes: (entry) => ({
      "aria-current": entry.model === current.model ? "true" : undefined,
      data: { model: entry.model },
    }),
    onActivate: (entry) => act.go({ model: entry.model, view: "tree" }),
  });

  const csv = make("textarea", { id: "accuracy-csv", rows: 6, placeholder: EXAMPLE, spellcheck: "false" });
  const file = make("input", { id: "accuracy-file", type: "file", accept: ".csv,text/csv" });
  const form = make(
    "form",
    { class: "stack", novalidate: true, "aria-label": "Accuracies of your own" },
    make("label", { class: "block" }, "Accuracies to draw, a CSV of model,accuracy ", csv),
    make(
      "div",
      { class: "tools" },
      make("button", { id: "draw-tradeoff", class: "primary" }, "Draw"),
      make("label", { class: "file button" }, "Open a file", file),
    ),
  );
  const title = make("h2");
  const chart = make("div", { class: "chart-holder" });
  const points = createTable({
    caption: "Accuracy and energy",
    columns: POINT_COLUMNS,
    sort: "energy",
    rowAttributes: (point) => ({ data: { model: point.model, front: String(point.is_on_front) } }),
  });
  points.element.hidden = true;
  panel.append(
    make(
      "div",
      { class: "beside late" },
      board.element,
      make("div", { class: "stack" }, title, chart, make("div", { class: "beside" }, form, points.element)),
    ),
  );

  let shown = { size: "", points: [] };
  let current;
  let all = [];

  function draw(heading, y, points) {
    title.textContent = heading;
    const energies = points.map((point) => point.x);
    const x = log(Math.min(...energies) * 0.8, Math.max(...energies) * 1.25);
    chart.replaceChildren(
      scatterChart({
        room: chart.clientWidth,
        title: `${heading}; the tables have the figures`,
        x: { scale: x, ticks: logTicks(x), format: tick("J"), label: "Energy" },
        y,
        points: points.map((point) => ({ ...point, title: `${point.label}: ${point.amount}, ${joules(point.x)}` })),
      }),
    );
  }

  function drawAccuracies(drawable) {
    const accuracies = drawable.map((point) => point.accuracy);
    const [low, high] = [Math.min(...accuracies), Math.max(...accuracies)];
    const margin = (high - low) * 0.1 || 1;
    const scale = linear(low - margin, high + margin);
    draw(
      "Accuracy against energy, with the Pareto front",
      { scale, ticks: linearTicks(scale), format: tick(), label: "Accuracy" },
      drawable.map((point) => ({
        x: point.energy_j,
        y: point.accuracy,
        label: point.model,
        amount: number(point.accuracy),
        isOnFront: point.is_on_front,
      })),
    );
  }

  // What there is to see without accuracies: how far size alone says what a model costs.
  function drawParameters() {
    const drawable = all.filter((entry) => entry.energy_j > 0 && entry.num_parameters > 0);
    if (drawable.length === 0) return;
    const sizes = drawable.map((entry) => entry.num_parameters);
    const scale = log(Math.min(...sizes) * 0.8, Math.max(...sizes) * 1.25);
    draw(
      "Parameters against energy",
      { scale, ticks: logTicks(scale), format: tick(""), label: "Parameters" },
      drawable.map((entry) => ({
        x: entry.energy_j,
        y: entry.num_parameters,
        label: entry.model,
        amount: `${count(entry.num_parameters)} parameters`,
        isOnFront: entry.model === current.model,
      })),
    );
  }

  function drawChart() {
    const drawable = shown.points.filter((point) => point.energy_j > 0 && isKnown(point.accuracy));
    if (drawable.length > 0) drawAccuracies(drawable);
    else drawParameters();
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
    render(state, prediction, { entries }) {
      current = state;
      most = Math.max(0, ...entries.map((entry) => entry.energy_j).filter(isKnown));
      all = entries;
      board.show(entries);
      drawChart();
      // The points hold for the size they were asked at.
      if (shown.points.length > 0 && shown.size !== sizeOf(state)) act.attempt(update);
    },
    resize: drawChart,
  };
}
