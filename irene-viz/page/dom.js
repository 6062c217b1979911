// Makes elements. Data only ever enters the page as text nodes and attributes, never as markup.

const SVG = "http://www.w3.org/2000/svg";

// `properties`: `class`, `data` (data-* attributes), `style` (custom properties), `on` (listeners), and any attribute; absent
// ones are left out.
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "data") {
      for (const [key, item] of Object.entries(value)) {
        if (item !== undefined && item !== null) element.dataset[key] = item;
      }
    } else if (name === "style") {
      for (const [key, item] of Object.entries(value)) element.style.setProperty(key, item);
    } else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return element;
}

export function make(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function makeSvg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

export function byId(id) {
  return document.getElementById(id);
}

// Replaces what is inside; the focus stays on the element of the same id, where it would be lost to who has a keyboard alone.
export function replaceInside(parent, ...children) {
  const focused = parent.contains(document.activeElement) && document.activeElement.id;
  parent.replaceChildren(...children);
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

// A table of text alone scrolls with the keyboard only where it takes the focus.
export function scroller(label, ...content) {
  return make("div", { class: "scroller", role: "group", tabindex: "0", "aria-label": label }, content);
}

export const head = (text, isNumber) => make("th", { scope: "col", class: isNumber && "number" }, text);

export function table(properties, caption, heads, rows) {
  return make(
    "table",
    properties,
    make("caption", {}, make("span", {}, caption)),
    make("thead", {}, make("tr", {}, heads)),
    make("tbody", {}, rows),
  );
}

const FIRST_ROWS = 200;
const ROWS_A_FRAME = 400;

// Inserts what `build` makes of each item after `last` (or at the start of `container`): a screenful at once and the
// rest a frame at a time, so that thousands of rows do not hold up the first. `finish` inserts what is left now,
// `cancel` gives it up.
export function insertLazily(container, items, build, last) {
  let next = 0;
  let frame = 0;
  const insert = (count) => {
    const rows = items.slice(next, next + count).map(build);
    next += rows.length;
    if (last) last.after(...rows);
    else container.prepend(...rows);
    last = rows.at(-1) ?? last;
  };
  const step = () => {
    insert(ROWS_A_FRAME);
    frame = next < items.length ? requestAnimationFrame(step) : 0;
  };
  insert(FIRST_ROWS);
  if (next < items.length) frame = requestAnimationFrame(step);
  return {
    finish() {
      cancelAnimationFrame(frame);
      insert(items.length - next);
    },
    cancel() {
      cancelAnimationFrame(frame);
    },
  };
}
