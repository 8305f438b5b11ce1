// What both scripts share: a WebSocket and a session description for Node, which has no WebRTC, and steps that end in time.
const ws = require("ws");

globalThis.WebSocket = ws;

const description = (type, address = "127.0.0.1") => ({
  type,
  sdp: [
    "v=0",
    `o=- 1 1 IN IP4 ${address}`,
    "s=-",
    `c=IN IP4 ${address}`,
    "t=0 0",
    "m=audio 9 UDP/TLS/RTP/SAVPF 0",
    "a=inactive",
    "",
  ].join("\r\n"),
});

const isDescription = (text) => typeof text === "string" && /^v=0\r\n/.test(text) && /\r\nm=audio /.test(text);

const fail = (error) => {
  console.log(error && error.stack ? error.stack : error);
  process.exit(1);
};

// The promise of a step, which fails after ten seconds.
const step = (name, begin) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name}: nothing came in ten seconds`)), 10_000);
    const end = (done) => (value) => {
      clearTimeout(timer);
      done(value);
    };
    begin(
      end(resolve),
      end((cause) => reject(new Error(`${name}: ${cause}`))),
    );
  });

process.on("unhandledRejection", fail);
process.on("uncaughtException", fail);

module.exports = { description, isDescription, fail, step };
