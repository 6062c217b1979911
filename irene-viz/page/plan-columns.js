// The columns of a plan's table and of its file.

import { formatName } from "./changes.js";
import { figures, words } from "./columns.js";
import { plainColumns } from "./downloads.js";
import { count, isKnown, joules, number, seconds, watts } from "./format.js";

export const BEST = { energy: "least energy", latency: "least time", cost: "least money" };
// The money of a million tokens is one of the two.
export const MONEY_TITLES = { hire: "Hire, a million tokens", electricity: "Electricity, a million tokens" };
export const usd = (value) => (isKnown(value) ? `${number(value)} USD` : "");
const kilowattHours = (value) => (isKnown(value) ? `${number(value)} kWh` : "");

export const planName = ({ device, gpus, weights }) => `${gpus} × ${device}, ${formatName(weights)}`;

function split({ parallel = {} }) {
  const named = [
    ["tensor", "each layer over"],
    ["pipeline", "stages"],
    ["expert", "experts over"],
    ["data", "copies"],
  ];
  const all = named
    .filter(([key]) => parallel[key] > 1)
    .map(([key, word]) =>
      key === "pipeline" || key === "data" ? `${parallel[key]} ${word}` : `${word} ${parallel[key]}`,
    );
  return all.join(", ") || "one GPU";
}

export const COLUMNS = [
  words("plan", "Plan", planName),
  words("split", "Split", split),
  figures("energy", "Energy of a token", (plan) => plan.energy_per_token_j, joules, {
    data: (plan) => ({ joules: plan.energy_per_token_j }),
  }),
  figures("usd", MONEY_TITLES.hire, (plan) => plan.usd_per_million_tokens, usd, {
    data: (plan) => ({ usd: plan.usd_per_million_tokens }),
  }),
  figures("ttft", "First token", (plan) => plan.ttft_s, seconds, { data: (plan) => ({ seconds: plan.ttft_s }) }),
  figures("itl", "Between tokens", (plan) => plan.itl_s, seconds),
  figures("latency", "Time of a request", (plan) => plan.figures?.latency_s, seconds),
  figures("rank", "Rank", (plan) => plan.rank, String),
  words("best", "Best in", (plan) => (plan.best_of ?? []).map((what) => BEST[what] ?? what).join(", ")),
  figures("kwh", "Energy of a million", (plan) => plan.kwh_per_million_tokens, kilowattHours),
  figures("power", "Power", (plan) => plan.power_w, watts),
  figures("running", "At once, each copy", (plan) => plan.running, count),
  words("front", "Pareto front", (plan) => (plan.is_on_front ? "on the front" : "")),
];

export const CSV = [
  ...plainColumns("rank", "device", "gpus", "weights", "running", "energy_per_token_j", "kwh_per_million_tokens"),
  ...plainColumns("usd_per_million_tokens", "ttft_s", "itl_s"),
  ["latency_s", (plan) => plan.figures?.latency_s],
  ...plainColumns("power_w", "is_on_front"),
];
