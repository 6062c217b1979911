// Configs of a person's own. A small one is in the URL, so that the view can be shared; a large one stays in this
// browser tab, so that reloading keeps the view.

const KEPT = "kept:";
const LIST = "configs";
const MOST_IN_URL = 4000;

// Where the browser lets nothing be stored (cookies refused, a frame without an origin), it lasts as long as the page.
const unstored = new Map();

function stored(key) {
  if (unstored.has(key)) return unstored.get(key);
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, text) {
  try {
    sessionStorage.setItem(key, text);
    unstored.delete(key);
  } catch {
    unstored.set(key, text);
  }
}

export const isOwn = (state) => state.config !== "";

async function through(stream, bytes) {
  const out = new Blob([bytes]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(out).arrayBuffer());
}

const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const toUrl = (base64) => base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const fromUrl = (text) => atob(text.replaceAll("-", "+").replaceAll("_", "/"));

// The value of `config` in the state for this text.
export async function packConfig(name, text) {
  const bytes = new TextEncoder().encode(JSON.stringify(JSON.parse(text)));
  const packed = toUrl(toBase64(await through(new CompressionStream("deflate-raw"), bytes)));
  if (packed.length <= MOST_IN_URL) return packed;
  store(KEPT + name, text);
  return KEPT + name;
}

// The text of a config by that value.
export async function unpackConfig(packed) {
  if (packed.startsWith(KEPT)) {
    const text = stored(packed);
    if (text) return text;
    throw new Error(`This view is of a config, ${packed.slice(KEPT.length)}, that is too large for a link: open it again to see it.`);
  }
  try {
    const bytes = Uint8Array.from(fromUrl(packed), (character) => character.charCodeAt(0));
    return new TextDecoder().decode(await through(new DecompressionStream("deflate-raw"), bytes));
  } catch {
    throw new Error("The config in this address is damaged: open its file again, or choose a built-in model.");
  }
}

// Those that were predicted in this tab, as [name, config].
export const ownConfigs = () => Object.entries(JSON.parse(stored(LIST) ?? "{}"));

async function isText(packed, text) {
  try {
    return (await unpackConfig(packed)) === text;
  } catch {
    return false;
  }
}

// The name, or the next one with a number that no other config of this tab has: models are known by it.
export async function freeName(name, text) {
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? name : `${name} (${number})`;
    const taken = Object.fromEntries(ownConfigs())[free] ?? (stored(KEPT + free) === null ? undefined : KEPT + free);
    if (taken === undefined || (await isText(taken, text))) return free;
  }
}

// Only what was predicted comes into the lists, so that what was refused never is in them.
export function rememberConfig({ model, config }) {
  const all = { ...Object.fromEntries(ownConfigs()), [model]: config };
  store(LIST, JSON.stringify(all));
}
