// The ranked list: every node, or every instance type, searched and sorted.

import { make } from "./dom.js";
import { count, heat, interval, joules, marksText, percent, seconds, watts } from "./format.js";
import { createTable } from "./table.js";

const shareBar = (share) => ({ share: Math.min(share ?? 0, 1), step: heat(share) });

const NODE_COLUMNS = [
  { id: "node", label: "Node", text: (node) => node.scope, value: (node) => node.scope },
  { id: "type", label: "Type", text: (node) => node.type, value: (node) => node.type },
  { id: "level", label: "Level", text: (node) => node.raw.type, value: (node) => node.raw.type },
  {
    id: "energy",
    label: "Energy",
    numeric: true,
    text: (node) => joules(node.energy),
    value: (node) => node.energy,
    data: (node) => ({ joules: node.energy }),
  },
  {
    id: "share",
    label: "Share",
    numeric: true,
    text: (node) => percent(node.share),
    value: (node) => node.share,
    bar: (node) => shareBar(node.share),
  },
  { id: "own", label: "Own part", numeric: true, text: (node) => joules(node.own), value: (node) => node.own },
  {
    id: "interval",
    label: "90% interval",
    numeric: true,
    text: (node) => interval(node.low, node.high),
    value: (node) => node.low,
  },
  {
    id: "latency",
    label: "Latency",
    numeric: true,
    text: (node) => seconds(node.latency),
    value: (node) => node.latency,
  },
  { id: "power", label: "Power", numeric: true, text: (node) => watts(node.power), value: (node) => node.power },
  {
    id: "marks",
    label: "Marks",
    text: (node) => marksText(node.marks),
    value: (node) => marksText(node.marks) || undefined,
  },
];

const TYPE_COLUMNS = [
  { id: "type", label: "Type", text: (row) => row.instance_type, value: (row) => row.instance_type },
  { id: "level", label: "Level", text: (row) => row.level, value: (row) => row.level },
  { id: "count", label: "Nodes", numeric: true, text: (row) => count(row.count), value: (row) => row.count },
  {
    id: "energy",
    label: "Energy",
    numeric: true,
    text: (row) => joules(row.energy_j),
    value: (row) => row.energy_j,
    data: (row) => ({ joules: row.energy_j }),
  },
  {
    id: "share",
    label: "Share",
    numeric: true,
    text: (row) => percent(row.share),
    value: (row) => row.share,
    bar: (row) => shareBar(row.share),
  },
];

export function createListView(panel, act) {
  const search = make("input", { id: "search", type: "search", placeholder: "scope or type", autocomplete: "off" });
  const group = make("input", { id: "group", type: "checkbox" });
  const found = make("span", { class: "quiet", role: "status" });
  const onSort = (sort) => act.note({ sort });
  const nodeTable = createTable({
    caption: "Nodes",
    columns: NODE_COLUMNS,
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
      found,
    ),
    nodeTable.element,
    typeTable.element,
  );

  let shown;

  function draw(sort) {
    const wanted = search.value.trim().toLowerCase();
    const has = (...texts) => texts.some((text) => text?.toLowerCase().includes(wanted));
    const isGrouped = group.checked;
    nodeTable.element.hidden = isGrouped;
    typeTable.element.hidden = !isGrouped;
    const rows = isGrouped
      ? shown.bottlenecks.filter((row) => has(row.instance_type, row.level))
      : shown.nodes.filter((node) => has(node.scope, node.type, node.raw.type));
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
      draw(state.sort);
    },
  };
}
