//! Words and numbers: how a value is taken apart, and the checks that what is written is read back.

use super::Number;
use super::error::WriteReason;

/// Numbers are as large as this at most, so that they have room in a signed integer.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

/// Takes words off a value. Spaces around a word do not count; whether there were too many is seen by writing it again.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(super) fn new(value: &'a [u8]) -> Words<'a> {
        Words { rest: value }
    }

    /// All that is left, without the spaces before it; none where that is nothing.
    pub(super) fn rest(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|byte| *byte != b' ')?;
        let rest = self.rest.get(start..)?;
        self.rest = &[];
        Some(rest)
    }

    /// The next word must be there and a number.
    pub(super) fn number(&mut self, max: u64) -> Option<u64> {
        number(self.next()?, max)
    }

    pub(super) fn small(&mut self, max: u32) -> Option<u32> {
        u32::try_from(self.number(max.into())?).ok()
    }

    /// Is there nothing left but spaces?
    pub(super) fn is_done(&self) -> bool {
        self.rest.iter().all(|byte| *byte == b' ')
    }

    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        let mut words = *self;
        words.next()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest()?;
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Digits, zeros before it allowed; none beyond `max`.
pub(super) fn number(word: &[u8], max: u64) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for byte in word {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (number <= max).then_some(number)
}

pub(super) fn small(word: &[u8], max: u32) -> Option<u32> {
    number(word, max.into()).and_then(|number| u32::try_from(number).ok())
}

/// A number if it is written as one would write it.
pub(super) fn plain_number(word: &[u8]) -> Number<'_> {
    let zeros = word.len() > 1 && word.first() == Some(&b'0');
    match number(word, MAX_NUMBER) {
        Some(number) if !zeros => Number::Integer(number),
        _ => Number::Word(word),
    }
}

/// `typed-time = 1*DIGIT [fixed-len-time-unit]`, with `-` before it where that is allowed (§9).
pub(super) fn is_typed_time(word: &[u8], signed: bool) -> bool {
    let digits = match word {
        [b'-', rest @ ..] if signed => rest,
        _ => word,
    };
    let digits = match digits {
        [rest @ .., b'd' | b'h' | b'm' | b's'] => rest,
        _ => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// `token` (§9): what is visible but `" ( ) , / : ; < = > ? @ [ \ ]`.
pub(super) fn is_token(word: &[u8]) -> bool {
    let token = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x27 | 0x2A..=0x2B | 0x2D..=0x2E | 0x30..=0x39 | 0x41..=0x5A | 0x5E..=0x7E);
    !word.is_empty() && word.iter().all(token)
}

/// `ice-char = ALPHA / DIGIT / "+" / "/"` (RFC 8839 §5.1).
pub(super) fn is_ice(word: &[u8], lengths: std::ops::RangeInclusive<usize>) -> bool {
    let ice = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    lengths.contains(&word.len()) && word.iter().all(ice)
}

type Written = Result<(), WriteReason>;

pub(super) fn ensure(is_so: bool, reason: WriteReason) -> Written {
    if is_so { Ok(()) } else { Err(reason) }
}

/// Any text, also none: no CR, LF or NUL.
pub(super) fn text(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let control = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    ensure(!text.iter().any(control), WriteReason::ControlCharacter)?;
    out.extend_from_slice(text);
    Ok(())
}

/// Text behind a space: it begins with something else.
pub(super) fn tail(out: &mut Vec<u8>, tail: &[u8]) -> Written {
    ensure(!tail.is_empty(), WriteReason::Empty)?;
    ensure(tail.first() != Some(&b' '), WriteReason::WhiteSpace)?;
    text(out, tail)
}

/// Something without a space.
pub(super) fn word(out: &mut Vec<u8>, word: &[u8]) -> Written {
    ensure(!word.is_empty(), WriteReason::Empty)?;
    ensure(!word.contains(&b' '), WriteReason::WhiteSpace)?;
    text(out, word)
}

/// A word without a byte that would end it.
pub(super) fn word_without(out: &mut Vec<u8>, bytes: &[u8], end: u8) -> Written {
    word(out, bytes)?;
    ensure(!bytes.contains(&end), WriteReason::Syntax)
}

/// A word of bytes that the grammar has there.
pub(super) fn word_of(out: &mut Vec<u8>, bytes: &[u8], fits: bool) -> Written {
    word(out, bytes)?;
    ensure(fits, WriteReason::Syntax)
}

/// Words with a space between them.
pub(super) fn words<'b>(out: &mut Vec<u8>, words: impl IntoIterator<Item = &'b [u8]>) -> Written {
    for (index, each) in words.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        word(out, each)?;
    }
    Ok(())
}

/// A number in digits.
pub(super) fn digits(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        at -= 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

pub(super) fn bounded(out: &mut Vec<u8>, number: u64, max: u64) -> Written {
    ensure(number <= max, WriteReason::Number)?;
    digits(out, number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_within_bounds() {
        assert_eq!(number(b"007", 7), Some(7));
        assert_eq!(number(b"8", 7), None);
        for word in [&b""[..], b"-1", b"1a", b"99999999999999999999999"] {
            assert_eq!(number(word, u64::MAX), None);
        }
        let mut out = Vec::new();
        for number in [0, 9, 10, 65535, u64::MAX] {
            out.clear();
            digits(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn words_are_what_stands_between_spaces() {
        let mut words = Words::new(b"  a  bc d ");
        assert_eq!(words.peek(), Some(&b"a"[..]));
        assert_eq!(words.next(), Some(&b"a"[..]));
        assert_eq!(words.rest(), Some(&b"bc d "[..]));
        assert_eq!(words.next(), None);
        assert!(Words::new(b"   ").is_done());
    }

    #[test]
    fn typed_times_have_one_unit_at_most() {
        for time in [&b"0"[..], b"7d", b"3600", b"1h"] {
            assert!(is_typed_time(time, false));
        }
        assert!(is_typed_time(b"-1h", true));
        for time in [&b""[..], b"d", b"-1h", b"1hh", b"1x", b"--1"] {
            assert!(!is_typed_time(time, false));
        }
    }
}
