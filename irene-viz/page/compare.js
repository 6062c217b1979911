// Compare: what is selected (A) beside up to three others, by the roles that the parts of every model have.

import { getWhatIf } from "./api.js";
import { USUAL_FORMATS, asState, changesInWords, writeChanges } from "./changes.js";
import { words } from "./columns.js";
import { differenceIcicle } from "./difference-icicle.js";
import { make, replaceInside } from "./dom.js";
import { field, numberInput, options, select } from "./field.js";
import { labelled } from "./form.js";
import { createPairTable } from "./pairs.js";
import { readyMade } from "./readymade.js";
import { otherCard, sideCard } from "./side-cards.js";
import { comparisonsCsv, differences, figuresTable, howMuch } from "./sides.js";
import { onDemand } from "./states.js";

const OTHERS = ["b", "c", "d"];

// The settings that the form for one more can change.
const fields = (models, devices) => [
  ["model", "Model", select("other-model", [["", "as A"], ...models.map(({ name }) => [name])])],
  [
    "device",
    "Device",
    select("other-device", [["", "as A"], ...devices.map(({ name, title }) => [name, title ?? name])]),
  ],
  ["weights", "Weights", select("other-weights", [["", "as A"], ...USUAL_FORMATS])],
  ["concurrency", "At once", numberInput("other-concurrency", { step: 1, min: 1, placeholder: "as A" })],
  ["seq_len", "Prompt tokens", numberInput("other-seq", { step: 1, min: 1, placeholder: "as A" })],
  ["generate", "Generated tokens", numberInput("other-generate", { step: 1, placeholder: "as A" })],
];

export function createCompareView(panel, act) {
  const ready = make("div", { class: "presets", role: "group", "aria-label": "Ready-made comparisons" });
  const form = make("form", {
    class: "fields",
    novalidate: true,
    "aria-label": "One more to compare",
    on: { submit: (event) => add(event) },
  });
  const problem = make("p", { class: "wrong", id: "compare-problem" });
  const choices = make(
    "details",
    { class: "change-b", open: true },
    make("summary", {}, "What to compare"),
    ready,
    form,
  );
  const cards = make("div", { class: "cards sides", id: "compare-sides" });
  const apart = make("div", { class: "apart" });
  const which = make("select", { id: "compare-which", "aria-label": "Which to compare with A in detail" });
  const icicle = make("div", { class: "icicle-holder" });
  const key = make(
    "ul",
    { class: "legend", "aria-label": "Colours of the differences" },
    make("li", { class: "diff-less-2" }, "less than A"),
    make("li", { class: "diff-same" }, "as A"),
    make("li", { class: "diff-more-2" }, "more than A"),
  );
  const detail = make(
    "section",
    { class: "stack", id: "compare-detail" },
    make("h3", {}, "Part by part"),
    make("div", { class: "tools" }, make("label", {}, "A beside ", which), key),
    icicle,
  );
  const type = words("type", "Type", (row) => row.instance_type ?? row.type);
  const byType = createPairTable({
    caption: "By type, each by what its nodes spend themselves",
    columns: [type],
    rowAttributes: (row) => ({ data: { type: row.instance_type } }),
  });
  const byNode = createPairTable({
    caption: "Node by node",
    columns: [words("node", "Node", (row) => row.scope), type],
    rowAttributes: (row) => ({ data: { scope: row.scope } }),
  });
  const all = make("div", { class: "stack" });
  const tables = make(
    "div",
    { class: "stack" },
    onDemand("All figures", all),
    onDemand("By type", byType.element),
    onDemand("Node by node", byNode.element),
  );
  const results = make("div", { class: "stack" }, cards, apart, detail, tables);
  panel.append(
    make("h2", {}, "Side by side"),
    make("p", { class: "quiet" }, "A is what is selected above. Choose a comparison, or add up to three of your own."),
    choices,
    problem,
    results,
  );

  let models = [];
  let devices = [];
  let controls = [];
  let current;
  let shown;
  let answers = [];

  which.addEventListener("change", drawDetail);

  function add(event) {
    event.preventDefault();
    const changes = new Map(
      controls.map(([name, , control]) => [name, control.value.trim()]).filter(([, value]) => value !== ""),
    );
    const text = writeChanges(changes);
    if (OTHERS.every((letter) => current[letter] !== ""))
      problem.textContent = "Four are side by side already: remove one first.";
    else if (changes.size === 0)
      problem.textContent = "Choose what is to be different: a model, a device, weights or a size.";
    else
      act.go((wanted) => {
        const free = OTHERS.find((letter) => wanted[letter] === "");
        // Twice by a double click is once.
        const isThere = OTHERS.some((letter) => wanted[letter] === text);
        return free && !isThere ? { [free]: text } : {};
      });
  }

  function remove(letter) {
    const removed = current[letter];
    act.go((wanted) => {
      const kept = OTHERS.map((each) => wanted[each]).filter((text) => text !== "" && text !== removed);
      return Object.fromEntries(OTHERS.map((each, at) => [each, kept[at] ?? ""]));
    });
  }

  async function load(state) {
    const asked = OTHERS.filter((letter) => state[letter] !== "");
    return Promise.all(
      asked.map(async (letter) => {
        try {
          return { letter, comparison: await getWhatIf(state, state[letter]) };
        } catch (error) {
          return { letter, problem: labelled(error.message) };
        }
      }),
    );
  }

  function tools(letter) {
    const button = (id, text, does) =>
      make(
        "button",
        {
          type: "button",
          id: `${id}-${letter}`,
          "aria-label": `${text}: ${letter.toUpperCase()}`,
          on: { click: does },
        },
        text,
      );
    return make(
      "div",
      { class: "tools" },
      button("remove", "Remove", () => remove(letter)),
      // The others are changes to what was selected before, and would be others of this one.
      button("select", "Make it the selection", () =>
        act.go({ ...asState(current[letter], current), b: "", c: "", d: "" }),
      ),
    );
  }

  function showCards() {
    const first = answers.find(({ comparison }) => comparison)?.comparison.a;
    const others = answers.map((answer) =>
      otherCard(answer, changesInWords(current[answer.letter]), tools(answer.letter)),
    );
    replaceInside(cards, ...(first ? [sideCard("a", first.title ?? "what is selected", first)] : []), ...others);
  }

  function drawDetail() {
    const known = answers.filter(({ comparison }) => comparison);
    const chosen = known.find(({ letter }) => letter === which.value) ?? known[0];
    detail.hidden = tables.hidden = !chosen;
    if (!chosen) return;
    const { nodes = [], by_type: types = [] } = chosen.comparison;
    const letter = chosen.letter.toUpperCase();
    icicle.replaceChildren(...differenceIcicle(shown, nodes, icicle.clientWidth, letter));
    byType.show(types, letter);
    byNode.show(nodes, letter);
  }

  function showResults() {
    // On a narrow screen what is compared comes first.
    choices.open = answers.length === 0 || matchMedia("(min-width: 64rem)").matches;
    const known = answers.filter(({ comparison }) => comparison);
    results.hidden = answers.length === 0;
    showCards();
    apart.replaceChildren(
      ...known.map(({ letter, comparison }) =>
        make(
          "div",
          {},
          make(
            "h3",
            {},
            `${letter.toUpperCase()} beside A: ${howMuch(comparison.energy.ratio)} energy a ${comparison.energy.by}`,
          ),
          differences(comparison, letter.toUpperCase()),
        ),
      ),
    );
    which.replaceChildren(
      ...options(known.map(({ letter }) => [letter, `${letter.toUpperCase()}: ${changesInWords(current[letter])}`])),
    );
    if (known.length > 0)
      all.replaceChildren(
        figuresTable([
          ["A", known[0].comparison.a],
          ...known.map(({ letter, comparison }) => [letter.toUpperCase(), comparison.b]),
        ]),
      );
    drawDetail();
  }

  function showReady(state) {
    replaceInside(
      ready,
      ...readyMade(state, models, devices).map(({ title, about, sets }, at) =>
        make(
          "button",
          {
            type: "button",
            id: `ready-${at}`,
            on: { click: () => act.go(Object.fromEntries(OTHERS.map((letter, place) => [letter, sets[place] ?? ""]))) },
          },
          title,
          make("small", {}, about),
        ),
      ),
    );
  }

  return {
    offer(allModels, allDevices) {
      [models, devices] = [allModels, allDevices];
      if (current) showReady(current);
      controls = fields(models, devices);
      form.replaceChildren(
        ...controls.map(([, label, control]) => field(label, control)),
        make("button", { id: "compare", class: "primary" }, "Add"),
      );
    },
    load,
    render(state, prediction, extra) {
      [current, shown, answers] = [state, prediction, extra];
      problem.textContent = "";
      for (const [, , control] of controls) control.value = "";
      showReady(state);
      const hadFocus = cards.contains(document.activeElement);
      showResults();
      // After the last that was removed, the next to do is to add one.
      if (hadFocus && !cards.contains(document.activeElement)) form.querySelector("#compare").focus();
    },
    downloads() {
      const known = answers.filter(({ comparison }) => comparison);
      return known.length > 0 ? [["csv", "comparison", () => comparisonsCsv(known)]] : [];
    },
    resize: drawDetail,
  };
}
