//! Messages of the documented shapes, made from random bytes: the same bytes make the same message, fewer bytes a
//! smaller one.

#[allow(dead_code, reason = "only tests/extension.rs makes them")]
mod extension;

use bumpalo::collections::Vec as ArenaVec;
use sippet_proto::header::*;
use sippet_proto::message::{
    Arena, List, Message, Method, Protocol, RequestLine, StartLine, StatusLine, Version,
};
use sippet_proto::uri::Uri;

/// What the parts of a message are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// What the grammar has in each place.
    Fit,
    /// Any bytes in any place, now and then.
    Unfit,
}

pub struct Generator<'a> {
    random: std::slice::Iter<'a, u8>,
    matter: Matter,
    arena: &'a Arena,
}

const TOKEN: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~";
const WORD: &[u8] = b"abcXYZ0189-.!%*_+`'~()<>:\\\"/[]?{}";
const USER: &[u8] = b"abcXYZ0189-_.!~*'()&=+$,;?/#";
const PARAMETER: &[u8] = b"abcXYZ0189-_.!~*'()[]/:&+$";

impl<'a> Generator<'a> {
    pub fn new(random: &'a [u8], matter: Matter, arena: &'a Arena) -> Generator<'a> {
        Generator {
            random: random.iter(),
            matter,
            arena,
        }
    }

    pub fn message(&mut self) -> Message<'a> {
        let start_line = self.start_line();
        let headers = self.headers();
        let body = match self.below(3) {
            0 => None,
            1 => Some(&b""[..]),
            _ => Some(self.any_bytes()),
        };
        Message {
            start_line,
            headers,
            body,
            defects: List::new_in(self.arena),
        }
    }

    fn byte(&mut self) -> u8 {
        self.random.next().copied().unwrap_or(0)
    }

    fn below(&mut self, bound: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % bound
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == one_in - 1
    }

    fn keep(&self, text: &[u8]) -> &'a [u8] {
        self.arena.alloc_slice_copy(text)
    }

    fn string(&mut self, alphabet: &[u8], max: usize) -> Vec<u8> {
        let length = 1 + self.below(max);
        (0..length)
            .map(|_| alphabet[self.below(alphabet.len())])
            .collect()
    }

    fn any_bytes(&mut self) -> &'a [u8] {
        let length = self.below(12);
        let bytes: Vec<u8> = (0..length)
            .map(|_| match self.below(3) {
                0 => b"\r\n\0 \t\"\\,;<>@:?=[]()"[self.below(19)],
                _ => self.byte(),
            })
            .collect();
        self.keep(&bytes)
    }

    /// The text, or something unfit in its place.
    fn or_unfit(&mut self, text: Vec<u8>) -> &'a [u8] {
        if self.matter == Matter::Unfit && self.chance(12) {
            return self.any_bytes();
        }
        self.keep(&text)
    }

    fn token(&mut self) -> &'a [u8] {
        let text = self.string(TOKEN, 8);
        self.or_unfit(text)
    }

    /// In lower case, as names of parameters and media types are.
    fn lower_token(&mut self) -> &'a [u8] {
        let text = self.token().to_ascii_lowercase();
        self.keep(&text)
    }

    /// What a quoted string can hold.
    fn quotable(&mut self) -> &'a [u8] {
        let alphabet = "aB9 \t\"\\;,<>@=()[]é東\u{1}\u{7f}".as_bytes();
        let mut text = self.string(alphabet, 10);
        if self.chance(8) {
            text.clear();
        }
        self.or_unfit(text)
    }

    /// Free text, in one piece.
    fn text(&mut self) -> &'a [u8] {
        let mut text = match self.below(4) {
            0 => Vec::new(),
            _ => self.string("aB9\"\\;,<>@=()é".as_bytes(), 6),
        };
        if !text.is_empty() && self.chance(2) {
            text.extend_from_slice(b" \t ");
            text.extend(self.string(b"aB9", 6));
        }
        self.or_unfit(text)
    }

    fn call_id(&mut self) -> &'a [u8] {
        let mut text = self.string(WORD, 12);
        if self.chance(2) {
            text.push(b'@');
            text.extend(self.string(WORD, 12));
        }
        self.or_unfit(text)
    }

    /// A host name, an IPv4 address or an IPv6 address without its brackets.
    fn host(&mut self) -> &'a [u8] {
        let text = match self.below(4) {
            0 => format!("192.0.2.{}", self.byte()).into_bytes(),
            1 => format!("2001:db8::{:x}", self.byte()).into_bytes(),
            _ => {
                let mut name = self.string(b"abcXYZ019", 6);
                name.extend_from_slice(b".example-1.com");
                name
            }
        };
        self.or_unfit(text)
    }

    fn port(&mut self) -> Option<u16> {
        match self.below(3) {
            0 => None,
            1 => Some(5060),
            _ => Some(self.below(65536) as u16),
        }
    }

    fn number(&mut self) -> u32 {
        match self.below(3) {
            0 => 0,
            1 => u32::MAX,
            _ => self.below(65536) as u32,
        }
    }

    pub fn uri(&mut self) -> Uri<'a> {
        match self.below(6) {
            0 => {
                let number = self.or_unfit(b"+1-201-555-0123".to_vec());
                Uri {
                    scheme: b"tel",
                    authority: Some(number),
                    userinfo: None,
                    host: Some(number),
                    port: None,
                    parameters: self.uri_parameters(),
                    headers: None,
                }
            }
            1 => {
                let text = self.string(b"service:sos/-.", 10);
                Uri {
                    scheme: self.or_unfit(b"urn".to_vec()),
                    authority: Some(self.or_unfit(text)),
                    userinfo: None,
                    host: None,
                    port: None,
                    parameters: None,
                    headers: None,
                }
            }
            _ => self.sip_uri(),
        }
    }

    fn sip_uri(&mut self) -> Uri<'a> {
        let scheme = [&b"sip"[..], b"sips", b"SIP"][self.below(3)];
        let userinfo = self.chance(2).then(|| {
            let mut text = self.string(USER, 8);
            if self.chance(3) {
                text.extend_from_slice(b"%41:secret");
            }
            self.or_unfit(text)
        });
        let host = self.host();
        let port = self.port();
        let headers = self
            .chance(6)
            .then(|| self.or_unfit(b"?subject=project%20x&to=a".to_vec()));
        let mut authority = Vec::new();
        if let Some(userinfo) = userinfo {
            authority.extend_from_slice(userinfo);
            authority.push(b'@');
        }
        if host.contains(&b':') {
            authority.extend_from_slice(&[b"[", host, b"]"].concat());
        } else {
            authority.extend_from_slice(host);
        }
        if let Some(port) = port {
            authority.extend_from_slice(format!(":{port}").as_bytes());
        }
        Uri {
            scheme,
            authority: Some(self.keep(&authority)),
            userinfo,
            host: Some(host),
            port,
            parameters: self.uri_parameters(),
            headers,
        }
    }

    fn uri_parameters(&mut self) -> Option<&'a [u8]> {
        match self.below(4) {
            0 => Some(self.or_unfit(b";transport=udp;lr".to_vec())),
            1 => {
                let text = [b";".to_vec(), self.string(PARAMETER, 8)].concat();
                Some(self.or_unfit(text))
            }
            _ => None,
        }
    }

    fn list<T>(&mut self, least: usize, one: impl Fn(&mut Self) -> T) -> List<'a, T> {
        let length = least + self.below(3);
        let arena = self.arena;
        ArenaVec::from_iter_in((0..length).map(|_| one(self)), arena)
    }

    fn maybe<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Option<T> {
        self.chance(3).then(|| one(self))
    }

    fn maybe_list<T>(&mut self, one: impl Fn(&mut Self) -> T) -> Option<List<'a, T>> {
        self.chance(3).then(|| self.list(0, one))
    }

    /// Parameters with names of their own, and those that quotes depend on.
    fn params(&mut self, special: &[(&'a [u8], &'a [u8])]) -> Params<'a> {
        let mut params: Vec<Param<'a>> = Vec::new();
        for (name, value) in special {
            if self.chance(3) {
                params.push(Param {
                    name,
                    value: Some(self.or_unfit(value.to_vec())),
                });
            }
        }
        for _ in 0..self.below(3) {
            let name = self.lower_token();
            let value = match self.below(5) {
                0 => None,
                1 => Some(&b"[2001:db8::1]"[..]),
                2 => Some(self.quotable()),
                _ => Some(self.token()),
            };
            params.push(Param { name, value });
        }
        let mut names = std::collections::HashSet::new();
        params.retain(|param| names.insert(param.name));
        self.arena.alloc_slice_copy(&params)
    }

    fn name_addr(&mut self) -> NameAddr<'a> {
        NameAddr {
            display_name: self.quotable(),
            uri: self.uri(),
            params: self.params(&[(b"tag", b"a48s")]),
        }
    }

    fn contact_addr(&mut self) -> NameAddr<'a> {
        NameAddr {
            params: self.params(&[
                (b"+sip.instance", b"<urn:uuid:f81d4fae-7dec-11d0>"),
                (b"mobility", b"fixed"),
                (b"expires", b"3600"),
            ]),
            ..self.name_addr()
        }
    }

    fn via(&mut self) -> Via<'a> {
        let protocol = match self.below(3) {
            0 => Protocol::Other(self.token()),
            _ => Protocol::KNOWN[self.below(Protocol::KNOWN.len())],
        };
        Via {
            version: Version::SIP_2_0,
            protocol: Protocol::from_bytes(protocol.as_bytes()),
            host: self.host(),
            port: self.port(),
            params: self.params(&[
                (b"branch", b"z9hG4bK77ef4c2312983.1"),
                (b"received", b"2001:db8::9:255"),
                (b"rport", b"5060"),
                (b"maddr", b"224.2.0.1"),
            ]),
        }
    }

    fn method(&mut self) -> Method<'a> {
        match self.below(4) {
            0 => Method::from_bytes(self.token()),
            _ => Method::KNOWN[self.below(Method::KNOWN.len())],
        }
    }

    fn start_line(&mut self) -> StartLine<'a> {
        let version = Version::SIP_2_0;
        match self.below(2) {
            0 => StartLine::Request(RequestLine {
                method: self.method(),
                request_uri: self.uri(),
                version,
            }),
            _ => StartLine::Status(StatusLine {
                version,
                status_code: 100 + self.below(600) as u16,
                reason_phrase: self.text(),
            }),
        }
    }

    fn media_type(&mut self) -> MediaType<'a> {
        MediaType {
            kind: self.lower_token(),
            subtype: self.lower_token(),
            params: self.params(&[(b"boundary", b"a b/c")]),
        }
    }

    fn token_params(&mut self) -> TokenParams<'a> {
        TokenParams {
            token: self.token(),
            params: self.params(&[(b"q", b"0.5"), (b"text", b"Busy")]),
        }
    }

    fn info(&mut self) -> Info<'a> {
        Info {
            uri: self.uri(),
            params: self.params(&[(b"purpose", b"icon")]),
        }
    }

    fn auth(&mut self) -> Auth<'a> {
        let scheme = self.token();
        let params: Params<'a> = match self.below(4) {
            0 => &[],
            1 => self.arena.alloc_slice_copy(&[Param {
                name: self.or_unfit(b"dXNlcjpwYXNz+/==".to_vec()),
                value: None,
            }]),
            _ => self.auth_params(),
        };
        Auth { scheme, params }
    }

    fn auth_params(&mut self) -> Params<'a> {
        let mut params: Vec<Param<'a>> = vec![Param {
            name: b"realm",
            value: Some(self.quotable()),
        }];
        for (name, value) in [
            (&b"qop"[..], &b"auth"[..]),
            (b"nc", b"00000001"),
            (b"algorithm", b"MD5"),
        ] {
            if self.chance(2) {
                params.push(Param {
                    name,
                    value: Some(self.or_unfit(value.to_vec())),
                });
            }
        }
        if self.chance(2) {
            let name = self.lower_token();
            if !params.iter().any(|param| param.name == name) {
                let value = Some(self.quotable());
                params.push(Param { name, value });
            }
        }
        self.arena.alloc_slice_copy(&params)
    }

    fn date(&mut self) -> Date {
        Date {
            year: self.below(10_000) as u16,
            month: 1 + self.below(12) as u8,
            day: 1 + self.below(28) as u8,
            hour: self.below(24) as u8,
            minute: self.below(60) as u8,
            second: self.below(61) as u8,
        }
    }

    fn seconds(&mut self) -> f64 {
        match self.below(4) {
            0 => 0.0,
            1 => self.number().into(),
            2 => f64::from(self.number()) / 1e6,
            _ => {
                let bytes = std::array::from_fn(|_| self.byte());
                let value = f64::from_le_bytes(bytes).abs();
                if value.is_finite() { value } else { 1e300 }
            }
        }
    }

    fn extension(&mut self, number: usize) -> Extension<'a> {
        let mut name = format!("X{number}").into_bytes();
        name.extend_from_slice(self.token());
        Extension {
            name: self.keep(&name),
            values: self.list(1, Self::text),
        }
    }

    fn headers(&mut self) -> Headers<'a> {
        let mut headers = Headers::new_in(self.arena);
        headers.via = self.chance(2).then(|| self.list(1, Self::via));
        headers.route = self.chance(3).then(|| self.list(1, Self::name_addr));
        headers.record_route = self.chance(3).then(|| self.list(1, Self::name_addr));
        headers.from = self.maybe(Self::name_addr);
        headers.to = self.maybe(Self::name_addr);
        headers.call_id = self.maybe(Self::call_id);
        headers.cseq = self.maybe(|random| CSeq {
            number: random.number() >> 1,
            method: random.method(),
        });
        headers.max_forwards = self.maybe(|random| u32::from(random.byte()));
        headers.contact = self.maybe(|random| match random.below(4) {
            0 => Contact::Star,
            _ => Contact::Addresses(random.list(0, Self::contact_addr)),
        });
        headers.accept = self.maybe_list(Self::media_type);
        headers.accept_encoding = self.maybe_list(Self::token_params);
        headers.accept_language = self.maybe_list(Self::token_params);
        headers.alert_info = self.maybe_list(Self::info);
        headers.allow = self.maybe_list(Self::token);
        headers.authentication_info = self.maybe(Self::auth_params);
        headers.authorization = self.maybe_list(Self::auth);
        headers.call_info = self.maybe_list(Self::info);
        headers.content_disposition = self.maybe(Self::token_params);
        headers.content_encoding = self.maybe_list(Self::token);
        headers.content_language = self.maybe_list(Self::token);
        headers.content_type = self.maybe(Self::media_type);
        headers.date = self.maybe(Self::date);
        headers.error_info = self.maybe_list(Self::info);
        headers.expires = self.maybe(Self::number);
        headers.in_reply_to = self.maybe_list(Self::call_id);
        headers.mime_version = self.maybe(|random| MimeVersion {
            major: random.number(),
            minor: random.number(),
        });
        headers.min_expires = self.maybe(Self::number);
        headers.organization = self.maybe(Self::text);
        headers.p_asserted_identity = self.maybe_list(Self::name_addr);
        headers.priority = self.maybe(Self::token);
        headers.proxy_authenticate = self.maybe_list(Self::auth);
        headers.proxy_authorization = self.maybe_list(Self::auth);
        headers.proxy_require = self.maybe_list(Self::token);
        headers.reason = self.maybe_list(Self::token_params);
        headers.reply_to = self.maybe(Self::name_addr);
        headers.require = self.maybe_list(Self::token);
        headers.retry_after = self.maybe(|random| RetryAfter {
            seconds: random.number(),
            comment: random.quotable(),
            params: random.params(&[(b"duration", b"3600")]),
        });
        headers.server = self.maybe(Self::text);
        headers.subject = self.maybe(Self::text);
        headers.supported = self.maybe_list(Self::token);
        headers.timestamp = self.maybe(|random| Timestamp {
            timestamp: random.seconds(),
            delay: random.seconds(),
        });
        headers.unsupported = self.maybe_list(Self::token);
        headers.user_agent = self.maybe(Self::text);
        headers.warning = self.maybe_list(|random| Warning {
            code: 100 + random.below(900) as u16,
            agent: random.or_unfit(b"[2001:db8::1]:5060".to_vec()),
            text: random.quotable(),
        });
        headers.www_authenticate = self.maybe_list(Self::auth);
        for number in 0..self.below(3) {
            let extension = self.extension(number);
            headers.extensions.push(extension);
        }
        headers
    }
}
