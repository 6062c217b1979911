// The chart of the leaderboard: scores against energy, or what there is without scores.

import { linear, linearTicks, log, logTicks, scatterChart } from "./chart.js";
import { count, isKnown, joules, number, tick } from "./format.js";

const energyOf = (entry) => entry.figures?.energy_per_request_j;

// More names would lie on each other.
const mostLabels = (room) => Math.min(Math.floor(room / 80), 14);

export const scoreText = ({ score }) =>
  score ? [score.benchmark, number(score.value), score.unit].filter(Boolean).join(" ").replace(" %", "%") : "";

// As many names of those on the front as can be read.
function named(points, most) {
  const front = points.filter((point) => point.isOnFront).toSorted((a, b) => a.x - b.x);
  const step = Math.max(Math.ceil(front.length / most), 1);
  const labelled = new Set(front.filter((_, at) => at % step === 0 || at === front.length - 1));
  return points.map((point) => ({ ...point, label: labelled.has(point) ? point.name : "" }));
}

function wide(values, low, high) {
  return log(Math.min(...values) * low, Math.max(...values) * high);
}

function draw(room, heading, y, points) {
  const x = wide(
    points.map((point) => point.x),
    0.8,
    1.25,
  );
  return scatterChart({
    room,
    title: `${heading}; the table has the figures`,
    x: { scale: x, ticks: logTicks(x), format: tick("J"), label: "Energy of a request" },
    y,
    points: points.map((point) => ({ ...point, title: `${point.name}: ${point.amount}, ${joules(point.x)}` })),
  });
}

function scores(room, heading, label, points) {
  const values = points.map((point) => point.y);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low) * 0.1 || 1;
  const scale = linear(low - margin, high + margin);
  const y = { scale, ticks: linearTicks(scale), format: tick(), label };
  return { heading, svg: draw(room, heading, y, named(points, mostLabels(room))) };
}

function ownScores(room, points) {
  const drawn = points.map((point) => ({
    x: point.energy_per_request_j,
    y: point.accuracy,
    name: point.model,
    amount: number(point.accuracy),
    isOnFront: point.is_on_front,
  }));
  return scores(room, "Your accuracies against energy", "Accuracy", drawn);
}

// Scores of two benchmarks are not on one scale: those of the benchmark that has most of the models.
function ofOneBenchmark(entries) {
  const scored = entries.filter((entry) => energyOf(entry) > 0 && isKnown(entry.score?.value));
  const counts = Map.groupBy(scored, (entry) => entry.score.benchmark);
  return [...counts.values()].toSorted((a, b) => b.length - a.length)[0] ?? [];
}

function publicScores(room, scored) {
  const { benchmark: name, unit } = scored[0].score;
  const points = scored.map((entry) => ({
    x: energyOf(entry),
    y: entry.score.value,
    name: entry.model,
    amount: scoreText(entry),
    isOnFront: Boolean(entry.is_on_front),
  }));
  return scores(room, `${name} against energy, with the Pareto front`, [name, unit].filter(Boolean).join(", "), points);
}

// How far size alone says what a model costs.
function parameters(room, entries, model) {
  const heading = "Parameters against energy";
  const drawable = entries.filter((entry) => energyOf(entry) > 0 && entry.parameters > 0);
  if (drawable.length === 0) return { heading: "" };
  const scale = wide(
    drawable.map((entry) => entry.parameters),
    0.8,
    1.25,
  );
  const points = drawable.map((entry) => ({
    x: energyOf(entry),
    y: entry.parameters,
    name: entry.model,
    label: entry.model === model ? entry.model : "",
    amount: `${count(entry.parameters)} parameters`,
    isOnFront: entry.model === model,
  }));
  const y = { scale, ticks: logTicks(scale), format: tick(""), label: "Parameters" };
  return { heading, svg: draw(room, heading, y, points) };
}

// A person's own accuracies if there are any, else public scores, else sizes. The chart and what it is called.
export function scoreChart(room, { entries, own, model }) {
  const drawable = own.filter((point) => point.energy_per_request_j > 0 && isKnown(point.accuracy));
  if (drawable.length > 0) return ownScores(room, drawable);
  const scored = ofOneBenchmark(entries);
  return scored.length > 1 ? publicScores(room, scored) : parameters(room, entries, model);
}
