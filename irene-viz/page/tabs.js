// The tabs of the views, as ARIA describes them: one tab stop, arrow keys between them.

import { byId } from "./dom.js";

export function createTabs(onChoose) {
  const tabs = [...byId("tabs").children];
  const viewOf = (tab) => tab.id.replace("tab-", "");

  byId("tabs").addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) onChoose(viewOf(tab));
  });
  byId("tabs").addEventListener("keydown", (event) => {
    const at = tabs.indexOf(event.target);
    const to = {
      ArrowRight: (at + 1) % tabs.length,
      ArrowLeft: (at + tabs.length - 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    const tab = tabs[to[event.key]];
    tab.focus();
    onChoose(viewOf(tab));
  });

  return {
    views: tabs.map(viewOf),
    show(view) {
      for (const tab of tabs) {
        const isChosen = viewOf(tab) === view;
        tab.setAttribute("aria-selected", String(isChosen));
        tab.tabIndex = isChosen ? 0 : -1;
        byId(`panel-${viewOf(tab)}`).hidden = !isChosen;
      }
    },
  };
}
