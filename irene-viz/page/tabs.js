// The tabs of the views, as ARIA describes them: one tab stop, arrow keys between them.

import { byId } from "./dom.js";

export function createTabs(onChoose) {
  const all = [...byId("tabs").children];
  const viewOf = (tab) => tab.id.replace("tab-", "");
  const visible = () => all.filter((tab) => !tab.hidden);

  byId("tabs").addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) onChoose(viewOf(tab));
  });
  byId("tabs").addEventListener("keydown", (event) => {
    const tabs = visible();
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
    show(view) {
      for (const tab of all) {
        const isChosen = viewOf(tab) === view;
        tab.setAttribute("aria-selected", String(isChosen));
        tab.tabIndex = isChosen ? 0 : -1;
        byId(`panel-${viewOf(tab)}`).hidden = !isChosen;
        if (isChosen) scrollToTab(tab);
      }
    },
    // Leaves these out, and tells their names.
    hide(views) {
      const gone = all.filter((tab) => views.includes(viewOf(tab)));
      for (const tab of gone) tab.hidden = true;
      return gone.map((tab) => tab.textContent);
    },
  };
}

// On a narrow screen the tabs scroll sideways; the page itself stays where it is.
function scrollToTab(tab) {
  const list = tab.parentElement;
  if (list.scrollWidth <= list.clientWidth) return;
  list.scrollLeft = tab.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
}
