// Labels by clicking: a region of the photograph is clicked on, corrected and kept; all regions are downloaded or sent.
import { save } from "./app.js";
import { drawOver } from "./drawing.js";
import { cocoOf, colorOf, foundBy } from "./regions.js";
import { post } from "./service.js";
import { word } from "./words.js";

// A pointer that moves by more pixels of the screen while it is pressed draws a box.
const CLICK = 6;
const $ = (selector) => document.querySelector(selector);
const element = (tag, text = "", values = {}) => Object.assign(document.createElement(tag), { textContent: text, ...values });
const state = { on: false, photo: null, regions: [], begun: false, changed: false, negative: false, drag: null, lit: null };
// The region being clicked on. `answered`: the marks that `region` is the answer to; `asked`: number of the last question.
const draft = { marks: [], answered: [], region: null, asked: 0, answer: null, waiting: false, kept: false };

function start() {
  const buttons = { start: () => turn(!state.on), negative: () => { state.negative = !state.negative; show(); }, undo, drop, keep, coco: download, send };
  for (const [name, handle] of Object.entries(buttons)) $(`#click-${name}`).addEventListener("click", handle);
  const pointer = { pointerdown: press, pointermove: move, pointerup: release, pointercancel: () => { state.drag = null; draw(); } };
  for (const [name, handle] of Object.entries(pointer)) $("#picture").addEventListener(name, handle);
  $("#picture").addEventListener("contextmenu", (event) => { if (state.on) event.preventDefault(); });
  $("#click-found").addEventListener("change", takeFound);
  $("#click-label").addEventListener("change", () => { show(); if (isOther()) $("#click-name").focus(); });
  $("#language").addEventListener("click", show);
  $("#opacity").addEventListener("input", draw);
  for (const seen of ["#picture", "#stage"]) new ResizeObserver(draw).observe($(seen));
  document.addEventListener("keydown", key);
  document.addEventListener("photograph", begin);
  document.addEventListener("draws", ({ detail }) => { if (detail === "polygons" && state.on) turn(false); });
  document.addEventListener("leave", (event) => { if (isUnsaved() && !confirm(word("click-lose"))) event.preventDefault(); });
  window.addEventListener("beforeunload", (event) => { if (isUnsaved()) event.preventDefault(); });
}

const isUnsaved = () => state.changed || draft.marks.length > 0;
const isOther = () => $("#click-label").value === "";
const chosenLabel = () => (isOther() ? $("#click-name").value.trim() : $("#click-label").value);

/** Another photograph is shown: nothing is labelled on it yet. */
function begin({ detail: { file, answer } }) {
  const [height, width] = answer.rle[0].size;
  const chosen = $("#click-label").value;
  Object.assign(state, { photo: { file, answer, width, height }, regions: [], begun: false, changed: false });
  $("#click-label").replaceChildren(...answer.labels.map((label) => element("option", label, { value: label })), $("#click-other"));
  $("#click-label").value = chosen && answer.labels.includes(chosen) ? chosen : answer.labels[0];
  say("#click-sent", "");
  drop();
  if (state.on) turn(true);
}

function turn(on) {
  state.on = on;
  $("#stage").classList.toggle("clicking", on);
  if (on && !state.begun) takeFound();
  state.begun ||= on;
  if (on) $("#stage").scrollIntoView({ block: "nearest" }); // the button is below it
  document.dispatchEvent(new CustomEvent("draws", { detail: on ? "clicks" : null }));
  show();
}

/** Put the regions that the model found before the clicked ones, or take them away, as the box is ticked. */
function takeFound() {
  const found = $("#click-found").checked ? foundBy(state.photo.answer.coco) : [];
  state.regions = [...found, ...state.regions.filter((region) => !region.found)];
  show();
}

/** The whole pixel of the full photograph below a pointer. */
function place({ clientX, clientY }) {
  const box = $("#picture").getBoundingClientRect();
  const pixel = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
  return [pixel((clientX - box.left) / box.width, state.photo.width), pixel((clientY - box.top) / box.height, state.photo.height)];
}

function press(event) {
  // A second finger zooms. While a region waits for its answer to be kept, a click would become part of it.
  if (!state.on || !event.isPrimary || event.button === 1 || draft.kept) return;
  const positive = !(state.negative || event.altKey || event.ctrlKey || event.button === 2);
  state.drag = { from: place(event), x: event.clientX, y: event.clientY, positive, box: null };
  $("#picture").setPointerCapture(event.pointerId); // a box may be drawn past the edge
}

function move(event) {
  const { drag } = state;
  if (!drag?.positive || (!drag.box && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) <= CLICK)) return;
  const [x, y] = [0, 1].map((axis) => [drag.from[axis], place(event)[axis]]);
  drag.box = [Math.min(...x), Math.min(...y), Math.max(...x) + 1, Math.max(...y) + 1];
  draw();
}

function release() {
  const { drag } = state;
  state.drag = null;
  if (drag) mark([...draft.marks, drag.box ? { box: drag.box } : { at: drag.from, positive: drag.positive }]);
}

function mark(marks) {
  draft.marks = marks;
  draft.answer = find();
}

const undo = () => mark(draft.marks.slice(0, -1));

function drop() {
  state.negative = false;
  mark([]);
}

/** Ask for the region that all marks mean together. An answer that comes after a later question is not taken. */
async function find() {
  const { marks } = draft;
  const [clicks, number] = [marks.filter(({ at }) => at), ++draft.asked];
  const box = marks.filter((item) => item.box).at(-1)?.box;
  draft.waiting = Boolean(box) || clicks.some(({ positive }) => positive);
  say("#click-said", marks.length && !draft.waiting ? word("click-first") : "");
  if (!draft.waiting) Object.assign(draft, { answered: marks, region: null });
  show();
  if (!draft.waiting) return;
  const query = `clicks=${clicks.map(({ at, positive }) => [...at, ...(positive ? [] : [0])].join(",")).join(";")}&box=${box ?? ""}`;
  try {
    const region = await (await post(`click?${query}`, state.photo.file)).json();
    if (number !== draft.asked) return;
    Object.assign(draft, { answered: marks, region: region.polygons.length ? region : null });
    if (!draft.region) say("#click-said", word("click-nothing"));
  } catch (error) {
    if (number !== draft.asked) return;
    draft.marks = draft.answered; // the region that stands there is the answer to these
    say("#click-said", error.message, true);
  }
  draft.waiting = false;
  show();
}

/** Put the region into the list, as soon as its answer is there; false where its label has no name yet. */
async function keep() {
  draft.kept = true;
  while (draft.waiting) await draft.answer;
  draft.kept = false;
  if (!draft.region) return true;
  const label = chosenLabel();
  if (!label) {
    say("#click-said", word("click-unnamed"), true);
    $("#click-name").focus();
    return false;
  }
  const { polygons, area } = draft.region;
  change([...state.regions, { label, color: colorOf(label, state.photo.answer, state.regions), polygons, area }]);
  drop();
  return true;
}

function change(regions) {
  Object.assign(state, { regions, changed: true, lit: null });
  say("#click-sent", "");
  show();
}

async function download() {
  if (!(await keep())) return;
  const { photo: { file, width, height, answer }, regions } = state;
  const name = file.name || "image.jpg";
  const labels = cocoOf({ file_name: name, width, height }, answer.coco.categories, regions);
  save(new Blob([JSON.stringify(labels, null, 1)], { type: "application/json" }), `${name.replace(/\.[^.]*$/, "")}_labels.json`);
  state.changed = false;
}

async function send() {
  const { photo } = state;
  if (!(await keep()) || photo !== state.photo) return;
  const { regions } = state;
  say("#click-sent", "…");
  try {
    const said = await (await post("label", photo.file, { regions: regions.map(({ label, color, polygons }) => ({ label, color, segmentation: polygons })) })).json();
    if (regions !== state.regions) return;
    state.changed = false;
    say("#click-sent", word("click-sent").replace("{n}", said.photographs).replace("{labels}", () => said.labels));
    // A service in a container names its own folders: what follows the project's is the same for both.
    const path = said.labels.replace(/^.*\/(?=coco-annotator\/)/, "");
    $("#click-command").textContent = `sh annotator.sh import ${path.split("/").at(-2)} ${/^[\w./-]+$/.test(path) ? path : `'${path}'`}`;
    $("#click-command").hidden = false;
  } catch (error) {
    say("#click-sent", error.message, true);
  }
}

function say(place, words, wrong = false) {
  $(place).textContent = words;
  $(place).classList.toggle("wrong", wrong);
  if (place === "#click-sent") $("#click-command").hidden = true;
}

function key(event) {
  if (!state.on || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape") drop();
  // A button, a link or a list has an Enter of its own.
  else if (event.key === "Enter" && !event.target.closest("button, a, select")) keep();
  else if (event.key === "z" && (event.ctrlKey || event.metaKey) && !typing && draft.marks.length) undo();
  else return;
  event.preventDefault();
}

function show() {
  if (!state.photo) return;
  const button = $("#click-start");
  button.dataset.word = state.on ? "click-stop" : "click-start";
  button.textContent = word(button.dataset.word);
  button.classList.toggle("strong", !state.on);
  $("#clicking").hidden = false;
  $("#click-tools").hidden = !state.on;
  $("#click-labels").hidden = !state.begun;
  $("#click-name").hidden = !isOther();
  $("#click-name").placeholder = word("click-name");
  $("#click-negative").setAttribute("aria-pressed", state.negative);
  $("#click-undo").disabled = $("#click-drop").disabled = !draft.marks.length;
  $("#click-keep").disabled = !draft.region && !draft.waiting;
  $("#stage").classList.toggle("waiting", draft.waiting);
  $("#click-none").hidden = state.regions.length > 0;
  $("#click-list").replaceChildren(...state.regions.map(row));
  draw();
}

function row(region) {
  const [item, swatch] = [element("li"), element("i")];
  swatch.style.background = region.color;
  const remove = element("button", "×", { type: "button", title: word("remove") });
  remove.setAttribute("aria-label", `${word("remove")}: ${region.label}`);
  remove.addEventListener("click", () => change(state.regions.filter((other) => other !== region)));
  item.append(swatch, element("span", region.label, { className: "label" }), element("span", `${region.area.toLocaleString()} ${word("pixels")}`, { className: "figures" }), remove);
  // Which region of the photograph it is; a finger has no place to rest, so what it touched last stays lit.
  const light = (lit) => () => { state.lit = lit; draw(); };
  for (const seen of ["pointerenter", "focusin"]) item.addEventListener(seen, light(region));
  item.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") light(null)(); });
  return item;
}

function draw() {
  const { on, photo, regions, lit, drag } = state;
  $("#clicked").toggleAttribute("hidden", !on); // an SVG element has no property of that name
  if (!on) return;
  const shown = regions.map((region) => ({ ...region, kind: region === lit ? "lit" : "" }));
  if (draft.region) shown.push({ ...draft.region, color: colorOf(chosenLabel(), photo.answer, regions), kind: "draft" });
  const boxes = [...draft.marks.filter(({ box }) => box).slice(-1), ...(drag?.box ? [drag] : [])].map(({ box }) => box);
  drawOver($("#picture"), $("#clicked"), photo, { regions: shown, boxes, clicks: draft.marks.filter(({ at }) => at), opacity: $("#opacity").value / 100 });
}

start();
