
"use strict";
const list = document.getElementById("calls");
const ladder = document.getElementById("ladder");
const state = document.getElementById("state");
const heading = document.getElementById("chosen");
const base = location.pathname.replace(/\/$/, "");
let chosen = location.hash.slice(1);
let newest = "";
let seen = "";

async function get(path) {
  const response = await fetch(base + path, { cache: "no-store" });
  if (!response.ok) throw new Error(response.status === 503 ? "The trace has ended." : "Status " + response.status + ".");
  return response;
}

function entry(id, title, details) {
  let button = list.querySelector('button[data-id="' + id + '"]');
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.dataset.id = id;
    button.append(document.createElement("strong"), document.createElement("span"));
    button.addEventListener("click", () => choose(id));
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
  button.children[0].textContent = title;
  button.children[1].textContent = details;
  return button.parentElement;
}

// Entries stay the elements that they are, so that the focus does.
function show(calls) {
  const call = calls.find((call) => call.first.startsWith("INVITE ")) || calls[0];
  newest = call ? call.id : "";
  const items = [
    entry("", "The newest call", call ? call.title : "none yet"),
    entry("*", "All messages", "of all calls"),
  ];
  for (const call of calls) {
    const time = new Date(call.begun).toLocaleTimeString();
    const count = call.messages + (call.messages === 1 ? " message, " : " messages, ");
    items.push(entry(call.id, call.title, time + ", " + count + "last: " + call.last));
  }
  for (const item of [...list.children]) if (!items.includes(item)) item.remove();
  items.forEach((item, place) => { if (list.children[place] !== item) list.insertBefore(item, list.children[place]); });
  mark();
}

function mark() {
  for (const button of list.querySelectorAll("button")) {
    const here = button.dataset.id === chosen;
    button.setAttribute("aria-pressed", here);
    const [title, details] = [...button.children].map((child) => child.textContent);
    if (here) heading.textContent = chosen === "" ? title + ": " + details : title;
  }
}

async function choose(id) {
  chosen = id;
  history.replaceState(null, "", id ? "#" + id : base || "/");
  mark();
  await draw().catch(fail);
}

async function draw() {
  const of = chosen;
  const id = of === "" ? newest : of;
  const text = await (await get("/ladder" + (id && id !== "*" ? "?call=" + id : ""))).text();
  if (of !== chosen) return;
  const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  ladder.replaceChildren(document.importNode(svg, true));
}

function fail(error) {
  state.textContent = error instanceof TypeError ? "The server does not answer." : error.message;
  seen = "";
}

async function refresh() {
  try {
    const now = await (await get("/calls")).json();
    const version = now.captured + " " + now.missed;
    if (version !== seen) {
      show(now.calls);
      await draw();
      state.textContent = now.captured + " messages" + (now.missed ? ", " + now.missed + " missed" : "");
      seen = version;
    }
  } catch (error) {
    fail(error);
  }
  setTimeout(refresh, 1000);
}

if (!/^(\*|[A-Za-z0-9_-]*)$/.test(chosen)) chosen = "";
refresh();
