//! Bytes to messages (§7, §18.3).

use super::fold::{original_offset, unfold};
use super::lines::{Lines, RawField};
use super::start_line::start_line;
use super::validate::missing_field;
use super::{Arena, List, Message, StartLine, Version};
use crate::error::{Defect, Field, ParseError, Reason};
use crate::grammar::{Parsed, Scope, Stop, is_token, only_number, skip_space, text};
use crate::header::list::list;
use crate::header::name::{Known, Name, look_up};
use crate::header::{Auth, Contact, Extension, Headers, Info, NameAddr, Via};
use crate::header::{auth, date, name_addr, numbers, token, via};
use crate::limits::Limits;

/// Where the body of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// With the bytes; Content-Length is not looked at. The head may end without an empty line, and mandatory header
    /// fields may be missing.
    #[default]
    Whole,
    /// As §18.3 has it for datagrams: surplus bytes are cut off, a body that is too short is an error. So is a head
    /// without an empty line, without a mandatory header field or of another version.
    Datagram,
}

/// What becomes of a malformed header field that no element needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It stays as text and is listed in the defects (§16.3).
    #[default]
    Lenient,
    /// It is an error.
    Strict,
}

/// How to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Where the body ends.
    pub framing: Framing,
    /// What is forgiven.
    pub mode: Mode,
    /// How much is taken.
    pub limits: Limits,
}

/// Parses one message; lists and all text that had to be changed go to `arena`.
///
/// Lines end in CRLF or LF. A value of Via, Route or Record-Route that is malformed is an error, and so is a From, To,
/// Call-ID, CSeq, Content-Length or Max-Forwards that is there twice, and a malformed one, but for Max-Forwards. Any
/// other malformed field is kept as text in `extensions` and listed in `defects`.
pub fn parse<'a>(
    data: &'a [u8],
    options: &Options,
    arena: &'a Arena,
) -> Result<Message<'a>, ParseError<'a>> {
    let limits = &options.limits;
    if data.len() > limits.max_message_bytes {
        return Err(error(
            Reason::MessageTooLong,
            Field::Message,
            limits.max_message_bytes,
        ));
    }
    let Some(mut lines) = Lines::new(data) else {
        return Err(error(Reason::Empty, Field::Message, data.len()));
    };
    let mut parser = Parser {
        scope: Scope::new(arena, *limits),
        mode: options.mode,
        defects: List::new_in(arena),
        names: List::new_in(arena),
    };
    let start_line = parser.start_line(&lines, options.framing)?;
    let mut headers = Headers::new_in(arena);
    let mut count = 0;
    while let Some(line) = lines.next() {
        count += 1;
        if count > limits.max_fields {
            return Err(error(Reason::TooManyFields, Field::Message, line.offset));
        }
        if let Some(at) = lines.bare_cr() {
            return Err(error(Reason::BareCr, field_of(&line), at));
        }
        parser.scope.has_nul = lines.nul().is_some();
        parser.header_field(&line, &mut headers)?;
    }
    if let Some(at) = lines.bare_lf()
        && (options.framing == Framing::Datagram || options.mode == Mode::Strict)
    {
        parser.defect(Field::Message, Reason::BareLf, at)?;
    }
    let body = match options.framing {
        Framing::Whole => lines.body_offset().and_then(|at| data.get(at..)),
        Framing::Datagram => {
            if let Some(name) = missing_field(&headers) {
                let field = Field::Header(name.as_bytes());
                return Err(error(Reason::MissingField, field, data.len()));
            }
            Some(datagram_body(
                data,
                lines.body_offset(),
                headers.content_length,
            )?)
        }
    };
    Ok(Message {
        start_line,
        headers,
        body,
        defects: parser.defects,
    })
}

/// §18.3.
fn datagram_body(
    data: &[u8],
    offset: Option<usize>,
    content_length: Option<u32>,
) -> Result<&[u8], ParseError<'_>> {
    let Some(rest) = offset.and_then(|offset| data.get(offset..)) else {
        return Err(error(Reason::MissingEmptyLine, Field::Message, data.len()));
    };
    match content_length {
        None => Ok(rest),
        Some(length) => {
            rest.get(..length as usize)
                .ok_or(error(Reason::BodyTooShort, Field::Body, data.len()))
        }
    }
}

fn error(reason: Reason, field: Field<'_>, offset: usize) -> ParseError<'_> {
    ParseError {
        reason,
        field,
        offset,
    }
}

#[cold]
fn field_of<'a>(line: &RawField<'a>) -> Field<'a> {
    let name = line.name.unwrap_or(line.line);
    Field::Header(look_up(name).map_or(name, |entry| entry.text))
}

/// What a header field's value is read with.
type Read<'a> = Result<(), nom::Err<Stop<'a>>>;

struct Parser<'a> {
    scope: Scope<'a>,
    mode: Mode,
    defects: List<'a, Defect<'a>>,
    /// A hash of each extension's name, so that looking for one costs a comparison of numbers. The number of fields
    /// is limited, so is the work of one who makes all hashes equal.
    names: List<'a, u32>,
}

impl<'a> Parser<'a> {
    fn start_line(
        &mut self,
        lines: &Lines<'a>,
        framing: Framing,
    ) -> Result<StartLine<'a>, ParseError<'a>> {
        let line = lines.start_line();
        let offset = lines.start_offset();
        let end = offset + line.len();
        let limit = self.scope.limits.max_line_bytes;
        if line.len() > limit {
            return Err(error(
                Reason::StartLineTooLong,
                Field::StartLine,
                offset + limit,
            ));
        }
        if let Some(at) = lines.bare_cr() {
            return Err(error(Reason::BareCr, Field::StartLine, at));
        }
        let start_line = match start_line(line, &mut self.scope) {
            Ok(start_line) => start_line,
            Err(stop) => {
                let (reason, left) = place(stop);
                return Err(error(reason, Field::StartLine, end - left));
            }
        };
        let version = match &start_line {
            StartLine::Request(line) => line.version,
            StartLine::Status(line) => line.version,
        };
        if framing == Framing::Datagram && version != Version::SIP_2_0 {
            return Err(error(Reason::Version, Field::StartLine, offset));
        }
        if let Some((reason, left)) = self.scope.forgiven.take() {
            self.defect(Field::StartLine, reason, end - left)?;
        }
        Ok(start_line)
    }

    #[inline]
    fn header_field(
        &mut self,
        line: &RawField<'a>,
        headers: &mut Headers<'a>,
    ) -> Result<(), ParseError<'a>> {
        let limits = &self.scope.limits;
        if line.line.len() > limits.max_line_bytes {
            let at = line.offset + limits.max_line_bytes;
            return Err(error(Reason::LineTooLong, field_of(line), at));
        }
        if line.folds > limits.max_folds {
            return Err(error(Reason::TooManyFolds, field_of(line), line.offset));
        }
        let Some(name) = line.name else {
            return self.no_field(line, Reason::HeaderLine);
        };
        let value = match line.folds {
            0 => line.value,
            _ => unfold(line.value, self.scope.arena),
        };
        let Some(entry) = look_up(name) else {
            if !is_token(name) {
                return self.no_field(line, Reason::HeaderName);
            }
            return self.extension(name, line, value, headers);
        };
        let Some(known) = entry.known else {
            return self.extension(entry.text, line, value, headers);
        };
        match self.known_field(known, value, headers) {
            Ok(()) => match self.scope.forgiven.take() {
                None => Ok(()),
                Some((reason, left)) => {
                    let at = original_offset(line, value, left);
                    self.defect(Field::Header(entry.text), reason, at)
                }
            },
            Err(stop) => self.malformed(entry, known, line, value, stop, headers),
        }
    }

    /// A line that is no header field is left out, unless it is not text either (§16.3 item 1).
    #[cold]
    fn no_field(&mut self, line: &RawField<'a>, reason: Reason) -> Result<(), ParseError<'a>> {
        let name = line.name.unwrap_or(line.line);
        let offset = line.offset;
        if name.iter().any(u8::is_ascii_control) || matches!(line.line, [b' ' | b'\t', ..]) {
            return Err(error(reason, Field::Header(name), offset));
        }
        self.defect(Field::Header(name), reason, offset)
    }

    /// Decides what a malformed value of a known field costs.
    #[cold]
    fn malformed(
        &mut self,
        entry: &'static Name,
        known: Known,
        line: &RawField<'a>,
        value: &'a [u8],
        stop: nom::Err<Stop<'a>>,
        headers: &mut Headers<'a>,
    ) -> Result<(), ParseError<'a>> {
        let (reason, left) = place(stop);
        let at = original_offset(line, value, left);
        let field = Field::Header(entry.text);
        self.scope.forgiven = None;
        if is_fatal(known, reason) {
            return Err(error(reason, field, at));
        }
        self.defect(field, reason, at)?;
        if reason == Reason::DuplicateField {
            return Ok(());
        }
        self.extension(entry.text, line, value, headers)
    }

    #[cold]
    fn defect(
        &mut self,
        field: Field<'a>,
        reason: Reason,
        offset: usize,
    ) -> Result<(), ParseError<'a>> {
        if self.mode == Mode::Strict {
            return Err(error(reason, field, offset));
        }
        self.defects.push(Defect {
            field,
            reason,
            offset,
        });
        Ok(())
    }

    /// Adds a value to the extension of that name, in any case.
    fn extension(
        &mut self,
        name: &'a [u8],
        line: &RawField<'a>,
        value: &'a [u8],
        headers: &mut Headers<'a>,
    ) -> Result<(), ParseError<'a>> {
        if self.scope.has_nul
            && let Some(nul) = memchr::memchr(0, value)
        {
            let at = original_offset(line, value, value.len() - nul);
            return Err(error(Reason::Nul, Field::Header(name), at));
        }
        let hash = name_hash(name);
        let twin = self.names.iter().zip(headers.extensions.iter_mut());
        for (other_hash, extension) in twin {
            if *other_hash == hash && extension.name.eq_ignore_ascii_case(name) {
                extension.values.push(value);
                return Ok(());
            }
        }
        let mut values = List::with_capacity_in(1, self.scope.arena);
        values.push(value);
        self.names.push(hash);
        headers.extensions.push(Extension { name, values });
        Ok(())
    }

    fn known_field(
        &mut self,
        known: Known,
        value: &'a [u8],
        headers: &mut Headers<'a>,
    ) -> Read<'a> {
        match known {
            Known::Via => self.via(&mut headers.via, value),
            Known::From => self.once(&mut headers.from, value, name_addr::only_name_addr),
            Known::To => self.once(&mut headers.to, value, name_addr::only_name_addr),
            Known::CallId => self.only(&mut headers.call_id, value, token::call_id),
            Known::CSeq => self.only(&mut headers.cseq, value, token::cseq),
            Known::ContentLength => self.number(&mut headers.content_length, value, u32::MAX),
            Known::MaxForwards => self.number(&mut headers.max_forwards, value, 255),
            Known::Expires => self.number(&mut headers.expires, value, u32::MAX),
            Known::MinExpires => self.number(&mut headers.min_expires, value, u32::MAX),
            Known::Contact => self.contact(&mut headers.contact, value),
            Known::Route => self.hops(&mut headers.route, value),
            Known::RecordRoute => self.hops(&mut headers.record_route, value),
            Known::PAssertedIdentity => self.list(
                &mut headers.p_asserted_identity,
                value,
                name_addr::name_addr,
            ),
            Known::ReplyTo => self.once(&mut headers.reply_to, value, name_addr::only_name_addr),
            Known::Allow => self.tokens(&mut headers.allow, value),
            Known::ContentEncoding => self.tokens(&mut headers.content_encoding, value),
            Known::ContentLanguage => self.tokens(&mut headers.content_language, value),
            Known::ProxyRequire => self.tokens(&mut headers.proxy_require, value),
            Known::Require => self.tokens(&mut headers.require, value),
            Known::Supported => self.tokens(&mut headers.supported, value),
            Known::Unsupported => self.tokens(&mut headers.unsupported, value),
            Known::InReplyTo => self.list(&mut headers.in_reply_to, value, token::call_id_in_list),
            Known::Accept => self.list(&mut headers.accept, value, token::media_type),
            Known::ContentType => self.only(&mut headers.content_type, value, token::media_type),
            Known::AcceptEncoding => {
                self.list(&mut headers.accept_encoding, value, token::token_params)
            }
            Known::AcceptLanguage => {
                self.list(&mut headers.accept_language, value, token::token_params)
            }
            Known::Reason => self.list(&mut headers.reason, value, token::token_params),
            Known::ContentDisposition => {
                self.only(&mut headers.content_disposition, value, token::token_params)
            }
            Known::AlertInfo => self.infos(&mut headers.alert_info, value),
            Known::CallInfo => self.infos(&mut headers.call_info, value),
            Known::ErrorInfo => self.infos(&mut headers.error_info, value),
            Known::Authorization => self.auths(&mut headers.authorization, value),
            Known::ProxyAuthenticate => self.auths(&mut headers.proxy_authenticate, value),
            Known::ProxyAuthorization => self.auths(&mut headers.proxy_authorization, value),
            Known::WwwAuthenticate => self.auths(&mut headers.www_authenticate, value),
            Known::AuthenticationInfo => self.once(
                &mut headers.authentication_info,
                value,
                auth::authentication_info,
            ),
            Known::Date => self.only(&mut headers.date, value, date::date),
            Known::MimeVersion => {
                self.only(&mut headers.mime_version, value, numbers::mime_version)
            }
            Known::RetryAfter => self.only(&mut headers.retry_after, value, numbers::retry_after),
            Known::Timestamp => self.only(&mut headers.timestamp, value, numbers::timestamp),
            Known::Warning => self.list(&mut headers.warning, value, numbers::warning),
            Known::Priority => self.only(&mut headers.priority, value, token::plain_token),
            Known::Organization => self.once(&mut headers.organization, value, text),
            Known::Server => self.once(&mut headers.server, value, text),
            Known::Subject => self.once(&mut headers.subject, value, text),
            Known::UserAgent => self.once(&mut headers.user_agent, value, text),
        }
    }

    /// A field that stands once.
    #[inline]
    fn once<T>(
        &mut self,
        slot: &mut Option<T>,
        value: &'a [u8],
        whole: impl Fn(&'a [u8], &mut Scope<'a>) -> Result<T, nom::Err<Stop<'a>>>,
    ) -> Read<'a> {
        if slot.is_some() {
            return Err(Stop::at(value, Reason::DuplicateField));
        }
        *slot = Some(whole(value, &mut self.scope)?);
        Ok(())
    }

    #[inline]
    fn only<T>(
        &mut self,
        slot: &mut Option<T>,
        value: &'a [u8],
        one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
    ) -> Read<'a> {
        self.once(slot, value, |value, scope| token::only(value, scope, &one))
    }

    #[inline]
    fn number(&mut self, slot: &mut Option<u32>, value: &'a [u8], max: u32) -> Read<'a> {
        self.once(slot, value, |value, _| only_number(value, max))
    }

    /// A field of many values. Of a malformed line none stays.
    #[inline]
    fn list_of<T>(
        &mut self,
        slot: &mut Option<List<'a, T>>,
        value: &'a [u8],
        max: usize,
        one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
    ) -> Read<'a> {
        let arena = self.scope.arena;
        if let Some(values) = slot {
            let before = values.len();
            let result = list(value, &mut self.scope, max, values, one);
            if result.is_err() {
                values.truncate(before);
            }
            return result;
        }
        let mut values = List::with_capacity_in((256 / size_of::<T>()).max(2), arena);
        list(value, &mut self.scope, max, &mut values, one)?;
        *slot = Some(values);
        Ok(())
    }

    #[inline]
    fn list<T>(
        &mut self,
        slot: &mut Option<List<'a, T>>,
        value: &'a [u8],
        one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
    ) -> Read<'a> {
        let max = self.scope.limits.max_values;
        self.list_of(slot, value, max, one)
    }

    fn tokens(&mut self, slot: &mut Option<List<'a, &'a [u8]>>, value: &'a [u8]) -> Read<'a> {
        self.list(slot, value, token::plain_token)
    }

    fn infos(&mut self, slot: &mut Option<List<'a, Info<'a>>>, value: &'a [u8]) -> Read<'a> {
        self.list(slot, value, token::info)
    }

    fn auths(&mut self, slot: &mut Option<List<'a, Auth<'a>>>, value: &'a [u8]) -> Read<'a> {
        self.list(slot, value, auth::auth)
    }

    fn hops(&mut self, slot: &mut Option<List<'a, NameAddr<'a>>>, value: &'a [u8]) -> Read<'a> {
        let max = self.scope.limits.max_hops;
        self.list_of(slot, value, max, name_addr::name_addr)
    }

    /// An empty element may be a hop that somebody took away: not forgiven in Via (RFC 4475 §3.1.2.1).
    fn via(&mut self, slot: &mut Option<List<'a, Via<'a>>>, value: &'a [u8]) -> Read<'a> {
        let max = self.scope.limits.max_hops;
        if value.is_empty() {
            return Err(Stop::at(value, Reason::EmptyValue));
        }
        self.scope.empty_element = None;
        self.list_of(slot, value, max, via::via)?;
        match self.scope.empty_element {
            Some(left) => {
                let rest = value.get(value.len() - left..).unwrap_or_default();
                Err(Stop::at(rest, Reason::EmptyElement))
            }
            None => Ok(()),
        }
    }

    /// `("*" / (contact-param *(COMMA contact-param)))` (§20.10).
    fn contact(&mut self, slot: &mut Option<Contact<'a>>, value: &'a [u8]) -> Read<'a> {
        if let [b'*', rest @ ..] = value
            && skip_space(rest).is_empty()
        {
            return match slot {
                None => {
                    *slot = Some(Contact::Star);
                    Ok(())
                }
                Some(_) => Err(Stop::at(value, Reason::StarNotAlone)),
            };
        }
        let mut addresses = match slot.take() {
            None => None,
            Some(Contact::Addresses(addresses)) => Some(addresses),
            Some(Contact::Star) => {
                *slot = Some(Contact::Star);
                return Err(Stop::at(value, Reason::StarNotAlone));
            }
        };
        let result = self.list(&mut addresses, value, name_addr::name_addr);
        *slot = addresses.map(Contact::Addresses);
        result
    }
}

/// Reads lines of one field, each without its name, unfolded and trimmed; a malformed one is an error with its index.
pub(crate) fn parse_values<'a>(
    known: Known,
    lines: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    arena: &'a Arena,
) -> Result<Headers<'a>, (usize, nom::Err<Stop<'a>>)> {
    let mut parser = Parser {
        scope: Scope::new(arena, *limits),
        mode: Mode::Lenient,
        defects: List::new_in(arena),
        names: List::new_in(arena),
    };
    let mut headers = Headers::new_in(arena);
    for (index, line) in lines.enumerate() {
        parser.scope.has_nul = memchr::memchr(0, line).is_some();
        parser.scope.forgiven = None;
        parser
            .known_field(known, line, &mut headers)
            .map_err(|stop| (index, stop))?;
    }
    Ok(headers)
}

/// A malformed value of these would break matching or routing; any limit is an end of work.
fn is_fatal(known: Known, reason: Reason) -> bool {
    match known {
        Known::Via | Known::Route | Known::RecordRoute => true,
        Known::From | Known::To | Known::CallId | Known::CSeq | Known::ContentLength => true,
        // Two counts of hops are none (RFC 4475 §3.3.8).
        Known::MaxForwards => reason == Reason::DuplicateField,
        _ => matches!(reason, Reason::TooManyValues | Reason::TooManyParameters),
    }
}

pub(crate) fn place(stop: nom::Err<Stop<'_>>) -> (Reason, usize) {
    match stop {
        nom::Err::Error(stop) | nom::Err::Failure(stop) => (stop.reason, stop.rest.len()),
        nom::Err::Incomplete(_) => (Reason::Syntax, 0),
    }
}

/// FNV-1a over the name in lower case.
fn name_hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}
