// node run.mjs CHROMIUM: runs the cases, a line each; a name, or a part of one, in ONLY runs those.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { calls } from "./calls.mjs";
import { Phone } from "./phone.mjs";
import { Server } from "./server.mjs";
import { signalling } from "./signalling.mjs";

const flags = [
  "--no-sandbox",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // The address of this machine in ICE candidates, and not a name that multicast DNS would have to resolve.
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

const folder = mkdtempSync(join(tmpdir(), "web_phone_"));
const server = await Server.prepare(folder);
let browser = null;
let failed = 0;

try {
  await server.start();
  browser = await chromium.launch({ executablePath: process.argv[2], args: flags });
  const alice = await Phone.open(browser, server.url, "alice");
  const bob = await Phone.open(browser, server.url, "bob");
  await Promise.all([alice.register(), bob.register()]);
  const cases = [...calls, ...signalling].filter(([name]) => name.includes(process.env.ONLY || ""));
  for (const [name, run] of cases) {
    const began = Date.now();
    try {
      const skipped = await run({ alice, bob, browser, server, folder });
      console.log(`${skipped ? "skipped" : "ok"}      ${name}${skipped ? `: ${skipped}` : ""} (${Date.now() - began} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAILED  ${name}\n${error.stack}`);
      // What a failed case has left would fail the next ones.
      for (const phone of [alice, bob]) await phone.page.reload().then(() => phone.register()).catch(() => {});
    }
  }
  for (const { name, problems } of [alice, bob]) {
    if (problems.length) failed++;
    for (const problem of problems) console.log(`FAILED  the page of ${name}: ${problem}`);
  }
} catch (error) {
  failed++;
  console.log(error.stack);
} finally {
  if (failed) console.log(`the server:\n${server.output.slice(-4000)}`);
  if (browser) await browser.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
