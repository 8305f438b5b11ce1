// node jssip.js URL: registers with JsSIP, calls and hangs up, asks to be called, takes the call and is hung up, unregisters.
const { description, isDescription, fail, step } = require("./telephone");

// As much of WebRTC as JsSIP asks for.
class PeerConnection extends EventTarget {
  constructor() {
    super();
    this.iceGatheringState = "complete";
    this.iceConnectionState = "connected";
    this.signalingState = "stable";
  }

  async createOffer() {
    return description("offer");
  }

  async createAnswer() {
    return description("answer");
  }

  async setLocalDescription(local) {
    this.localDescription = local;
  }

  async setRemoteDescription(remote) {
    if (!isDescription(remote.sdp)) throw new Error("no session description");
    this.remoteDescription = remote;
  }

  getSenders() {
    return [];
  }

  getReceivers() {
    return [];
  }

  close() {
    this.signalingState = "closed";
  }
}

globalThis.RTCPeerConnection = PeerConnection;
globalThis.RTCSessionDescription = function (fields) {
  Object.assign(this, fields);
};
globalThis.window = globalThis;

const JsSIP = require("jssip");

const media = { mediaConstraints: { audio: false, video: false } };
const cause = (event) => event.cause;

(async () => {
  const agent = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(process.argv[2])],
    uri: "sip:jssip@localhost",
    session_timers: false,
  });

  await step("register", (done, failed) => {
    agent.on("registered", done);
    agent.on("registrationFailed", (event) => failed(cause(event)));
    agent.start();
  });

  await step("call", (done, failed) => {
    const session = agent.call("sip:interop@localhost", {
      ...media,
      eventHandlers: {
        failed: (event) => failed(cause(event)),
        confirmed: () => session.terminate(),
        ended: (event) => (event.originator === "local" ? done() : failed(cause(event))),
      },
    });
  });

  await step("be called", (done, failed) => {
    agent.on("newRTCSession", ({ originator, session }) => {
      if (originator !== "remote") return;
      session.on("failed", (event) => failed(cause(event)));
      session.on("ended", (event) => (event.originator === "remote" ? done() : failed(cause(event))));
      session.answer(media);
    });
    agent.sendMessage("sip:interop@localhost", "call me", {
      eventHandlers: { failed: (event) => failed(cause(event)) },
    });
  });

  await step("unregister", (done, failed) => {
    agent.on("unregistered", (event) => (event && event.cause ? failed(event.cause) : done()));
    agent.unregister();
  });
  agent.stop();
  console.log("registered, called, was called, unregistered");
  setTimeout(() => process.exit(0), 200);
})().catch(fail);
