// The list of parts: the last ones as they come, or what a search found.
import { ask } from "../../page/service.js";
import { word } from "../../page/words.js";
import { $, VERDICTS, element, pill, time, tried } from "./dom.js";

const MOST = 50; // rows of the last parts
const COLUMNS = ["taken", "verdict", "part", "lot", "found", "name", "source"];
let parts = [], more = false, query = "", chosen = "", choose = () => {};

/** What the form asks for, as the query of an address; "" for everything. */
function asked() {
  const form = new FormData($("#search")), found = new URLSearchParams();
  for (const name of ["part", "lot", "label", "verdict"]) if (form.get(name)?.trim()) found.set(name, form.get(name).trim());
  for (const name of ["since", "until"]) if (form.get(name)) found.set(`${name}_ms`, new Date(form.get(name)).getTime());
  return found.toString();
}

/** Search for what the form says. */
export async function search() {
  query = asked();
  const found = await (await ask(`line/parts?${query}`)).json();
  [parts, more] = [found.parts, found.more];
  showList();
}

async function older() {
  const found = await (await ask(`line/parts?${query}${query && "&"}before_id=${parts.at(-1).number}`)).json();
  [parts, more] = [[...parts, ...found.parts], found.more];
  showList();
}

/** Add parts that have come; a search stays as it is. Rows that are there stay, with the focus that one may have. */
export function add(news) {
  if (query) return;
  const body = $("#list tbody"), most = Math.max(MOST, parts.length);
  parts = [...[...news].reverse(), ...parts].slice(0, most);
  body.prepend(...[...news].reverse().map(row));
  while (body.rows.length > parts.length) body.lastElementChild.remove();
  showNote();
}

/** The newest part of the list. */
export const latest = () => parts[0];

/** Mark the row of a part; "" for none. */
export function mark(id) {
  chosen = id;
  for (const made of $("#list tbody").rows) made.setAttribute("aria-selected", made.dataset.id === id);
}

/** Show the list in the language of now. */
export function showList() {
  $("#list thead tr").replaceChildren(...COLUMNS.map((name) => element("th", word(name))));
  $("#list tbody").replaceChildren(...parts.map(row));
  showNote();
}

function showNote() {
  $("#shown").textContent = word(query ? (parts.length ? "result" : "result-none") : parts.length ? "live" : "none-yet");
  $("#older").hidden = !more;
}

function row(part) {
  const made = element("tr", "", { tabIndex: 0 });
  made.dataset.id = part.id;
  made.setAttribute("aria-selected", part.id === chosen);
  const found = part.found.map(({ label, objects }) => `${label} × ${objects}`).join(", ");
  const cells = { taken: time(part.taken_ms), verdict: pill(part.verdict), part: part.part ?? "", lot: part.lot ?? "",
    found: found || part.reasons.join("; "), name: part.name, source: part.source };
  for (const name of COLUMNS) {
    const cell = element("td", "", { className: name === "name" || name === "found" ? "wide-cell" : "" });
    cell.append(cells[name]);
    made.append(cell);
  }
  made.addEventListener("click", () => choose(part.id));
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(part.id); });
  return made;
}

/** Fill the choices of the form in the language of now; what is chosen stays. */
export function showChoices(labels) {
  for (const [name, values, show] of [["label", labels, String], ["verdict", VERDICTS, word]]) {
    const select = $(`#search [name=${name}]`), before = select.value;
    select.replaceChildren(element("option", word("any"), { value: "" }), ...values.map((value) => element("option", show(value), { value })));
    select.value = before;
  }
}

async function save(kind) {
  const blob = await (await ask(`line/export.${kind}?${query}`)).blob();
  const link = element("a", "", { href: URL.createObjectURL(blob), download: `parts.${kind}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Let the form and the buttons act. `choosing` is called with the id of a row that is clicked. */
export function prepare(choosing) {
  choose = choosing;
  $("#search").addEventListener("submit", (event) => { event.preventDefault(); tried(search)(); });
  $("#clear").addEventListener("click", () => { $("#search").reset(); tried(search)(); });
  $("#older").addEventListener("click", tried(older));
  for (const button of document.querySelectorAll("[data-export]")) button.addEventListener("click", tried(() => save(button.dataset.export)));
}
