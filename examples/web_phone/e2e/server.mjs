// The SIP server that the phones are of: examples/sip_server, with users of its own.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";

export const domain = "phone.example.com";
const directory = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../../sip_server");

const listening = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));

const freeTcp = async () => {
  const server = createServer();
  const port = await listening(server);
  await new Promise((done) => server.close(done));
  return port;
};

export const freeUdp = () =>
  new Promise((done) => {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => done(port));
    });
  });

export const password = (name) => `secret-${name}`;

export class Server {
  #process = null;
  output = "";

  static async prepare(folder) {
    const server = new Server();
    server.web = await freeTcp();
    server.udp = await freeUdp();
    const users = join(folder, "users.txt");
    const ha1 = (name) => createHash("md5").update(`${name}:${domain}:${password(name)}`).digest("hex");
    writeFileSync(users, ["alice", "bob", "carol", "desk"].map((name) => `${name}:${domain}:${ha1(name)}\n`).join(""));
    server.config = join(folder, "config.exs");
    writeFileSync(
      server.config,
      `[domains: ["${domain}"], transports: [udp: ${server.udp}, ws: ${server.web}], users: "${users}",
        web: "${resolve(directory, "../web_phone/build")}", trace: true, check_uri: false, drain_ms: 1_000]`,
    );
    server.url = `http://127.0.0.1:${server.web}/`;
    return server;
  }

  async start() {
    this.#process = spawn("mix", ["run", "--no-halt"], {
      cwd: directory,
      env: { ...process.env, SIP_SERVER_CONFIG: this.config },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream.on("data", (data) => (this.output += data));
    for (let i = 0; i < 600; i++) {
      if (this.#process.exitCode !== null) break;
      const answer = await fetch(this.url).catch(() => null);
      if (answer && answer.ok) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the server did not start:\n${this.output}`);
  }

  // SIGTERM, as whoever runs it would.
  async stop() {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    const hard = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(hard);
  }
}
