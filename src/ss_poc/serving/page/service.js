// Asking the service: addresses relative to the page, the token if one is wanted, errors in words.
import { word } from "./words.js";

let token = sessionStorage.getItem("token") || "";

function askToken() {
  const dialog = document.querySelector("#token-dialog");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      token = document.querySelector("#token").value.trim();
      sessionStorage.setItem("token", token);
      resolve();
    }, { once: true });
    dialog.showModal();
  });
}

/** The answer of the service; an Error with its words where it refuses. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: token ? { Authorization: `Bearer ${token}` } : {} });
  } catch {
    throw new Error(word("offline"));
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && document.querySelector("#token-dialog")) {
    await askToken();
    return ask(path, options);
  }
  const said = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  const lines = [said.error, said.expected && `${word("expected")}: ${said.expected}`, said.to_do && `${word("todo")}: ${said.to_do}`];
  throw new Error(lines.filter(Boolean).join("\n"));
}

/** Ask about an image file; `more` is sent beside it as json, by the names of the fields. */
export function post(path, file, more = {}) {
  const body = new FormData();
  body.append("image", file, file.name || "image.jpg");
  for (const [name, value] of Object.entries(more)) body.append(name, new Blob([JSON.stringify(value)], { type: "application/json" }), `${name}.json`);
  return ask(path, { method: "POST", body });
}

/** Ask what the model finds in an image file. */
export const predict = (file, query = "") => post(`predict${query}`, file);
