//! Byte classes and token rules of §25.1.
//!
//! A rule takes the rest of a header field's value, already unfolded, and gives what it read and the rest behind it.

use nom::IResult;
use nom::error::ErrorKind;

use crate::error::Reason;
use crate::limits::Limits;
use crate::message::Arena;

mod host;

pub(crate) use host::{host, is_plain_name, port};

const TOKEN: u8 = 1;
const UPPER: u8 = 2;
const USER: u8 = 4;
const PLAIN: u8 = 8;
const LOOSE: u8 = 16;
const VISIBLE: u8 = 32;
const CONTROL: u8 = 64;
const ODD_ID: u8 = 128;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        let mut class = 0;
        // token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
        if byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            )
        {
            class |= TOKEN | PLAIN;
        }
        if byte.is_ascii_uppercase() {
            class |= UPPER;
        }
        // user = 1*(unreserved / escaped / user-unreserved), and "#", which feature codes bring unescaped.
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'')
            || matches!(byte, b'(' | b')' | b'&' | b'=' | b'+' | b'$' | b',')
            || matches!(byte, b';' | b'?' | b'/' | b'%' | b'#')
        {
            class |= USER;
        }
        // gen-value = token / host / quoted-string; via-received has IPv6 addresses without brackets.
        if matches!(byte, b'[' | b']' | b':') {
            class |= PLAIN;
        }
        if byte.is_ascii_graphic() {
            class |= VISIBLE;
        }
        if (byte.is_ascii_graphic() || byte >= 0x80) && !matches!(byte, b';' | b',' | b'"') {
            class |= LOOSE;
        }
        if byte.is_ascii_control() && byte != b'\t' {
            class |= CONTROL;
        }
        // What peers put into a Call-ID, though a word has it not (§25.1).
        if matches!(byte, b'#' | b'$' | b'&' | b',' | b';' | b'=' | b'^' | b'|') {
            class |= ODD_ID;
        }
        classes[index] = class;
        index += 1;
    }
    classes
}

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// `token` characters (§25.1).
#[inline]
pub fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// `token` (§25.1): one byte at least.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is(*byte, TOKEN))
}

/// `==` for short texts, without a call: up to 16 bytes are two words each, which may overlap.
#[inline]
pub fn is_same(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
        left.first_chunk::<N>() == right.first_chunk()
            && left.last_chunk::<N>() == right.last_chunk()
    }
    left.len() == right.len()
        && match left.len() {
            0 => true,
            1 => left.first() == right.first(),
            2..4 => ends::<2>(left, right),
            4..8 => ends::<4>(left, right),
            8..=16 => ends::<8>(left, right),
            _ => left == right,
        }
}

/// What stands in a user part or password: `unreserved`, `user-unreserved`, `%` (§25.1), and `#`.
#[inline]
pub(crate) fn is_user_byte(byte: u8) -> bool {
    is(byte, USER)
}

/// What can be printed in ASCII, the space excepted.
#[inline]
pub(crate) fn is_visible_byte(byte: u8) -> bool {
    is(byte, VISIBLE)
}

/// Where and why a rule stopped. `rest` is always the end of the value that is being read, so its length is a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop<'a> {
    pub rest: &'a [u8],
    pub reason: Reason,
}

impl<'a> Stop<'a> {
    pub fn at(rest: &'a [u8], reason: Reason) -> nom::Err<Stop<'a>> {
        nom::Err::Error(Stop { rest, reason })
    }
}

impl<'a> nom::error::ParseError<&'a [u8]> for Stop<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Stop {
            rest,
            reason: Reason::Syntax,
        }
    }

    fn append(_: &'a [u8], _: ErrorKind, first: Self) -> Self {
        first
    }
}

/// What a rule gives.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Stop<'a>>;

/// What the rules of one message share.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub arena: &'a Arena,
    pub limits: Limits,
    /// There is a NUL somewhere in the head; rules that pass any byte have to look.
    pub has_nul: bool,
    /// The first thing that the current value needed to be forgiven, and how much was left to read there.
    pub forgiven: Option<(Reason, usize)>,
    /// How much was left to read at the first empty element of a list, whatever was forgiven before it.
    pub empty_element: Option<usize>,
}

impl<'a> Scope<'a> {
    pub fn new(arena: &'a Arena, limits: Limits) -> Self {
        Scope {
            arena,
            limits,
            has_nul: false,
            forgiven: None,
            empty_element: None,
        }
    }

    #[cold]
    pub fn forgive(&mut self, rest: &[u8], reason: Reason) {
        self.forgiven.get_or_insert((reason, rest.len()));
        if reason == Reason::EmptyElement {
            self.empty_element.get_or_insert(rest.len());
        }
    }
}

/// Skips `LWS` of an unfolded value.
#[inline]
pub(crate) fn skip_space(mut input: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = input {
        input = rest;
    }
    input
}

/// Splits at the first byte that is not of the class.
#[inline]
fn run(input: &[u8], class: u8) -> (&[u8], &[u8]) {
    let end = input
        .iter()
        .position(|byte| !is(*byte, class))
        .unwrap_or(input.len());
    input.split_at(end)
}

/// Whether a byte is of the class. One look at each, and one answer for all of them.
#[inline]
fn any(text: &[u8], class: u8) -> bool {
    let all = text
        .iter()
        .fold(0, |seen, byte| seen | CLASSES[*byte as usize]);
    all & class != 0
}

/// Whether a Call-ID has a byte that no word has.
#[inline]
pub(crate) fn is_odd_id(text: &[u8]) -> bool {
    any(text, ODD_ID)
}

/// `token`, as it stands.
#[inline]
pub(crate) fn token(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (token, rest) = run(input, TOKEN);
    match token {
        [] => Err(Stop::at(input, Reason::Token)),
        _ => Ok((rest, token)),
    }
}

/// `token` in lower case, copied only if it is not.
#[inline]
pub(crate) fn lower_token<'a>(input: &'a [u8], arena: &'a Arena) -> Parsed<'a, &'a [u8]> {
    let mut seen = 0;
    let end = input.iter().position(|byte| {
        let class = CLASSES[*byte as usize];
        seen |= class;
        class & TOKEN == 0
    });
    // What ends a token is no letter.
    let (token, rest) = input.split_at(end.unwrap_or(input.len()));
    match token {
        [] => Err(Stop::at(input, Reason::Token)),
        _ if seen & UPPER == 0 => Ok((rest, token)),
        _ => Ok((rest, lower(token, arena))),
    }
}

fn lower<'a>(text: &[u8], arena: &'a Arena) -> &'a [u8] {
    let copy = arena.alloc_slice_copy(text);
    copy.make_ascii_lowercase();
    copy
}

/// A run of visible ASCII.
pub(crate) fn visible(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (text, rest) = run(input, VISIBLE);
    match text {
        [] => Err(Stop::at(input, Reason::EmptyValue)),
        _ => Ok((rest, text)),
    }
}

/// An unquoted parameter value. Bytes that need quotes are forgiven.
#[inline]
pub(crate) fn plain_value<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    let (value, rest) = run(input, PLAIN);
    if value.is_empty() || matches!(rest.first(), Some(byte) if is(*byte, LOOSE)) {
        let (value, loose_rest) = run(input, LOOSE);
        scope.forgive(rest, Reason::Parameter);
        return Ok((loose_rest, value));
    }
    Ok((rest, value))
}

/// `quoted-string` (§25.1): what stands between the quotes, unescaped.
#[inline]
pub(crate) fn quoted_string<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    let [b'"', start @ ..] = input else {
        return Err(Stop::at(input, Reason::QuotedString));
    };
    let mut escaped = false;
    let mut rest = start;
    loop {
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
            return Err(Stop::at(input, Reason::QuotedString));
        };
        let (_, behind) = rest.split_at(found);
        match behind {
            [b'"', behind @ ..] => {
                rest = behind;
                break;
            }
            [_, _, behind @ ..] => {
                escaped = true;
                rest = behind;
            }
            _ => return Err(Stop::at(input, Reason::QuotedString)),
        }
    }
    let raw = start
        .get(..start.len() - rest.len() - 1)
        .unwrap_or_default();
    if scope.has_nul {
        refuse_nul(raw, start)?;
    }
    let text = if escaped {
        unescape(raw, scope.arena)
    } else {
        raw
    };
    Ok((rest, text))
}

/// `qdtext` has no NUL, `quoted-pair` may have one (RFC 4475 §3.1.1.2).
fn refuse_nul<'a>(raw: &[u8], start: &'a [u8]) -> Result<(), nom::Err<Stop<'a>>> {
    let mut bytes = raw.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            0 => {
                return Err(Stop::at(start.get(at..).unwrap_or_default(), Reason::Nul));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes the backslashes of quoted pairs away.
pub(crate) fn unescape<'a>(raw: &[u8], arena: &'a Arena) -> &'a [u8] {
    let mut text = bumpalo::collections::Vec::with_capacity_in(raw.len(), arena);
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.extend(bytes.next()),
            _ => text.push(*byte),
        }
    }
    text.into_bump_slice()
}

/// `1*DIGIT` up to `max`.
#[inline]
pub(crate) fn number(input: &[u8], max: u32) -> Parsed<'_, u32> {
    let mut value: u32 = 0;
    let mut rest = input;
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u32::from(digit - b'0')))
            .filter(|value| *value <= max)
            .ok_or(Stop::at(rest, Reason::Number))?;
        rest = behind;
    }
    if rest.len() == input.len() {
        return Err(Stop::at(input, Reason::Number));
    }
    Ok((rest, value))
}

/// A whole value that is one number.
pub(crate) fn only_number(input: &[u8], max: u32) -> Result<u32, nom::Err<Stop<'_>>> {
    let (rest, value) = number(input, max)?;
    at_end(rest, Reason::Number)?;
    Ok(value)
}

/// Nothing may be left but white space.
#[inline]
pub(crate) fn at_end(rest: &[u8], reason: Reason) -> Result<(), nom::Err<Stop<'_>>> {
    match skip_space(rest) {
        [] => Ok(()),
        rest => Err(Stop::at(rest, reason)),
    }
}

/// Free text: any bytes without NUL; other control characters are forgiven.
#[inline]
pub(crate) fn text<'a>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<&'a [u8], nom::Err<Stop<'a>>> {
    if any(value, CONTROL) {
        if let Some(at) = memchr::memchr(0, value) {
            return Err(Stop::at(value.get(at..).unwrap_or_default(), Reason::Nul));
        }
        scope.forgive(value, Reason::ControlCharacter);
    }
    Ok(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs a rule over a value and gives its result with what it had to forgive.
    pub fn read<'a, T>(
        arena: &'a Arena,
        rule: impl FnOnce(&mut Scope<'a>) -> T,
    ) -> (T, Option<Reason>) {
        let mut scope = Scope::new(arena, Limits::DEFAULT);
        scope.has_nul = true;
        let result = rule(&mut scope);
        (result, scope.forgiven.map(|(reason, _)| reason))
    }

    #[test]
    fn quoted_strings_are_unescaped() {
        let arena = Arena::new();
        let quoted = |text: &'static [u8]| read(&arena, |scope| quoted_string(text, scope)).0;
        assert_eq!(quoted(b"\"a\"b"), Ok((&b"b"[..], &b"a"[..])));
        assert_eq!(quoted(b"\"\""), Ok((&b""[..], &b""[..])));
        assert_eq!(quoted(b"\"J \\\\\\\"\""), Ok((&b""[..], &b"J \\\""[..])));
        assert_eq!(quoted(b"\"NUL:\\\0\""), Ok((&b""[..], &b"NUL:\0"[..])));
        assert_eq!(quoted(b"\"a\0\""), Err(Stop::at(b"\0\"", Reason::Nul)));
        assert!(quoted(b"\"a").is_err());
        assert!(quoted(b"\"a\\\"").is_err());
        assert!(quoted(b"a").is_err());
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(number(b"0070;", 255), Ok((&b";"[..], 70)));
        assert!(number(b"256", 255).is_err());
        assert_eq!(only_number(b"4294967295", u32::MAX), Ok(u32::MAX));
        for text in [
            "4294967296",
            "18446744073709551621",
            "-1",
            "+1",
            "",
            "1 2",
            "5;x",
            "0x5",
        ] {
            assert!(only_number(text.as_bytes(), u32::MAX).is_err(), "{text}");
        }
    }
}
