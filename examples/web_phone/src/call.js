// A call: a session of JsSIP, and its state as a word that the page knows.
//
//   preparing   calling   ringing   incoming   answering   established   held   ended   failed
//
// `held` is for either side. It dispatches "change" whenever something of it is another one.
import * as media from "./media.js";
import { reason } from "./words.js";

export class Call extends EventTarget {
  state = "preparing";
  text = "Preparing microphone and camera";
  local = null;
  remote = null;
  muted = false;
  cameraOff = false;
  since = null;
  #session = null;
  #hold = { local: false, remote: false };

  constructor({ peer, incoming, video }) {
    super();
    this.peer = peer;
    this.incoming = incoming;
    this.video = video;
  }

  get over() {
    return this.state === "ended" || this.state === "failed";
  }

  get held() {
    return this.#hold.local;
  }

  // A display name is what the caller likes to be called: `address` says who it is.
  static incoming(session, request, address) {
    const name = session.remote_identity.display_name || session.remote_identity.uri.user || session.remote_identity.uri.host;
    const call = new Call({ peer: name, incoming: true, video: /^m=video [1-9]/m.test(request.body || "") });
    const kind = call.video ? "Incoming video call" : "Incoming call";
    call.#become("incoming", address === name ? kind : `${kind} from ${address}`);
    call.#follow(session);
    return call;
  }

  // Calls; `invite` is what makes the session of a stream and the handlers.
  async place(invite) {
    if (!(await this.#open(this.video)) || this.over) return;
    this.#become("calling", "Connecting");
    invite(this.local, { peerconnection: ({ peerconnection }) => this.#listen(peerconnection) }, (session) => this.#follow(session));
  }

  async answer(video) {
    if (this.state !== "incoming") return;
    this.#become("answering", "Answering");
    if (!(await this.#open(video))) return this.#session.terminate({ status_code: 480 });
    if (this.over) return media.stop(this.local);
    this.#session.answer({ mediaStream: this.local, pcConfig: { iceServers: [] } });
  }

  // Rejects, cancels or hangs up, as the state has it.
  end() {
    if (this.over) return;
    if (!this.#session) return this.#finish("ended", "Cancelled");
    if (!this.#session.isEnded()) this.#session.terminate(this.state === "incoming" ? { status_code: 603 } : {});
  }

  toggleHold() {
    if (this.#hold.local) this.#session.unhold();
    else this.#session.hold();
  }

  toggleMute() {
    this.muted = !this.muted;
    if (this.muted) this.#session.mute({ audio: true });
    else this.#session.unmute({ audio: true });
    this.#changed();
  }

  toggleCamera() {
    this.cameraOff = !this.cameraOff;
    if (this.cameraOff) this.#session.mute({ video: true });
    else this.#session.unmute({ video: true });
    this.#changed();
  }

  async #open(video) {
    try {
      this.local = await media.open(video);
      if (this.over) media.stop(this.local);
      this.#changed();
      return true;
    } catch (error) {
      this.#finish("failed", `Failed: ${error.message}`);
      return false;
    }
  }

  #follow(session) {
    this.#session = session;
    session.on("peerconnection", ({ peerconnection }) => this.#listen(peerconnection));
    session.on("progress", ({ originator }) => originator === "remote" && this.#become("ringing", "Ringing"));
    session.on("confirmed", () => {
      this.since = this.since || Date.now();
      this.#settle();
    });
    session.on("hold", ({ originator }) => this.#holds(originator, true));
    session.on("unhold", ({ originator }) => this.#holds(originator, false));
    session.on("failed", (event) => this.#failed(event));
    session.on("ended", (event) => this.#ended(event));
  }

  #listen(connection) {
    connection.addEventListener("track", ({ track, streams }) => {
      this.remote = streams[0] || new MediaStream([...(this.remote ? this.remote.getTracks() : []), track]);
      for (const event of ["mute", "unmute", "ended"]) track.addEventListener(event, () => this.#changed());
      this.#changed();
    });
  }

  #holds(originator, on) {
    this.#hold[originator === "local" ? "local" : "remote"] = on;
    this.#settle();
  }

  #settle() {
    if (this.over || this.since === null) return;
    if (this.#hold.local) this.#become("held", "On hold");
    else if (this.#hold.remote) this.#become("held", "Put on hold by the other side");
    else this.#become("established", "In call");
  }

  #failed(event) {
    if (event.originator === "local" && event.cause === "Canceled") return this.#finish("ended", "Cancelled");
    if (event.originator === "local" && event.cause === "Rejected") return this.#finish("ended", "Rejected by you");
    if (this.incoming && event.cause === "Canceled") return this.#finish("ended", "Missed: the caller gave up");
    this.#finish("failed", `Failed: ${reason(event)}`);
  }

  #ended(event) {
    if (event.cause !== "Terminated") return this.#finish("failed", `Failed: ${reason(event)}`);
    this.#finish("ended", event.originator === "local" ? "You hung up" : "The other side hung up");
  }

  #finish(state, text) {
    media.stop(this.local);
    this.local = this.remote = null;
    this.#become(state, text);
  }

  #become(state, text) {
    if (this.over) return;
    this.state = state;
    this.text = text;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
