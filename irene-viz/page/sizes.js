// Sizes: how energy grows with batch and sequence, as a table coloured by value and as lines.

import { getSweep, hasPrediction, isReport } from "./api.js";
import { lineChart, log, logTicks } from "./chart.js";
import { head, make, table } from "./dom.js";
import { csv, plainColumns } from "./downloads.js";
import { select } from "./field.js";
import { labelled } from "./form.js";
import { interval, isKnown, joules, seconds, tick } from "./format.js";
import { createLeftOut } from "./states.js";

const METRICS = {
  energy_j: { label: "Energy", of: " of a whole batch", format: joules, unit: "J" },
  energy_per_token_j: { label: "Energy per token", of: "", format: joules, unit: "J" },
  latency_s: { label: "Latency", of: " of a whole batch", format: seconds, unit: "s" },
};
const COLOUR_STEPS = 6;
const FILE = [
  ...plainColumns("batch_size", "seq_len", "energy_j", "energy_low_j", "energy_high_j"),
  ...plainColumns("energy_per_token_j", "latency_s", "extrapolated"),
];

const distinct = (values) => [...new Set(values)].sort((a, b) => a - b);

export function createSizesView(panel, act) {
  const choice = select(
    "metric",
    Object.entries(METRICS).map(([id, { label }]) => [id, label]),
  );
  choice.addEventListener("change", () => act.go({ metric: choice.value }));
  const holder = make("div", { class: "scroller" });
  const chart = make("div", { class: "chart-holder" });
  const note = make("p", { class: "quiet" });
  const leftOut = createLeftOut();
  panel.append(
    make("div", { class: "tools" }, make("label", {}, "Show ", choice)),
    make("div", { class: "beside" }, make("div", {}, holder, note, leftOut.element), chart),
  );

  // The cell beside, above or below, if there is one.
  function beside(button, key) {
    const { parentElement: cell } = button;
    const row = cell.parentElement;
    const to = {
      ArrowLeft: cell.previousElementSibling,
      ArrowRight: cell.nextElementSibling,
      ArrowUp: row.previousElementSibling?.children[cell.cellIndex],
      ArrowDown: row.nextElementSibling?.children[cell.cellIndex],
      Home: row.querySelector("td:has(button)"),
      End: [...row.querySelectorAll("td:has(button)")].at(-1),
    };
    return key in to ? (to[key]?.querySelector("button") ?? button) : null;
  }

  holder.addEventListener("keydown", (event) => {
    const button = event.target.closest("td button");
    const next = button && beside(button, event.key);
    if (!next || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    next.focus();
  });
  holder.addEventListener("focusin", (event) => {
    for (const stop of holder.querySelectorAll("[tabindex='0']")) stop.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
  });

  let draw;
  let shown = [];

  // The sizes take the place of the load that is selected; what is generated stays.
  const generated = ({ generate }) =>
    Number(generate) > 0 ? `, with ${Number(generate).toLocaleString("en")} tokens generated` : "";

  // Cells with the same reason are one line.
  function showReasons(out) {
    const byReason = Map.groupBy(out, ({ reason }) => labelled(reason));
    const sizes = (cells) => cells.map(({ batch_size: batch, seq_len: length }) => `${batch} × ${length}`).join(", ");
    leftOut.show(
      [...byReason].map(([reason, cells]) => [sizes(cells), `: ${reason}`]),
      out.length,
    );
  }

  function heatTable(state, cells, id) {
    const { label, of, format } = METRICS[id];
    const about = `${label}${of}${generated(state)}, by batch size (down) and tokens of the prompt (across)`;
    const batches = distinct(cells.map((cell) => cell.batch_size));
    const lengths = distinct(cells.map((cell) => cell.seq_len));
    const known = cells.map((cell) => cell[id]).filter((value) => isKnown(value) && value > 0);
    const scale = log(Math.min(...known), Math.max(...known));
    const step = (value) => Math.min(Math.floor(scale.place(value) * COLOUR_STEPS), COLOUR_STEPS - 1);

    const buildCell = (batch, length) => {
      const cell = cells.find((each) => each.batch_size === batch && each.seq_len === length);
      if (!cell || !isKnown(cell[id])) return make("td");
      const isCurrent = String(batch) === state.batch && String(length) === state.seq;
      const range = id === "energy_j" ? interval(cell.energy_low_j, cell.energy_high_j) : "";
      const opened = { batch: String(batch), concurrency: "", rate: "", seq: String(length) };
      const button = make(
        "button",
        {
          type: "button",
          // One stop for Tab, as the arrow keys move between the cells.
          tabindex: "-1",
          "aria-current": isCurrent ? "true" : undefined,
          title: [`batch ${batch}, sequence ${length}`, range].filter(Boolean).join(": "),
          disabled: !hasPrediction({ ...state, ...opened }),
          on: { click: () => act.go(opened) },
        },
        format(cell[id]),
        cell.extrapolated ? make("span", { class: "star" }, "*") : "",
      );
      const data = { batch, seq: length, [id === "latency_s" ? "seconds" : "joules"]: cell[id] };
      return make("td", { class: `heat-${step(cell[id])}`, data }, button);
    };
    return table(
      { class: "heat-table" },
      isReport ? about : `${about}; choose one to predict it`,
      [head("Batch"), ...lengths.map((length) => head(length))],
      batches.map((batch) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, batch),
          lengths.map((length) => buildCell(batch, length)),
        ),
      ),
    );
  }

  function lines(cells, id) {
    const { label, unit } = METRICS[id];
    const known = cells.filter((cell) => isKnown(cell[id]) && cell[id] > 0);
    const values = known.map((cell) => cell[id]);
    const lengths = distinct(known.map((cell) => cell.seq_len));
    const y = log(Math.min(...values) * 0.9, Math.max(...values) * 1.1);
    return lineChart({
      room: chart.clientWidth,
      title: `${label} by sequence length, a line for each batch size; the table beside it has the figures`,
      x: { scale: log(lengths[0], lengths.at(-1)), ticks: lengths, format: String, label: "Sequence length" },
      y: { scale: y, ticks: logTicks(y), format: tick(unit), label },
      lines: distinct(known.map((cell) => cell.batch_size)).map((batch) => ({
        label: `batch ${batch}`,
        points: known
          .filter((cell) => cell.batch_size === batch)
          .toSorted((a, b) => a.seq_len - b.seq_len)
          .map((cell) => [cell.seq_len, cell[id], cell.extrapolated]),
      })),
    });
  }

  return {
    load: getSweep,
    render(state, prediction, { cells, left_out: out = [] }) {
      shown = cells;
      showReasons(out);
      const id = Object.hasOwn(METRICS, state.metric) ? state.metric : "energy_j";
      choice.value = id;
      const hadFocus = holder.contains(document.activeElement);
      holder.replaceChildren(heatTable(state, cells, id));
      const stop = holder.querySelector("[aria-current]") ?? holder.querySelector("button");
      stop?.setAttribute("tabindex", "0");
      if (hadFocus) stop?.focus();
      note.textContent = cells.some((cell) => cell.extrapolated)
        ? "* and hollow markers: outside the sizes of the training data, so less certain."
        : "";
      const isKnownAtAll = cells.some((cell) => isKnown(cell[id]) && cell[id] > 0);
      draw = () => chart.replaceChildren(...(isKnownAtAll ? [lines(cells, id)] : []));
      draw();
    },
    resize: () => draw?.(),
    downloads: () => [["csv", "sizes", () => csv(FILE, shown)]],
  };
}
