// The text where there is nothing to show: why, and the way on.

import { make } from "./dom.js";

// `actions` are [text, what it does].
export function emptyState(title, text, actions = []) {
  const action = ([name, does]) => make("button", { type: "button", on: { click: does } }, name);
  return make(
    "div",
    { class: "empty" },
    make("h2", {}, title),
    make("p", {}, text),
    actions.length > 0 && make("div", { class: "tools" }, actions.map(action)),
  );
}

export const onDemand = (title, ...content) =>
  make("details", { class: "on-demand" }, make("summary", {}, title), content);

// Each line begins with what it is of.
export const named = (pairs) => pairs.map(([what, text]) => make("li", {}, make("strong", {}, what), text));

// Entries that were left out, and why.
export function createLeftOut() {
  const list = make("ul", { class: "reasons" });
  const element = onDemand("", list);
  return {
    element,
    // `pairs` are [what, text], of so many.
    show(pairs, count = pairs.length) {
      element.hidden = count === 0;
      element.firstChild.textContent = `Left out, with the reason: ${count}`;
      list.replaceChildren(...named(pairs));
    },
  };
}
