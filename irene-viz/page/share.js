// Takes the page along: its address, its question as a command, itself as a file.

import { answersSoFar, curlOf, isReport } from "./api.js";
import { byId, make } from "./dom.js";
import { save } from "./downloads.js";
import { address } from "./state.js";

// In two parts, as a report has this script inside of it.
const END = `</${"script"}>`;
const SAID_FOR_MS = 4000;

function say(text) {
  byId("copied").textContent = text;
  setTimeout(() => {
    if (byId("copied").textContent === text) byId("copied").textContent = "";
  }, SAID_FOR_MS);
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    const field = make("input", { value: text, readonly: true, "aria-label": "The text to copy" });
    byId("copied").replaceChildren("The browser keeps its clipboard closed, so copy it from here: ", field);
    field.focus();
    field.select();
  }
}

// The page with its scripts and styles, and every answer that it has had so far.
async function pageFile(state) {
  const shell = await (await fetch("/assets/report.html")).text();
  const answers = JSON.stringify(await answersSoFar()).replaceAll("<", "\\u003c");
  const escaped = address(state).slice(1).replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return shell.replace('data-state=""', () => `data-state="${escaped}"`).replace(`{}${END}`, () => `${answers}${END}`);
}

// `shown` gives the prediction and state of the moment.
export function createShare(shown) {
  byId("share").addEventListener("click", () => copy(location.href, "The address is copied"));
  byId("copy-curl").addEventListener("click", async () =>
    copy(await curlOf(shown().state), "The command is copied"),
  );
  const page = byId("download-page");
  page.hidden = isReport;
  byId("copy-curl").hidden = isReport;
  page.addEventListener("click", async () => {
    const { state } = shown();
    save(`irene-${state.model}-${state.device}.html`, "text/html", await pageFile(state));
  });
}
