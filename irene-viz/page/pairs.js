// Tables of what two selections spend on the same thing, the largest difference first.

import { energies, figures } from "./columns.js";
import { change, isKnown, joules, times } from "./format.js";
import { createTable } from "./table.js";

const ratioOf = (row) => (isKnown(row.a_j) && isKnown(row.b_j) && row.a_j > 0 ? row.b_j / row.a_j : undefined);

// Where only one has it, all of it is a change.
function size(row) {
  const changed = row.difference_j ?? row.a_j ?? row.b_j;
  return isKnown(changed) ? Math.abs(changed) : undefined;
}

export function differenceText(row, letter = "B") {
  if (isKnown(row.difference_j)) return change(row.difference_j);
  if (isKnown(row.a_j)) return "only in A";
  return isKnown(row.b_j) ? `only in ${letter}` : "";
}

// `most` gives the largest difference of the table, which has the longest bar.
const figureColumns = (most, other, letterNow) => [
  energies("a", "A", (row) => row.a_j),
  energies("b", other, (row) => row.b_j),
  // The largest changes first, whichever way they go.
  figures("difference", `Difference, ${other} − A`, size, joules, {
    text: (row) => differenceText(row, letterNow()),
    data: (row) => ({ joules: row.difference_j }),
    bar: (row) => ({
      share: most() > 0 ? size(row) / most() : 0,
      colour: row.difference_j > 0 || !isKnown(row.a_j) ? "more" : "less",
    }),
  }),
  figures("ratio", `${other} ÷ A`, ratioOf, times),
];

// A table of pairs; `other` is the letter of what A is compared with.
export function createPairTable({ caption, columns, rowAttributes, other = "B" }) {
  let most = 0;
  let letter = other;
  const all = [...columns, ...figureColumns(() => most, other, () => letter)];
  const table = createTable({ caption, columns: all, sort: "-difference", rowAttributes });
  return {
    element: table.element,
    // `now` is what A is compared with, where that changes.
    show(rows, now = other) {
      letter = now;
      table.rename({ b: letter, difference: `Difference, ${letter} − A`, ratio: `${letter} ÷ A` });
      most = Math.max(0, ...rows.map(size).filter(isKnown));
      table.show(rows);
    },
  };
}
