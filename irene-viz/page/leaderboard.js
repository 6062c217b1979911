// Leaderboard: the built-in models by what a request costs here, and by what public benchmarks score them.

import { getLeaderboard, hasPrediction } from "./api.js";
import { energies, figures, intervals, shareBar, words } from "./columns.js";
import { make } from "./dom.js";
import { csv, plainColumns } from "./downloads.js";
import { field, fieldsForm, options, select } from "./field.js";
import { labelled, orProblem } from "./form.js";
import { isKnown, joules, marksText, number, parameters, seconds } from "./format.js";
import { createOwnScores } from "./own-scores.js";
import { scoreChart, scoreText } from "./score-chart.js";
import { createLeftOut, named, onDemand } from "./states.js";
import { createTable } from "./table.js";

const TASKS = [
  ["", "all tasks"],
  ["decoder", "writing text"],
  ["encoder", "encoding text"],
  ["embedder", "embedding text"],
];
const SIZES = [
  ["", "all sizes"],
  ["500000000", "to 500 million"],
  ["1000000000", "to 1 billion"],
  ["4000000000", "to 4 billion"],
  ["10000000000", "to 10 billion"],
  ["40000000000", "to 40 billion"],
];
const perRequest = (row, at = "figures") => row[at]?.energy_per_request_j;
const CSV = [
  ...plainColumns("rank", "model", "family", "task", "parameters"),
  ["energy_per_request_j", (row) => perRequest(row)],
  ["energy_low_j", (row) => perRequest(row, "low")],
  ["energy_high_j", (row) => perRequest(row, "high")],
  ...plainColumns("energy_per_token_j"),
  ["latency_s", (row) => row.figures?.latency_s],
  ["marks", (row) => row.marks?.join(" ")],
  ["benchmark", (row) => row.score?.benchmark],
  ["score", (row) => row.score?.value],
  ["score_source", (row) => row.score?.source],
  ["score_date", (row) => row.score?.date],
];

const scoreSource = ({ score }) =>
  score ? [score.benchmark, score.source, score.date].filter(Boolean).join(", ") : "";

export function createLeaderboardView(panel, act) {
  let most = 0;
  let current;
  let entries = [];
  const share = (entry) => (isKnown(perRequest(entry)) && most > 0 ? perRequest(entry) / most : 0);
  const change = (key) => (event) => act.go({ [key]: event.target.value });

  const family = select("board-family", [["", "all families"]]);
  const task = select("board-task", TASKS);
  const size = select("board-size", SIZES);
  const benchmark = select("board-benchmark", [["", "whichever there is"]]);
  const filters = [
    [family, "Family", "family"],
    [task, "Task", "task"],
    [size, "Parameters", "max_parameters"],
    [benchmark, "Score", "benchmark"],
  ];
  for (const [control, , key] of filters) control.addEventListener("change", change(key));
  const form = fieldsForm(
    "Which models are ranked",
    ...filters.map(([control, label]) => field(label, control)),
  );

  const opened = ({ model }) => ({ model, config: "", set: "", view: "tree" });
  const board = createTable({
    caption: "Least energy first; choose a model to see where its energy goes",
    columns: [
      words("model", "Model", (entry) => entry.model),
      figures("rank", "Rank", (entry) => entry.rank, String),
      energies("energy", "A request", (entry) => perRequest(entry), { bar: shareBar(share) }),
      intervals(
        (entry) => perRequest(entry, "low"),
        (entry) => perRequest(entry, "high"),
      ),
      figures("score", "Score", (entry) => entry.score?.value, number, { text: scoreText }),
      figures("token", "A token", (entry) => entry.energy_per_token_j, joules),
      figures("latency", "Time", (entry) => entry.figures?.latency_s, seconds),
      figures("parameters", "Parameters", (entry) => entry.parameters, parameters),
      words("marks", "Marks", (entry) => marksText(entry.marks ?? [])),
      words("family", "Family", (entry) => entry.series ?? entry.family),
      words("source", "Source of the score", scoreSource),
    ],
    sort: "rank",
    rowAttributes: (entry) => ({
      "aria-current": entry.model === current.model ? "true" : undefined,
      data: { model: entry.model, front: entry.is_on_front && "true" },
    }),
    isActive: (entry) => hasPrediction({ ...current, ...opened(entry) }),
    onActivate: (entry) => act.go(opened(entry)),
  });
  const summary = make("p", { id: "board-summary", role: "status" });
  const title = make("h3");
  const chart = make("div", { class: "chart-holder" });
  const sources = make("ul", { class: "reasons" });
  const cited = onDemand("Where the scores are from", sources);
  const own = createOwnScores(act, () => current, draw);
  const leftOut = createLeftOut();
  panel.append(
    make("h2", {}, "Which model costs least?"),
    form,
    summary,
    make("div", { class: "board" }, board.element, make("div", { class: "stack" }, title, chart, cited, own.element)),
    leftOut.element,
  );

  function draw() {
    const { heading, svg } = scoreChart(chart.clientWidth, { entries, own: own.points(), model: current.model });
    title.textContent = heading;
    chart.replaceChildren(svg ?? "");
  }

  let families = [];

  function offerChoices(state, { benchmarks = [] }) {
    const fill = (control, first, names) => control.replaceChildren(...options([first, ...names.map((name) => [name])]));
    fill(family, ["", "all families"], families);
    fill(benchmark, ["", "whichever there is"], benchmarks);
    for (const [control, , key] of filters) {
      if (![...control.options].some(({ value }) => value === state[key]))
        control.append(make("option", { value: state[key] }, state[key]));
      control.value = state[key];
    }
  }

  function showReasons(out) {
    leftOut.show(out.map(({ model, reason }) => [model, `: ${labelled(reason)}`]));
    const scored = entries.filter((entry) => entry.score);
    cited.hidden = scored.length === 0;
    sources.replaceChildren(
      ...named(scored.map((entry) => [entry.model, `: ${scoreText(entry)}, ${scoreSource(entry)}`])),
    );
  }

  return {
    offer(models) {
      families = [...new Set(models.map((model) => model.architecture))].sort();
    },
    load: (state) => orProblem(getLeaderboard(state)),
    render(state, prediction, answer) {
      current = state;
      entries = answer.entries ?? [];
      offerChoices(state, answer);
      most = Math.max(0, ...entries.map((entry) => perRequest(entry)).filter(isKnown));
      board.element.hidden = entries.length === 0;
      board.element.classList.toggle("unmarked", !entries.some(({ marks = [] }) => marks.length > 0));
      board.show(entries);
      const out = answer.left_out ?? [];
      summary.textContent =
        answer.problem ??
        `${entries.length} models can run this request on ${state.device}${out.length > 0 ? `; ${out.length} cannot, with the reasons below` : ""}.`;
      summary.classList.toggle("wrong", Boolean(answer.problem));
      showReasons(out);
      draw();
      own.follow();
    },
    downloads: () => (entries.length > 0 ? [["csv", "leaderboard", () => csv(CSV, entries)]] : []),
    resize: () => current && draw(),
  };
}
