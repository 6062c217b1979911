// Numbers as people read them. An absent number is the empty string everywhere: it is not known, and not zero.

const PREFIXES = ["p", "n", "µ", "m", "", "k", "M", "G", "T", "P"];
const NO_PREFIX = PREFIXES.indexOf("");
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB"];

export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

// Three significant digits with an SI prefix: 14.3 J, 4.10 mJ.
export function si(value, unit) {
  if (!isKnown(value)) return "";
  if (value === 0) return `0 ${unit}`.trim();
  // Rounded first, or 999.96 would become 1000 with the smaller prefix.
  const rounded = Number(value.toPrecision(3));
  const thousands = Math.floor(Math.log10(Math.abs(rounded)) / 3 + 1e-9);
  const index = Math.min(Math.max(thousands + NO_PREFIX, 0), PREFIXES.length - 1);
  const scaled = rounded / 1000 ** (index - NO_PREFIX);
  return `${digits(scaled)} ${PREFIXES[index]}${unit}`.trim();
}

// Three significant digits, with the zeros that say how exact it is, and never an exponent.
function digits(value) {
  const whole = Math.floor(Math.log10(Math.abs(value)) + 1e-9) + 1;
  return value.toFixed(Math.min(Math.max(3 - whole, 0), 12));
}

export const joules = (value) => si(value, "J");
export const seconds = (value) => si(value, "s");
export const watts = (value) => si(value, "W");

// How many there are: whole below a thousand, and then as above.
export function count(value) {
  return isKnown(value) && Math.abs(value) < 1000 ? number(value) : si(value, "");
}

export const megaflop = (value) => (isKnown(value) ? si(value * 1e6, "FLOP") : "");

export function signedJoules(value) {
  return isKnown(value) && value > 0 ? `+${joules(value)}` : joules(value).replace("-", "−");
}

export function mebibytes(value) {
  if (!isKnown(value)) return "";
  let bytes = value * 1024 * 1024;
  let index = 0;
  while (bytes >= 1024 && index < BINARY.length - 1) {
    bytes /= 1024;
    index += 1;
  }
  return bytes === 0 ? "0 B" : `${index === 0 ? Math.round(bytes) : digits(bytes)} ${BINARY[index]}`;
}

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function number(value) {
  return isKnown(value) ? plain.format(value) : "";
}

export function percent(share) {
  if (!isKnown(share)) return "";
  if (share > 0 && share < 0.0005) return "<0.1%";
  return `${(share * 100).toFixed(1)}%`;
}

export function interval(low, high) {
  return isKnown(low) && isKnown(high) ? `${joules(low)} to ${joules(high)}` : "";
}

export function shape(sizes) {
  return sizes.length === 0 ? "scalar" : sizes.join(" × ");
}

// The least share of each step of the colour scale. Shares span orders of magnitude, so the steps grow by ratios.
const HEAT_STEPS = [0.005, 0.02, 0.06, 0.2, 0.5];

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
