// Jobs: measuring the selected model on the server's machine, and what was measured beside what is predicted.

import { cancelJob, followJob, getJob, getJobs, getPrediction, startJob } from "./api.js";
import { words } from "./columns.js";
import { make } from "./dom.js";
import { difference, joules } from "./format.js";
import { createPairTable, differenceText } from "./pairs.js";
import { howMuch } from "./sides.js";
import { emptyState } from "./states.js";
import { indexNodes } from "./nodes.js";

const STATES = {
  queued: "waits for its turn",
  running: "is being measured",
  done: "measured",
  failed: "failed",
  cancelled: "cancelled",
};
const isOver = (job) => !["queued", "running"].includes(job.state);
const clock = (time) => (time ? new Date(time * 1000).toLocaleTimeString("en-GB") : "");
const nameOf = ({ model, batch_size: batch, seq_len: seq }) => `${model}, batch ${batch} × ${seq} tokens`;

// Each node of a measured tree and what is predicted for it.
function pairs(measured, predicted) {
  return measured.nodes.map((node) => {
    const a = node.raw.ground_truth_energy;
    const b = predicted.find(node.key)?.raw.predicted_energy;
    return { scope: node.scope, type: node.type, a_j: a, b_j: b, difference_j: difference(a, b) };
  });
}

export function createJobsView(panel, act) {
  const start = make("button", {
    id: "start-job",
    class: "primary",
    type: "button",
    on: { click: () => act.attempt(submit) },
  });
  const about = make("p", { class: "quiet" });
  const problem = make("p", { class: "wrong", id: "job-problem" });
  const off = make("div");
  const list = make("ol", { class: "jobs" });
  const table = createPairTable({
    caption: "Node by node: A measured on the server’s machine, B predicted for the device that is selected",
    columns: [words("node", "Node", (row) => row.scope), words("type", "Type", (row) => row.type)],
    rowAttributes: (row) => ({ data: { scope: row.scope } }),
  });
  const total = make("p", { class: "verdict", id: "job-total" });
  const title = make("h3");
  const result = make("section", { class: "stack", hidden: true, id: "job-result" }, title, total, table.element);
  const allowed = make("div", { class: "stack" }, about, make("div", { class: "tools" }, start), problem, list, result);
  panel.append(make("h2", {}, "Measure it here"), off, allowed);

  let current;
  let models = [];
  let jobs = [];
  // The configs of the jobs that were begun here, by job: a list of jobs has their models' names alone.
  const configs = new Map();
  let followed;

  async function load() {
    try {
      return { jobs: await getJobs() };
    } catch (error) {
      return { problem: error.message, status: error.status };
    }
  }

  function keep(job) {
    const at = jobs.findIndex(({ id }) => id === job.id);
    if (at < 0) jobs.push(job);
    else jobs[at] = job;
    row(job);
  }

  function keepAll(found) {
    jobs = found;
    for (const element of [...list.children]) {
      if (!jobs.some(({ id }) => String(id) === element.dataset.job)) element.remove();
    }
    jobs.forEach(row);
    follow();
  }

  // One at a time, as a browser has few connections to a server: the job that runs, else the one that is next.
  function follow() {
    const job = jobs.find(({ state: now }) => now === "running") ?? jobs.find((each) => !isOver(each));
    if (!job || followed) return;
    const events = followJob(job.id);
    followed = events;
    const end = () => {
      events.close();
      followed = undefined;
    };
    const told = (event) => {
      const now = JSON.parse(event.data);
      keep(now);
      if (!isOver(now)) return;
      end();
      act.attempt(async () => {
        keepAll(await getJobs());
        if (isShowable(now)) await show(now);
      });
    };
    events.addEventListener("progress", told);
    events.addEventListener("end", told);
    // A server that ends says nothing more; the list can be loaded again.
    events.addEventListener("error", () => events.readyState === EventSource.CLOSED && end());
  }

  // The config of a job's model, the empty one of a built-in model's; undefined where it is not known here.
  const configOf = ({ id, model }) => configs.get(id) ?? (models.some(({ name }) => name === model) ? "" : undefined);
  const isShowable = (job) => job.state === "done" && configOf(job) !== undefined;

  function progressText({ nodes, measured, rounds, scope }) {
    if (nodes === 0) return "getting ready";
    return [`${measured} of ${nodes} nodes`, `${rounds} rounds`, scope && `last ${scope}`].filter(Boolean).join(", ");
  }

  function state(job) {
    if (job.is_stopping) return "is being stopped";
    return STATES[job.state] ?? job.state;
  }

  function contents(job) {
    const { progress, detail, energy_provenance: provenance } = job;
    const times = [
      `queued ${clock(job.queued_unix_time_s)}`,
      job.started_unix_time_s && `began ${clock(job.started_unix_time_s)}`,
      job.ended_unix_time_s && `ended ${clock(job.ended_unix_time_s)}`,
    ];
    const named = nameOf(job);
    return [
      make("h3", {}, named, make("small", {}, ` ${state(job)}`)),
      !isOver(job) &&
        make("progress", {
          max: Math.max(progress.nodes, 1),
          value: progress.nodes > 0 ? progress.measured : undefined,
          "aria-label": `Progress of ${named}`,
        }),
      make("p", { class: "quiet" }, [isOver(job) ? "" : progressText(progress), ...times].filter(Boolean).join("; ")),
      detail && make("p", { class: "wrong" }, detail),
      job.state === "done" &&
        make(
          "p",
          { class: "quiet" },
          provenance
            ? `Its energies are ${provenance}.`
            : "It has times and no energies: the server has no meter and no power model.",
        ),
      make(
        "div",
        { class: "tools" },
        !isOver(job) &&
          !job.is_stopping &&
          make(
            "button",
            {
              type: "button",
              "aria-label": `Cancel ${named}`,
              on: { click: () => act.attempt(async () => keep(await cancelJob(job.id))) },
            },
            "Cancel",
          ),
        isShowable(job) &&
          make(
            "button",
            {
              type: "button",
              "aria-label": `Show ${named} beside its prediction`,
              on: { click: () => act.attempt(() => show(job)) },
            },
            "Show beside the prediction",
          ),
      ),
    ];
  }

  function row(job) {
    const element =
      list.querySelector(`[data-job="${job.id}"]`) ?? make("li", { class: "card", data: { job: job.id } });
    const focused = element.contains(document.activeElement) && document.activeElement.textContent;
    element.dataset.state = job.state;
    element.replaceChildren(...contents(job).filter(Boolean));
    // The newest first.
    if (!element.isConnected) list.prepend(element);
    if (focused) [...element.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
  }

  async function submit() {
    problem.textContent = "";
    try {
      const asked = run();
      const job = await startJob(asked);
      configs.set(job.id, asked.config);
      keep(job);
      follow();
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  // A job is of one pass over sequences of a batch: what is selected, without what only a service has.
  function run() {
    const running = Math.max(Math.round(Number(current.concurrency)), 1);
    return { ...current, batch: current.batch || String(running) };
  }

  async function show(job) {
    const { tree } = await getJob(job.id);
    const bare = Object.fromEntries(Object.keys(current).map((key) => [key, ""]));
    const asked = {
      ...bare,
      model: job.model,
      config: configOf(job),
      device: current.device,
      batch: String(job.batch_size),
      seq: String(job.seq_len),
      generate: "0",
    };
    const { data } = await getPrediction(asked);
    const rows = pairs(indexNodes(tree.frontend_tree), indexNodes(data.tree.frontend_tree));
    const [root] = rows;
    result.hidden = false;
    title.textContent = nameOf(job);
    const ratio = root.a_j > 0 ? root.b_j / root.a_j : undefined;
    total.textContent =
      root.a_j === undefined
        ? `The prediction for ${current.device} is ${joules(root.b_j)}; no energy was measured.`
        : `Measured here: ${joules(root.a_j)}. Predicted for ${current.device}: ${joules(root.b_j)}, ${howMuch(ratio)} (${differenceText(root)}).`;
    table.show(rows);
  }

  function refuse({ problem: line, status }) {
    off.replaceChildren(
      status === 403
        ? emptyState("This server does not measure", [
            "Measuring runs models on the machine that the server is on, so it is off unless its owner turns it on: start it with ",
            make("code", {}, "irene serve --allow-profiling"),
            ". Until then every figure here is a prediction.",
          ])
        : emptyState("The jobs cannot be shown", line),
    );
  }

  return {
    // Whether a job can be shown may be known only then.
    offer(known) {
      models = known;
      jobs.forEach(row);
    },
    load,
    render(state, prediction, answer) {
      current = state;
      allowed.hidden = Boolean(answer.problem);
      off.replaceChildren();
      if (answer.problem) return refuse(answer);
      const { batch, seq } = run();
      start.textContent = `Measure ${state.model}, batch ${batch} × ${seq} tokens`;
      start.disabled = state.set !== "";
      about.textContent = start.disabled
        ? `A job is of a model as its config says, and fields are changed here: ${state.set}. Measure a config of your own that has them.`
        : `Runs the model with made-up weights on the server’s machine, whatever device is selected, one pass of ${batch} sequences of ${seq} tokens, and measures each part. One model is measured at a time.`;
      keepAll(answer.jobs);
    },
  };
}
