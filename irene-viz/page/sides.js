// The cost of two selections beside each other: in a sentence, in figures, by part of the model and change by change.

import { changeLabel } from "./changes.js";
import { componentName, divergingBars, stackedBar } from "./bars.js";
import { head, make, scroller, table } from "./dom.js";
import { csv, plainColumns } from "./downloads.js";
import { labelled } from "./form.js";
import { bytes, capital, change, difference, interval, isKnown, joules, number, percent, seconds, times, watts } from "./format.js";

// By how much, as people say it: a share up to twice as much, and how many times from there on.
export function howMuch(ratio) {
  if (!isKnown(ratio)) return "";
  if (Math.abs(ratio - 1) < 5e-4) return "as much";
  if (ratio < 1) return `${percent(1 - ratio)} less`;
  return ratio < 2 ? `${percent(ratio - 1)} more` : times(ratio);
}

// The answer in one sentence.
export function verdict({ energy }, b = "B") {
  const { by, a_j, b_j, ratio } = energy;
  const amounts = `${joules(b_j)} a ${by} instead of ${joules(a_j)}`;
  const much = howMuch(ratio);
  if (much === "as much") return `${b} takes as much energy as A: ${joules(b_j)} a ${by}.`;
  if (much.endsWith("×")) return `${b} takes ${much.replace(" ×", " times")} the energy of A: ${amounts}.`;
  return `${b} takes ${much} energy than A: ${amounts}.`;
}

// How sure that is; the errors that both share are in neither.
export function certainty({ energy }, b = "B") {
  const { ratio_low: low, ratio_high: high, is_within_intervals: isUnsure } = energy;
  const between =
    isKnown(low) && isKnown(high) ? `90%: ${b} takes ${number(low)} to ${number(high)} times as much as A.` : "";
  const unsure = isUnsure ? "The two cannot be told apart: what is likely of one is likely of the other." : "";
  return [between, unsure].filter(Boolean).join(" ");
}

function tile(title, a, b, format, data) {
  if (!isKnown(a) || !isKnown(b)) return "";
  const changed = difference(a, b);
  const share = a > 0 && changed !== 0 ? ` (${howMuch(b / a)})` : "";
  return make(
    "div",
    { class: "tile" },
    make("dt", {}, title),
    make("dd", { class: "figure", data }, `${change(changed, format)}${share}`),
    make("dd", { class: "quiet" }, `A ${format(a)}, B ${format(b)}`),
  );
}

// Joules, seconds and bytes at once.
export function tiles({ energy, latency, memory }) {
  return make(
    "dl",
    { class: "tiles", "aria-label": "Differences, B − A" },
    tile(`Energy of a ${energy.by}`, energy.a_j, energy.b_j, joules, {
      joules: energy.difference_j,
      ratio: energy.ratio,
    }),
    latency && tile("Time of a request", latency.a_s, latency.b_s, seconds, { seconds: latency.difference_s }),
    memory && tile("Memory of each GPU", memory.a_bytes, memory.b_bytes, bytes, { bytes: memory.difference_bytes }),
  );
}

// All that is known of a selection, in the order of the table.
const ROWS = [
  [
    "Energy of a request",
    (of) => of.figures.energy_per_request_j,
    joules,
    (of) => interval(of.low?.energy_per_request_j, of.high?.energy_per_request_j),
  ],
  [
    "Energy of a token",
    (of) => of.figures.energy_per_token_j,
    joules,
    (of) => interval(of.low?.energy_per_token_j, of.high?.energy_per_token_j),
  ],
  ["Power, all GPUs", (of) => of.figures.power_w, watts],
  ["Time to the first token", (of) => of.figures.ttft_s, seconds],
  ["Time between tokens", (of) => of.figures.itl_s, seconds],
  ["Time of a request", (of) => of.figures.latency_s, seconds],
  ["Tokens a second", (of) => of.figures.tokens_per_s, number],
  ["Memory of each GPU", (of) => of.memory?.total_bytes, bytes],
  ["of which weights", (of) => of.memory?.weights_bytes, bytes],
  ["of which the cache", (of) => of.memory?.cache_bytes, bytes],
];

// `wholes` are pairs of a letter and what the API says of that selection.
export function figuresTable(wholes) {
  const rows = ROWS.filter(([, value]) => wholes.some(([, of]) => isKnown(value(of))));
  const cell = (of, [, value, format, range]) => {
    const more = range?.(of);
    return make("td", { class: "number" }, format(value(of)) || "not known", more && make("small", {}, `90%: ${more}`));
  };
  return scroller(
    "All figures",
    table(
      { class: "figures-table" },
      "All figures, with 90% intervals where there are some",
      [head("Figure"), ...wholes.map(([letter]) => head(letter, true))],
      rows.map((row) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, row[0]),
          wholes.map(([, of]) => cell(of, row)),
        ),
      ),
    ),
  );
}

// A side's parts as a stacked bar; `most` is what the longest bar of all stands for.
export function partsBar(components, label, most) {
  const total = components.reduce((sum, { energy_j }) => sum + energy_j, 0);
  return stackedBar(
    components.map(({ component, energy_j }) => ({
      name: componentName(component),
      share: most > 0 ? energy_j / most : 0,
      text: `${joules(energy_j)}, ${percent(total > 0 ? energy_j / total : 0)}`,
      colour: `part-${component}`,
      data: { component, joules: energy_j },
    })),
    label,
  );
}

// Those that either has, most first.
const inOrder = (components) => {
  const size = ({ a_j: a, b_j: b }) => Math.max(a ?? 0, b ?? 0);
  return components.filter((row) => size(row) > 0).toSorted((a, b) => size(b) - size(a));
};

export function differences({ components, energy }, b = "B") {
  return divergingBars(
    inOrder(components).map(({ component, a_j, b_j, difference_j }) => ({
      name: componentName(component),
      a: a_j,
      b: b_j,
      difference: difference_j,
      data: { component },
    })),
    `Where they differ, by the energy of a ${energy.by}`,
    b,
  );
}

// Both as stacked bars on one scale, and where they differ.
export function parts(comparison) {
  const { components, energy } = comparison;
  const most = Math.max(energy.a_j ?? 0, energy.b_j ?? 0);
  const of = (side) => inOrder(components).map((row) => ({ component: row.component, energy_j: row[side] ?? 0 }));
  const label = (letter, value) => `${letter}: ${joules(value)} a ${energy.by}`;
  return make(
    "section",
    { class: "parts" },
    make("h3", {}, "Where the energy goes"),
    partsBar(of("a_j"), label("A", energy.a_j), most),
    partsBar(of("b_j"), label("B", energy.b_j), most),
    differences(comparison),
  );
}

const EFFECTS = { none: "changes nothing", less: "saves", more: "costs more", other: "changes" };

function changeRow({ name, from, to, energy_ratio, effect, reason }) {
  const known = isKnown(energy_ratio) && effect !== "none";
  return make(
    "tr",
    { data: { change: name, effect, ratio: energy_ratio } },
    make("th", { scope: "row" }, changeLabel(name)),
    make("td", {}, from ?? "not set"),
    make("td", {}, to),
    make("td", {}, known ? howMuch(energy_ratio) : (EFFECTS[effect] ?? "")),
    make("td", { class: "reason" }, capital(reason)),
  );
}

// Each change by itself: what it would do alone, and why it does nothing where it does nothing.
export function changesTable(changes) {
  const heads = ["Change", "A", "B", "Energy, this change alone", "Why"];
  return scroller(
    "What was changed",
    table({ class: "changes" }, "What was changed, one by one", heads.map((text) => head(text)), changes.map(changeRow)),
  );
}

const CSV = [["part", (row) => row.component], ...plainColumns("a_j", "b_j", "difference_j")];

const rowsOf = ({ energy, components }) => [{ component: `all, a ${energy.by}`, ...energy }, ...components];

// The whole and its parts, in joules of a token or a request.
export const comparisonCsv = (comparison) => csv(CSV, rowsOf(comparison));

// The same of several that A is compared with, each by its letter.
export const comparisonsCsv = (known) =>
  csv(
    [...plainColumns("other"), ...CSV],
    known.flatMap(({ letter, comparison }) => rowsOf(comparison).map((row) => ({ other: letter.toUpperCase(), ...row }))),
  );

export function provenance({ a, b }) {
  const lines =
    a.provenance === b.provenance ? [`A and B: ${a.provenance}`] : [`A: ${a.provenance}`, `B: ${b.provenance}`];
  return make("p", { class: "quiet provenance" }, lines.join(". "));
}

// Remarks beside the figures.
export const notesText = (notes) =>
  notes.length > 0 && make("p", { class: "overlap notes" }, [...new Set(notes)].map((note) => `${capital(labelled(note))}. `));
