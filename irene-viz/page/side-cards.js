// Cards of selections side by side, each with its figures and where its energy goes.

import { make } from "./dom.js";
import { bytes, interval, isKnown, joules, seconds } from "./format.js";
import { certainty, notesText, partsBar, verdict } from "./sides.js";

function amounts(letter, of) {
  const { figures, low, high, memory, components = [], notes = [] } = of;
  const perToken = figures.energy_per_token_j;
  const [name, value] = isKnown(perToken) ? ["token", perToken] : ["request", figures.energy_per_request_j];
  const range = isKnown(perToken)
    ? interval(low?.energy_per_token_j, high?.energy_per_token_j)
    : interval(low?.energy_per_request_j, high?.energy_per_request_j);
  const lines = [
    range && `90%: ${range}`,
    name === "token" && isKnown(figures.energy_per_request_j) && `${joules(figures.energy_per_request_j)} a request`,
    isKnown(figures.latency_s) && `a request in ${seconds(figures.latency_s)}`,
    memory && `${bytes(memory.total_bytes)} of memory on each GPU`,
  ];
  const most = components.reduce((sum, { energy_j }) => sum + energy_j, 0);
  return [
    make(
      "p",
      { class: "figure", data: { side: letter, joules: value } },
      `${joules(value)} `,
      make("small", {}, `a ${name}`),
    ),
    make("p", { class: "quiet" }, lines.filter(Boolean).join(", ")),
    components.length > 0 && partsBar(components, "Where a request’s energy goes", most),
    notesText(notes),
  ];
}

function card(letter, title, ...content) {
  return make(
    "section",
    { class: "card", data: { letter } },
    make("h3", {}, make("span", { class: "letter" }, letter.toUpperCase()), ` ${title}`),
    content,
  );
}

export const sideCard = (letter, title, of) => card(letter, title, ...amounts(letter, of));

// The cards beside A: each with its figures and how they compare with A's, or why it has none.
export function otherCard({ letter, comparison, problem }, title, tools) {
  if (!comparison) return card(letter, title, make("p", { class: "wrong" }, problem), tools);
  const { b, energy } = comparison;
  return card(
    letter,
    title,
    ...amounts(letter, b),
    make("p", { data: { ratio: energy.ratio, verdict: letter } }, verdict(comparison, letter.toUpperCase())),
    make(
      "p",
      { class: energy.is_within_intervals ? "quiet overlap" : "quiet" },
      certainty(comparison, letter.toUpperCase()),
    ),
    tools,
  );
}
