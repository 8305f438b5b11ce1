// A page of the web phone in Chromium, used by what is to be seen of it: names of fields and buttons, and texts.
import { password } from "./server.mjs";

export const patience = 20_000;

// What WebRTC connections a page has is kept for their figures; the page itself knows nothing of it.
const remember = () => {
  const Native = window.RTCPeerConnection;
  window.connections = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...rest) {
      super(...rest);
      window.connections.push(this);
    }
  };
};

export class Phone {
  static async open(browser, url, name, options = {}) {
    const context = await browser.newContext({ permissions: ["microphone", "camera"], ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    const phone = new Phone();
    Object.assign(phone, { context, page, name, problems: [] });
    page.on("pageerror", (error) => phone.problems.push(String(error)));
    page.on("console", (line) => /Content Security Policy/.test(line.text()) && phone.problems.push(line.text()));
    await page.addInitScript(remember);
    await page.goto(url);
    return phone;
  }

  async signIn(secret = password(this.name)) {
    await this.page.getByLabel("Name").fill(this.name);
    await this.page.getByLabel("Password").fill(secret);
    await this.press("Sign in");
  }

  async register() {
    await this.signIn();
    await this.line(`Registered as ${this.name}`);
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  async press(name) {
    await this.button(name).click();
  }

  async line(text) {
    await this.page.locator("#line-text", { hasText: text }).waitFor();
  }

  async call(target, { video = true } = {}) {
    await this.page.getByLabel("Who").fill(target);
    await this.page.getByLabel("With video").setChecked(video);
    await this.press("Call");
  }

  // Waits until the state of the call says so.
  async state(text) {
    await this.page.locator("#call-state", { hasText: text }).waitFor().catch(async (error) => {
      const shown = await this.page.locator("#call-state").textContent();
      const log = await this.page.locator("#log-list").innerText();
      throw new Error(`${this.name}: expected "${text}", the page says "${shown}"; its log:\n${log}\n${error.message.split("\n")[0]}`);
    });
  }

  async close() {
    await this.press("Close");
    await this.page.locator("#call").waitFor({ state: "hidden" });
  }

  // Packets of RTP that have come in and gone out, of one kind, in the newest connection.
  packets(kind) {
    return this.page.evaluate(async (kind) => {
      const connection = window.connections[window.connections.length - 1];
      const figures = { in: 0, out: 0, samples: 0 };
      for (const report of (await connection.getStats()).values()) {
        if (report.kind !== kind) continue;
        if (report.type === "inbound-rtp") {
          figures.in += report.packetsReceived;
          figures.samples += kind === "audio" ? report.totalAudioEnergy : report.framesDecoded;
        }
        if (report.type === "outbound-rtp") figures.out += report.packetsSent;
      }
      return figures;
    }, kind);
  }

  // Waits until packets have come in and gone out since `before`, with something to be heard or seen in them.
  async media(kind, before = { in: 0, out: 0, samples: 0 }) {
    const end = Date.now() + patience;
    let now;
    do {
      now = await this.packets(kind);
      if (now.in > before.in + 20 && now.out > before.out + 20 && now.samples > before.samples) return now;
      await new Promise((done) => setTimeout(done, 100));
    } while (Date.now() < end);
    throw new Error(`${this.name}: ${kind} does not go both ways: ${JSON.stringify(now)}`);
  }
}
