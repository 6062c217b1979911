// A field that is searched: an input with a list of what there is, grouped, as ARIA describes it. The text that is typed may be
// anything; what is wrong with it is for the server to say.

import { byId, make } from "./dom.js";

// `items` are { value, note?, group, words? }; at most so many are shown at a time.
const MOST_SHOWN = 300;

export function createCombobox(input, onChoose) {
  const list = byId(input.getAttribute("aria-controls"));
  let items = [];
  let shown = [];
  let at = -1;

  const matches = (item, words) => {
    const text = [item.value, item.note, item.group, item.words].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };

  // How well the value itself has what was typed: all of it, its beginning, a part, or the words beside it alone.
  function distance({ value }, typed) {
    const name = value.toLowerCase();
    if (name === typed) return 0;
    if (name.startsWith(typed)) return 1;
    return name.includes(typed) ? 2 : 3;
  }

  function buildOption(item, index) {
    return make(
      "div",
      { role: "option", id: `${input.id}-${index}`, "aria-selected": String(item.value === input.value), data: { value: item.value } },
      make("span", {}, item.value),
      item.note && make("span", { class: "quiet" }, item.note),
    );
  }

  function open(isFiltered) {
    const typed = isFiltered ? input.value.trim().toLowerCase() : "";
    const words = typed.split(/\s+/).filter(Boolean);
    const found = items.filter((item) => matches(item, words));
    if (isFiltered) found.sort((a, b) => distance(a, typed) - distance(b, typed));
    shown = found.slice(0, MOST_SHOWN);
    const groups = Map.groupBy(shown, (item) => item.group);
    let index = 0;
    list.replaceChildren(
      ...[...groups].map(([group, of]) =>
        make(
          "div",
          { role: "group", "aria-label": group },
          make("div", { class: "group-name", "aria-hidden": "true" }, group),
          of.map((item) => buildOption(item, index++)),
        ),
      ),
      ...(shown.length === 0 ? [make("p", { class: "quiet" }, "None has this in its name.")] : []),
    );
    shown = [...groups.values()].flat();
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    // The groups may have put the best one further down.
    const best = Math.min(...shown.map((item) => distance(item, typed)));
    const isBest = (item) => (isFiltered ? distance(item, typed) === best : item.value === input.value);
    move(shown.findIndex(isBest));
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    at = -1;
  }

  function move(to) {
    byId(`${input.id}-${at}`)?.classList.remove("active");
    at = to;
    const option = byId(`${input.id}-${at}`);
    if (!option) {
      input.removeAttribute("aria-activedescendant");
      return;
    }
    option.classList.add("active");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  }

  function choose(value) {
    input.value = value;
    close();
    onChoose();
  }

  function onKey(event) {
    const isOpen = !list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!isOpen) return open(false);
      const step = event.key === "ArrowDown" ? 1 : -1;
      move(Math.min(Math.max(at + step, 0), shown.length - 1));
    } else if (event.key === "Enter" && isOpen && at >= 0) {
      event.preventDefault();
      choose(shown[at].value);
    } else if (event.key === "Escape" && isOpen) {
      event.preventDefault();
      close();
    }
  }

  input.addEventListener("keydown", onKey);
  input.addEventListener("input", () => {
    open(true);
    onChoose();
  });
  input.addEventListener("click", () => {
    input.select();
    if (list.hidden) open(false);
  });
  input.addEventListener("blur", close);
  // The input keeps the focus, or its blur would close the list before the click.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) choose(option.dataset.value);
  });

  return {
    offer(all) {
      items = all;
    },
  };
}
