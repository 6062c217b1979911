// Bars of a whole's parts: one that is stacked, and rows that lead left and right from a middle.

import { head, make, scroller, table } from "./dom.js";
import { change, clipped, isKnown, joules, percent } from "./format.js";

// The parts that every model has, by the API's names: what they are called, alone and in a sentence.
export const COMPONENTS = {
  attention: { name: "Attention", phrase: "in attention" },
  feed_forward: { name: "Feed-forward", phrase: "in the feed-forward layers" },
  norms: { name: "Norms", phrase: "in norms and sums" },
  embeddings: { name: "Embeddings", phrase: "in the embeddings" },
  head: { name: "Head", phrase: "in the output head" },
  exchange: { name: "Between GPUs", phrase: "in the exchange between GPUs" },
  other: { name: "Everything else", phrase: "in everything else: the engine’s own time, idle power, sums of residuals" },
};

export const componentName = (component) => COMPONENTS[component]?.name ?? component.replaceAll("_", " ");

// `parts` have `name`, `share` and `text`, and `colour`, the class of the colour. The list below the bar has what the
// bar shows, in words.
export function stackedBar(parts, label) {
  const shown = parts.filter((part) => part.share > 0);
  const segment = ({ name, text, colour, share }) =>
    make("span", { class: `segment ${colour}`, title: `${name}: ${text}`, style: { "--share": clipped(share) } });
  const key = (part) =>
    make(
      "li",
      { data: part.data },
      make("span", { class: `swatch ${part.colour}`, "aria-hidden": "true" }),
      make("span", {}, part.name),
      make("span", { class: "quiet" }, part.text),
    );
  return make(
    "figure",
    { class: "stacked" },
    make("figcaption", { class: "quiet" }, label),
    make("div", { class: "stack-bar", "aria-hidden": "true" }, shown.map(segment)),
    make("ul", { class: "key" }, shown.map(key)),
  );
}

// Where the joules go: the API's `components` as parts of a stacked bar.
export const componentParts = (components) =>
  components.map(({ component, share, energy_j }) => ({
    name: componentName(component),
    share,
    // Three digits of a part that small would say more than is known.
    text: share < 0.01 ? "under 1%" : `${percent(share)}, ${joules(energy_j)}`,
    colour: `part-${component}`,
    data: { component, joules: energy_j, share },
  }));

// `rows` have `name`, `a`, `b`, `difference` and `data`; `letter` is that of the other. Bars lead to the left for less and to the
// right for more, the longest of them over half the width.
export function divergingBars(rows, caption, letter) {
  const most = Math.max(0, ...rows.map((row) => Math.abs(row.difference)).filter(isKnown));
  const bar = ({ difference }) =>
    isKnown(difference) &&
    most > 0 &&
    make("span", { class: difference > 0 ? "more" : "less", style: { "--share": Math.abs(difference) / most } });
  const cell = (field, value, text) => make("td", { class: "number", data: { field, joules: value } }, text);
  return scroller(
    caption,
    table(
      { class: "diverging-table" },
      caption,
      [head("Part"), head("A", true), head(letter, true), head(`${letter} − A`, true), make("td")],
      rows.map((row) =>
        make(
          "tr",
          { data: row.data },
          make("th", { scope: "row" }, row.name),
          cell("a", row.a, joules(row.a)),
          cell("b", row.b, joules(row.b)),
          cell("difference", row.difference, change(row.difference)),
          make("td", { class: "diverging", "aria-hidden": "true" }, bar(row)),
        ),
      ),
    ),
  );
}
