// The figures of the whole model above the views.

import { byId, make } from "./dom.js";
import { interval, isKnown, joules, kilowattHours, marksText, number, seconds, watts } from "./format.js";

export function createTotals(act) {
  const list = byId("totals");
  const price = byId("price");
  price.addEventListener("input", () => {
    act.note({ price: price.value });
    act.redrawTotals();
  });

  function figure(id, term, text, { data, more } = {}) {
    if (!text) return [];
    return [
      make(
        "div",
        {},
        make("dt", {}, term),
        make("dd", { id, data }, text),
        more ? make("dd", { class: "quiet" }, more) : "",
      ),
    ];
  }

  return {
    show(state, { tree, root, cost, predictor }) {
      const tokens = tree.batch_size * (tree.generated ?? tree.seq_len);
      const perToken = isKnown(root.energy) && tokens > 0 ? root.energy / tokens : undefined;
      const kwh = cost?.energy_kwh_per_million;
      const rate = state.price === "" ? cost?.price_per_kwh_usd : Number(state.price);
      const dollars = isKnown(kwh) && isKnown(rate) ? kwh * rate : undefined;
      if (document.activeElement !== price) price.value = isKnown(rate) ? rate : "";
      const range = interval(root.low, root.high);
      list.replaceChildren(
        ...figure("total", `Energy, ${predictor.provenance}`, joules(root.energy), {
          data: { joules: root.energy },
          more: [range && `90%: ${range}`, marksText(root.marks), ...(predictor.notes ?? [])].filter(Boolean).join("; "),
        }),
        ...figure("per-token", "Energy per token", joules(perToken), { data: { joules: perToken } }),
        ...figure("latency", "Latency", seconds(root.latency)),
        ...figure("power", "Mean power", watts(root.power)),
        ...figure("kwh", "A million runs", kilowattHours(kwh)),
        ...figure("cost", "They cost", isKnown(dollars) ? `${number(dollars)} USD` : ""),
      );
    },
  };
}
