// Two browsers: what one does, the other has to see.
import assert from "node:assert/strict";
import { Phone } from "./phone.mjs";
import { domain } from "./server.mjs";

const establish = async ({ alice, bob }, options) => {
  await alice.call("bob", options);
  await bob.state(options?.video === false ? "Incoming call" : "Incoming video call");
  await alice.state("Ringing");
  await bob.press(options?.video === false ? "Answer" : "Answer with video");
  await Promise.all([alice.state("In call"), bob.state("In call")]);
};

const closeBoth = ({ alice, bob }) => Promise.all([alice.close(), bob.close()]);

export const calls = [
  [
    "a wrong password is told, and the right one registers",
    async ({ browser, server }) => {
      const phone = await Phone.open(browser, server.url, "carol");
      await phone.signIn("wrong");
      await phone.page.getByRole("alert").filter({ hasText: "the name or the password is wrong" }).waitFor();
      await phone.register();
      assert.deepEqual(phone.problems, []);
      await phone.context.close();
    },
  ],
  [
    "a video call: each hears and sees the other, and the caller hangs up",
    async (phones) => {
      await establish(phones);
      for (const kind of ["audio", "video"]) await Promise.all([phones.alice.media(kind), phones.bob.media(kind)]);
      await phones.alice.page.locator("#remote").waitFor();
      await phones.alice.press("Hang up");
      await Promise.all([phones.alice.state("You hung up"), phones.bob.state("The other side hung up")]);
      await closeBoth(phones);
    },
  ],
  [
    "a call without video: heard both ways, and the called one hangs up",
    async (phones) => {
      await establish(phones, { video: false });
      await Promise.all([phones.alice.media("audio"), phones.bob.media("audio")]);
      assert.equal((await phones.alice.packets("video")).in, 0);
      await phones.bob.press("Hang up");
      await Promise.all([phones.bob.state("You hung up"), phones.alice.state("The other side hung up")]);
      await closeBoth(phones);
    },
  ],
  [
    "a call on hold is told on both sides, has no sound for who holds it, and goes on",
    async (phones) => {
      const { alice, bob } = phones;
      await establish(phones, { video: false });
      await Promise.all([alice.media("audio"), bob.media("audio")]);
      await alice.press("Hold");
      await Promise.all([alice.state("On hold"), bob.state("Put on hold by the other side")]);
      // Who holds sends silence, and gets nothing, once what was under way has come: five looks in a row without a packet.
      let [last, now] = [await alice.packets("audio"), null];
      let heard = await bob.packets("audio");
      for (let quiet = 0, i = 0; quiet < 5; i++, last = now) {
        assert.ok(i < 100, "the one on hold is still heard");
        await new Promise((done) => setTimeout(done, 100));
        [now, heard] = [await alice.packets("audio"), await bob.packets("audio")];
        quiet = now.in === last.in ? quiet + 1 : 0;
      }
      await alice.press("Resume");
      await Promise.all([alice.state("In call"), bob.state("In call")]);
      await Promise.all([alice.media("audio", now), bob.media("audio", heard)]);
      await alice.press("Hang up");
      await bob.state("The other side hung up");
      await closeBoth(phones);
    },
  ],
  [
    "a call that is rejected",
    async (phones) => {
      await phones.alice.call("bob");
      await phones.bob.state("Incoming video call");
      await phones.bob.press("Reject");
      await Promise.all([phones.alice.state("Failed: rejected (603)"), phones.bob.state("Rejected by you")]);
      await closeBoth(phones);
    },
  ],
  [
    "a call that is cancelled",
    async (phones) => {
      await phones.alice.call("bob");
      await phones.bob.state("Incoming video call");
      await phones.alice.state("Ringing");
      await phones.alice.press("Cancel");
      await Promise.all([phones.alice.state("Cancelled"), phones.bob.state("Missed: the caller gave up")]);
      await closeBoth(phones);
    },
  ],
  [
    "a third one hears that the called one is busy, and their call goes on",
    async (phones) => {
      const carol = await Phone.open(phones.browser, phones.server.url, "carol");
      await carol.register();
      await establish(phones, { video: false });
      await carol.call("bob");
      await carol.state("Failed: busy (486)");
      await phones.bob.state("In call");
      await phones.bob.page.getByText("carol called meanwhile").waitFor();
      await phones.bob.media("audio");
      await phones.alice.press("Hang up");
      await phones.bob.state("The other side hung up");
      await closeBoth(phones);
      await carol.context.close();
    },
  ],
  [
    "who is not there, or not known, is told as such",
    async ({ alice }) => {
      await alice.call("desk");
      await alice.state("Failed: not reachable (480)");
      await alice.close();
      await alice.call("nobody");
      await alice.state("Failed: nobody of that name is known (404)");
      await alice.close();
    },
  ],
  [
    "text messages, which are text whatever is in them",
    async ({ alice, bob }) => {
      const text = `<img src=x onerror="document.title='taken'"> & ünïcode`;
      await alice.page.getByLabel("To").fill(`bob@${domain}`);
      await alice.page.getByLabel("Text").fill(text);
      await alice.press("Send");
      await bob.page.locator("#message-list li span").filter({ hasText: text }).waitFor();
      await alice.page.locator("#message-list li.mine small", { hasText: "delivered" }).waitFor();
      assert.equal(await bob.page.locator("#message-list img").count(), 0);
      await alice.page.getByLabel("To").fill("desk");
      await alice.page.getByLabel("Text").fill("anybody there?");
      await alice.press("Send");
      await alice.page.locator("#message-list small", { hasText: "Not delivered: not reachable" }).waitFor();
    },
  ],
  [
    "a call with the keyboard alone: the focus goes where it is needed",
    async ({ alice, bob }) => {
      const focused = (phone, name) =>
        phone.page.waitForFunction((name) => document.activeElement.textContent.trim() === name, name);
      await bob.page.bringToFront();
      await alice.page.getByLabel("Who").fill("bob");
      await alice.page.keyboard.press("Enter");
      await focused(alice, "Cancel");
      await focused(bob, "Answer");
      await bob.page.keyboard.press("Enter");
      await Promise.all([alice.state("In call"), bob.state("In call")]);
      await bob.button("Hang up").focus();
      await bob.page.keyboard.press("Enter");
      await bob.state("You hung up");
      await focused(bob, "Close");
      await bob.page.keyboard.press("Escape");
      await bob.page.locator("#call").waitFor({ state: "hidden" });
      await alice.state("The other side hung up");
      await alice.close();
    },
  ],
  [
    "the live ladder shows the calls, and no credentials",
    async ({ alice, browser, server }) => {
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(server.url);
      await page.getByRole("link", { name: "Live ladder" }).click();
      await page.locator("#ladder text", { hasText: /INVITE sip:/ }).first().waitFor();
      const ladder = await (await page.request.get(`${server.url}trace/ladder`)).text();
      assert.match(ladder, /Proxy-Authorization: Digest/);
      assert.doesNotMatch(ladder, /response=(&quot;|")[0-9a-f]{32}/);
      await context.close();
      const answer = await alice.page.request.get(`${server.url}trace`, { headers: { host: "rebound.example.com" } });
      assert.equal(answer.status(), 404);
    },
  ],
  [
    "phones register again when the server has been away, and call each other",
    async (phones) => {
      const { alice, bob, server } = phones;
      await server.stop();
      await Promise.all([alice.line("Connection lost"), bob.line("Connection lost")]);
      await server.start();
      await Promise.all([alice.line("Registered as alice"), bob.line("Registered as bob")]);
      await establish(phones, { video: false });
      await alice.press("Hang up");
      await bob.state("The other side hung up");
      await closeBoth(phones);
    },
  ],
];
