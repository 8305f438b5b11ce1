// A page and a user agent of UDP: SIPp, which has no media, so that what is tested is SIP: each offer and answer is one that a
// browser takes, and no ICE check is ever answered.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { domain, freeUdp, password } from "./server.mjs";

const has = spawnSync("sipp", ["-v"]).error === undefined;
const fingerprint = Array.from({ length: 32 }, (_, i) => (i + 16).toString(16).toUpperCase()).join(":");

const sdp = (setup) => `
      v=0
      o=- 1 1 IN IP4 127.0.0.1
      s=-
      t=0 0
      m=audio 9 UDP/TLS/RTP/SAVPF 111
      c=IN IP4 127.0.0.1
      a=mid:0
      a=rtcp-mux
      a=ice-ufrag:sipp
      a=ice-pwd:012345678901234567890123
      a=fingerprint:sha-256 ${fingerprint}
      a=setup:${setup}
      a=rtpmap:111 opus/48000/2
      a=sendrecv
`;

const send = (text, attributes = "") => `<send ${attributes}><![CDATA[\n${text}\n]]></send>`;
const recv = (what, attributes = "") => `<recv ${/^\d/.test(what) ? "response" : "request"}="${what}" ${attributes}/>`;
const scenario = (...steps) => `<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="web phone">\n${steps.join("\n")}\n</scenario>\n`;
const provisional = recv("100", 'optional="true"');

// A request of SIPp as a client. A CANCEL has the branch of its INVITE, four steps before it (RFC 3261 §9.1).
const request = (method, { cseq = 1, from = "sip:sipp@elsewhere.example.org", to = "sip:alice@" + domain, uri = to, lines = "", tag = "", body = "" } = {}) => `
      ${method} ${uri} SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch${method === "CANCEL" ? "-4" : ""}]
      From: <${from}>;tag=[pid]w[call_number]
      To: <${to}>${tag}
      Call-ID: [call_id]
      CSeq: ${cseq} ${method}
      Contact: <sip:sipp@[local_ip]:[local_port]>
      Max-Forwards: 70
      ${lines ? lines + "\n      " : ""}${body ? "Content-Type: application/sdp\n      " : ""}Content-Length: [len]
${body}`;

const inDialog = (method, cseq) =>
  request(method, { cseq, uri: "[next_url]", tag: "[peer_tag_param]", lines: "[routes]" });

const response = (status, body = "") => `
      SIP/2.0 ${status}
      [last_Via:]
      [last_Record-Route:]
      [last_From:]
      [last_To:];tag=[pid]d[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:desk@[local_ip]:[local_port]>
      ${body ? "Content-Type: application/sdp\n      " : ""}Content-Length: [len]
${body}`;

// What SIPp makes of a final response that it has to acknowledge hop by hop (RFC 3261 §17.1.1.3).
const ackFailure = send(`
      ACK sip:alice@${domain} SIP/2.0
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0
`);

const scenarios = {
  register: scenario(
    send(registerText(1, ""), 'retrans="500"'),
    provisional,
    recv("401", 'auth="true"'),
    send(registerText(2, `[authentication username=desk password=${password("desk")}]`), 'retrans="500"'),
    provisional,
    recv("200"),
  ),
  callPage: scenario(
    send(request("INVITE", { body: sdp("actpass") }), 'retrans="500"'),
    provisional,
    recv("180", 'optional="true"'),
    recv("200", 'rrs="true"'),
    send(inDialog("ACK", 1)),
    `<pause milliseconds="500"/>`,
    send(inDialog("BYE", 2), 'retrans="500"'),
    recv("200"),
  ),
  rejected: scenario(
    send(request("INVITE", { body: sdp("actpass") }), 'retrans="500"'),
    provisional,
    recv("180", 'optional="true"'),
    recv("603"),
    ackFailure,
  ),
  cancelPage: scenario(
    send(request("INVITE", { body: sdp("actpass") }), 'retrans="500"'),
    provisional,
    recv("180"),
    `<pause milliseconds="500"/>`,
    send(request("CANCEL"), 'retrans="500"'),
    recv("200"),
    recv("487"),
    ackFailure,
  ),
  answerPage: scenario(
    recv("INVITE"),
    send(response("180 Ringing")),
    `<pause milliseconds="300"/>`,
    send(response("200 OK", sdp("active")), 'retrans="500"'),
    recv("ACK"),
    recv("BYE"),
    send(byeOk()),
  ),
  cancelledByPage: scenario(
    recv("INVITE"),
    send(response("180 Ringing")),
    recv("CANCEL"),
    send(byeOk(";tag=[pid]d[call_number]")),
    send(cancelled(), 'retrans="500"'),
    recv("ACK"),
  ),
  busyToPage: scenario(recv("INVITE"), send(response("486 Busy Here"), 'retrans="500"'), recv("ACK")),
};

function registerText(cseq, lines) {
  const user = `sip:desk@${domain}`;
  return request("REGISTER", { cseq, from: user, to: user, uri: `sip:${domain}`, lines });
}

// To a BYE the tag is there already, to a CANCEL not.
function byeOk(tag = "") {
  return `
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]${tag}
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0
`;
}

// The 487 is to the INVITE, whose branch the CANCEL has, too (RFC 3261 §9.1).
function cancelled() {
  return `
      SIP/2.0 487 Request Terminated
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]d[call_number]
      [last_Call-ID:]
      CSeq: [last_cseq_number] INVITE
      Content-Length: 0
`;
}

// Starts SIPp with a scenario; `done` is the promise of its end as it should be.
const sipp = (name, { server, folder }, port) => {
  const file = join(folder, `${name}.xml`);
  writeFileSync(file, scenarios[name].replace(/^ +/gm, ""));
  const errors = join(folder, `${name}.err`);
  const child = spawn(
    "sipp",
    ["-nostdin", "-m", "1", "-i", "127.0.0.1", "-bind_local", "-p", String(port), "-sf", file, "-timeout", "30s", "-timeout_error",
     "-trace_err", "-error_file", errors, `127.0.0.1:${server.udp}`],
    { cwd: folder, env: { ...process.env, TERM: "xterm" }, stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const done = new Promise((resolve, reject) =>
    child.once("exit", (status) =>
      status === 0 ? resolve() : reject(new Error(`SIPp, ${name}: status ${status}\n${output.slice(-1500)}\n${read(errors)}`)),
    ),
  );
  // Who waits for it later hears of it then.
  done.catch(() => {});
  return { done };
};

const read = (file) => {
  try {
    return readFileSync(file, "utf8").slice(0, 2000);
  } catch {
    return "";
  }
};

const to = (name, run) => [name, async (context) => (has ? run(context) : "SIPp is missing")];

// The desk phone registers at the port where SIPp waits for the call afterwards, always the same one: a call would be forked to
// the ports that it has left.
let port = null;
const desk = async (name, context) => {
  port = port ?? (await freeUdp());
  await sipp("register", context, port).done;
  return sipp(name, context, port);
};

export const signalling = [
  to("from UDP to a page: it is answered, and the caller hangs up", async (context) => {
    const { alice } = context;
    const { done } = sipp("callPage", context, await freeUdp());
    await alice.state("Incoming call from sipp@elsewhere.example.org");
    assert.equal(await alice.page.locator("#call-peer").textContent(), "sipp");
    await alice.press("Answer");
    await alice.state("The other side hung up");
    await done;
    await alice.close();
  }),
  to("from UDP to a page that rejects", async (context) => {
    const { alice } = context;
    const { done } = sipp("rejected", context, await freeUdp());
    await alice.state("Incoming call");
    await alice.press("Reject");
    await done;
    await alice.close();
  }),
  to("from UDP to a page, and cancelled", async (context) => {
    const { alice } = context;
    const { done } = sipp("cancelPage", context, await freeUdp());
    await alice.state("Missed: the caller gave up");
    await done;
    await alice.close();
  }),
  to("from a page to UDP: it is answered, and the page hangs up", async (context) => {
    const { alice } = context;
    const { done } = await desk("answerPage", context);
    await alice.call("desk", { video: false });
    await alice.state("In call");
    await alice.press("Hang up");
    await alice.state("You hung up");
    await done;
    await alice.close();
  }),
  to("from a page to UDP, and cancelled", async (context) => {
    const { alice } = context;
    const { done } = await desk("cancelledByPage", context);
    await alice.call("desk", { video: false });
    await alice.state("Ringing");
    await alice.press("Cancel");
    await alice.state("Cancelled");
    await done;
    await alice.close();
  }),
  to("from a page to UDP, which is busy", async (context) => {
    const { alice } = context;
    const { done } = await desk("busyToPage", context);
    await alice.call("desk", { video: false });
    await alice.state("Failed: busy (486)");
    await done;
    await alice.close();
  }),
];
