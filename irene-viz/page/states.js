// The text where there is nothing to show yet: why, and the way on.

import { make } from "./dom.js";

// `actions` are [text, what it does] or links [text, href].
export function emptyState(title, text, actions = []) {
  const action = ([name, does]) =>
    typeof does === "string"
      ? make("a", { class: "button", href: does }, name)
      : make("button", { type: "button", on: { click: does } }, name);
  return make(
    "div",
    { class: "empty" },
    make("h2", {}, title),
    make("p", {}, text),
    actions.length > 0 && make("div", { class: "tools" }, actions.map(action)),
  );
}

export const loadingState = (text = "Loading…") => make("p", { class: "loading quiet" }, text);
