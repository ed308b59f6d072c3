// Polygons for part rules: corners are clicked on the photograph, their yaml is copied.
import { word } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["region", "ignore"];
const $ = (selector) => document.querySelector(selector);
// Corners are fractions of the photograph's width and height, so they hold for photographs of every size.
const state = { polygons: [], drawing: false };

function start() {
  for (const kind of KINDS) $(`#draw-${kind}`).addEventListener("click", () => begin(kind));
  $("#draw-undo").addEventListener("click", undo);
  $("#draw-copy").addEventListener("click", copy);
  $("#outlines").addEventListener("click", addCorner);
  // One way to draw on the photograph at a time.
  document.addEventListener("draws", ({ detail }) => { if (detail === "clicks" && state.drawing) begin(state.polygons.at(-1).kind); });
  new ResizeObserver(show).observe($("#picture"));
  new ResizeObserver(show).observe($("#stage"));
}

/** Begin a polygon, or end the one that is being drawn where its button is pressed again. */
function begin(kind) {
  const last = state.polygons.at(-1);
  const ends = state.drawing && last.kind === kind;
  if (last && last.corners.length < 3) state.polygons.pop();
  state.drawing = !ends;
  if (state.drawing) {
    state.polygons.push({ kind, corners: [] });
    document.dispatchEvent(new CustomEvent("draws", { detail: "polygons" }));
    $("#stage").scrollIntoView({ block: "nearest" }); // the buttons are below it
  }
  show();
}

function addCorner(event) {
  const box = $("#outlines").getBoundingClientRect();
  const fraction = (value) => Math.round(1e4 * Math.min(1, Math.max(0, value))) / 1e4;
  state.polygons.at(-1).corners.push([fraction((event.clientX - box.left) / box.width), fraction((event.clientY - box.top) / box.height)]);
  show();
}

/** Take back the last corner; where the last polygon has none, that polygon. */
function undo() {
  const last = state.polygons.at(-1);
  if (last && !last.corners.pop()) state.polygons.pop();
  state.drawing = state.drawing && state.polygons.length > 0;
  show();
}

async function copy() {
  getSelection().selectAllChildren($("#rules-yaml"));
  // Browsers give pages the clipboard over https or on the machine itself; elsewhere the selected text is copied.
  if (navigator.clipboard) await navigator.clipboard.writeText(yaml()).catch(() => document.execCommand("copy"));
  else document.execCommand("copy");
  $("#draw-copy").textContent = word("copied");
  setTimeout(() => { $("#draw-copy").textContent = word("copy"); }, 1500);
}

function yaml() {
  const lines = KINDS.flatMap((kind) => {
    const found = state.polygons.filter((item) => item.kind === kind && item.corners.length > 2);
    return found.length ? [`${kind}:`, ...found.map(({ corners }) => `  - [${corners.map((corner) => `[${corner.join(", ")}]`).join(", ")}]`)] : [];
  });
  return lines.join("\n");
}

function show() {
  const [picture, outlines] = [$("#picture"), $("#outlines")];
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = picture;
  $("#polygons").hidden = picture.hidden;
  outlines.toggleAttribute("hidden", picture.hidden); // an SVG element has no property of that name
  Object.assign(outlines.style, { left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${offsetWidth}px`, height: `${offsetHeight}px` });
  outlines.classList.toggle("drawing", state.drawing);
  outlines.replaceChildren(...state.polygons.flatMap(({ kind, corners }) => {
    const places = corners.map(([x, y]) => [x * offsetWidth, y * offsetHeight]);
    const shapes = [["polygon", { points: places.join(" "), class: kind }], ...places.map(([cx, cy]) => ["circle", { cx, cy, r: 4, class: kind }])];
    return shapes.map(([name, values]) => {
      const shape = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(values)) shape.setAttribute(key, value);
      return shape;
    });
  }));
  for (const kind of KINDS) $(`#draw-${kind}`).setAttribute("aria-pressed", state.drawing && state.polygons.at(-1).kind === kind);
  $("#rules-yaml").textContent = yaml();
  $("#rules-yaml").hidden = $("#draw-copy").hidden = !yaml();
}

start();
