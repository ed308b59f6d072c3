// The page: a photograph goes to the service, its answer is drawn, and may be looked at without asking again.
import { above, area, bytes, grey, paint, paintHeat } from "./masks.js";
import { ask, predict } from "./service.js";
import { SNIPPETS } from "./snippets.js";
import { changeLanguage, speak, word } from "./words.js";

// Longest side of the canvas: larger photographs are shown smaller, and analysed whole.
const LONGEST = 1600;
const $ = (selector) => document.querySelector(selector);
const element = (tag, text = "", values = {}) => Object.assign(document.createElement(tag), { textContent: text, ...values });
const rgbOf = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
const state = { info: null, file: null, answer: null, photo: null, own: [], maps: [], hidden: new Set(), threshold: null };

async function start() {
  speak();
  for (const [id, handle] of Object.entries({ pick: () => $("#file").click(), again: () => $("#file").click(), camera: openCamera,
    "camera-again": openCamera, language: () => { changeLanguage(); showAll(); }, shoot, "lens-close": closeCamera,
    "threshold-auto": () => setThreshold(null) })) $(`#${id}`).addEventListener("click", handle);
  for (const id of ["file", "capture"]) $(`#${id}`).addEventListener("change", (event) => {
    if (event.target.files[0]) look(event.target.files[0]);
    event.target.value = "";
  });
  for (const id of ["opacity", "heat"]) $(`#${id}`).addEventListener("input", draw);
  $("#threshold").addEventListener("input", (event) => setThreshold(Number(event.target.value) / 100));
  $("#lens").addEventListener("close", closeCamera);
  for (const button of document.querySelectorAll("[data-download]")) button.addEventListener("click", () => download(button.dataset.download).catch(complain));
  takeDrops();
  $("#picture").addEventListener("pointermove", hint);
  $("#picture").addEventListener("pointerleave", () => { $("#hint").hidden = true; });
  document.addEventListener("draws", draw);
  try {
    state.info = await (await ask("info")).json();
    showAll();
    await showSamples();
  } catch (error) {
    complain(error);
  }
}

function takeDrops() {
  const stage = $("#stage");
  document.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    if (event.dataTransfer.files[0]) look(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((item) => item.type.startsWith("image/"));
    if (file) look(file);
  });
}

function complain(error) {
  $("#error").textContent = error.message;
  $("#error").hidden = false;
}

async function look(file) {
  // Whoever has work on the photograph that is shown may keep it.
  if (!document.dispatchEvent(new Event("leave", { cancelable: true }))) return;
  $("#error").hidden = true;
  $("#busy").hidden = false;
  const started = performance.now();
  try {
    const answer = await (await predict(file, "?maps=1")).json();
    answer.total = performance.now() - started;
    const [height, width] = answer.rle[0].size;
    const factor = Math.min(1, LONGEST / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
    const maps = await Promise.all(answer.maps.map((map) => grey(map, w, h)));
    Object.assign(state, { file, answer, maps, own: answer.rle.map((rle) => bytes(rle, w, h)), threshold: null,
      photo: await photograph(file, w, h), scale: (width * height) / (w * h) });
    show(w, h);
    document.dispatchEvent(new CustomEvent("photograph", { detail: { file, answer } }));
  } catch (error) {
    complain(error);
  } finally {
    $("#busy").hidden = true;
  }
}

/** Pixels of a photograph as a viewer shows it; grey where the browser cannot read its format, such as TIFF. */
async function photograph(file, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "#888";
  context.fillRect(0, 0, width, height);
  try {
    context.drawImage(await createImageBitmap(file, { imageOrientation: "from-image" }), 0, 0, width, height);
  } catch { /* the masks are still worth seeing */ }
  return context.getImageData(0, 0, width, height);
}

function show(width, height) {
  const canvas = $("#picture");
  [canvas.width, canvas.height] = [width, height];
  // Small photographs are enlarged, tall ones fit the window.
  canvas.style.width = `min(100%, ${(70 * width) / height}vh)`;
  canvas.hidden = $("#bar").hidden = false;
  $("#invitation").hidden = true;
  $("#stage").classList.remove("empty");
  $("#threshold").disabled = false;
  setThreshold(null);
}

function setThreshold(value) {
  state.threshold = value;
  if (value === null) $("#threshold").value = Math.round(100 * state.info.thresholds.reduce((a, b) => a + b, 0) / state.info.thresholds.length);
  $("#threshold-auto").hidden = value === null;
  showAll();
}

const layerMask = (channel) => (state.threshold === null ? state.own[channel] : above(state.maps[channel], 255 * state.threshold));

function draw() {
  $("#opacity-value").textContent = `${$("#opacity").value} %`;
  $("#threshold-value").textContent = state.threshold === null ? word("own") : state.threshold.toFixed(2);
  if (!state.answer) return;
  // Who labels the photograph looks at it without what the model found, but for the heat map if it is wanted.
  const plain = $("#stage").classList.contains("clicking") && !$("#heat").checked;
  $("#picture").getContext("2d").putImageData(plain ? state.photo : painted(), 0, 0);
}

/** The photograph with what the model found. */
function painted() {
  const { width, height } = state.photo;
  const layers = state.answer.labels.map((_, channel) => ({ mask: state.masks[channel], rgb: rgbOf(state.answer.colors[channel]), channel }))
    .filter(({ channel }) => !state.hidden.has(channel));
  const image = new ImageData(new Uint8ClampedArray(state.photo.data), width, height);
  const opacity = Number($("#opacity").value) / 100;
  if ($("#heat").checked) paintHeat(image.data, layers.map(({ channel }) => state.maps[channel]), opacity);
  else paint(image.data, width, height, layers, opacity);
  return image;
}

function showAll() {
  if (!state.info) return;
  if (state.answer) state.masks = state.answer.labels.map((_, channel) => layerMask(channel));
  showModel();
  showLegend();
  showVerdict();
  showObjects();
  showCode();
  draw();
}

function areaOf(channel) {
  if (state.threshold === null) return [area(state.answer.rle[channel]), ""];
  return [Math.round(state.masks[channel].reduce((sum, value) => sum + value, 0) * state.scale), "≈ "];
}

function showLegend() {
  $("#legend").replaceChildren(...state.info.labels.map((label, channel) => {
    const button = element("button", "", { type: "button" });
    button.setAttribute("aria-pressed", !state.hidden.has(channel));
    const swatch = element("i");
    swatch.style.background = swatch.style.borderColor = state.info.colors[channel];
    button.append(swatch, element("span", label, { className: "label" }));
    if (state.answer) {
      const [pixels, about] = areaOf(channel);
      const best = Math.max(0, ...state.answer.objects.filter((item) => item.label === label).map((item) => item.score));
      button.append(element("span", pixels ? `${about}${pixels.toLocaleString()} ${word("pixels")}${state.threshold === null ? ` · ${best.toFixed(2)}` : ""}` : "–", { className: "figures" }));
    }
    button.addEventListener("click", () => {
      if (!state.hidden.delete(channel)) state.hidden.add(channel);
      showLegend();
      draw();
    });
    const item = element("li");
    item.append(button);
    return item;
  }));
}

/** A probability for people: nothing is sure, so neither 0 % nor 100 % is said. */
function percent(probability) {
  if (probability > 0.99) return "> 99 %";
  return probability < 0.01 ? "< 1 %" : `${Math.round(100 * probability)} %`;
}

function showVerdict() {
  const box = $("#verdict");
  if (!state.answer) return;
  const { verdict, milliseconds, total } = state.answer;
  box.className = verdict.defect ? "defect" : "clean";
  box.querySelector("b").textContent = verdict.defect ? `${word("defect")}: ${verdict.labels.join(", ")}` : word("clean");
  box.querySelector("em").hidden = verdict.probability === undefined;
  box.querySelector("em").textContent = `${word("chance")}: ${percent(verdict.probability)}`;
  box.querySelector("span").textContent = `${milliseconds.toFixed(0)} ${word("ms")} (${word("server")}) · ${total.toFixed(0)} ${word("ms")} (${word("total")})`;
}

function showObjects() {
  $("#objects-box").hidden = !state.answer?.objects.length;
  if (!state.answer) return;
  $("#objects tbody").replaceChildren(...state.answer.objects.slice(0, 200).map((item) => {
    const row = element("tr");
    row.append(...[item.label, item.area.toLocaleString(), item.score.toFixed(3), item.bbox.join(", ")].map((text) => element("td", text)));
    return row;
  }));
}

function showModel() {
  const { info } = state;
  document.title = $("#name").textContent = `${info.name} ${info.version}`;
  $("#model-line").textContent = `${info.labels.length} ${word("classes").toLowerCase()} · ${info.engine}`;
  const rows = { [word("data_set")]: info.name, [word("version")]: info.version, [word("network")]: info.network, [word("engine")]: info.engine,
    [word("input")]: `${info.size_hw.join(" × ")} px` + (info.scale ? ` · ×${info.scale}` : ` (${word("whole")})`),
    [word("limits")]: `${(info.limits.bytes / 2 ** 20).toFixed(0)} MiB, ${(info.limits.pixels / 1e6).toFixed(0)} ${word("megapixels")}` };
  $("#card").replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  const head = element("tr");
  head.append(...[word("class"), "Dice", "IoU", word("threshold")].map((text) => element("th", text)));
  $("#scores").replaceChildren(head, ...info.labels.map((label, channel) => {
    const row = element("tr");
    const score = (kind) => info.scores[kind]?.[label]?.toFixed(3) ?? "–";
    row.append(...[label, score("dice"), score("iou"), info.thresholds[channel].toFixed(2)].map((text) => element("td", text)));
    return row;
  }));
}

function showCode(chosen = $("#code").dataset.language || "curl") {
  $("#code").dataset.language = chosen;
  $("#code").textContent = SNIPPETS[chosen]();
  $(".tabs").replaceChildren(...Object.keys(SNIPPETS).map((name) => {
    const tab = element("button", name, { type: "button", role: "tab" });
    tab.setAttribute("aria-selected", name === chosen);
    tab.addEventListener("click", () => showCode(name));
    return tab;
  }));
}

async function showSamples() {
  for (const name of state.info.samples) {
    const blob = await (await ask(`samples/${encodeURIComponent(name)}`)).blob();
    const button = element("button", "", { type: "button", title: name });
    button.append(Object.assign(new Image(), { src: URL.createObjectURL(blob), alt: name }));
    button.addEventListener("click", () => look(new File([blob], name, { type: blob.type })));
    $("#samples .strip").append(button);
  }
  $("#samples").hidden = !state.info.samples.length;
}

function hint(event) {
  const box = event.target.getBoundingClientRect();
  const { width, height } = state.photo;
  // A pressed pointer is heard of outside of the picture too.
  const pixel = (part, count) => Math.min(count - 1, Math.max(0, Math.floor(part * count)));
  const [x, y] = [pixel((event.clientX - box.left) / box.width, width), pixel((event.clientY - box.top) / box.height, height)];
  const at = y * width + x;
  const found = state.answer.labels.map((label, channel) => ({ label, channel, score: state.maps[channel][at] / 255, on: state.masks[channel][at] }))
    .filter(({ on, channel }) => on && !state.hidden.has(channel)).sort((a, b) => b.score - a.score);
  const label = $("#hint");
  label.replaceChildren();
  for (const { label: name, channel, score } of found) {
    const swatch = element("i");
    swatch.style.background = state.answer.colors[channel];
    label.append(swatch, `${name} ${score.toFixed(2)} `);
  }
  if (!found.length) label.textContent = `${word("hint_none")} (${Math.max(...state.maps.map((map) => map[at] / 255)).toFixed(2)})`;
  label.hidden = false;
  const stage = $("#stage").getBoundingClientRect();
  label.style.left = `${Math.min(event.clientX - stage.left + 14, stage.width - label.offsetWidth - 4)}px`;
  label.style.top = `${Math.max(4, event.clientY - stage.top - 34)}px`;
}

async function download(kind) {
  const stem = (state.file.name || "image").replace(/\.[^.]*$/, "");
  const query = state.threshold === null ? "" : `&threshold=${state.threshold}`;
  if (kind === "overlay") {
    const canvas = new OffscreenCanvas(state.photo.width, state.photo.height);
    canvas.getContext("2d").putImageData(painted(), 0, 0);
    return save(await canvas.convertToBlob(), `${stem}_overlay.png`);
  }
  const answer = await predict(state.file, `?format=${kind}${query}`);
  return save(await answer.blob(), kind === "mask" ? `${stem}_mask.png` : `${stem}_coco.json`);
}

export function save(blob, name) {
  const link = element("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function openCamera() {
  // Browsers give pages the live camera over https or on the machine itself; elsewhere the phone's own camera steps in.
  if (!navigator.mediaDevices) return $("#capture").click();
  try {
    $("#lens video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    $("#lens").showModal();
  } catch (error) {
    complain(new Error(`${word("nocamera")}: ${error.message}`));
  }
}

function closeCamera() {
  $("#lens video").srcObject?.getTracks().forEach((track) => track.stop());
  $("#lens video").srcObject = null;
  if ($("#lens").open) $("#lens").close();
}

async function shoot() {
  const video = $("#lens video");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  closeCamera();
  await look(new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 })], "camera.jpg", { type: "image/jpeg" }));
}

start();
