// One part: its picture with what the model marked, its verdict, what was measured; and the way to labelling.
import { bytes, paint } from "../../page/masks.js";
import { ask } from "../../page/service.js";
import { word } from "../../page/words.js";
import { $, VERDICTS, element, said, time } from "./dom.js";

// Longest side of the canvas: larger pictures are shown smaller.
const LONGEST = 1400, OPACITY = 0.35;
const rgbOf = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
let part = null, photo = null, asked = 0;

/** The id of the part that is shown. */
export const shownId = () => part?.id;

/** Ask for a part and its picture, and show them; what was asked for later wins. */
export async function look(id) {
  const turn = ++asked;
  const found = await (await ask(`line/part/${id}`)).json();
  const picture = found.picture ? await pixels(id, found.regions.size) : null;
  if (turn !== asked) return;
  [part, photo] = [found, picture];
  showPart();
}

async function pixels(id, size) {
  let blob;
  try {
    blob = await (await ask(`line/picture/${id}`)).blob();
  } catch {
    return null; // it went, for its age or for its size
  }
  try {
    const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
    const [height, width] = size && size[0] ? size : [bitmap.height, bitmap.width];
    const factor = Math.min(1, LONGEST / Math.max(width, height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor)));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  } catch {
    return { unread: true };
  }
}

/** Show the part in the language of now. */
export function showPart() {
  if (!part) return;
  const box = $("#verdict");
  box.className = VERDICTS.includes(part.verdict) ? part.verdict : "waiting";
  box.querySelector("b").textContent = word(part.verdict);
  box.querySelector("span").textContent = part.reasons.join("; ");
  showPicture();
  const facts = { part: part.part ?? word("unknown"), lot: part.lot ?? word("unknown"), taken: time(part.taken_ms), source: part.source,
    name: part.name, model: `${part.model.name} ${part.model.version}`.trim() || "–", milliseconds: `${Math.round(part.milliseconds).toLocaleString()} ms` };
  $("#facts").replaceChildren(...Object.entries(facts).flatMap(([key, text]) => [element("dt", word(key)), element("dd", text)]));
  showMeasures();
  $("#about").hidden = false;
  $("#wrong").hidden = Boolean(part.sent);
  $("#sent").textContent = part.sent ? said("sent", { name: part.sent }) : "";
}

function showPicture() {
  const canvas = $("#picture"), isShown = Boolean(photo && !photo.unread);
  canvas.hidden = !isShown;
  $("#no-picture").hidden = isShown;
  $("#no-picture").textContent = word(photo?.unread ? "no-decode" : "no-picture");
  const { size = [0, 0], labels = [], colors = [], rle = [] } = part.regions;
  const layers = isShown ? labels.map((label, channel) => ({ label, color: colors[channel],
    mask: bytes({ size, counts: rle[channel] }, photo.width, photo.height), rgb: rgbOf(colors[channel]) })).filter(({ mask }) => mask.some(Boolean)) : [];
  $("#keys").replaceChildren(...layers.map(({ label, color }) => {
    const key = element("span"), swatch = element("i");
    swatch.style.background = color;
    key.append(swatch, label);
    return key;
  }));
  if (!isShown) return;
  [canvas.width, canvas.height] = [photo.width, photo.height];
  canvas.style.width = `min(100%, ${(60 * photo.width) / photo.height}vh)`;
  const image = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  if ($("#show-outlines").checked) paint(image.data, photo.width, photo.height, layers, OPACITY);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const shown = (value) => {
  if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString() : value.toLocaleString(undefined, { maximumFractionDigits: 3 });
  if (value === null || value === undefined) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};

/** A table of what was measured, whatever it is: a column for each name that any measurement has. */
function showMeasures() {
  const rows = part.measurements.map((item) => (item && typeof item === "object" && !Array.isArray(item) ? item : { value: item }));
  const names = [...new Set(rows.flatMap(Object.keys))];
  $("#measured").hidden = !rows.length;
  const head = element("tr");
  head.append(...names.map((name) => element("th", word(name))));
  $("#measures").replaceChildren(...(rows.length ? [head] : []), ...rows.map((row) => {
    const line = element("tr");
    line.append(...names.map((name) => element("td", shown(row[name]))));
    return line;
  }));
}

/** Send the part to labelling. */
export async function send() {
  const sending = part;
  $("#wrong").disabled = true;
  try {
    sending.sent = (await (await ask(`line/label/${sending.id}`, { method: "POST" })).json()).name;
  } finally {
    $("#wrong").disabled = false;
  }
  if (sending === part) showPart();
}
