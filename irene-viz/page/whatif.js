// What if: what is selected (A) beside the same with changes (B), which the controls make and the address keeps.

import { getEngines, getWhatIf } from "./api.js";
import { asState, readChanges, withChange } from "./changes.js";
import { createControls } from "./controls.js";
import { make, replaceInside } from "./dom.js";
import { labelled } from "./form.js";
import { knobGroups } from "./knobs.js";
import { createPairTable } from "./pairs.js";
import { presets } from "./presets.js";
import { certainty, changesTable, comparisonCsv, figuresTable, notesText, parts, provenance, tiles, verdict } from "./sides.js";
import { words } from "./columns.js";

export function createWhatIfView(panel, act) {
  const questions = make("div", { class: "presets", role: "group", "aria-label": "Usual questions" });
  const controls = createControls((name, value) =>
    act.go((wanted) => ({ set_b: withChange(wanted.set_b, name, value) })),
  );
  const answer = make("p", { class: "verdict", role: "status", id: "whatif-verdict" });
  const problem = make("p", { class: "wrong", id: "whatif-problem" });
  const sure = make("p", { id: "whatif-certainty", class: "quiet" });
  const notes = make("div", { id: "whatif-notes" });
  const tools = make(
    "div",
    { class: "tools" },
    make("button", { id: "reset-b", type: "button", on: { click: () => act.go({ set_b: "" }) } }, "Reset B"),
    make("button", { id: "keep-b", type: "button", on: { click: keep } }, "Make B the selection"),
  );
  const results = make("div", { class: "results" });
  const nodes = onDemand("Node by node", () => nodeTable.element);
  const nodeTable = createPairTable({
    caption: "Node by node",
    columns: [words("node", "Node", (row) => row.scope), words("type", "Type", (row) => row.type ?? row.instance_type)],
    rowAttributes: (row) => ({ data: { scope: row.scope } }),
  });
  // On a narrow screen the answer comes first, and the controls are unfolded.
  const isWide = matchMedia("(min-width: 64rem)").matches;
  const side = make("details", { class: "change-b", open: isWide }, make("summary", {}, "Change B"), controls.element);
  const main = make("div", { class: "stack answer" }, answer, problem, sure, notes, results, nodes, tools);
  panel.append(
    make("h2", {}, "What if it were different?"),
    make(
      "p",
      { class: "quiet" },
      "A is what is selected above. Choose a question or change a control: B is A with that change.",
    ),
    questions,
    make("div", { class: "whatif" }, side, main),
  );

  let current;
  let models = [];
  let devices = [];
  let shown;
  let again = () => {};

  // A part that is made when it is opened first.
  function onDemand(title, build) {
    const details = make("details", { class: "on-demand" }, make("summary", {}, title));
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(build());
    });
    return details;
  }

  function keep() {
    act.go((wanted) => ({ ...asState(wanted.set_b, wanted), set_b: "" }));
  }

  async function load(state) {
    const engines = getEngines();
    if (state.set_b === "") return { engines: await engines };
    try {
      const [known, comparison] = await Promise.all([engines, getWhatIf(state, state.set_b)]);
      return { engines: known, comparison };
    } catch (error) {
      // The controls have to stay, to be set to something that can be.
      return { engines: await engines, problem: error.message };
    }
  }

  function showQuestions(state, config) {
    const buttons = presets(state, config, devices, models).map(({ id, label, about, set }) =>
      make(
        "button",
        {
          type: "button",
          id: `preset-${id}`,
          "aria-pressed": String(state.set_b === set),
          on: { click: () => act.go({ set_b: state.set_b === set ? "" : set }) },
        },
        label,
        make("small", {}, about),
      ),
    );
    replaceInside(questions, ...buttons);
  }

  function showAnswer(comparison) {
    answer.textContent = verdict(comparison);
    sure.textContent = certainty(comparison);
    sure.classList.toggle("overlap", comparison.energy.is_within_intervals);
    notes.replaceChildren(notesText([...(comparison.a.notes ?? []), ...(comparison.b.notes ?? [])]) || "");
    results.replaceChildren(
      tiles(comparison),
      parts(comparison),
      changesTable(comparison.changes),
      figuresTable([
        ["A", comparison.a],
        ["B", comparison.b],
      ]),
      provenance(comparison),
    );
    nodeTable.show(comparison.nodes ?? []);
  }

  return {
    // The choices may come after the first answer.
    offer(allModels, allDevices) {
      [models, devices] = [allModels, allDevices];
      again();
    },
    load,
    downloads: () => (shown ? [["csv", "comparison", () => comparisonCsv(shown)]] : []),
    render(state, prediction, extra) {
      const { engines, comparison, problem: line = "" } = extra;
      again = () => this.render(state, prediction, extra);
      current = state;
      shown = comparison;
      const { config = {}, selection = {} } = prediction;
      showQuestions(state, config);
      controls.show(
        knobGroups({ state, config, selection, models, devices, engines, nodes: prediction.nodes }),
        state.set_b,
        line,
      );
      const isChanged = readChanges(state.set_b).size > 0;
      problem.textContent = line && `B cannot be: ${labelled(line)}`;
      for (const part of [results, nodes, sure, notes]) part.hidden = !comparison;
      for (const button of tools.children) button.disabled = !isChanged;
      if (comparison) showAnswer(comparison);
      else answer.textContent = line ? "" : "Nothing is changed yet, so B is A.";
    },
  };
}
