// Numbers as people read them. An absent number is the empty string everywhere: it is not known, and not zero.

const PREFIXES = ["p", "n", "µ", "m", "", "k", "M", "G", "T", "P"];
const NO_PREFIX = PREFIXES.indexOf("");
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];
const MINUS = "−";

export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

// Three significant digits, with the zeros that say how exact it is, and never an exponent.
const exact = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
// The same without those zeros, for what is round by choice: the ticks of an axis.
const round = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

const digits = (value, format = exact) => (value === 0 ? "0" : format.format(value).replace("-", MINUS));

export function number(value) {
  return isKnown(value) ? digits(value) : "";
}

export const times = (value) => (isKnown(value) ? `${digits(value)} ×` : "");

// A number and its unit with an SI prefix: 14.3 J, 4.10 mJ.
function si(value, unit, format) {
  if (!isKnown(value)) return "";
  if (value === 0) return `0 ${unit}`.trim();
  // Rounded first, or 999.96 would become 1000 with the smaller prefix.
  const rounded = Number(value.toPrecision(3));
  const thousands = Math.floor(Math.log10(Math.abs(rounded)) / 3 + 1e-9);
  const index = Math.min(Math.max(thousands + NO_PREFIX, 0), PREFIXES.length - 1);
  return `${digits(rounded / 1000 ** (index - NO_PREFIX), format)} ${PREFIXES[index]}${unit}`.trim();
}

export const joules = (value) => si(value, "J");
export const seconds = (value) => si(value, "s");
export const watts = (value) => si(value, "W");
export const megaflop = (value) => (isKnown(value) ? si(value * 1e6, "FLOP") : "");
export const kilowattHours = (value) => (isKnown(value) ? si(value * 1e3, "Wh") : "");

// How many there are: whole below a thousand, and then as above.
export function count(value) {
  return isKnown(value) && Math.abs(value) < 1000 ? String(Math.round(value)) : si(value, "");
}

// Parameters are counted in billions, as the field says it.
export const parameters = (value) => count(value).replace("G", "B");

// The label of a tick with a unit, which may be the empty one, or the number as it is.
export const tick = (unit) => (value) => (unit === undefined ? digits(value, round) : si(value, unit, round));

// Two sums of the same numbers in another order differ by this much of them, and no prediction is as exact.
const ROUNDING = 1e-9;

// b less a, without what is only the rounding of the two.
export function difference(a, b) {
  if (!isKnown(a) || !isKnown(b)) return undefined;
  return Math.abs(b - a) <= ROUNDING * Math.max(Math.abs(a), Math.abs(b)) ? 0 : b - a;
}

export function change(value, format = joules) {
  if (value === 0) return "no change";
  return value < 0 ? `${MINUS}${format(-value)}` : format(value) && `+${format(value)}`;
}

export function mebibytes(value) {
  if (!isKnown(value)) return "";
  let bytes = value * 1024 * 1024;
  let index = 0;
  // 999.5 would be shown as 1000, which is a digit more.
  while (bytes >= 999.5 && index < BINARY.length - 1) {
    bytes /= 1024;
    index += 1;
  }
  return `${index === 0 ? Math.round(bytes) : digits(bytes)} ${BINARY[index]}`;
}

export function percent(share) {
  if (!isKnown(share)) return "";
  return share > 0 && share < 0.0001 ? "<0.01%" : `${digits(share * 100)}%`;
}

// Whole percents, for a sentence.
export function roundPercent(share) {
  if (!isKnown(share)) return "";
  return share > 0 && share < 0.01 ? "under 1%" : `${Math.round(share * 100)}%`;
}

export const clipped = (share) => Math.min(Math.max(share, 0), 1);

// How often something runs may be a fraction.
export const runsText = (runs) => String(Number(runs.toPrecision(6)));

export const capital = (text) => text && text[0].toUpperCase() + text.slice(1);

export const grams = (value) => si(value, "g");
export const bytes = (value) => (isKnown(value) ? mebibytes(value / 1024 / 1024) : "");
export const perToken = ({ energy_per_token_j: energy }) => (isKnown(energy) ? `${joules(energy)} a token` : "");

export const interval = (low, high) => range(low, high, joules);

// From one figure to another, with the unit once, where both have the same.
export function range(low, high, format) {
  if (!isKnown(low) || !isKnown(high)) return "";
  const [from, to] = [format(low), format(high)];
  const [amount, unit] = from.split(" ");
  return to.endsWith(` ${unit}`) ? `${amount} to ${to}` : `${from} to ${to}`;
}

export function shape(sizes) {
  return sizes.length === 0 ? "scalar" : sizes.join(" × ");
}

// The least share of each step of the colour scale. Shares span orders of magnitude, so the steps grow by ratios.
export const HEAT_STEPS = [0.005, 0.02, 0.06, 0.2, 0.5];

export function heat(share) {
  return isKnown(share) ? HEAT_STEPS.filter((least) => share >= least).length : 0;
}

export const MARKS = {
  extrapolated: {
    short: "extrapolated",
    long: "Lies outside the range of the training data, so the figure is less certain.",
  },
  unseen_operation: {
    short: "unseen operation",
    long: "Holds a kind of operation that was not in the training data.",
  },
  other_precision: {
    short: "other precision",
    long: "Is in number formats that the training data has none of, and predicted as its operations cost there, by their bytes.",
  },
  implausible: {
    short: "implausible",
    long: "The predictor does not hold this far from its training data, so the figure is not to be relied on.",
  },
};

export function markName(mark) {
  return MARKS[mark]?.short ?? mark.replaceAll("_", " ");
}

export function marksText(marks) {
  return marks.map(markName).join(", ");
}
