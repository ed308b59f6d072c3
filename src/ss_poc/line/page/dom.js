// Small things that all files of the page use. Text is always set as text: names and numbers of parts are strangers'.
import { word } from "../../page/words.js";

export const VERDICTS = ["accept", "warn", "reject", "error"];
export const COLORS = { accept: "#15803d", warn: "#b45309", reject: "#d92d20", error: "#7c3aed" };
const SVG = "http://www.w3.org/2000/svg";

export const $ = (selector) => document.querySelector(selector);
export const element = (tag, text = "", values = {}) => Object.assign(document.createElement(tag), { textContent: text, ...values });

/** An SVG element. */
export function drawn(tag, values, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

export const time = (milliseconds) => new Date(milliseconds).toLocaleString("sv",
  { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const pill = (verdict) => element("span", word(verdict), { className: `pill ${VERDICTS.includes(verdict) ? verdict : ""}` });

/** The words of a key with values in their places. */
export const said = (key, values) => word(key).replace(/\{(\w+)\}/g, (_, name) => values[name]);

export function complain(error) {
  $("#error").textContent = error.message;
  $("#error").hidden = false;
}

/** Something that a person does, with its error shown on the page. */
export const tried = (work) => async (...given) => {
  try {
    $("#error").hidden = true;
    await work(...given);
  } catch (error) {
    complain(error);
  }
};
