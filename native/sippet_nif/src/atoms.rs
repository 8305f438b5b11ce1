//! Every atom that a term of this library can hold. All are made when the library is loaded, none from bytes.

pub mod sdp;

use std::sync::OnceLock;

use rustler::sys::ErlNifTerm;
use rustler::{Atom, Env};
use sippet_proto::message::{Method, Protocol};
use sippet_proto::{Reason, WriteReason};

use crate::counters::Counters;
use crate::error::Refusal;
use crate::term;

macro_rules! atoms {
    ($($name:ident $(= $text:literal)?),+ $(,)?) => {
        /// The atoms that have a place of their own, by name.
        pub struct Atoms {
            $(pub $name: Atom,)+
            /// In the order of [`HeaderKey::ALL`].
            pub headers: [Atom; HeaderKey::ALL.len()],
            headers_by_term: ByTerm,
            methods: Vec<(Atom, Method<'static>)>,
            protocols: Vec<(Atom, Protocol<'static>)>,
            reasons: Vec<(Reason, Atom)>,
            write_reasons: Vec<(WriteReason, Atom)>,
            refusals: Vec<(Refusal, Atom)>,
            counters: Vec<(&'static str, Atom)>,
        }

        impl Atoms {
            fn new(env: Env<'_>) -> Result<Atoms, rustler::Error> {
                let mut headers = [rustler::types::atom::nil(); HeaderKey::ALL.len()];
                let mut headers_by_term = ByTerm::new();
                for (slot, key) in headers.iter_mut().zip(HeaderKey::ALL) {
                    *slot = Atom::from_str(env, key.atom_name())?;
                    headers_by_term.insert(slot.as_c_arg(), *key);
                }
                Ok(Atoms {
                    $($name: Atom::from_str(env, atoms!(@text $name $($text)?))?,)+
                    headers,
                    headers_by_term,
                    methods: Method::KNOWN
                        .iter()
                        .map(|known| Ok((lower_case(env, known.as_bytes())?, *known)))
                        .collect::<Result<_, rustler::Error>>()?,
                    protocols: Protocol::KNOWN
                        .iter()
                        .map(|known| Ok((lower_case(env, known.as_bytes())?, *known)))
                        .collect::<Result<_, rustler::Error>>()?,
                    reasons: Reason::ALL
                        .iter()
                        .map(|reason| Ok((*reason, Atom::from_str(env, reason.name())?)))
                        .collect::<Result<_, rustler::Error>>()?,
                    write_reasons: WriteReason::ALL
                        .iter()
                        .map(|reason| Ok((*reason, Atom::from_str(env, reason.name())?)))
                        .collect::<Result<_, rustler::Error>>()?,
                    refusals: Refusal::ALL
                        .iter()
                        .map(|refusal| Ok((*refusal, Atom::from_str(env, refusal.name())?)))
                        .collect::<Result<_, rustler::Error>>()?,
                    counters: Counters::names()
                        .map(|name| Ok((name, Atom::from_str(env, name)?)))
                        .collect::<Result<_, rustler::Error>>()?,
                })
            }
        }
    };
    (@text $name:ident $text:literal) => { $text };
    (@text $name:ident) => { stringify!($name) };
}

atoms!(
    accepted,
    age_ms,
    already_answered,
    already_started,
    authority,
    await_ = "await",
    body,
    branch,
    broken,
    bytes,
    calendar,
    calendar_iso = "Elixir.Calendar.ISO",
    call,
    calling,
    client,
    client_key_struct = "Elixir.Sippet.Transactions.Client.Key",
    closed,
    completed,
    confirmed,
    connection,
    datagram,
    day,
    defects,
    done,
    draining,
    ended,
    error,
    failed,
    failover,
    false_ = "false",
    flow_struct = "Elixir.Sippet.Flow",
    header,
    headers_key = "headers",
    host,
    hour,
    infinity,
    invalid,
    invite_client,
    invite_server,
    key,
    lenient,
    message,
    message_struct = "Elixir.Sippet.Message",
    method,
    method_mismatch,
    max_processes,
    max_transactions,
    microsecond,
    minute,
    month,
    more,
    naive_date_time = "Elixir.NaiveDateTime",
    nil,
    no_ack,
    no_core,
    no_transaction,
    normal,
    nothing,
    offset,
    ok,
    overload,
    parameters,
    ping,
    pong,
    port,
    proceeding,
    provisional_forbidden,
    queued,
    reason,
    reason_phrase,
    receive_error,
    receive_request,
    receive_response,
    received,
    refused,
    rejected,
    remote,
    report,
    request_line = "Elixir.Sippet.Message.RequestLine",
    request_uri,
    response,
    role,
    run,
    scheme,
    second,
    sentby,
    server,
    server_key_struct = "Elixir.Sippet.Transactions.Server.Key",
    source,
    start_line,
    started,
    state,
    status_code,
    status_line = "Elixir.Sippet.Message.StatusLine",
    stopped,
    strict,
    struct_key = "__struct__",
    target,
    terminated,
    timeout,
    timeout_forbidden,
    too_many_forks,
    too_many_transactions,
    too_long,
    transmit,
    transport,
    transport_error,
    true_ = "true",
    trying,
    unfit,
    uri_struct = "Elixir.Sippet.URI",
    userinfo,
    version,
    wake,
    whole,
    write,
    year,
);

/// Header keys by the bits of their atoms: open addressing in a table that stays mostly empty.
struct ByTerm([Option<(ErlNifTerm, HeaderKey)>; BY_TERM_SLOTS]);

const BY_TERM_SLOTS: usize = 256;

impl ByTerm {
    fn new() -> ByTerm {
        ByTerm([None; BY_TERM_SLOTS])
    }

    /// Atoms that were made one after the other differ in the bits above the tag.
    fn slots(atom: ErlNifTerm) -> impl Iterator<Item = usize> {
        let start = term::number(atom) >> 6;
        (0..BY_TERM_SLOTS).map(move |step| start.wrapping_add(step) % BY_TERM_SLOTS)
    }

    fn insert(&mut self, atom: ErlNifTerm, key: HeaderKey) {
        if let Some(slot) = ByTerm::slots(atom).find(|slot| self.0[*slot].is_none()) {
            self.0[slot] = Some((atom, key));
        }
    }

    #[inline]
    fn get(&self, atom: ErlNifTerm) -> Option<HeaderKey> {
        for slot in ByTerm::slots(atom) {
            let (found, key) = self.0[slot]?;
            if found == atom {
                return Some(key);
            }
        }
        None
    }
}

static ATOMS: OnceLock<Atoms> = OnceLock::new();

/// Makes all atoms; called once, when the library is loaded.
pub fn load(env: Env<'_>) -> bool {
    match Atoms::new(env) {
        Ok(atoms) => {
            // A second load in the same VM finds the first one's, which are the same.
            let _ = ATOMS.set(atoms);
            true
        }
        Err(_) => false,
    }
}

/// The atoms.
#[inline]
pub fn get() -> &'static Atoms {
    // `load` ran before any NIF could be called.
    ATOMS.get().expect("the library was loaded")
}

fn lower_case(env: Env<'_>, word: &[u8]) -> Result<Atom, rustler::Error> {
    Atom::from_bytes(env, &word.to_ascii_lowercase())
}

impl Atoms {
    /// The key of the header map that an atom is.
    pub fn header(&self, term: ErlNifTerm) -> Option<HeaderKey> {
        self.headers_by_term.get(term)
    }

    /// The atom of a known method.
    pub fn method(&self, method: &Method<'_>) -> Option<Atom> {
        let same = std::mem::discriminant(method);
        self.methods
            .iter()
            .find(|(_, known)| std::mem::discriminant(known) == same)
            .map(|(atom, _)| *atom)
    }

    /// The method that an atom names.
    pub fn to_method(&self, term: ErlNifTerm) -> Option<Method<'static>> {
        self.methods
            .iter()
            .find(|(atom, _)| atom.as_c_arg() == term)
            .map(|(_, method)| *method)
    }

    /// The atom of a known protocol.
    pub fn protocol(&self, protocol: &Protocol<'_>) -> Option<Atom> {
        let same = std::mem::discriminant(protocol);
        self.protocols
            .iter()
            .find(|(_, known)| std::mem::discriminant(known) == same)
            .map(|(atom, _)| *atom)
    }

    /// The protocol that an atom names.
    pub fn to_protocol(&self, term: ErlNifTerm) -> Option<Protocol<'static>> {
        self.protocols
            .iter()
            .find(|(atom, _)| atom.as_c_arg() == term)
            .map(|(_, protocol)| *protocol)
    }

    /// The atom of a transaction's state, by its name.
    pub fn state(&self, name: &str) -> Atom {
        match name {
            "calling" => self.calling,
            "trying" => self.trying,
            "proceeding" => self.proceeding,
            "completed" => self.completed,
            "confirmed" => self.confirmed,
            "accepted" => self.accepted,
            _ => self.terminated,
        }
    }

    /// The atom of a kind of transaction, by its name.
    pub fn kind(&self, name: &str) -> Atom {
        match name {
            "invite_client" => self.invite_client,
            "client" => self.client,
            "invite_server" => self.invite_server,
            "server" => self.server,
            _ => self.ended,
        }
    }

    /// The atom of a counter.
    pub fn counter(&self, name: &str) -> Atom {
        find(&self.counters, name).unwrap_or(self.invalid)
    }

    /// The atom of a reason for which parsing failed.
    pub fn reason(&self, reason: Reason) -> Atom {
        find(&self.reasons, reason).unwrap_or(self.invalid)
    }

    /// The atom of a reason for which writing failed.
    pub fn write_reason(&self, reason: WriteReason) -> Atom {
        find(&self.write_reasons, reason).unwrap_or(self.invalid)
    }

    /// The atom of a reason for which a term is no message.
    pub fn refusal(&self, refusal: Refusal) -> Atom {
        find(&self.refusals, refusal).unwrap_or(self.invalid)
    }

    /// All reasons for which parsing can fail.
    pub fn all_reasons(&self) -> Vec<Atom> {
        self.reasons.iter().map(|(_, atom)| *atom).collect()
    }

    /// All reasons for which writing can fail: the writer's and the decoder's.
    pub fn all_write_reasons(&self) -> Vec<Atom> {
        let written = self.write_reasons.iter().map(|(_, atom)| *atom);
        let refused = self.refusals.iter().map(|(_, atom)| *atom);
        let mut all: Vec<Atom> = written.chain(refused).collect();
        all.sort_unstable_by_key(|atom| atom.as_c_arg());
        all.dedup();
        all
    }
}

fn find<R: PartialEq + Copy>(table: &[(R, Atom)], reason: R) -> Option<Atom> {
    table
        .iter()
        .find(|(each, _)| *each == reason)
        .map(|(_, atom)| *atom)
}

macro_rules! header_keys {
    ($($key:ident = $atom:literal $name:literal),+ $(,)?) => {
        /// The atom keys of the header map, in the order of the alphabet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the header field of that name")]
        pub enum HeaderKey {
            $($key,)+
        }

        impl HeaderKey {
            /// Every one.
            pub const ALL: &'static [HeaderKey] = &[$(HeaderKey::$key),+];

            /// `max_forwards`
            pub const fn atom_name(self) -> &'static str {
                match self {
                    $(HeaderKey::$key => $atom,)+
                }
            }

            /// `Max-Forwards`
            pub const fn name(self) -> &'static str {
                match self {
                    $(HeaderKey::$key => $name,)+
                }
            }
        }
    };
}

header_keys!(
    Accept = "accept" "Accept",
    AcceptEncoding = "accept_encoding" "Accept-Encoding",
    AcceptLanguage = "accept_language" "Accept-Language",
    AlertInfo = "alert_info" "Alert-Info",
    Allow = "allow" "Allow",
    AuthenticationInfo = "authentication_info" "Authentication-Info",
    Authorization = "authorization" "Authorization",
    CallId = "call_id" "Call-ID",
    CallInfo = "call_info" "Call-Info",
    Contact = "contact" "Contact",
    ContentDisposition = "content_disposition" "Content-Disposition",
    ContentEncoding = "content_encoding" "Content-Encoding",
    ContentLanguage = "content_language" "Content-Language",
    ContentLength = "content_length" "Content-Length",
    ContentType = "content_type" "Content-Type",
    Cseq = "cseq" "CSeq",
    Date = "date" "Date",
    ErrorInfo = "error_info" "Error-Info",
    Expires = "expires" "Expires",
    From = "from" "From",
    InReplyTo = "in_reply_to" "In-Reply-To",
    MaxForwards = "max_forwards" "Max-Forwards",
    MimeVersion = "mime_version" "MIME-Version",
    MinExpires = "min_expires" "Min-Expires",
    Organization = "organization" "Organization",
    PAssertedIdentity = "p_asserted_identity" "P-Asserted-Identity",
    Priority = "priority" "Priority",
    ProxyAuthenticate = "proxy_authenticate" "Proxy-Authenticate",
    ProxyAuthorization = "proxy_authorization" "Proxy-Authorization",
    ProxyRequire = "proxy_require" "Proxy-Require",
    Reason = "reason" "Reason",
    RecordRoute = "record_route" "Record-Route",
    ReplyTo = "reply_to" "Reply-To",
    Require = "require" "Require",
    RetryAfter = "retry_after" "Retry-After",
    Route = "route" "Route",
    Server = "server" "Server",
    Subject = "subject" "Subject",
    Supported = "supported" "Supported",
    Timestamp = "timestamp" "Timestamp",
    To = "to" "To",
    Unsupported = "unsupported" "Unsupported",
    UserAgent = "user_agent" "User-Agent",
    Via = "via" "Via",
    Warning = "warning" "Warning",
    WwwAuthenticate = "www_authenticate" "WWW-Authenticate",
);

/// The compact forms of the fields that have an atom key (§7.3.3), in lower case.
const COMPACT: &[(u8, HeaderKey)] = &[
    (b'i', HeaderKey::CallId),
    (b'm', HeaderKey::Contact),
    (b'e', HeaderKey::ContentEncoding),
    (b'l', HeaderKey::ContentLength),
    (b'c', HeaderKey::ContentType),
    (b'f', HeaderKey::From),
    (b's', HeaderKey::Subject),
    (b'k', HeaderKey::Supported),
    (b't', HeaderKey::To),
    (b'v', HeaderKey::Via),
];

impl HeaderKey {
    /// The key of a field by its name on the wire, in any case, long or compact.
    pub fn from_name(name: &[u8]) -> Option<HeaderKey> {
        if let [letter] = name {
            return COMPACT
                .iter()
                .find(|(compact, _)| *compact == letter.to_ascii_lowercase())
                .map(|(_, key)| *key);
        }
        HeaderKey::ALL
            .iter()
            .find(|key| key.name().as_bytes().eq_ignore_ascii_case(name))
            .copied()
    }
}
