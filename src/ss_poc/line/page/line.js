// The line's page: what comes is shown as it comes; a part may be chosen, searched for, and sent to labelling.
import { ask } from "../../page/service.js";
import { changeLanguage, speak, word } from "../../page/words.js";
import "./words.js";
import { count, showCounts } from "./counts.js";
import { $, complain, said, tried } from "./dom.js";
import { add, latest, mark, prepare, search, showChoices, showList } from "./list.js";
import { look, send, showPart, shownId } from "./part.js";

const STATUS_EVERY = 5000, COUNT_EVERY = 3000, LOOK_EVERY = 500, AGAIN = 2000; // milliseconds
const state = { info: null, chosen: null, status: null, gone: false, last: 0, latest: null };

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function showAll() {
  speak();
  if (state.info) {
    document.title = $("#name").textContent = state.info.line;
    showChoices(state.info.labels);
  }
  showTitle();
  showStatus();
  showCounts();
  showPart();
  showList();
}

function showTitle() {
  $("#title").textContent = word(state.chosen ? "chosen" : "the-newest");
  $("#newest").hidden = !state.chosen;
}

function showStatus() {
  const { status } = state;
  const lines = [];
  if (state.gone) lines.push(word("gone"));
  else if (status?.line) {
    if (status.service) lines.push(said("service-trouble", { text: status.service }));
    if (status.archive) lines.push(said("archive-trouble", { text: status.archive }));
    for (const { name, trouble } of status.sources) if (trouble) lines.push(said("source-trouble", { name, text: trouble }));
    for (const { name, trouble, waiting } of status.sinks) if (trouble) lines.push(said("sink-trouble", { name, text: trouble, waiting }));
    for (const text of status.alarms) lines.push(said("alarm", { text }));
  }
  $("#state").className = lines.length ? "trouble" : "";
  $("#state").textContent = lines.join("\n") || (status?.line ? word("well") : "");
}

async function choose(id) {
  state.chosen = id;
  showTitle();
  mark(id);
  await look(id);
}

/** Show the newest part, as long as no other one is chosen; not each one where they come very fast. */
async function follow() {
  for (;;) {
    if (!state.chosen && state.latest && state.latest !== shownId()) {
      await look(state.latest).catch(() => { state.latest = null; }); // it is gone, or the line is, which is said
    }
    await pause(LOOK_EVERY);
  }
}

async function watchStatus() {
  for (;;) {
    try {
      state.status = await (await ask("line/status")).json();
    } catch { /* the stream of news says that the line is gone */ }
    showStatus();
    await pause(STATUS_EVERY);
  }
}

/** Read what the line tells, part by part; where it breaks off, ask again for what came since. */
async function listen() {
  for (;;) {
    try {
      const stream = (await ask(`line/events?after_id=${state.last}`)).body.pipeThrough(new TextDecoderStream()).getReader();
      state.gone = false;
      showStatus();
      let text = "";
      for (let { value, done } = await stream.read(); !done; { value, done } = await stream.read()) {
        const pieces = (text + value).split("\n\n");
        text = pieces.pop();
        for (const piece of pieces) if (piece.startsWith("data: ")) news(JSON.parse(piece.slice(6)));
      }
    } catch { /* below */ }
    state.gone = true;
    showStatus();
    await pause(AGAIN);
  }
}

let counting = null;

function news(parts) {
  state.last = parts.at(-1).number;
  state.latest = parts.at(-1).id;
  add(parts);
  const unknown = parts.flatMap((part) => part.found.map(({ label }) => label)).filter((label) => !state.info.labels.includes(label));
  if (unknown.length) showChoices(state.info.labels = [...new Set([...state.info.labels, ...unknown])].sort());
  counting ??= setTimeout(() => { counting = null; count().catch(() => {}); }, COUNT_EVERY);
}

async function start() {
  showAll();
  $("#language").addEventListener("click", () => { changeLanguage(); showAll(); });
  $("#newest").addEventListener("click", () => { state.chosen = null; showTitle(); mark(""); });
  $("#show-outlines").addEventListener("change", showPart);
  $("#wrong").addEventListener("click", tried(send));
  prepare(tried(choose));
  state.info = await (await ask("line/info")).json(); // alone: the token is asked for once
  await Promise.all([search(), count()]);
  [state.last, state.latest] = [latest()?.number ?? 0, latest()?.id];
  showAll();
  for (const forever of [follow, watchStatus, listen]) forever();
  setInterval(() => count().catch(() => {}), 60000); // midnight passes, hours go by
}

start().catch(complain);
