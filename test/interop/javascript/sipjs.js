// node sipjs.js URL: the same with SIP.js, whose media are a session description handler of ours.
const { description, isDescription, fail, step } = require("./telephone");
const { Inviter, Messager, Registerer, RegistererState, SessionState, UserAgent } = require("sip.js");

class DescriptionHandler {
  close() {}

  hasDescription(contentType) {
    return contentType === "application/sdp";
  }

  async getDescription() {
    return { body: description("offer").sdp, contentType: "application/sdp" };
  }

  async setDescription(sdp) {
    if (!isDescription(sdp)) throw new Error("no session description");
  }
}

const peer = UserAgent.makeURI("sip:interop@localhost");

(async () => {
  let onInvite;
  const agent = new UserAgent({
    uri: UserAgent.makeURI("sip:sipjs@localhost"),
    transportOptions: { server: process.argv[2] },
    sessionDescriptionHandlerFactory: () => new DescriptionHandler(),
    delegate: { onInvite: (invitation) => onInvite(invitation) },
    logLevel: "error",
  });
  await agent.start();

  const registerer = new Registerer(agent);
  const turn = (state, act) =>
    step(state, (done, failed) => {
      registerer.stateChange.addListener((reached) => reached === state && done());
      act({ requestDelegate: { onReject: ({ message }) => failed(message.statusCode) } }).catch(failed);
    });
  await turn(RegistererState.Registered, (options) => registerer.register(options));

  await step("call", (done, failed) => {
    const session = new Inviter(agent, peer);
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) {
        session.bye({
          requestDelegate: { onAccept: done, onReject: ({ message }) => failed(message.statusCode) },
        });
      }
    });
    session.invite({ requestDelegate: { onReject: ({ message }) => failed(message.statusCode) } }).catch(failed);
  });

  await step("be called", (done, failed) => {
    onInvite = (invitation) => {
      let answered = false;
      invitation.stateChange.addListener((state) => {
        if (state === SessionState.Established) answered = true;
        if (state === SessionState.Terminated) (answered ? done : failed)("not established");
      });
      invitation.accept().catch(failed);
    };
    new Messager(agent, peer, "call me").message().catch(failed);
  });

  await turn(RegistererState.Unregistered, (options) => registerer.unregister(options));
  await agent.stop();
  console.log("registered, called, was called, unregistered");
  setTimeout(() => process.exit(0), 200);
})().catch(fail);
