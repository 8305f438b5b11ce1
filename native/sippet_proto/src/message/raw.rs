//! Looking into header field values without parsing them: they may be malformed, and still have their folds.

use std::ops::Range;

use memchr::memchr;

/// One `;name=value` of a raw value, as places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawParam {
    /// Where its `;` stands.
    pub start: usize,
    /// The name, without the white space around it.
    pub name: Range<usize>,
    /// What follows the `=`, without the white space around it.
    pub value: Option<Range<usize>>,
    /// Where it ends, white space not counted.
    pub end: usize,
}

/// Iterates over the parameters of the first value of `text`.
#[derive(Debug, Clone)]
pub(crate) struct RawParams<'a> {
    text: &'a [u8],
    position: usize,
    is_whole: bool,
}

impl<'a> RawParams<'a> {
    pub fn new(text: &'a [u8]) -> RawParams<'a> {
        let (position, is_whole) = piece_end(text, 0);
        RawParams {
            text,
            position,
            is_whole,
        }
    }

    /// Whether all quotes and angle brackets met so far were closed.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Where the first `;` or the end of the value is, or where iteration has come to.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for RawParams<'_> {
    type Item = RawParam;

    fn next(&mut self) -> Option<RawParam> {
        if self.text.get(self.position) != Some(&b';') {
            return None;
        }
        let start = self.position;
        let (end, is_whole) = piece_end(self.text, start + 1);
        self.position = end;
        self.is_whole &= is_whole;
        let piece = self.text.get(start + 1..end).unwrap_or_default();
        let equals = memchr(b'=', piece);
        let name_end = start + 1 + equals.unwrap_or(piece.len());
        let name = trimmed(self.text, start + 1..name_end);
        let value = equals.map(|_| trimmed(self.text, name_end + 1..end));
        Some(RawParam {
            start,
            end: value.as_ref().map_or(name.end, |value| value.end),
            name,
            value,
        })
    }
}

/// The value of the first parameter of that name, in any case: `Some(None)` is a flag.
pub(crate) fn raw_param<'a>(text: &'a [u8], name: &[u8]) -> Option<Option<&'a [u8]>> {
    let is_it = |param: &RawParam| {
        text.get(param.name.clone())
            .is_some_and(|found| found.eq_ignore_ascii_case(name))
    };
    let param = RawParams::new(text).find(is_it)?;
    Some(param.value.and_then(|value| text.get(value)))
}

/// The next `;` or `,` outside of quoted strings and angle brackets, or the end; and whether none of them is open there.
fn piece_end(text: &[u8], from: usize) -> (usize, bool) {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        let end = match byte {
            b';' | b',' => return (at, true),
            b'"' => quoted_end(text, at + 1),
            b'<' => memchr(b'>', text.get(at..).unwrap_or_default()).map(|length| at + length + 1),
            _ => Some(at + 1),
        };
        match end {
            Some(end) => at = end,
            None => return (text.len(), false),
        }
    }
    (text.len(), true)
}

/// Behind the quote that ends the string whose content starts at `from`.
fn quoted_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The range without the white space and line ends around it.
pub(crate) fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let is_space = |at: usize| matches!(text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    let Range { mut start, mut end } = range;
    while start < end && is_space(start) {
        start += 1;
    }
    while start < end && is_space(end - 1) {
        end -= 1;
    }
    start..end
}

/// Whether a NUL stands elsewhere than behind a backslash in a quoted string (§25.1).
pub(crate) fn has_loose_nul(text: &[u8]) -> bool {
    if memchr(0, text).is_none() {
        return false;
    }
    let mut at = 0;
    let mut in_quotes = false;
    while let Some(byte) = text.get(at) {
        match byte {
            0 => return true,
            b'\\' if in_quotes => at += 1,
            b'"' => in_quotes = !in_quotes,
            _ => {}
        }
        at += 1;
    }
    // A string without an end is none.
    in_quotes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_outside_of_quotes_and_brackets() {
        let text = b"\"a;tag=1\\\";tag=2\" <sip:b;tag=3> ; x ;\r\n Tag = 4 ,<sip:c>;tag=5";
        assert_eq!(raw_param(text, b"tag"), Some(Some(&b"4"[..])));
        assert_eq!(raw_param(text, b"x"), Some(None));
        assert_eq!(raw_param(text, b"y"), None);
        assert_eq!(raw_param(b"sip:a@b;tag=", b"tag"), Some(Some(&b""[..])));
    }

    #[test]
    fn what_never_ends_ends_with_the_text() {
        for text in [&b"\"a;tag=1"[..], b"<sip:a;tag=1", b"\"a\\", b";", b""] {
            assert_eq!(raw_param(text, b"tag"), None);
        }
    }

    #[test]
    fn nul_may_stand_in_a_quoted_pair_only() {
        assert!(!has_loose_nul(b"\"NUL:\\\0\" <sip:a@b>"));
        for text in [&b"\0"[..], b"\\\0", b"\"\0\"", b"\"\\\\\0\"", b"\"a\\\0"] {
            assert!(has_loose_nul(text), "{text:?}");
        }
    }
}
