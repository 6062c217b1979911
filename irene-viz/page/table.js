// A table that sorts by its columns, in a container that scrolls by itself.

import { fillCell } from "./columns.js";
import { insertLazily, make, table } from "./dom.js";

// Rows whose value is not known come last, whichever way the others go.
function comparison(value, descending) {
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    const [hasX, hasY] = [x !== undefined && x !== null, y !== undefined && y !== null];
    if (!hasX || !hasY) return Number(hasY) - Number(hasX);
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y;
    return descending ? -order : order;
  };
}

// The first column names the row. With `onActivate` or `onFocus` it is a button, unless `isActive` says that nothing would
// come of it, and the arrow keys move between them.
// `sort` is a column's id, with a minus for downwards.
export function createTable({ caption, columns, sort, rowAttributes, onSort, onActivate, onFocus, onPreview, isActive = () => true }) {
  let sorted = sort;
  let rows = [];
  let pending;
  const rowOf = new WeakMap();

  const headers = columns.map((column) =>
    make(
      "th",
      { scope: "col", data: { field: column.id }, class: column.bar ? "bar" : column.numeric && "number" },
      make("button", { type: "button", on: { click: () => sortBy(column) } }, column.label),
    ),
  );
  const element = table({}, caption, headers, []);
  const [body] = element.tBodies;

  function sortBy(column) {
    const first = column.numeric ? `-${column.id}` : column.id;
    const second = column.numeric ? column.id : `-${column.id}`;
    sorted = sorted === first ? second : first;
    draw();
    onSort?.(sorted);
  }

  function buildName(column, row) {
    const text = column.text(row);
    if ((!onActivate && !onFocus) || !isActive(row)) return text;
    return make("button", { type: "button", class: "link", tabindex: "-1" }, text);
  }

  function buildRow(row) {
    const cells = columns.map((column, at) => {
      const data = { field: column.id, ...column.data?.(row) };
      if (at === 0) return make("th", { scope: "row", data }, buildName(column, row));
      return fillCell(make("td", { data }), column, row);
    });
    const element = make("tr", rowAttributes?.(row), cells);
    rowOf.set(element, row);
    return element;
  }

  function draw() {
    const id = sorted.replace("-", "");
    const column = columns.find((each) => each.id === id) ?? columns[0];
    const descending = sorted.startsWith("-");
    columns.forEach((each, at) => {
      if (each === column) headers[at].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else headers[at].removeAttribute("aria-sort");
    });
    pending?.cancel();
    body.replaceChildren();
    pending = insertLazily(body, rows.toSorted(comparison(column.value, descending)), buildRow);
    body.querySelector("button.link")?.setAttribute("tabindex", "0");
  }

  const rowAt = (event) => rowOf.get(event.target.closest("tr"));

  body.addEventListener("keydown", (event) => {
    if (!event.target.matches("button.link")) return;
    pending.finish();
    const at = event.target.closest("tr");
    const to = {
      ArrowDown: at.nextElementSibling,
      ArrowUp: at.previousElementSibling,
      Home: body.firstElementChild,
      End: body.lastElementChild,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    to[event.key]?.querySelector("button.link")?.focus();
  });
  body.addEventListener("focusin", (event) => {
    if (!event.target.matches("button.link")) return;
    body.querySelector("button.link[tabindex='0']")?.setAttribute("tabindex", "-1");
    event.target.setAttribute("tabindex", "0");
    onFocus?.(rowAt(event));
  });
  body.addEventListener("click", (event) => {
    if (!event.target.closest("button.link")) return;
    // Not every browser focuses the button that was clicked.
    event.target.closest("button.link").focus();
    onActivate?.(rowAt(event));
  });
  if (onPreview) {
    body.addEventListener("pointerover", (event) => onPreview(rowAt(event)));
    body.addEventListener("pointerleave", () => onPreview());
  }

  return {
    element: make("div", { class: "scroller" }, element),
    // Other titles of columns, by their ids.
    rename(titles) {
      columns.forEach(({ id }, at) => {
        if (titles[id]) headers[at].firstChild.textContent = titles[id];
      });
    },
    show(newRows, newSort) {
      rows = newRows;
      sorted = newSort ?? sorted;
      draw();
    },
  };
}
