// Generation: reading the prompt and writing the tokens apart, what each further token costs as the cache grows, and what
// the next turn of a conversation costs with the cache and without it.

import { getGeneration } from "./api.js";
import { lineChart, linear, linearTicks } from "./chart.js";
import { head, make, scroller, table } from "./dom.js";
import { csv, plainColumns } from "./downloads.js";
import { select } from "./field.js";
import { orProblem } from "./form.js";
import { bytes, count, isKnown, joules, percent, seconds, tick, times } from "./format.js";
import { partsBar } from "./sides.js";
import { emptyState } from "./states.js";
import { term } from "./term.js";
import { componentName } from "./bars.js";

const METRICS = {
  energy: {
    label: "Energy of a token",
    unit: "J",
    value: (point) => point.energy_j,
    format: joules,
    part: "attention, which reads the cache",
  },
  latency: { label: "Time of a token", unit: "s", value: (point) => point.latency_s, format: seconds },
  cache: { label: "Cache of a request", unit: "B", value: (point) => point.cache_bytes, format: bytes },
};

const CSV = plainColumns("token", "cached", "energy_j", "latency_s", "cache_bytes", "attention_share");

function mostOf({ components, energy_j: all }) {
  const [first] = [...components].sort((a, b) => b.energy_j - a.energy_j);
  return first && all > 0 ? `${componentName(first.component)} takes ${percent(first.energy_j / all)}.` : "";
}

// The step in which a phase is in the tree; the decoding of several is named as one node.
const NODES = { prompt: (node) => node.scope.includes("prefill"), token: (node) => node.scope.includes("decode") };

export function createGenerationView(panel, act) {
  const phases = make("div", { class: "cards phases" });
  const metric = select(
    "generation-metric",
    Object.entries(METRICS).map(([id, { label }]) => [id, label]),
  );
  const chart = make("div", { class: "chart-holder" });
  const tokens = scroller("Token by token");
  tokens.classList.add("generation-table");
  const growth = make("p", { id: "generation-growth" });
  const turn = make("section", { class: "next-turn" });
  const over = make(
    "section",
    { class: "stack" },
    make("h3", {}, "As the answer grows"),
    growth,
    make("label", {}, "Show ", metric),
    make("div", { class: "beside" }, chart, tokens),
  );
  const problem = make("p", { class: "wrong" });
  const none = make("div");
  const all = make("div", { class: "stack" }, phases, over, turn);
  panel.append(make("h2", {}, "Reading, writing, and the next turn"), problem, none, all);

  let points = [];
  let models = [];
  metric.addEventListener("change", draw);

  function phase(id, title, about, of, prediction, most) {
    const { energy_j: energy, latency_s: latency, components } = of;
    const node = prediction.nodes.find((each) => each.depth > 0 && NODES[id](each));
    const zoom = (view) => () => (view === "icicle" ? act.showInIcicle(node) : act.showInTree(node));
    const button = (view, text) => make("button", { type: "button", on: { click: zoom(view) } }, text);
    return make(
      "section",
      { class: "card phase", data: { phase: id, joules: energy } },
      make("h3", {}, title),
      make(
        "p",
        { class: "figure" },
        joules(energy),
        make("small", {}, isKnown(latency) ? ` in ${seconds(latency)}` : ""),
      ),
      make("p", { class: "quiet" }, `${about} ${mostOf(of)}`),
      partsBar(components, "Where the energy of it goes", most),
      node && make("div", { class: "tools" }, button("icicle", "Zoom in icicle"), button("tree", "Show in tree")),
    );
  }

  function showPhases({ prompt, token }, state, prediction) {
    const cards = [
      phase(
        "prompt",
        "Reading the prompt",
        `All ${Number(state.seq).toLocaleString("en")} tokens at once, and the first one written.`,
        prompt,
        prediction,
        prompt.energy_j,
      ),
    ];
    if (token)
      cards.push(
        phase("token", "Writing a token", "The mean of all that are written.", token, prediction, token.energy_j),
      );
    phases.replaceChildren(...cards);
  }

  function showGrowth() {
    const [first, last] = [points[0], points.at(-1)];
    const [from, to] = [first, last].map(({ cached }) => cached.toLocaleString("en"));
    const cached = `The cache grows from ${from} tokens to ${to}, and the last token takes`;
    const more = first.energy_j > 0 ? times(last.energy_j / first.energy_j).replace(" ×", " times") : "";
    const share = isKnown(first.attention_share)
      ? ` Attention, which reads it, grows from ${percent(first.attention_share)} to ${percent(last.attention_share)} of a token’s energy.`
      : "";
    growth.replaceChildren(
      `${cached} ${more} the energy of the first after the prompt.${share} `,
      term("cache", "Why the cache"),
    );
    tokens.replaceChildren(
      table(
        {},
        "Token by token, of one request",
        ["Token", "In the cache", "Energy", "Attention", "Time", "Cache"].map((text) => head(text, true)),
        points.map((point) =>
          make(
            "tr",
            { data: { token: point.token } },
            make("th", { scope: "row", class: "number" }, point.token.toLocaleString("en")),
            make("td", { class: "number whole" }, point.cached.toLocaleString("en")),
            make("td", { class: "number", data: { joules: point.energy_j } }, joules(point.energy_j)),
            make("td", { class: "number" }, percent(point.attention_share)),
            make("td", { class: "number" }, seconds(point.latency_s)),
            make("td", { class: "number" }, bytes(point.cache_bytes)),
          ),
        ),
      ),
    );
  }

  function draw() {
    if (points.length < 2) return chart.replaceChildren();
    const { label, unit, value, part } = METRICS[metric.value];
    const known = points.filter((point) => isKnown(value(point)));
    if (known.length < 2) return chart.replaceChildren(make("p", { class: "quiet" }, "Not known here."));
    const x = linear(known[0].token, known.at(-1).token);
    const y = linear(0, Math.max(...known.map(value)) * 1.08);
    const lines = [{ label: "whole", points: known.map((point) => [point.token, value(point)]) }];
    const hasPart = part && known.every((point) => isKnown(point.attention_share));
    if (hasPart)
      lines.push({
        label: "attention",
        points: known.map((point) => [point.token, value(point) * point.attention_share]),
      });
    chart.replaceChildren(
      lineChart({
        room: chart.clientWidth,
        title: `${label} as the answer grows; the table beside it has the figures`,
        x: { scale: x, ticks: linearTicks(x), format: (at) => at.toLocaleString("en"), label: "Token of the answer" },
        y: { scale: y, ticks: linearTicks(y), format: tick(unit), label },
        lines,
      }),
    );
  }

  function showTurn(next) {
    turn.hidden = !next;
    if (!next) return;
    const { new_tokens: read, with_cache: kept, without_cache: lost } = next;
    const most = Math.max(kept.energy_j, lost.energy_j);
    const bar = (name, of, colour) => {
      const line = make("span", { class: `plain-bar ${colour}`, style: { "--share": most > 0 ? of.energy_j / most : 0 } });
      const text = [joules(of.energy_j), seconds(of.latency_s)].filter(Boolean).join(" in ");
      return make(
        "div",
        { class: "bar-row", data: { turn: colour, joules: of.energy_j } },
        make("dt", {}, name),
        make("dd", {}, line, make("span", {}, text)),
      );
    };
    const ratio = kept.energy_j > 0 ? lost.energy_j / kept.energy_j : undefined;
    turn.replaceChildren(
      make("h3", {}, "The next turn of the conversation"),
      make(
        "p",
        {},
        `A next message of ${count(read)} tokens is read after all that was said. With the cache kept only those are read; without it everything is read again, for ${times(ratio).replace(" ×", " times")} the energy.`,
      ),
      make("dl", { class: "bar-rows" }, bar("With the cache", kept, "less"), bar("Without the cache", lost, "more")),
    );
  }

  function sayNothing(state) {
    const writes = (models.find(({ name }) => name === state.model)?.task ?? "decoder") === "decoder";
    const offered = [["Generate 128 tokens", () => act.go({ generate: "128" })]];
    const text = writes
      ? "The selection reads its input and writes nothing."
      : `${state.model} encodes text and writes none.`;
    none.replaceChildren(emptyState("Nothing is generated", text, writes ? offered : []));
  }

  return {
    offer(known) {
      models = known;
    },
    async load(state) {
      return Number(state.generate) === 0 ? null : orProblem(getGeneration(state));
    },
    render(state, prediction, answer) {
      none.replaceChildren();
      problem.textContent = answer?.problem ?? "";
      points = answer?.points ?? [];
      all.hidden = !answer?.prompt;
      if (!answer) sayNothing(state);
      if (all.hidden) return;
      showPhases(answer, state, prediction);
      over.hidden = points.length < 2;
      if (!over.hidden) showGrowth();
      draw();
      showTurn(answer.next_turn);
    },
    downloads: () => (points.length > 0 ? [["csv", "tokens", () => csv(CSV, points)]] : []),
    resize: draw,
  };
}
