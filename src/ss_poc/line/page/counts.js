// Today's counts by verdict and by class, and the last 24 hours.
import { ask } from "../../page/service.js";
import { word } from "../../page/words.js";
import { $, COLORS, VERDICTS, drawn, element } from "./dom.js";

const HOUR = 3600000, HOURS = 24;
const WIDTH = 560, HEIGHT = 120, FOOT = 18;
let day = null, hours = null;

/** Ask for the counts, and show them. */
export async function count() {
  const midnight = new Date().setHours(0, 0, 0, 0), first = Math.floor(Date.now() / HOUR) * HOUR - (HOURS - 1) * HOUR;
  const [today, last] = await Promise.all([midnight, first].map(async (since) => (await ask(`line/counts?since_ms=${since}`)).json()));
  [day, hours] = [today, { first, found: last.hours }];
  showCounts();
}

/** Show the counts that were asked for last, in the language of now. */
export function showCounts() {
  if (!day) return;
  const total = VERDICTS.reduce((sum, verdict) => sum + day.verdicts[verdict], 0);
  $("#tiles").replaceChildren(tile("today", total, ""), ...VERDICTS.map((verdict) =>
    tile(verdict, day.verdicts[verdict], total ? ` · ${((100 * day.verdicts[verdict]) / total).toFixed(1)} %` : "")));
  const labels = Object.entries(day.labels), most = Math.max(1, ...labels.map(([, number]) => number));
  $("#classes").replaceChildren(...(labels.length ? labels.map(([label, number]) => bar(label, number, most)) : [element("p", word("no-class"), { className: "note" })]));
  $("#trend").replaceChildren(hours.found.length ? trend() : element("p", word("no-hour"), { className: "note" }));
}

function tile(key, number, extra) {
  const made = element("div", "", { className: `tile ${key}` });
  made.dataset.verdict = key;
  made.append(element("b", number.toLocaleString()), element("span", word(key) + extra));
  return made;
}

function bar(label, number, most) {
  const row = element("div", "", { className: "bar" });
  const svg = drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(drawn("rect", { width: (100 * number) / most, height: 10, fill: "#2563eb" }));
  row.append(element("span", label), svg, element("span", number.toLocaleString()));
  return row;
}

function trend() {
  const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT + 12}`, role: "img", "aria-label": word("by-hour") });
  const top = Math.max(1, ...hours.found.map((hour) => hour.parts)), step = WIDTH / HOURS;
  svg.append(drawn("line", { x1: 0, x2: WIDTH, y1: HEIGHT + 12, y2: HEIGHT + 12, stroke: "#dde4ee" }),
    drawn("text", { x: 0, y: 10, "font-size": 12, fill: "#5b6b82" }, top.toLocaleString()));
  for (const hour of hours.found) {
    const index = (hour.from_ms - hours.first) / HOUR;
    if (index < 0 || index >= HOURS) continue; // a clock that was set
    const group = drawn("g", {});
    group.append(drawn("title", {}, `${clock(hour.from_ms)}: ${VERDICTS.filter((verdict) => hour[verdict]).map((verdict) => `${word(verdict)} ${hour[verdict]}`).join(", ")}`));
    let y = HEIGHT + 12;
    for (const verdict of VERDICTS) {
      const height = (hour[verdict] / top) * HEIGHT;
      y -= height;
      group.append(drawn("rect", { x: index * step + 2, y, width: step - 4, height, fill: COLORS[verdict] }));
    }
    svg.append(group);
  }
  for (let index = 0; index < HOURS; index += 6) svg.append(drawn("text", { x: index * step, y: HEIGHT + 26, "font-size": 12, fill: "#5b6b82" }, clock(hours.first + index * HOUR)));
  return svg;
}

const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
