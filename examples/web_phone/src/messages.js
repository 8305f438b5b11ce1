// The text messages of both directions.
import { time } from "./words.js";

const maxMessages = 200;

export class Messages {
  #list;

  constructor(list) {
    this.#list = list;
  }

  received(from, text) {
    this.#add(from, text, "");
  }

  // Shows one that is being sent, and what becomes of it.
  async sent(to, text, arrived) {
    const state = this.#add(`To ${to}`, text, "mine");
    try {
      await arrived;
      state.textContent = `${time()}, delivered`;
    } catch (error) {
      state.closest("li").dataset.state = "failed";
      state.textContent = `Not delivered: ${error.message}`;
    }
    this.#toEnd();
  }

  #add(who, text, className) {
    const item = document.createElement("li");
    const name = document.createElement("b");
    const words = document.createElement("span");
    const state = document.createElement("small");
    item.className = className;
    name.textContent = who;
    words.textContent = text;
    state.textContent = className ? "sending" : time();
    item.append(name, words, state);
    this.#list.append(item);
    while (this.#list.children.length > maxMessages) this.#list.firstChild.remove();
    this.#toEnd();
    return state;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}
