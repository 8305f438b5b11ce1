// The page: who is signed in, and what its forms do.
import { Agent } from "./agent.js";
import { CallPanel } from "./call_panel.js";
import { createLog } from "./log.js";
import { Messages } from "./messages.js";

const id = (name) => document.getElementById(name);
const log = createLog(id("log-list"));
const messages = new Messages(id("message-list"));
const panel = new CallPanel({ log, closed: (before) => focusOr(before, id("target")) });

let agent = null;
let domain = location.hostname;

const focusOr = (element, otherwise) =>
  (element && element.isConnected && element !== document.body && !element.closest("[hidden]") ? element : otherwise).focus();

const showLine = ({ state, text }) => {
  id("line").dataset.state = state;
  if (id("line-text").textContent === text) return;
  id("line-text").textContent = text;
  log(text);
};

const showAccount = (signedIn) => {
  id("account").hidden = signedIn;
  for (const name of ["dialer", "messages", "sign-out"]) id(name).hidden = !signedIn;
};

const signOut = (problem = "") => {
  const old = agent;
  agent = null;
  if (old) old.stop();
  showAccount(false);
  if (problem) log(problem);
  showLine({ state: problem ? "failed" : "offline", text: "Not signed in" });
  id("account-problem").textContent = problem;
  id(problem ? "password" : "user").focus();
};

const signIn = (user, password) => {
  id("account-problem").textContent = "";
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`;
  const mine = new Agent({ url, domain, user, password });
  agent = mine;
  const on = (name, act) => mine.addEventListener(name, ({ detail }) => agent === mine && act(detail));
  on("line", (line) => {
    const first = !id("account").hidden;
    if (line.state === "failed" && first) return signOut(line.text);
    showLine(line);
    if (line.state === "registered" && first) {
      id("password").value = "";
      showAccount(true);
      id("target").focus();
    }
  });
  on("call", ({ call }) => {
    panel.show(call);
    // One call at a time: there is nothing to dial with until it is over.
    const dialer = () => agent === mine && (id("dialer").hidden = !call.over);
    call.addEventListener("change", dialer);
    dialer();
  });
  on("missed", ({ peer }) => log(`${peer} called meanwhile, and was told that you are busy`));
  on("message", ({ from, text }) => {
    messages.received(from, text);
    log(`Message from ${from}`);
    if (!id("message-to").value) id("message-to").value = from;
  });
  mine.start();
};

// What a form does; what it cannot do is logged.
const onSubmit = (form, act) =>
  id(form).addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      act();
    } catch (error) {
      log(`Not possible: ${error.message}`);
    }
  });

onSubmit("account-form", () => {
  if (agent) agent.stop();
  signIn(id("user").value.trim(), id("password").value);
});

onSubmit("dial-form", () => {
  if (!agent || agent.call) return log("There is a call already");
  agent.dial(id("target").value.trim(), id("with-video").checked);
});

onSubmit("message-form", () => {
  const to = id("message-to").value.trim();
  const text = id("message-text").value;
  messages.sent(to, text, agent.send(to, text));
  id("message-text").value = "";
});

id("sign-out").addEventListener("click", () => signOut());
addEventListener("pagehide", () => agent && agent.stop());

// The domain whose users sign in here, and whether this browser may see the ladder.
const setUp = async () => {
  try {
    const settings = await (await fetch("/phone.json")).json();
    domain = settings.domain;
    id("trace").hidden = !settings.trace;
  } catch {
    log("The server did not say which domain it is of");
  }
  id("domain").textContent = domain;
  if (location.hash.length > 1) id("user").value = decodeURIComponent(location.hash.slice(1));
  id(id("user").value ? "password" : "user").focus();
};

setUp();
