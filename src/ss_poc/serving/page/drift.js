// The last photographs against those of training, as bars side by side; asked for again every few seconds.
import { ask } from "./service.js";
import { changeLanguage, speak, word } from "./words.js";

const SECONDS = 5;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 150, FOOT = 18;
let report = null;

function node(tag, values, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

const shares = (counts) => counts.map((count) => count / Math.max(1, counts.reduce((a, b) => a + b, 0)));

function bars({ edges, expected, seen }) {
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT + 14}`, role: "img" });
  const [before, now] = [shares(expected), shares(seen)];
  const top = Math.max(...before, ...now, 0.01), step = WIDTH / before.length;
  before.forEach((share, index) => {
    for (const [part, value, color] of [[0, share, "#b9c6d8"], [1, now[index], "#2563eb"]]) {
      const height = (value / top) * (HEIGHT - 6);
      svg.append(node("rect", { x: index * step + 2 + part * (step / 2 - 2), y: HEIGHT - height, width: step / 2 - 3, height, fill: color }));
    }
  });
  edges.forEach((edge, index) => {
    if (edges.length < 6 || index % 2 === 0) svg.append(node("text", { x: (index + 1) * step, y: HEIGHT + 13, "font-size": 9, "text-anchor": "middle", fill: "#5b6b82" }, edge.toPrecision(2)));
  });
  svg.append(node("rect", { x: 2, y: HEIGHT + 20, width: 9, height: 9, fill: "#b9c6d8" }), node("text", { x: 15, y: HEIGHT + 28, "font-size": 10, fill: "#5b6b82" }, word("expected_bars")),
    node("rect", { x: 82, y: HEIGHT + 20, width: 9, height: 9, fill: "#2563eb" }), node("text", { x: 95, y: HEIGHT + 28, "font-size": 10, fill: "#5b6b82" }, word("seen")));
  return svg;
}

function show() {
  document.querySelector("#note").textContent = report.measures.length ? word("drift-note").replace("{n}", report.images) : word("drift-none");
  document.querySelector(".charts").replaceChildren(...report.measures.map((item) => {
    const box = Object.assign(document.createElement("section"), { className: "box" });
    const title = Object.assign(document.createElement("h2"), { textContent: word(item.measure) });
    const kind = report.images < report.least ? "few" : item.shifted ? "shifted" : "same";
    title.append(Object.assign(document.createElement("span"), { className: `pill ${kind}`, textContent: word(`drift-${kind}`) }));
    const figures = Object.assign(document.createElement("p"), { className: "note", textContent: report.images < report.least ? "" : `PSI ${item.index.toFixed(3)}` });
    box.append(title, bars(item), figures);
    return box;
  }));
}

async function refresh() {
  try {
    report = await (await ask("drift.json")).json();
    document.querySelector("#error").hidden = true;
    show();
  } catch (error) {
    Object.assign(document.querySelector("#error"), { textContent: error.message, hidden: false });
  }
  setTimeout(refresh, 1000 * SECONDS);
}

document.querySelector("#language").addEventListener("click", () => { changeLanguage(); if (report) show(); });
speak();
refresh();
