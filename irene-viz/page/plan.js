// Plan: every way of serving a load that fits and keeps its bounds, and which of them is the best in what.

import { getPlan } from "./api.js";
import { asState } from "./changes.js";
import { linear, linearTicks, log, logTicks, scatterChart } from "./chart.js";
import { make } from "./dom.js";
import { csv } from "./downloads.js";
import { select } from "./field.js";
import { labelled, orProblem } from "./form.js";
import { capital, joules, number, seconds, tick } from "./format.js";
import { BEST, COLUMNS, CSV, MONEY_TITLES, planName, usd } from "./plan-columns.js";
import { DEFAULT_RATE, createPlanForm, hirePrices } from "./planform.js";
import { createLeftOut, named, onDemand } from "./states.js";
import { createTable } from "./table.js";

const AXES = {
  ttft: { label: "Time to the first token", value: (plan) => plan.ttft_s, format: seconds, unit: "s" },
  itl: { label: "Time between tokens", value: (plan) => plan.itl_s, format: seconds, unit: "s" },
  latency: { label: "Time of a request", value: (plan) => plan.figures?.latency_s, format: seconds, unit: "s" },
  cost: {
    label: "USD a million tokens",
    value: (plan) => plan.usd_per_million_tokens,
    format: number,
    unit: undefined,
  },
};
// Parts of a selection that no plan is asked with: it says the GPUs and the formats itself.
const NOT_PLANNED = Object.fromEntries(
  ["tp", "pp", "ep", "dp", "power", "past", "dtype", "head"].map((name) => [name, ""]),
);
const MONEY = {
  "": "Costs are hire at public prices, electricity included, which are known for some devices only and change by the month.",
  none: "Costs are electricity alone.",
  own: "Costs are hire at your prices, electricity included; for other devices they are not known.",
};

// More find no room.
const mostLabels = (room) => Math.min(Math.floor(room / 110), 10);

// The points that get a name: the best ones, and some of the front between them.
function namedPlans(front, most) {
  const best = front.filter((plan) => plan.best_of?.length > 0);
  const others = front.filter((plan) => !best.includes(plan));
  const step = Math.max(Math.ceil(others.length / Math.max(most - best.length, 1)), 1);
  return new Set([...best, ...others.filter((_, at) => at % step === 0)]);
}

export function createPlanView(panel, act) {
  const form = createPlanForm(act.go);
  const summary = make("p", { id: "plan-summary", role: "status" });
  const best = make("div", { class: "cards best" });
  const table = createTable({
    caption: "Plans that no other beats in energy, time and cost come first; choose one to see where its energy goes",
    columns: COLUMNS,
    sort: "rank",
    rowAttributes: (plan) => ({ data: { plan: planName(plan), front: String(plan.is_on_front), device: plan.device } }),
    onActivate: (plan) => act.go(opened(plan)),
  });
  const axis = select(
    "plan-axis",
    Object.entries(AXES).map(([id, { label }]) => [id, label]),
  );
  const chart = make("div", { class: "chart-holder" });
  const leftOut = createLeftOut();
  const found = make(
    "div",
    { class: "stack" },
    best,
    make(
      "div",
      { class: "plan-results" },
      table.element,
      make("div", { class: "stack" }, make("label", {}, "Energy against ", axis), chart),
    ),
  );
  const prices = make("ul", { class: "reasons" });
  const cited = onDemand("Where the hire prices come from", prices);
  panel.append(make("h2", {}, "Which machine should serve it?"), form.element, summary, found, cited, leftOut.element);

  let current;
  let plans = [];

  axis.addEventListener("change", draw);

  // The selection of a plan, in the view that was asked for.
  const opened = (plan) => ({ ...NOT_PLANNED, ...asState(plan.set, current), view: "tree" });

  function card(what, plan) {
    const costs = usd(plan.usd_per_million_tokens);
    const line = [
      `${joules(plan.energy_per_token_j)} a token`,
      costs ? `${costs} a million tokens` : "cost not known",
      plan.ttft_s !== undefined && `first token in ${seconds(plan.ttft_s)}`,
      plan.figures?.latency_s !== undefined && `${seconds(plan.figures.latency_s)} a request`,
    ];
    return make(
      "section",
      {
        class: "card",
        data: { best: what, device: plan.device, usd: plan.usd_per_million_tokens, joules: plan.energy_per_token_j },
      },
      make("h3", {}, capital(BEST[what])),
      make("p", { class: "figure" }, act.link(opened(plan), planName(plan))),
      make("p", { class: "quiet" }, line.filter(Boolean).join(", ")),
    );
  }

  function draw() {
    const { label, value, format, unit } = AXES[axis.value];
    const drawable = plans.filter((plan) => value(plan) > 0 && plan.kwh_per_million_tokens > 0);
    if (drawable.length === 0) return chart.replaceChildren();
    const spread = (values) => [Math.min(...values) * 0.85, Math.max(...values) * 1.2];
    const scale = (values) => {
      const [low, high] = spread(values);
      return high / low > 4
        ? { scale: log(low, high), ticks: logTicks(log(low, high)) }
        : { scale: linear(low, high), ticks: linearTicks(linear(low, high)) };
    };
    const front = namedPlans(
      drawable.filter((plan) => plan.is_on_front),
      mostLabels(chart.clientWidth),
    );
    chart.replaceChildren(
      scatterChart({
        room: chart.clientWidth,
        title: `Energy against ${label.toLowerCase()}; the table has the figures`,
        x: { ...scale(drawable.map(value)), format: tick(unit), label },
        y: {
          ...scale(drawable.map((plan) => plan.kwh_per_million_tokens)),
          format: tick(),
          label: "kWh a million tokens",
        },
        isJoined: false,
        points: drawable.map((plan) => ({
          x: value(plan),
          y: plan.kwh_per_million_tokens,
          label: front.has(plan) ? planName(plan) : "",
          isOnFront: plan.is_on_front,
          title: `${planName(plan)}: ${joules(plan.energy_per_token_j)} a token, ${label.toLowerCase()} ${format(value(plan))}`,
        })),
      }),
    );
  }

  function say({ problem, rate, considered, fitting, plans: all = [] }, hire) {
    if (problem) return problem;
    const requests = rate === 1 ? "request" : "requests";
    const looked = `For ${rate.toLocaleString("en")} ${requests} a second ${considered.toLocaleString("en")} ways were tried`;
    if (all.length === 0) return `${looked}, and none fits and keeps the bounds; the reasons are below.`;
    const shown = all.length < fitting ? `, of which the ${all.length} best are shown` : "";
    return `${looked}, ${fitting.toLocaleString("en")} fit and keep the bounds${shown}. ${MONEY[hire] ?? MONEY.own}`;
  }

  return {
    offer(models, devices) {
      form.offer(devices);
      const priced = devices.filter(({ kind, hire }) => hire && kind !== "measured");
      prices.replaceChildren(
        ...named(
          priced.map(({ name, hire: { usd_per_hour: usd, source } }) => [name, `: ${number(usd)} USD an hour, ${source}`]),
        ),
      );
    },
    load: (state) =>
      orProblem(
        getPlan({
          ...state,
          plan_rate: state.plan_rate || state.rate || DEFAULT_RATE,
          plan_hire: hirePrices(state.plan_hire),
        }),
      ),
    render(state, prediction, answer) {
      current = state;
      form.show(state);
      plans = (answer.plans ?? []).map((plan, at) => ({ ...plan, rank: at + 1 }));
      summary.textContent = say(answer, state.plan_hire);
      summary.classList.toggle("wrong", Boolean(answer.problem));
      found.hidden = plans.length === 0;
      const bestOf = (what) => plans.find((plan) => plan.best_of?.includes(what));
      best.replaceChildren(...Object.keys(BEST).flatMap((what) => (bestOf(what) ? [card(what, bestOf(what))] : [])));
      table.rename({ usd: state.plan_hire === "none" ? MONEY_TITLES.electricity : MONEY_TITLES.hire });
      table.show(plans);
      draw();
      cited.hidden = state.plan_hire !== "" || plans.length === 0;
      const ways = (count) => (count > 1 ? `, ${count} ways` : "");
      leftOut.show(
        (answer.left_out ?? []).map(({ device, reason, count }) => [device, `${ways(count)}: ${labelled(reason)}`]),
      );
    },
    downloads: () => (plans.length > 0 ? [["csv", "plans", () => csv(CSV, plans)]] : []),
    resize: draw,
  };
}
