// Talks to the server. Every failure becomes an Error whose message is one line for a person.

import { isUpload, uploadName, uploadText } from "./uploads.js";

const BASE = "/api/v1/";
const KEPT_ANSWERS = 40;

// A report holds its answers itself, and has no server.
const report = document.getElementById("answers");
const held = report && JSON.parse(report.textContent);

async function fromReport(url, body) {
  const data = body === undefined ? held[decodeURIComponent(url)] : undefined;
  if (!data) throw new Error("This page is a report of one prediction; `irene serve` answers everything else.");
  return { data, text: JSON.stringify(data) };
}

// Answers by request: the same question always has the same answer, and the back button should not wait for it.
const answers = new Map();

function ask(path, query, body, contentType) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== undefined));
  const url = `${BASE}${path}${search.size > 0 ? `?${search}` : ""}`;
  const key = body === undefined ? url : `${url}\n${body}`;
  if (!answers.has(key)) {
    // Kept from when it is asked for, so that two views that ask at once share it; a failure is not kept.
    const answer = held ? fromReport(url, body) : fetchAnswer(url, body, contentType);
    answers.set(key, answer);
    answer.catch(() => answers.delete(key));
    if (answers.size > KEPT_ANSWERS) answers.delete(answers.keys().next().value);
  }
  return answers.get(key);
}

async function fetchAnswer(url, body, contentType) {
  const options = body === undefined ? {} : { method: "POST", body, headers: { "Content-Type": contentType } };
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const text = await response.text();
  if (!response.ok) throw new Error(problem(response, text));
  return { data: JSON.parse(text), text };
}

function problem(response, text) {
  if (response.headers.get("Content-Type")?.includes("json")) {
    try {
      const { detail, title } = JSON.parse(text);
      if (detail || title) return detail || title;
    } catch {
      // Not a problem document after all: the status has to do.
    }
  }
  return `The server answered ${response.status} ${response.statusText}`.trim();
}

const size = (state) => ({ batch_size: state.batch, seq_len: state.seq, device: state.device });

export async function getModels() {
  return (await ask("models", {})).data.models;
}

export async function getDevices() {
  return (await ask("devices", {})).data.devices;
}

// The prediction and the text it came as, for the download.
export async function getPrediction(state) {
  const query = { ...size(state), math: state.math ? "true" : "" };
  if (isUpload(state.model)) {
    const name = uploadName(state.model).replace(/\.json$/i, "");
    return ask("predict", { ...query, name }, uploadText(state.model), "application/json");
  }
  return ask("predict", { model: state.model, ...query });
}

function builtIn(model, what) {
  if (isUpload(model)) throw new Error(`An uploaded model has no ${what}: choose a built-in model.`);
  return model;
}

export async function getSweep(state) {
  return (await ask("sweep", { model: builtIn(state.model, "table of sizes"), device: state.device })).data;
}

export async function getLeaderboard(state) {
  return (await ask("leaderboard", size(state))).data.entries;
}

export async function getTradeoff(state, csv) {
  return (await ask("tradeoff", size(state), csv, "text/csv")).data.points;
}
