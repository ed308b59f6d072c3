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

/** Ask about an image file. */
export function predict(file, query = "") {
  const form = new FormData();
  form.append("image", file, file.name || "image.jpg");
  return ask(`predict${query}`, { method: "POST", body: form });
}
