// The log, the newest first. Everything on this page is text to the browser, whoever wrote it: textContent only.
import { time } from "./words.js";

const maxEntries = 200;

export const createLog = (list) => (text) => {
  const entry = document.createElement("li");
  const at = document.createElement("time");
  const what = document.createElement("span");
  at.textContent = time();
  what.textContent = text;
  entry.append(at, what);
  list.prepend(entry);
  while (list.children.length > maxEntries) list.lastChild.remove();
};
