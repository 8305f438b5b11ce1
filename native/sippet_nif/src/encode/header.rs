//! The header map: the documented table, field by field.

use bumpalo::collections::Vec as ArenaVec;
use sippet_proto::header::{
    Auth, CSeq, Contact, Date, Extension, Headers, Info, MediaType, MimeVersion, NameAddr, Params,
    RetryAfter, Timestamp, TokenParams, Via, Warning,
};
use sippet_proto::message::Protocol;

use super::Encoder;
use crate::atoms::HeaderKey;
use crate::term::Raw;

impl<'e, 'a> Encoder<'e, 'a> {
    /// `%Sippet.Message{}.headers`
    pub fn headers(&self, headers: &Headers<'_>) -> Raw<'e> {
        let room = HeaderKey::ALL.len() + headers.extensions.len();
        let mut map = Map {
            keys: ArenaVec::with_capacity_in(room, self.arena),
            values: ArenaVec::with_capacity_in(room, self.arena),
        };
        // In the order of the alphabet: so the VM need not sort the atoms where it keeps them by their text.
        macro_rules! put {
            (@one $value:ident $encode:ident) => { self.$encode($value) };
            (@list $value:ident $encode:ident) => { self.list($value, |each| self.$encode(each)) };
            ($($field:ident $key:ident $shape:ident $encode:ident;)+) => {
                $(if let Some(value) = &headers.$field {
                    let value = put!(@$shape value $encode);
                    map.keys.push(self.atoms.headers[HeaderKey::$key as usize].into());
                    map.values.push(value);
                })+
            };
        }
        put!(
            accept Accept list media_type;
            accept_encoding AcceptEncoding list token_params;
            accept_language AcceptLanguage list token_params;
            alert_info AlertInfo list info;
            allow Allow list string;
            authentication_info AuthenticationInfo one params;
            authorization Authorization list auth;
            call_id CallId one string;
            call_info CallInfo list info;
            contact Contact one contact;
            content_disposition ContentDisposition one token_params;
            content_encoding ContentEncoding list string;
            content_language ContentLanguage list string;
            content_length ContentLength one integer;
            content_type ContentType one media_type;
            cseq Cseq one cseq;
            date Date one date;
            error_info ErrorInfo list info;
            expires Expires one integer;
            from From one name_addr;
            in_reply_to InReplyTo list string;
            max_forwards MaxForwards one integer;
            mime_version MimeVersion one mime_version;
            min_expires MinExpires one integer;
            organization Organization one string;
            p_asserted_identity PAssertedIdentity list name_addr;
            priority Priority one string;
            proxy_authenticate ProxyAuthenticate list auth;
            proxy_authorization ProxyAuthorization list auth;
            proxy_require ProxyRequire list string;
            reason Reason list token_params;
            record_route RecordRoute list name_addr;
            reply_to ReplyTo one name_addr;
            require Require list string;
            retry_after RetryAfter one retry_after;
            route Route list name_addr;
            server Server one string;
            subject Subject one string;
            supported Supported list string;
            timestamp Timestamp one timestamp;
            to To one name_addr;
            unsupported Unsupported list string;
            user_agent UserAgent one string;
            via Via list via;
            warning Warning list warning;
            www_authenticate WwwAuthenticate list auth;
        );
        self.extensions(&headers.extensions, &mut map);
        self.vm.map(&map.keys, &map.values)
    }

    /// Strings come after atoms in the order of terms. A name that is there twice keeps its last values.
    fn extensions(&self, extensions: &[Extension<'_>], map: &mut Map<'e, 'a>) {
        let mut sorted = ArenaVec::with_capacity_in(extensions.len(), self.arena);
        sorted.extend(extensions.iter());
        sorted.sort_by(|left, right| left.name.cmp(right.name));
        sorted.reverse();
        sorted.dedup_by(|later, earlier| later.name == earlier.name);
        for extension in sorted.iter().rev() {
            map.keys.push(self.string(extension.name));
            map.values
                .push(self.list(&extension.values, |value| self.string(value)));
        }
    }

    /// `%{"tag" => "9fxced76sl"}`; a flag has the value `""`.
    pub(super) fn params(&self, params: &Params<'_>) -> Raw<'e> {
        match params {
            [] => self.empty_map,
            [one] => self.vm.map(
                &[self.string(one.name)],
                &[self.string(one.value.unwrap_or_default())],
            ),
            // Sorted here, where comparing costs less than in the VM. Of a repeated name the last value stays.
            params => {
                let sorted = self.arena.alloc_slice_copy(params);
                sorted.sort_by(|left, right| left.name.cmp(right.name));
                let mut keys = ArenaVec::with_capacity_in(sorted.len(), self.arena);
                let mut values = ArenaVec::with_capacity_in(sorted.len(), self.arena);
                let mut rest = sorted.iter().peekable();
                while let Some(param) = rest.next() {
                    if rest.peek().is_some_and(|next| next.name == param.name) {
                        continue;
                    }
                    keys.push(self.string(param.name));
                    values.push(self.string(param.value.unwrap_or_default()));
                }
                self.vm.map(&keys, &values)
            }
        }
    }

    #[inline]
    fn integer(&self, number: &u32) -> Raw<'e> {
        self.vm.integer(*number)
    }

    fn cseq(&self, value: &CSeq<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.vm.integer(value.number), self.method(&value.method)])
    }

    fn mime_version(&self, value: &MimeVersion) -> Raw<'e> {
        self.vm
            .tuple([self.vm.integer(value.major), self.vm.integer(value.minor)])
    }

    fn timestamp(&self, value: &Timestamp) -> Raw<'e> {
        self.vm
            .tuple([self.vm.float(value.timestamp), self.vm.float(value.delay)])
    }

    pub(super) fn name_addr(&self, value: &NameAddr<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.string(value.display_name),
            self.uri(&value.uri),
            self.params(&value.params),
        ])
    }

    fn contact(&self, contact: &Contact<'_>) -> Raw<'e> {
        match contact {
            Contact::Star => self.string(b"*"),
            Contact::Addresses(list) => self.list(list, |value| self.name_addr(value)),
        }
    }

    fn via(&self, via: &Via<'_>) -> Raw<'e> {
        let port = via.port.unwrap_or_else(|| default_port(&via.protocol));
        self.vm.tuple([
            self.version(via.version),
            self.protocol(&via.protocol),
            self.vm
                .tuple([self.string(via.host), self.vm.integer(port.into())]),
            self.params(&via.params),
        ])
    }

    fn media_type(&self, value: &MediaType<'_>) -> Raw<'e> {
        let kind = self
            .vm
            .tuple([self.string(value.kind), self.string(value.subtype)]);
        self.vm.tuple([kind, self.params(&value.params)])
    }

    pub(super) fn token_params(&self, value: &TokenParams<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.string(value.token), self.params(&value.params)])
    }

    pub(super) fn info(&self, value: &Info<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.uri(&value.uri), self.params(&value.params)])
    }

    fn auth(&self, value: &Auth<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.string(value.scheme), self.params(&value.params)])
    }

    fn retry_after(&self, value: &RetryAfter<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.vm.integer(value.seconds),
            self.string(value.comment),
            self.params(&value.params),
        ])
    }

    fn warning(&self, value: &Warning<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.vm.integer(value.code.into()),
            self.string(value.agent),
            self.string(value.text),
        ])
    }

    /// `%NaiveDateTime{}`, to the second.
    fn date(&self, date: &Date) -> Raw<'e> {
        let atoms = self.atoms;
        let number = |number: u8| self.vm.integer(number.into());
        self.vm.map(
            &[
                atoms.struct_key.into(),
                atoms.calendar.into(),
                atoms.day.into(),
                atoms.hour.into(),
                atoms.microsecond.into(),
                atoms.minute.into(),
                atoms.month.into(),
                atoms.second.into(),
                atoms.year.into(),
            ],
            &[
                atoms.naive_date_time.into(),
                atoms.calendar_iso.into(),
                number(date.day),
                number(date.hour),
                self.vm.tuple([number(0), number(0)]),
                number(date.minute),
                number(date.month),
                // `Calendar.ISO` knows no leap second.
                number(date.second.min(59)),
                self.vm.integer(date.year.into()),
            ],
        )
    }
}

/// What `{host, port}` of a Via has where no port was written: as ever, 0 where the protocol has no port of its own here.
pub fn default_port(protocol: &Protocol<'_>) -> u16 {
    match protocol {
        Protocol::Udp | Protocol::Tcp => 5060,
        Protocol::Tls => 5061,
        _ => 0,
    }
}

struct Map<'e, 'a> {
    keys: ArenaVec<'a, Raw<'e>>,
    values: ArenaVec<'a, Raw<'e>>,
}
