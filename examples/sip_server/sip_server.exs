# The configuration of the server: all there is. SIP_SERVER_CONFIG names another file.
[
  # Whose users these are. The first one is the realm of their passwords.
  domains: ["sip.example.com", "localhost"],

  # Where it listens, and the name or address by which others reach it: what Via and Record-Route say.
  address: "127.0.0.1",
  host: "127.0.0.1",

  # Each with a port, or with the options of its module in Sippet.Transports. Leave out what is not wanted.
  transports: [
    udp: 5060,
    tcp: 5060,
    # tls: [port: 5061, certfile: "example.crt", keyfile: "example.key"],
    # wss: [port: 8443, certfile: "example.crt", keyfile: "example.key"],
    ws: 8080
  ],

  # A line a user: name:realm:HA1, as `htdigest` of Apache writes it; SipServer.Users.line/3 makes one.
  users: "users.txt",

  # Whether requests from users of these domains, and to other domains, need credentials.
  authenticate: true,

  # Whether the uri of credentials has to be the Request-URI (RFC 7616 §3.4.6). SIPp's is not.
  check_uri: true,

  # The folder of the web phone, which examples/web_phone/build.sh makes: http://127.0.0.1:8080/ is its page then.
  web: "../web_phone/build",

  # Whether http://127.0.0.1:8080/trace shows the calls as they happen, to browsers on this machine only. What proves who
  # somebody is does not get there, but who calls whom does.
  trace: true,

  # Seconds that a registration may last.
  expires: [min: 60, default: 3600, max: 7200],

  # How long a call may ring on one telephone: more than 180,000 (Timer C, RFC 3261 §16.6, item 11).
  timer_c_ms: 185_000,

  # How long a shutdown waits for the calls there are: for those that ring to be answered, and for those that are up to end.
  drain_ms: 10_000
]
