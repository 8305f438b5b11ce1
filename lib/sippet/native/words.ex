defmodule Sippet.Native.Words do
  # Words that most messages have. Called by the modules of Sippet.Native when they are compiled only.
  # `native/sippet_nif/src/words.rs` has the same list, and refuses to be loaded with another.
  @moduledoc false

  @doc "The words, in the order of the other list."
  @spec all() :: tuple
  def all do
    {"", "sip", "sips", "tel", "urn", "branch", "rport", "received", "tag", "lr", "maddr", "ttl",
     "expires", "q", "handling", "cause", "text", "transport", "ob", "reg-id", "+sip.instance",
     "purpose", "charset", "boundary", "level", "duration", "username", "realm", "nonce", "uri",
     "response", "algorithm", "cnonce", "qop", "nc", "opaque", "stale", "domain", "nextnonce",
     "*", "0", "1", "5060", "required", "optional", "session", "MD5", "SHA-256", "auth",
     "auth,auth-int", "00000001", "FALSE", "false", "Digest", "3600", "utf-8", "UTF-8",
     "application", "sdp", "plain", "multipart", "mixed", "message", "sipfrag",
     "simple-message-summary", "pidf+xml", "dtmf-relay", "ACK", "BYE", "CANCEL", "INFO", "INVITE",
     "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE",
     "UPDATE", "100rel", "timer", "replaces", "path", "outbound", "gruu", "norefersub",
     "eventlist", "from-change", "histinfo", "join", "precondition", "tdialog", "sec-agree",
     "identity", "gzip", "OK", "Trying", "Ringing", "Session Progress", "Unauthorized",
     "Proxy Authentication Required", "Request Terminated", "Not Found", "Busy Here", "Accepted",
     "127.0.0.1", "::1", ";lr", ";user=phone", ";transport=udp", ";transport=tcp",
     ";transport=tls", ";transport=ws", ";ob", "Session-Expires", "Min-SE", "Event",
     "Allow-Events", "Refer-To", "Referred-By", "Path", "Privacy", "RSeq", "RAck",
     "P-Preferred-Identity", "Subscription-State", "Replaces", "Diversion", "History-Info",
     "P-Charging-Vector", "P-Access-Network-Info", "Accept-Contact", "SIP-ETag", "Service-Route"}
  end
end
