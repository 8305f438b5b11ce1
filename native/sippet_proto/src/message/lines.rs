//! The head of a message as raw lines, before any of them means something (§7, §7.3.1).
//!
//! Takes all bytes there are, so that an answer can be made to a request that is not fit to be parsed.

use memchr::{memchr, memchr3};

/// One header field as it stands in the input, its continuation lines included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawField<'a> {
    /// The whole of it without the last line end.
    pub line: &'a [u8],
    /// Where `line` starts in the input.
    pub offset: usize,
    /// Before the colon, without the white space that precedes it; `None` where the line has no colon.
    pub name: Option<&'a [u8]>,
    /// After the colon, trimmed of white space and line ends; it still has the line ends of its folds.
    pub value: &'a [u8],
    /// Where `value` starts in the input.
    pub value_offset: usize,
    /// How many lines continue the first one.
    pub folds: usize,
}

/// Iterates over the header fields of a head, up to its empty line or the end of the input.
///
/// Lines end in CRLF or LF; a CR alone is a byte like others.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    data: &'a [u8],
    position: usize,
    start_line: &'a [u8],
    start_offset: usize,
    body_offset: Option<usize>,
    bare_cr: Option<usize>,
    bare_lf: Option<usize>,
    nul: Option<usize>,
}

impl<'a> Lines<'a> {
    /// Skips leading line ends (§7.5) and reads the start line; `None` where nothing else is left.
    pub fn new(data: &'a [u8]) -> Option<Lines<'a>> {
        let start_offset = data
            .iter()
            .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
        let mut lines = Lines {
            data,
            position: start_offset,
            start_line: &[],
            start_offset,
            body_offset: None,
            bare_cr: None,
            bare_lf: None,
            nul: None,
        };
        let end = lines.end_of_line();
        lines.start_line = data.get(start_offset..end).unwrap_or_default();
        Some(lines)
    }

    /// The start line without its line end.
    pub fn start_line(&self) -> &'a [u8] {
        self.start_line
    }

    /// Where the start line stands in the input.
    pub fn start_offset(&self) -> usize {
        self.start_offset
    }

    /// Where the body starts, once iteration has met the empty line.
    pub fn body_offset(&self) -> Option<usize> {
        self.body_offset
    }

    /// The first CR without an LF among the lines read so far.
    pub fn bare_cr(&self) -> Option<usize> {
        self.bare_cr
    }

    /// The first LF without a CR among the lines read so far.
    pub fn bare_lf(&self) -> Option<usize> {
        self.bare_lf
    }

    /// The first NUL among the lines read so far.
    pub fn nul(&self) -> Option<usize> {
        self.nul
    }

    /// Moves behind the line that starts at `position`; tells where it ends, its line end not counted.
    #[inline]
    fn end_of_line(&mut self) -> usize {
        let rest = self.data.get(self.position..).unwrap_or_default();
        let Some(found) = memchr3(b'\r', b'\n', 0, rest) else {
            self.position = self.data.len();
            return self.position;
        };
        let at = self.position + found;
        match rest.get(found..) {
            Some([b'\r', b'\n', ..]) => {
                self.position = at + 2;
                at
            }
            Some([b'\n', ..]) => {
                self.bare_lf.get_or_insert(at);
                self.position = at + 1;
                at
            }
            _ => self.end_of_odd_line(at),
        }
    }

    /// The same from the first NUL or bare CR of a line on: one pass for each kind, however many there are.
    #[cold]
    fn end_of_odd_line(&mut self, from: usize) -> usize {
        let rest = self.data.get(from..).unwrap_or_default();
        let line = match memchr(b'\n', rest) {
            None => {
                self.position = self.data.len();
                rest
            }
            Some(found) => {
                self.position = from + found + 1;
                match rest.get(..found).unwrap_or_default() {
                    [line @ .., b'\r'] => line,
                    line => {
                        self.bare_lf.get_or_insert(from + found);
                        line
                    }
                }
            }
        };
        if self.bare_cr.is_none() {
            self.bare_cr = memchr(b'\r', line).map(|found| from + found);
        }
        if self.nul.is_none() {
            self.nul = memchr(0, line).map(|found| from + found);
        }
        from + line.len()
    }

    #[inline]
    fn continues(&self) -> bool {
        matches!(self.data.get(self.position), Some(b' ' | b'\t'))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = RawField<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawField<'a>> {
        if self.body_offset.is_some() {
            return None;
        }
        let rest = self.data.get(self.position..).unwrap_or_default();
        let found = memchr3(b'\r', b'\n', 0, rest).unwrap_or_default();
        let (line, end) = rest.split_at(found);
        // Nearly every line ends in CRLF, goes on nowhere and has a name right before its colon.
        if let [b'\r', b'\n', behind @ ..] = end
            && !matches!(behind, [b' ' | b'\t', ..])
            && let Some(colon) = first_colon(line)
            && let (name, [_, value @ ..]) = line.split_at(colon)
            && !matches!(name, [.., b' ' | b'\t'])
        {
            let offset = self.position;
            self.position = offset + found + 2;
            let value = trim_start(value);
            return Some(RawField {
                line,
                offset,
                name: Some(name),
                value: trim_end(value),
                value_offset: offset + found - value.len(),
                folds: 0,
            });
        }
        self.next_of_any_form()
    }
}

impl<'a> Lines<'a> {
    fn next_of_any_form(&mut self) -> Option<RawField<'a>> {
        if self.position >= self.data.len() {
            return None;
        }
        let offset = self.position;
        let mut end = self.end_of_line();
        if end == offset {
            self.body_offset = Some(self.position);
            return None;
        }
        let mut folds = 0;
        while self.continues() {
            folds += 1;
            end = self.end_of_line();
        }
        let line = self.data.get(offset..end).unwrap_or_default();
        let Some(colon) = memchr(b':', line) else {
            return Some(RawField {
                line,
                offset,
                name: None,
                value: &[],
                value_offset: end,
                folds,
            });
        };
        let (name, value) = line.split_at(colon);
        let value = trim_start(value.get(1..).unwrap_or_default());
        Some(RawField {
            line,
            offset,
            name: Some(trim_name(name)),
            value: trim_end(value),
            value_offset: end - value.len(),
            folds,
        })
    }
}

/// Eight bytes at a time: names are short, and a call costs more than most of them.
#[inline]
fn first_colon(line: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let mut at = 0;
    while let Some(chunk) = line.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        // A zero byte is where a colon was; the lowest high bit marks the first one.
        let colons = u64::from_le_bytes(*chunk) ^ (ONES * b':' as u64);
        let marks = colons.wrapping_sub(ONES) & !colons & (ONES << 7);
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let found = line.get(at..)?.iter().position(|byte| *byte == b':')?;
    Some(at + found)
}

/// `HCOLON` has SP and HTAB before the colon, no line end and no other control character (§25.1).
fn trim_name(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[inline]
pub(crate) fn trim_start(text: &[u8]) -> &[u8] {
    match text {
        [b' ', text @ ..] if matches!(text.first(), Some(b'!'..)) => text,
        _ => trim_any_start(text),
    }
}

fn trim_any_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(data: &[u8]) -> Vec<Option<&[u8]>> {
        Lines::new(data).unwrap().map(|field| field.name).collect()
    }

    #[test]
    fn a_head_is_its_start_line_and_its_fields() {
        let data = b"\r\n\nBYE sip:a SIP/2.0\r\nTo : a\r\nf:b\r\n\r\nbody: x";
        let mut lines = Lines::new(data).unwrap();
        assert_eq!(lines.start_line(), b"BYE sip:a SIP/2.0");
        assert_eq!(lines.start_offset(), 3);
        let to = lines.next().unwrap();
        assert_eq!((to.name, to.value), (Some(&b"To"[..]), &b"a"[..]));
        assert_eq!((to.offset, to.value_offset), (22, 27));
        assert_eq!(lines.next().unwrap().name, Some(&b"f"[..]));
        assert_eq!(lines.body_offset(), None);
        assert_eq!(lines.next(), None);
        assert_eq!(&data[lines.body_offset().unwrap()..], b"body: x");
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn nothing_but_line_ends_is_no_message() {
        assert!(Lines::new(b"").is_none());
        assert!(Lines::new(b"\r\n\r\n\n").is_none());
    }

    #[test]
    fn lf_ends_a_line_and_is_told() {
        let mut lines = Lines::new(b"A b SIP/2.0\nTo: x\n\n").unwrap();
        assert_eq!(lines.start_line(), b"A b SIP/2.0");
        assert_eq!(lines.next().unwrap().value, b"x");
        assert_eq!(lines.next(), None);
        assert_eq!(lines.body_offset(), Some(19));
        assert_eq!(lines.bare_lf(), Some(11));
        assert_eq!(lines.bare_cr(), None);
    }

    #[test]
    fn cr_alone_is_never_a_line_end() {
        let mut lines = Lines::new(b"A b SIP/2.0\r\nTo: x\rVia: y\r\n\r\n").unwrap();
        let field = lines.next().unwrap();
        assert_eq!(field.value, b"x\rVia: y");
        assert_eq!(lines.bare_cr(), Some(18));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn odd_bytes_are_told_and_stay() {
        let mut lines = Lines::new(b"A b SIP/2.0\r\nTo: a\0\rb\0\r\r\nVia: c\0\n\r\n").unwrap();
        assert_eq!(lines.start_line(), b"A b SIP/2.0");
        let field = lines.next().unwrap();
        assert_eq!(field.line, b"To: a\0\rb\0\r");
        assert_eq!(
            (lines.nul(), lines.bare_cr(), lines.bare_lf()),
            (Some(18), Some(19), None)
        );
        assert_eq!(lines.next().unwrap().value, b"c\0");
        assert_eq!(lines.bare_lf(), Some(32));
        assert_eq!(lines.next(), None);
        assert_eq!(lines.body_offset(), Some(35));
    }

    #[test]
    fn continuation_lines_belong_to_their_field() {
        let data = b"A b SIP/2.0\r\nSubject:\r\n one\r\n\ttwo \r\nTo: x";
        let mut lines = Lines::new(data).unwrap();
        let field = lines.next().unwrap();
        assert_eq!(field.value, b"one\r\n\ttwo");
        assert_eq!(field.folds, 2);
        assert_eq!(&data[field.value_offset..field.value_offset + 3], b"one");
        assert_eq!(lines.next().unwrap().value, b"x");
        assert_eq!(lines.body_offset(), None);
    }

    #[test]
    fn what_has_no_colon_is_given_as_it_is() {
        assert_eq!(
            names(b"A b SIP/2.0\r\n lost\r\nnonsense\r\n: x\r\n"),
            [None, None, Some(&b""[..])]
        );
        assert_eq!(
            names(b"A b SIP/2.0\r\n lost: x\r\nTo\0: x\r\nTo\r\n : x"),
            [Some(&b" lost"[..]), Some(b"To\0"), Some(b"To\r\n")]
        );
    }
}
