// What the page says: of the states of the line and of a call, and of why something failed.

const causes = {
  "Authentication Error": "the name or the password is wrong",
  "Connection Error": "the server cannot be reached",
  "Request Timeout": "the server does not answer",
  "SIP Failure Code": "the server refused",
  "User Denied Media Access": "the browser may not use the microphone",
  "Bad Media Description": "the two sides have no common media",
  "Incompatible SDP": "the two sides have no common media",
  "WebRTC Error": "the browser could not set up the media",
  "RTP Timeout": "no media came through",
  "Internal Error": "something in the phone went wrong",
  "No ACK": "the other side did not confirm the call",
  "Not Found": "nobody of that name is known",
  "Address Incomplete": "the address is incomplete",
  Unavailable: "not reachable",
  "No Answer": "nobody answered",
  Expires: "nobody answered in time",
  Busy: "busy",
  Rejected: "rejected",
  Redirected: "the user has moved",
  Canceled: "cancelled",
  "Dialog Error": "the call was lost",
};

// These may be for any reason, and a server's words say more than ours.
const unclear = ["SIP Failure Code", "Rejected"];

// A server that refuses says why in a Warning (RFC 3261 §20.43): 399 agent "text".
const warning = (message) => {
  const value = message && message.getHeader && message.getHeader("Warning");
  const found = value && /^\d{3} \S+ "((?:[^"\\]|\\.)*)"/.exec(value);
  return found ? found[1].replace(/\\(.)/g, "$1") : null;
};

// The reason of an event of JsSIP that has a cause.
export const reason = ({ cause, message, response } = {}) => {
  const answer = message || response;
  const said = warning(answer);
  const words = causes[cause] || cause || "unknown";
  const status = answer && answer.status_code ? ` (${answer.status_code})` : "";
  return said && unclear.includes(cause) ? `${words}${status}: ${said}` : words + status;
};

export const time = (date = new Date()) => date.toLocaleTimeString("en-GB");

export const clock = (seconds) => {
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${two(minutes)}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
};
