// Bars of a whole's parts: one that is stacked, and rows that lead left and right from a middle.

import { make } from "./dom.js";
import { change, isKnown, joules, percent } from "./format.js";

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

const least = (share) => Math.min(Math.max(share, 0), 1);

// `parts` have `name`, `share` and `text`, and `colour`, the class of the colour. The list below the bar has what the
// bar shows, in words.
export function stackedBar(parts, { label, rest } = {}) {
  const shown = parts.filter((part) => part.share > 0);
  const segment = (part) => {
    const element = make("span", { class: `segment ${part.colour}`, title: `${part.name}: ${part.text}` });
    element.style.setProperty("--share", least(part.share));
    return element;
  };
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
    label && make("figcaption", { class: "quiet" }, label),
    make("div", { class: "stack-bar", "aria-hidden": "true" }, shown.map(segment)),
    make("ul", { class: "key" }, shown.map(key), rest && make("li", { class: "quiet" }, rest)),
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

// `rows` have `name`, `difference`, and perhaps `a`, `b`, `text` and `data`. Bars lead to the left for less and to the
// right for more, the longest of them over half the width.
export function divergingBars(rows, { caption, format = joules, of = ["A", "B"], difference = "B − A" } = {}) {
  const most = Math.max(0, ...rows.map((row) => Math.abs(row.difference)).filter(isKnown));
  const bar = (row) => {
    const cell = make("td", { class: "diverging", "aria-hidden": "true" });
    if (!isKnown(row.difference) || most === 0) return cell;
    const line = make("span", { class: row.difference > 0 ? "more" : "less" });
    line.style.setProperty("--share", Math.abs(row.difference) / most);
    cell.append(line);
    return cell;
  };
  const head = (text, isNumber) => make("th", { scope: "col", class: isNumber && "number" }, text);
  return make(
    "div",
    { class: "scroller", role: "group", tabindex: "0", "aria-label": caption },
    make(
      "table",
      { class: "diverging-table" },
      make("caption", {}, make("span", {}, caption)),
      make(
        "thead",
        {},
        make("tr", {}, head("Part"), head(of[0], true), head(of[1], true), head(difference, true), make("td")),
      ),
      make(
        "tbody",
        {},
        rows.map((row) =>
          make(
            "tr",
            { data: row.data },
            make("th", { scope: "row" }, row.name),
            make("td", { class: "number", data: { field: "a", joules: row.a } }, format(row.a)),
            make("td", { class: "number", data: { field: "b", joules: row.b } }, format(row.b)),
            make(
              "td",
              { class: "number", data: { field: "difference", joules: row.difference } },
              row.text ?? (isKnown(row.difference) ? change(row.difference) : ""),
            ),
            bar(row),
          ),
        ),
      ),
    ),
  );
}
