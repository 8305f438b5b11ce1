// The panel of the call: what it shows and which buttons it has in each state.
import { clock } from "./words.js";

const id = (name) => document.getElementById(name);

// Which buttons there are, and first the one that has the focus when the state is new.
const buttons = {
  preparing: ["cancel"],
  calling: ["cancel"],
  ringing: ["cancel"],
  incoming: ["answer", "answer-video", "reject"],
  answering: ["hang-up"],
  established: ["mute", "camera", "hold", "hang-up"],
  held: ["hold", "hang-up"],
  ended: ["dismiss"],
  failed: ["dismiss"],
};

export class CallPanel {
  #call = null;
  #panel = id("call");
  #shown = null;
  #before = null;
  #timer = null;

  // `log` is told of each state, `closed` that the panel is gone.
  constructor({ log, closed }) {
    this.log = log;
    this.closed = closed;
    const on = (name, act) => id(name).addEventListener("click", () => this.#call && act(this.#call));
    on("answer", (call) => call.answer(false));
    on("answer-video", (call) => call.answer(true));
    for (const name of ["reject", "cancel", "hang-up"]) on(name, (call) => call.end());
    on("mute", (call) => call.toggleMute());
    on("camera", (call) => call.toggleCamera());
    on("hold", (call) => call.toggleHold());
    on("dismiss", () => this.hide());
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape());
  }

  show(call) {
    this.#call = call;
    this.#shown = null;
    this.#before = document.activeElement;
    this.#panel.hidden = false;
    id("call-peer").textContent = call.peer;
    id("avatar").textContent = [...call.peer][0] || "?";
    call.addEventListener("change", () => this.#call === call && this.#render());
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), 1000);
    this.#render();
  }

  hide() {
    if (this.#call && !this.#call.over) return;
    clearInterval(this.#timer);
    this.#call = null;
    this.#panel.hidden = true;
    this.closed(this.#before);
  }

  // Escape closes what is over; it never ends a call.
  #escape() {
    if (this.#call && this.#call.over) this.hide();
  }

  #render() {
    const call = this.#call;
    const focused = document.activeElement;
    const within = this.#panel.contains(focused);
    this.#panel.dataset.state = call.state;
    this.#say(id("call-state"), call.text);
    this.#media(call);

    const wanted = buttons[call.state].filter((name) => this.#useful(name, call));
    for (const button of this.#panel.querySelectorAll(".actions button")) button.hidden = !wanted.includes(button.id);
    this.#press("hold", call.held, "Resume", "Hold");
    this.#press("mute", call.muted, "Unmute", "Mute");
    this.#press("camera", call.cameraOff, "Camera on", "Camera off");

    if (this.#shown !== call.text) {
      this.log(`${call.peer}: ${call.text}`);
      const first = this.#shown === null;
      this.#shown = call.text;
      // A call that comes, and one that this panel was used for, have the focus; nobody is taken away from a message.
      if (first || (within && !wanted.includes(focused.id))) this.#focus(wanted);
    }
    document.title = call.over ? "Web phone" : `${call.text}: ${call.peer}`;
    this.#tick();
  }

  #useful(name, call) {
    if (name === "answer-video") return call.video;
    if (name === "camera") return Boolean(call.local && call.local.getVideoTracks().length);
    return name !== "hold" || call.state !== "held" || call.held;
  }

  #focus(wanted) {
    const button = id(wanted[0]);
    if (button) button.focus();
  }

  // The name says what the button does next: that it is pressed would say the opposite.
  #press(name, pressed, on, off) {
    id(name).toggleAttribute("data-on", pressed);
    id(name).textContent = pressed ? on : off;
  }

  #media(call) {
    const screen = id("screen");
    const shows = (stream) => Boolean(stream && stream.getVideoTracks().some((track) => !track.muted && track.readyState === "live"));
    this.#source(id("remote"), call.remote);
    this.#source(id("own"), call.local);
    screen.toggleAttribute("data-remote-video", call.state === "established" && shows(call.remote));
    screen.toggleAttribute("data-own-video", shows(call.local) && !call.cameraOff && call.state !== "held");
  }

  #source(element, stream) {
    if (element.srcObject !== stream) element.srcObject = stream;
  }

  // A region that is live is read out each time that it is written.
  #say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  #tick() {
    const call = this.#call;
    const since = call && !call.over && call.since;
    id("call-clock").textContent = since ? clock(Math.floor((Date.now() - since) / 1000)) : "";
  }
}
