// The user agent of one account: its registration, its call, its messages. Events:
//
//   line      detail { state, text }: offline, connecting, registered, failed
//   call      detail { call }
//   message   detail { from, text }
//   missed    detail { peer }: a second caller, who was told that we are busy
import JsSIP from "jssip";
import { Call } from "./call.js";
import { reason } from "./words.js";

export class Agent extends EventTarget {
  call = null;
  #ua;
  #domain;
  #wanted = true;

  constructor({ url, domain, user, password }) {
    super();
    this.#domain = domain;
    this.user = user;
    this.#ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)],
      uri: new JsSIP.URI("sip", user, domain).toString(),
      authorization_user: user,
      password,
      session_timers: false,
      connection_recovery_min_interval: 1,
      connection_recovery_max_interval: 8,
    });
    this.#ua.on("connecting", () => this.#line("connecting", "Connecting"));
    this.#ua.on("connected", () => this.#line("connecting", "Registering"));
    this.#ua.on("disconnected", () => this.#wanted && this.#line("connecting", "Connection lost, trying again"));
    this.#ua.on("registered", () => this.#line("registered", `Registered as ${user}`));
    this.#ua.on("registrationFailed", (event) => this.#refused(event));
    this.#ua.on("newRTCSession", (event) => event.originator === "remote" && this.#receive(event));
    this.#ua.on("newMessage", (event) => event.originator === "remote" && this.#read(event));
  }

  start() {
    this.#ua.start();
  }

  stop() {
    this.#wanted = false;
    if (this.call) this.call.end();
    this.#ua.stop();
    this.#line("offline", "Not signed in");
  }

  dial(target, video) {
    const uri = this.#uri(target);
    const call = this.#take(new Call({ peer: this.#short(uri), incoming: false, video }));
    call.place((mediaStream, eventHandlers, follow) => {
      const session = this.#ua.call(uri.toString(), { mediaStream, eventHandlers, pcConfig: { iceServers: [] } });
      follow(session);
    });
  }

  // The promise of a message that has arrived.
  send(target, text) {
    return new Promise((resolve, reject) => {
      const failed = (event) => reject(new Error(reason({ ...event, message: event.response })));
      this.#ua.sendMessage(this.#uri(target).toString(), text, {
        contentType: "text/plain",
        eventHandlers: { succeeded: resolve, failed },
      });
    });
  }

  // `bob` is a user of our domain.
  #uri(target) {
    const text = target.includes("@") ? target : `${encodeURIComponent(target)}@${this.#domain}`;
    const uri = JsSIP.URI.parse(/^sips?:/i.test(text) ? text : `sip:${text}`);
    if (!uri) throw new Error(`${target} is not an address`);
    return uri;
  }

  #short(uri) {
    return uri.host === this.#domain ? uri.user : `${uri.user || ""}@${uri.host}`;
  }

  #take(call) {
    this.call = call;
    call.addEventListener("change", () => call.over && this.call === call && (this.call = null));
    this.dispatchEvent(new CustomEvent("call", { detail: { call } }));
    return call;
  }

  #receive({ session, request }) {
    if (this.call) {
      session.terminate({ status_code: 486 });
      const peer = session.remote_identity.uri.user || session.remote_identity.uri.host;
      return this.dispatchEvent(new CustomEvent("missed", { detail: { peer } }));
    }
    this.#take(Call.incoming(session, request, this.#short(session.remote_identity.uri)));
  }

  #read({ message, request }) {
    const uri = message.remote_identity.uri;
    this.dispatchEvent(new CustomEvent("message", { detail: { from: this.#short(uri), text: request.body || "" } }));
  }

  #refused(event) {
    if (!this.#wanted) return;
    // JsSIP tries again by itself once there is a connection.
    if (event.cause === "Connection Error") return;
    this.#line("failed", `Not registered: ${reason(event)}`);
  }

  #line(state, text) {
    this.dispatchEvent(new CustomEvent("line", { detail: { state, text } }));
  }
}
