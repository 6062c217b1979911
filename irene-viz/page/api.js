// Talks to the server: a function for each operation. Every failure becomes a Problem whose message is one line for a
// person.

import { isOwn, unpackConfig } from "./uploads.js";

const BASE = "/api/v1/";
const KEPT_ANSWERS = 60;

// The API's names of what the state holds.
const PARAMETERS = {
  device: "device",
  batch: "batch_size",
  concurrency: "concurrency",
  rate: "rate",
  seq: "seq_len",
  generate: "generate",
  past: "past_len",
  dtype: "dtype",
  weights: "weights",
  cache: "cache",
  kernels: "kernels",
  head: "head",
  engine: "engine",
  tp: "tensor_parallel",
  pp: "pipeline_parallel",
  ep: "expert_parallel",
  dp: "data_parallel",
  power: "power_limit_w",
  set: "set",
};
const NAMES = Object.fromEntries(Object.entries({ model: "model", ...PARAMETERS }).map(([ours, theirs]) => [theirs, ours]));

// The state's name of a parameter of the API, if it has it; and the other way round.
export const stateName = (parameter) => NAMES[parameter];
export const parameterName = (name) => PARAMETERS[name];

// A fault. `parameter` is the API's name of what is to be changed, where the answer says so.
class Problem extends Error {
  constructor(message, { status, detail } = {}) {
    super(message);
    this.status = status;
    this.parameter = detail?.parameter ?? /`([a-z_]+)`/.exec(message)?.[1];
    this.isTooLarge = status === 422 && /does(n.t| not) fit|GiB/.test(message);
  }
}

// A report holds its answers itself, and has no server.
const report = document.getElementById("answers");
export const isReport = report !== null;

// The order of parameters does not matter.
function canonical(url) {
  const [path, query] = url.split("?");
  const parameters = new URLSearchParams(query);
  parameters.sort();
  return `${path}?${parameters}`;
}
const held = new Map(
  Object.entries(report ? JSON.parse(report.textContent) : {}).map(([url, data]) => [canonical(url), data]),
);

export const holdsAnswersOf = (path) => [...held.keys()].some((url) => url.startsWith(`${BASE}${path}?`));

function fromReport(url) {
  const data = held.get(canonical(url));
  if (!data) throw new Problem("This page is a report of one prediction; `irene serve` answers everything else.");
  return { data, text: JSON.stringify(data) };
}

// Answers by request: the same question always has the same answer, and the back button should not wait for it.
const answers = new Map();
// Every page needs these, a saved one too.
const LISTS = ["models", "devices", "engines", "grids"].map((name) => BASE + name);

// Each goes to the end whenever it is asked for, so that the first is the one that was not asked for the longest.
function keep(key, answer) {
  answers.delete(key);
  answers.set(key, answer);
  const others = [...answers.keys()].filter((each) => !LISTS.includes(each));
  if (others.length > KEPT_ANSWERS) answers.delete(others[0]);
  return answer;
}

function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  const search = new URLSearchParams(given);
  return `${BASE}${path}${search.size > 0 ? `?${search}` : ""}`;
}

function ask(path, query = {}, body = undefined, contentType = "application/json") {
  const url = withQuery(path, query);
  const key = body === undefined ? url : `${url}\n${body}`;
  if (answers.has(key)) return keep(key, answers.get(key));
  const answer = send(url, body, contentType);
  // Kept from when it is asked for, so that two views that ask at once share it; a failure is not kept.
  answer.catch(() => answers.delete(key));
  return keep(key, answer);
}

async function send(url, body, contentType, method = body === undefined ? "GET" : "POST") {
  const options = body === undefined ? { method } : { method, body, headers: { "Content-Type": contentType } };
  if (isReport) return fromReport(url);
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    const message = "The server cannot be reached: see whether `irene serve` still runs.";
    throw Object.assign(new Problem(message), { isUnreachable: true });
  }
  const text = await response.text();
  if (!response.ok) throw problem(response, text);
  return { data: text === "" ? undefined : JSON.parse(text), text };
}

function problem(response, text) {
  const { status, statusText } = response;
  if (response.headers.get("Content-Type")?.includes("json")) {
    try {
      const detail = JSON.parse(text);
      const message = detail.detail || detail.title;
      if (message) return new Problem(message, { status, detail });
    } catch {
      // Not a problem document after all: the status has to do.
    }
  }
  return new Problem(`The server answered ${status} ${statusText}`.trim(), { status });
}

// The selection as the API has it, without the model. No tokens generated is its default.
function howAndWhere(state) {
  const query = Object.fromEntries(Object.entries(PARAMETERS).map(([ours, theirs]) => [theirs, state[ours]]));
  if (query.generate === "0") query.generate = "";
  return query;
}

const withMath = (state) => ({ ...howAndWhere(state), math: state.math ? "true" : "" });

// About the model of the state: a built-in one by its name, one of a person's own by its config in the body.
const modelOf = (state) => (isOwn(state) ? { name: state.model } : { model: state.model });

async function askOfModel(path, state, query) {
  const all = { ...modelOf(state), ...query };
  if (!isOwn(state)) return ask(path, all);
  // A report holds the answer itself, and a large config stays in the tab that it was opened in.
  const config = isReport ? "" : await unpackConfig(state.config);
  return ask(path, all, config);
}

const of = async (answer) => (await answer).data;

export const getModels = async () => (await of(ask("models"))).models;
export const getDevices = async () => (await of(ask("devices"))).devices;
export const getEngines = async () => (await of(ask("engines"))).engines;
export const getGrids = async () => (await of(ask("grids"))).grids;

// The prediction and the text it came as, for the download.
export const getPrediction = (state) => askOfModel("predict", state, withMath(state));

// `changes` as in `num_hidden_layers=6;batch=1`: the baseline is the state's selection.
const whatIf = (state, changes) => ({ ...withMath(state), set_b: changes });
export const getWhatIf = (state, changes) => of(askOfModel("whatif", state, whatIf(state, changes)));

// Whether these can be answered: a report has only the answers that it was made with.
const isHeld = (path, state, query) =>
  !isReport || held.has(canonical(withQuery(path, { ...modelOf(state), ...query })));
export const hasPrediction = (state) => isHeld("predict", state, withMath(state));
export const hasWhatIf = (state, changes) => isHeld("whatif", state, whatIf(state, changes));

const bounds = (state) => ({
  max_ttft_s: state.max_ttft,
  max_itl_s: state.max_itl,
  max_latency_s: state.max_latency,
});

export const getSuggestions = (state) => of(askOfModel("suggest", state, { ...howAndWhere(state), ...bounds(state) }));

export const getGeneration = (state, points = 24) =>
  of(askOfModel("generation", state, { ...howAndWhere(state), points }));

// For what is selected but its load, at the plan's own rate; the plan chooses the machines.
export const getPlan = (state) =>
  of(
    askOfModel("plan", state, {
      seq_len: state.seq,
      generate: state.generate,
      engine: state.engine,
      cache: state.cache,
      kernels: state.kernels,
      set: state.set,
      rate: state.plan_rate,
      max_ttft_s: state.max_ttft,
      max_itl_s: state.max_itl,
      devices: state.plan_devices,
      formats: state.plan_formats,
      max_gpus: state.plan_max_gpus,
      gpu_hour_usd: state.plan_hire,
      price_per_kwh: state.price,
    }),
  );

export const getLeaderboard = (state) =>
  of(
    ask("leaderboard", {
      ...howAndWhere(state),
      set: "",
      family: state.family,
      task: state.task,
      max_parameters: state.max_parameters,
      benchmark: state.benchmark,
    }),
  );

export const getTradeoff = async (state, csv) =>
  (await of(ask("tradeoff", { ...howAndWhere(state), set: "" }, csv, "text/csv"))).points;

// Sizes are its axes, so that the selection has none.
export const getSweep = (state) =>
  of(askOfModel("sweep", state, { ...howAndWhere(state), batch_size: "", concurrency: "", rate: "", seq_len: "" }));

// The first bytes of a file, which the server reads and does not keep.
const MOST_READ = 16 << 20;
export async function readFile(file) {
  const bytes = await file.slice(0, MOST_READ).arrayBuffer();
  return (await send(`${BASE}read`, bytes, "application/octet-stream")).data;
}

// Jobs change, so that none is kept.
export const getJobs = async () => (await send(`${BASE}jobs`)).data.jobs;
export const getJob = async (id) => (await send(`${BASE}jobs/${id}`)).data;
export const cancelJob = async (id) => (await send(`${BASE}jobs/${id}`, undefined, undefined, "DELETE")).data;
export const followJob = (id) => new EventSource(`${BASE}jobs/${id}/events`);
export async function startJob(state) {
  const of = isOwn(state)
    ? { config: JSON.parse(await unpackConfig(state.config)), name: state.model }
    : { model: state.model };
  const job = { ...of, batch_size: Number(state.batch), seq_len: Number(state.seq) };
  return (await send(`${BASE}jobs`, JSON.stringify(job), "application/json")).data;
}

// A command that asks for the prediction of the state.
export async function curlOf(state) {
  const query = withMath(state);
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const address = (more) => quoted(new URL(withQuery("predict", { ...more, ...query }), location.href).href);
  if (!isOwn(state)) return `curl ${address({ model: state.model })}`;
  const body = quoted(await unpackConfig(state.config));
  return `curl ${address({ name: state.model })} -H 'Content-Type: application/json' -d ${body}`;
}

// All answers that the page has had, by their address: what a report of it holds.
export async function answersSoFar() {
  const found = await Promise.allSettled([...answers].map(async ([key, answer]) => [key, (await answer).data]));
  const had = found.filter((each) => each.status === "fulfilled").map((each) => each.value);
  return Object.fromEntries(had.map(([key, data]) => [key.split("\n")[0], data]));
}
