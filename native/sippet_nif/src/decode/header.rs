//! The header map: the documented table, field by field.

use bumpalo::collections::Vec as ArenaVec;
use sippet_proto::header::{
    Auth, CSeq, Contact, Date, Extension, Headers, Info, MediaType, MimeVersion, NameAddr, Param,
    Params, RetryAfter, Timestamp, TokenParams, Via, Warning,
};
use sippet_proto::message::List;

use super::{Decoded, Decoder, Refused};
use crate::atoms::HeaderKey;
use crate::error::Refusal;
use crate::term::Raw;

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// `%Sippet.Message{}.headers`
    pub fn headers(&self, map: Raw<'e>) -> Result<Headers<'a>, Refused<'e>> {
        let mut headers = Headers::new_in(self.arena);
        let pairs = self
            .vm
            .pairs(map)
            .ok_or_else(|| self.refused(self.atoms.headers_key))?;
        for (key, value) in pairs {
            let decoded = if let Some(known) = self.atoms.header(key.bits()) {
                self.header(known, value, &mut headers)
            } else if let Some(name) = self.vm.bytes(key) {
                self.extension_values(value)
                    .map(|values| headers.extensions.push(Extension { name, values }))
            } else {
                self.refuse(Refusal::UnknownHeader)
            };
            decoded.ok_or_else(|| self.refused(key))?;
        }
        // A large map has no order of its own.
        headers
            .extensions
            .sort_by(|left, right| left.name.cmp(right.name));
        Ok(headers)
    }

    /// One header field of the documented table.
    pub fn header(&self, key: HeaderKey, value: Raw<'e>, headers: &mut Headers<'a>) -> Decoded<()> {
        match key {
            HeaderKey::Accept => {
                headers.accept = Some(self.list(value, |value| self.media_type(value))?)
            }
            HeaderKey::AcceptEncoding => {
                headers.accept_encoding = Some(self.list(value, |value| self.token_params(value))?)
            }
            HeaderKey::AcceptLanguage => {
                headers.accept_language = Some(self.list(value, |value| self.token_params(value))?)
            }
            HeaderKey::AlertInfo => {
                headers.alert_info = Some(self.list(value, |value| self.info(value))?)
            }
            HeaderKey::Allow => headers.allow = Some(self.strings(value)?),
            HeaderKey::AuthenticationInfo => {
                headers.authentication_info = Some(self.with_values(self.params(value)?))
            }
            HeaderKey::Authorization => {
                headers.authorization = Some(self.list(value, |value| self.auth(value))?)
            }
            HeaderKey::CallId => headers.call_id = Some(self.string(value)?),
            HeaderKey::CallInfo => {
                headers.call_info = Some(self.list(value, |value| self.info(value))?)
            }
            HeaderKey::Contact => headers.contact = Some(self.contact(value)?),
            HeaderKey::ContentDisposition => {
                headers.content_disposition = Some(self.token_params(value)?)
            }
            HeaderKey::ContentEncoding => headers.content_encoding = Some(self.strings(value)?),
            HeaderKey::ContentLanguage => headers.content_language = Some(self.strings(value)?),
            HeaderKey::ContentLength => headers.content_length = Some(self.integer(value)?),
            HeaderKey::ContentType => headers.content_type = Some(self.media_type(value)?),
            HeaderKey::Cseq => headers.cseq = Some(self.cseq(value)?),
            HeaderKey::Date => headers.date = Some(self.date(value)?),
            HeaderKey::ErrorInfo => {
                headers.error_info = Some(self.list(value, |value| self.info(value))?)
            }
            HeaderKey::Expires => headers.expires = Some(self.integer(value)?),
            HeaderKey::From => headers.from = Some(self.address(value)?),
            HeaderKey::InReplyTo => headers.in_reply_to = Some(self.strings(value)?),
            HeaderKey::MaxForwards => headers.max_forwards = Some(self.integer(value)?),
            HeaderKey::MimeVersion => headers.mime_version = Some(self.mime_version(value)?),
            HeaderKey::MinExpires => headers.min_expires = Some(self.integer(value)?),
            HeaderKey::Organization => headers.organization = Some(self.string(value)?),
            HeaderKey::PAssertedIdentity => {
                headers.p_asserted_identity = Some(self.addresses(value)?)
            }
            HeaderKey::Priority => headers.priority = Some(self.string(value)?),
            HeaderKey::ProxyAuthenticate => {
                headers.proxy_authenticate = Some(self.list(value, |value| self.auth(value))?)
            }
            HeaderKey::ProxyAuthorization => {
                headers.proxy_authorization = Some(self.list(value, |value| self.auth(value))?)
            }
            HeaderKey::ProxyRequire => headers.proxy_require = Some(self.strings(value)?),
            HeaderKey::Reason => {
                headers.reason = Some(self.list(value, |value| self.token_params(value))?)
            }
            HeaderKey::RecordRoute => headers.record_route = Some(self.addresses(value)?),
            HeaderKey::ReplyTo => headers.reply_to = Some(self.address(value)?),
            HeaderKey::Require => headers.require = Some(self.strings(value)?),
            HeaderKey::RetryAfter => headers.retry_after = Some(self.retry_after(value)?),
            HeaderKey::Route => headers.route = Some(self.addresses(value)?),
            HeaderKey::Server => headers.server = Some(self.string(value)?),
            HeaderKey::Subject => headers.subject = Some(self.string(value)?),
            HeaderKey::Supported => headers.supported = Some(self.strings(value)?),
            HeaderKey::Timestamp => headers.timestamp = Some(self.timestamp(value)?),
            HeaderKey::To => headers.to = Some(self.address(value)?),
            HeaderKey::Unsupported => headers.unsupported = Some(self.strings(value)?),
            HeaderKey::UserAgent => headers.user_agent = Some(self.string(value)?),
            HeaderKey::Via => headers.via = Some(self.list(value, |value| self.via(value))?),
            HeaderKey::Warning => {
                headers.warning = Some(self.list(value, |value| self.warning(value))?)
            }
            HeaderKey::WwwAuthenticate => {
                headers.www_authenticate = Some(self.list(value, |value| self.auth(value))?)
            }
        }
        Some(())
    }

    /// A list of strings, or a string alone.
    pub(super) fn extension_values(&self, term: Raw<'e>) -> Decoded<List<'a, &'a [u8]>> {
        match self.vm.bytes(term) {
            Some(value) => Some(bumpalo::vec![in self.arena; value]),
            None => self.strings(term),
        }
    }

    pub(super) fn params(&self, term: Raw<'e>) -> Decoded<Params<'a>> {
        let size = self.vm.map_size(term)?;
        if size == 0 {
            return Some(&[]);
        }
        let mut params = ArenaVec::with_capacity_in(size, self.arena);
        for (name, value) in self.vm.pairs(term)?.take(size) {
            let value = self.string(value)?;
            params.push(Param {
                name: self.string(name)?,
                value: (!value.is_empty()).then_some(value),
            });
        }
        Some(params.into_bump_slice())
    }

    pub(super) fn addresses(&self, term: Raw<'e>) -> Decoded<List<'a, NameAddr<'a>>> {
        self.list(term, |value| self.name_addr(value))
    }

    pub(super) fn strings(&self, term: Raw<'e>) -> Decoded<List<'a, &'a [u8]>> {
        self.list(term, |value| self.string(value))
    }

    pub(super) fn address(&self, term: Raw<'e>) -> Decoded<NameAddr<'a>> {
        self.name_addr(term)
    }

    // Large: in its two callers it is made where it stays.
    #[inline(always)]
    fn name_addr(&self, term: Raw<'e>) -> Decoded<NameAddr<'a>> {
        let [display_name, uri, params] = self.tuple(term)?;
        Some(NameAddr {
            display_name: self.string(*display_name)?,
            uri: self.uri(*uri)?,
            params: self.params(*params)?,
        })
    }

    fn contact(&self, term: Raw<'e>) -> Decoded<Contact<'a>> {
        match self.vm.bytes(term) {
            Some(b"*") => Some(Contact::Star),
            Some(_) => None,
            None => self.addresses(term).map(Contact::Addresses),
        }
    }

    /// The port 0 is none.
    fn via(&self, term: Raw<'e>) -> Decoded<Via<'a>> {
        let [version, protocol, sent_by, params] = self.tuple(term)?;
        let [host, port] = self.tuple(*sent_by)?;
        let port: u16 = self.integer(*port)?;
        Some(Via {
            version: self.version(*version)?,
            protocol: self.protocol(*protocol)?,
            host: self.string(*host)?,
            port: (port != 0).then_some(port),
            params: self.params(*params)?,
        })
    }

    fn cseq(&self, term: Raw<'e>) -> Decoded<CSeq<'a>> {
        let [number, method] = self.tuple(term)?;
        // §8.1.1.5
        let number: i32 = self.integer(*number)?;
        Some(CSeq {
            number: number.try_into().ok()?,
            method: self.method(*method)?,
        })
    }

    fn media_type(&self, term: Raw<'e>) -> Decoded<MediaType<'a>> {
        let [range, params] = self.tuple(term)?;
        let [kind, subtype] = self.tuple(*range)?;
        Some(MediaType {
            kind: self.string(*kind)?,
            subtype: self.string(*subtype)?,
            params: self.params(*params)?,
        })
    }

    pub(super) fn token_params(&self, term: Raw<'e>) -> Decoded<TokenParams<'a>> {
        let [token, params] = self.tuple(term)?;
        Some(TokenParams {
            token: self.string(*token)?,
            params: self.params(*params)?,
        })
    }

    pub(super) fn info(&self, term: Raw<'e>) -> Decoded<Info<'a>> {
        let [uri, params] = self.tuple(term)?;
        Some(Info {
            uri: self.uri(*uri)?,
            params: self.params(*params)?,
        })
    }

    fn auth(&self, term: Raw<'e>) -> Decoded<Auth<'a>> {
        let [scheme, params] = self.tuple(term)?;
        let scheme = self.string(*scheme)?;
        let params = self.params(*params)?;
        // A token68 is the only parameter there is, and has no value; Digest has none.
        let is_token68 = params.len() == 1 && !scheme.eq_ignore_ascii_case(b"digest");
        Some(Auth {
            scheme,
            params: if is_token68 {
                params
            } else {
                self.with_values(params)
            },
        })
    }

    /// In challenges and credentials every parameter has a value: no text is an empty quoted string.
    fn with_values(&self, params: Params<'a>) -> Params<'a> {
        if params.iter().all(|param| param.value.is_some()) {
            return params;
        }
        self.arena
            .alloc_slice_fill_iter(params.iter().map(|param| Param {
                name: param.name,
                value: Some(param.value.unwrap_or_default()),
            }))
    }

    fn mime_version(&self, term: Raw<'e>) -> Decoded<MimeVersion> {
        let [major, minor] = self.tuple(term)?;
        Some(MimeVersion {
            major: self.integer(*major)?,
            minor: self.integer(*minor)?,
        })
    }

    fn retry_after(&self, term: Raw<'e>) -> Decoded<RetryAfter<'a>> {
        let [seconds, comment, params] = self.tuple(term)?;
        Some(RetryAfter {
            seconds: self.integer(*seconds)?,
            comment: self.string(*comment)?,
            params: self.params(*params)?,
        })
    }

    fn timestamp(&self, term: Raw<'e>) -> Decoded<Timestamp> {
        let [timestamp, delay] = self.tuple(term)?;
        Some(Timestamp {
            timestamp: self.seconds(*timestamp)?,
            delay: self.seconds(*delay)?,
        })
    }

    fn warning(&self, term: Raw<'e>) -> Decoded<Warning<'a>> {
        let [code, agent, text] = self.tuple(term)?;
        let code: u16 = self.integer(*code)?;
        if !(100..=999).contains(&code) {
            return None;
        }
        Some(Warning {
            code,
            agent: self.string(*agent)?,
            text: self.string(*text)?,
        })
    }

    /// `%NaiveDateTime{}`; fractions of a second are dropped, §20.17 has none.
    fn date(&self, term: Raw<'e>) -> Decoded<Date> {
        let atoms = self.atoms;
        self.is_struct(term, atoms.naive_date_time)?;
        let number = |key, least, most| {
            let number: u8 = self.integer(self.field(term, key)?)?;
            if (least..=most).contains(&number) {
                Some(number)
            } else {
                None
            }
        };
        let year: u16 = self.integer(self.field(term, atoms.year)?)?;
        let month = number(atoms.month, 1, 12)?;
        if year > 9999 {
            return None;
        }
        Some(Date {
            year,
            month,
            day: number(atoms.day, 1, days_in_month(year, month))?,
            hour: number(atoms.hour, 0, 23)?,
            minute: number(atoms.minute, 0, 59)?,
            second: number(atoms.second, 0, 60)?,
        })
    }
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
