// The ranked list: every node, or every instance type, searched and sorted.

import { TYPE_COLUMNS, nodeColumns } from "./columns.js";
import { make } from "./dom.js";
import { csv, nodesCsv, plainColumns } from "./downloads.js";
import { createLayersSwitch } from "./fold.js";
import { createTable } from "./table.js";

const COLUMNS = ["node", "kind", "level", "energy", "share", "own", "interval", "latency", "power", "marks"];

const TYPE_FILE = plainColumns("instance_type", "level", "count", "energy_j", "share");

export function createListView(panel, act) {
  const search = make("input", { id: "search", type: "search", placeholder: "scope or type", autocomplete: "off" });
  const group = make("input", { id: "group", type: "checkbox" });
  const layers = createLayersSwitch("list-layers", act);
  const found = make("span", { class: "quiet", role: "status" });
  const onSort = (sort) => act.note({ sort });
  const nodeTable = createTable({
    caption: "Nodes",
    columns: nodeColumns(...COLUMNS),
    sort: "-energy",
    rowAttributes: (node) => ({ data: { scope: node.scope, key: node.key } }),
    onSort,
    onFocus: act.select,
    onPreview: act.preview,
  });
  const typeTable = createTable({
    caption: "Instance types, each by what its nodes spend themselves, so that nothing is counted twice",
    columns: TYPE_COLUMNS,
    sort: "-energy",
    rowAttributes: (row) => ({ data: { type: row.instance_type } }),
    onSort,
  });
  panel.append(
    make(
      "div",
      { class: "tools" },
      make("label", {}, "Search ", search),
      make("label", { class: "check" }, group, " Group by type"),
      layers.element,
      found,
    ),
    nodeTable.element,
    typeTable.element,
  );

  let shown;

  // The rows that the search finds, of nodes or of types.
  function rowsFound() {
    const wanted = search.value.trim().toLowerCase();
    const has = (...texts) => texts.some((text) => text?.toLowerCase().includes(wanted));
    return group.checked
      ? shown.bottlenecks.filter((row) => has(row.instance_type, row.level))
      : shown.nodes.filter((node) => has(node.scope, node.type, node.raw.type));
  }

  function draw(sort) {
    const isGrouped = group.checked;
    nodeTable.element.hidden = isGrouped;
    typeTable.element.hidden = !isGrouped;
    const rows = rowsFound();
    (isGrouped ? typeTable : nodeTable).show(rows, sort);
    const all = isGrouped ? shown.bottlenecks.length : shown.nodes.length;
    found.textContent = `${rows.length} of ${all} ${isGrouped ? "types" : "nodes"}`;
  }

  search.addEventListener("input", () => {
    act.note({ search: search.value });
    draw();
  });
  group.addEventListener("change", () => act.go({ group: group.checked ? "true" : "" }));

  return {
    render(state, prediction) {
      shown = prediction;
      search.value = state.search;
      group.checked = state.group !== "";
      layers.show(state, prediction);
      // A column of nothing only takes room from the others.
      nodeTable.element.classList.toggle("unmarked", prediction.nodes.every((node) => node.marks.length === 0));
      draw(state.sort);
    },
    downloads: () => [
      group.checked
        ? ["csv", "types", () => csv(TYPE_FILE, rowsFound())]
        : ["csv", "nodes found", () => nodesCsv(rowsFound())],
    ],
  };
}
