//! Transaction keys: what §17.1.3 and §17.2.3 compare, as one keyed hash.
//!
//! A key is 128 bits of SipHash under a seed that no peer knows, so two transactions never share one by accident or on
//! purpose, and a table holds 16 bytes where the wire had a branch, a host, a port and a method. Equal keys are equal
//! as the RFC compares: parameter values without regard to case (§7.3.1), hosts by case and IPv6 spelling, ports by
//! the default of the protocol.

use core::hash::Hasher as _;
use core::net::{IpAddr, Ipv6Addr};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::header::Via;
use crate::message::{Message, Method, Protocol, StartLine};

/// The magic cookie of §8.1.1.7.
const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One transaction, one dialog or one Call-ID, by what the domain of the hash says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(crate) u128);

impl Key {
    /// The number of the shard, of `shards`, that a Call-ID's key belongs to.
    pub fn shard(self, shards: usize) -> usize {
        (self.0 as u64 % shards.max(1) as u64) as usize
    }

    /// The same hash as 16 characters that can stand in a tag.
    pub fn to_tag(self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bits = self.0 as u64;
        let mut tag = [b'0'; 16];
        for digit in &mut tag {
            *digit = DIGITS[(bits & 15) as usize];
            bits >>= 4;
        }
        tag
    }
}

/// What is hashed, so that keys of different meaning never meet.
#[derive(Clone, Copy)]
enum Domain {
    Client = 1,
    Server = 2,
    Rfc2543 = 3,
    Merged = 4,
    Call = 5,
    Acknowledged = 6,
    Accepted = 7,
    StatelessTag = 8,
    ResponseTag = 9,
    Source = 10,
    RequestTag = 11,
}

/// Makes keys under a secret seed.
#[derive(Clone, Copy)]
pub struct KeyMaker {
    seed: [u8; 16],
}

impl KeyMaker {
    /// `seed` is random, once for each stack.
    pub fn new(seed: [u8; 16]) -> KeyMaker {
        KeyMaker { seed }
    }

    fn start(&self, domain: Domain) -> Fields {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        hasher.write_u8(domain as u8);
        Fields(hasher)
    }

    /// Of a Call-ID: shards and the order of ACK and later requests go by it. Call-IDs are compared by byte (§20.8).
    pub fn call(&self, call_id: &[u8]) -> Key {
        self.start(Domain::Call).exact(call_id).finish()
    }

    /// Of where requests come from, for the admission. Whoever has an IPv6 address has all of its subnet (RFC 4291 §2.5.4).
    pub fn source(&self, address: IpAddr) -> u64 {
        let source = self.start(Domain::Source);
        let key = match address.to_canonical() {
            IpAddr::V4(address) => source.exact(&address.octets()),
            IpAddr::V6(address) => source.exact(&address.octets()[..8]),
        };
        key.finish().0 as u64
    }

    /// Of a client transaction (§17.1.3): branch and method.
    pub fn client(&self, branch: &[u8], method: &[u8]) -> Key {
        self.start(Domain::Client)
            .text(branch)
            .exact(method)
            .finish()
    }

    /// Of a server transaction (§17.2.3): branch, sent-by and method, ACK counting as INVITE.
    ///
    /// Without the magic cookie it is RFC 2543's comparison: Call-ID, CSeq number, From tag and the topmost Via. The
    /// Request-URI and the To tag are left out, so that the response, which has neither, has the same key.
    pub fn server(&self, message: &Message<'_>, via: &Via<'_>, method: &[u8]) -> Key {
        let method = if method == Method::Ack.as_bytes() {
            Method::Invite.as_bytes()
        } else {
            method
        };
        let branch = via.branch().unwrap_or_default();
        let port = via.port.unwrap_or(0);
        let port = if port == 0 && via.protocol == Protocol::Tls {
            5061
        } else {
            port
        };
        if has_magic_cookie(branch) {
            return self.server_of(branch, via.host, port, method);
        }
        let headers = &message.headers;
        self.start(Domain::Rfc2543)
            .exact(headers.call_id.unwrap_or_default())
            .number(headers.cseq.map_or(0, |cseq| cseq.number))
            .text(
                headers
                    .from
                    .as_ref()
                    .and_then(|from| from.tag())
                    .unwrap_or_default(),
            )
            .text(branch)
            .sent_by(via.host, port)
            .exact(method)
            .finish()
    }

    /// Of a server transaction by the parts of its public key; port 0 is the default.
    pub fn server_of(&self, branch: &[u8], host: &[u8], port: u16, method: &[u8]) -> Key {
        self.start(Domain::Server)
            .text(branch)
            .sent_by(host, port)
            .exact(method)
            .finish()
    }

    /// Of a request as a merged one is recognised (§8.2.2.2): From tag, Call-ID and CSeq.
    pub fn merged(&self, message: &Message<'_>) -> Key {
        let fields = self.request_identity(Domain::Merged, message);
        fields
            .exact(
                message
                    .headers
                    .cseq
                    .map_or(&[][..], |cseq| cseq.method.as_bytes()),
            )
            .finish()
    }

    /// Of a 2xx that waits for its ACK in a server: Call-ID, CSeq number and both tags (§13.3.1.4).
    pub fn acknowledged(&self, message: &Message<'_>) -> Key {
        self.request_identity(Domain::Acknowledged, message)
            .text(to_tag(message))
            .finish()
    }

    /// Of a 2xx that a client has had, and of its ACK: Call-ID, CSeq number and both tags (§13.2.2.4). The To tag tells
    /// the forks of one INVITE apart, and the branches of a proxy's.
    pub fn accepted(&self, message: &Message<'_>) -> Key {
        self.request_identity(Domain::Accepted, message)
            .text(to_tag(message))
            .finish()
    }

    /// Of the To tag that an answer without state carries: the same for each repetition of the request, and for its
    /// ACK (§8.2.7).
    pub fn stateless_tag(&self, from: &[u8], call_id: &[u8], cseq: u32, branch: &[u8]) -> Key {
        self.start(Domain::StatelessTag)
            .text(from)
            .exact(call_id)
            .number(cseq)
            .text(branch)
            .finish()
    }

    /// Of the To tag that the engine gives to its own answer to a transaction.
    pub fn response_tag(&self, transaction: Key) -> Key {
        self.start(Domain::ResponseTag)
            .exact(&transaction.0.to_le_bytes())
            .finish()
    }

    /// Of the To tag of a user agent's answers to one request, by what makes it this request and no other (§8.2.6.2).
    pub fn request_tag(&self, identity: &[u8]) -> Key {
        self.start(Domain::RequestTag).exact(identity).finish()
    }

    fn request_identity(&self, domain: Domain, message: &Message<'_>) -> Fields {
        let headers = &message.headers;
        self.start(domain)
            .exact(headers.call_id.unwrap_or_default())
            .number(headers.cseq.map_or(0, |cseq| cseq.number))
            .text(
                headers
                    .from
                    .as_ref()
                    .and_then(|from| from.tag())
                    .unwrap_or_default(),
            )
    }
}

impl core::fmt::Debug for KeyMaker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("KeyMaker(secret)")
    }
}

/// Fields on their way into a hash, each closed off from the next by its length.
struct Fields(SipHasher13);

impl Fields {
    fn exact(mut self, field: &[u8]) -> Fields {
        self.0.write_u32(field.len() as u32);
        self.0.write(field);
        self
    }

    fn number(mut self, number: u32) -> Fields {
        self.0.write_u32(number);
        self
    }

    /// Without regard to case. Copied through the stack in pieces: fields are short.
    fn text(mut self, field: &[u8]) -> Fields {
        self.0.write_u32(field.len() as u32);
        for piece in field.chunks(64) {
            let mut lower = [0u8; 64];
            if let Some(lower) = lower.get_mut(..piece.len()) {
                lower.copy_from_slice(piece);
                lower.make_ascii_lowercase();
                self.0.write(lower);
            }
        }
        self
    }

    fn sent_by(self, host: &[u8], port: u16) -> Fields {
        let fields = match core::str::from_utf8(host)
            .ok()
            .filter(|host| host.contains(':'))
        {
            Some(text) => match text.parse::<Ipv6Addr>() {
                Ok(address) => self.exact(&address.octets()),
                Err(_) => self.text(host),
            },
            None => self.text(host.strip_suffix(b".").unwrap_or(host)),
        };
        fields.number(u32::from(if port == 0 { 5060 } else { port }))
    }

    fn finish(self) -> Key {
        let hash = self.0.finish128();
        Key((u128::from(hash.h1) << 64) | u128::from(hash.h2))
    }
}

fn to_tag<'a>(message: &Message<'a>) -> &'a [u8] {
    message
        .headers
        .to
        .as_ref()
        .and_then(|to| to.tag())
        .unwrap_or_default()
}

/// The branch starts with the cookie of RFC 3261, in any case.
pub(crate) fn has_magic_cookie(branch: &[u8]) -> bool {
    branch
        .get(..MAGIC_COOKIE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
}

/// The method that names the transaction of a message: its own, or that of the CSeq.
pub(crate) fn transaction_method<'a>(message: &Message<'a>) -> Method<'a> {
    match &message.start_line {
        StartLine::Request(line) => line.method,
        StartLine::Status(_) => message
            .headers
            .cseq
            .map_or(Method::Other(b""), |cseq| cseq.method),
    }
}
