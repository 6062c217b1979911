// The answer: one sentence, one picture, three figures, and the rest on demand.

import { getGrids } from "./api.js";
import { COMPONENTS, componentParts, stackedBar } from "./bars.js";
import { byId, make } from "./dom.js";
import { field, numberInput, options, select, setFieldError } from "./field.js";
import { labelled } from "./form.js";
import {
  capital,
  count,
  grams,
  interval,
  isKnown,
  joules,
  kilowattHours,
  number,
  range,
  roundPercent,
  seconds,
  watts,
} from "./format.js";
import { marksWithTips, term } from "./term.js";

const FEW = ["", "one", "two", "three", "four", "five", "six", "seven", "eight"];

function deviceText({ device, parallel }, title) {
  const gpus = parallel?.gpus ?? 1;
  if (gpus === 1) return `one ${title ?? device}`;
  return `${FEW[gpus] ?? gpus} ${title ?? device}`;
}

// By the token where tokens are generated, else by the request.
function measureOf({ figures }) {
  const isByToken = isKnown(figures.energy_per_token_j);
  return isByToken
    ? { name: "energy_per_token_j", unit: "generated token" }
    : { name: "energy_per_request_j", unit: "request" };
}

export function energyText({ figures }) {
  const { name, unit } = measureOf({ figures });
  return `${joules(figures[name])} a ${unit}`;
}

// The tree is of all that run together, the figures above it of one of them.
export function wholeText({ requests, selection, root, nodes }) {
  const together = isKnown(selection.batch_size) ? "of one batch" : "that run at once";
  const many = Number.isInteger(requests) ? requests.toLocaleString("en") : number(requests);
  const steps = nodes.some(({ name }) => /(^|\.)past_\d+$/.test(name))
    ? "A node past_N is a step that finds N tokens in the cache; it stands for the steps around it."
    : "";
  const whole = requests === 1 ? "" : `The nodes are of ${many} requests ${together}: ${joules(root.energy)}.`;
  return [whole, steps].filter(Boolean).join(" ");
}

const WALL = "of the whole computer, at the wall";

// Names what the joules are of. A measured machine says in its description what its meter counts.
function coverage({ selection, marks = [] }, device) {
  if (marks.includes("at_the_wall")) return WALL;
  if (selection.basis === "profile")
    return device?.description?.includes("at the wall") ? WALL : "of what was measured on its machine";
  if (selection.basis === "calibrated") return "of what the meter of the measured requests counts";
  return selection.parallel?.gpus > 1 ? "of the GPUs alone" : "of the GPU alone, not of the computer around it";
}

function headlineText(prediction, title) {
  const { selection, components } = prediction;
  const most = components?.[0];
  const part = most ? `: ${roundPercent(most.share)} of it ${COMPONENTS[most.component]?.phrase ?? most.component}` : "";
  return `${selection.model} on ${deviceText(selection, title)} spends ${energyText(prediction)}${part}`;
}

export function createHeadline(act) {
  const price = numberInput("price", { placeholder: "0.1319" });
  const grid = select("grid", [["", "none"]]);
  const rest = make("dl", { class: "figures" });
  let shown;
  let device;
  let grids = [];
  let asked;

  byId("more-figures").append(
    rest,
    make(
      "div",
      { class: "fields" },
      field("Price of electricity", price, { unit: "USD per kWh" }),
      field(term("co2e", "CO₂e of the grid"), grid),
      make("p", { id: "grid-source", class: "quiet" }),
    ),
  );
  price.addEventListener("input", () => changed({ price: price.value }));
  // The electricity of a plan costs it too.
  price.addEventListener("change", () => shown.state.view === "plan" && act.go({}));
  grid.addEventListener("change", () => changed({ grid: grid.value }));

  function changed(change) {
    act.note(change);
    shown.state = { ...shown.state, ...change };
    drawFigures();
  }

  // The price that counts: the state's, unless it is none.
  function rateOf(state, cost) {
    const given = state.price === "" ? cost?.price_per_kwh_usd : Number(state.price);
    const isPrice = isKnown(given) && given >= 0;
    setFieldError(price, isPrice || !isKnown(given) ? "" : "A price is not below zero.");
    return isPrice ? given : undefined;
  }

  const figure = (id, name, text, { data, more = [] } = {}) =>
    text &&
    make(
      "div",
      {},
      make("dt", {}, name),
      make("dd", { id, data }, text),
      more.filter(Boolean).map((line) => make("dd", { class: "quiet" }, line)),
    );

  function energyFigure(prediction) {
    const { figures, low = {}, high = {}, root, predictor } = prediction;
    const { name, unit } = measureOf({ figures });
    const between = interval(low[name], high[name]);
    return figure("energy", term("energy", `Energy a ${unit}`), joules(figures[name]), {
      data: { joules: figures[name] },
      more: [
        between && `90%: ${between}`,
        unit !== "request" && `${joules(figures.energy_per_request_j)} a request`,
        coverage(prediction, device),
        [predictor.provenance, ...marksWithTips(root.marks)],
      ],
    });
  }

  function timeFigure({ figures, low = {}, high = {} }) {
    const name = isKnown(figures.ttft_s) ? "ttft_s" : "latency_s";
    const label = name === "ttft_s" ? term("ttft") : term("latency");
    const between = range(low[name], high[name], seconds);
    return figure("time", label, seconds(figures[name]), {
      data: { seconds: figures[name] },
      more: [
        between && `90%: ${between}`,
        isKnown(figures.itl_s) && `${seconds(figures.itl_s)} between tokens`,
        name === "ttft_s" && isKnown(figures.latency_s) && `${seconds(figures.latency_s)} a request`,
      ],
    });
  }

  function costFigure(state, { cost = {} }) {
    const isByToken = isKnown(cost.energy_kwh_per_million_tokens);
    const kwh = isByToken
      ? cost.energy_kwh_per_million_tokens
      : (cost.energy_kwh_per_million_requests ?? cost.energy_kwh_per_million);
    const rate = rateOf(state, cost);
    const found = grids.find(({ name }) => name === state.grid);
    const dollars = isKnown(kwh) && isKnown(rate) ? kwh * rate : undefined;
    const emitted = isKnown(kwh) && found ? kwh * found.g_co2e_per_kwh : undefined;
    byId("grid-source").textContent = found
      ? `${found.name}, ${found.year}: ${number(found.g_co2e_per_kwh)} g a kWh, by ${found.source}`
      : "";
    const unit = isByToken ? "generated tokens" : "requests";
    return figure("cost", `A million ${unit}`, isKnown(dollars) ? `${number(dollars)} USD` : kilowattHours(kwh), {
      more: [
        isKnown(dollars) && `electricity: ${kilowattHours(kwh)} at ${number(rate)} USD a kWh`,
        isKnown(emitted) && `${grams(emitted)} CO₂e`,
      ],
    });
  }

  function restOf({ figures, phases, root, cost, requests, selection, predictor }) {
    return [
      figure("total", requests === 1 ? "Energy of the run" : "Energy of all that run together", joules(root.energy), {
        data: { joules: root.energy },
        more: [interval(root.low, root.high) && `90%: ${interval(root.low, root.high)}`],
      }),
      figure("request", "Energy a request", joules(figures.energy_per_request_j)),
      figure("prompt", "Its prompt", joules(phases?.prompt?.energy_j), { more: [seconds(phases?.prompt?.latency_s)] }),
      figure("each-token", "Each further token", joules(phases?.token?.energy_j), {
        more: [seconds(phases?.token?.latency_s)],
      }),
      figure("mean-power", "Mean power", watts(figures.power_w)),
      figure("latency", "Latency", seconds(figures.latency_s)),
      figure("throughput", "Tokens a second", count(figures.tokens_per_s)),
      figure("kwh", "A million requests", kilowattHours(cost?.energy_kwh_per_million_requests)),
      figure("engine-name", "Engine", selection.engine),
      figure("precision", "Formats", selection.precision),
      figure("provenance", "Where it comes from", predictor.provenance, { more: [predictor.device] }),
    ].filter(Boolean);
  }

  function drawFigures() {
    const { state, prediction } = shown;
    byId("totals").replaceChildren(
      ...[energyFigure(prediction), timeFigure(prediction), costFigure(state, prediction)].filter(Boolean),
    );
    if (document.activeElement !== price) price.value = state.price;
  }

  async function offerGrids() {
    grids = await getGrids();
    grid.append(...options(grids.map(({ name, year }) => [name, `${name}, ${year}`])));
    grid.value = shown.state.grid;
    drawFigures();
  }

  return {
    // `entry` is what is known of the device, once that has come.
    show(state, prediction, entry) {
      shown = { state, prediction };
      device = entry;
      byId("headline").textContent = headlineText(prediction, device?.title);
      byId("notes").replaceChildren(...(prediction.predictor.notes ?? []).map((note) => make("p", {}, capital(labelled(note)))));
      const label = "Where the energy of a request goes";
      byId("where").replaceChildren(
        prediction.components ? stackedBar(componentParts(prediction.components), label) : "",
      );
      rest.replaceChildren(...restOf(prediction));
      grid.value = state.grid;
      drawFigures();
      // Once, when the answer is there; and again if they could not be had.
      asked ??= offerGrids().catch(() => (asked = undefined));
    },
  };
}
