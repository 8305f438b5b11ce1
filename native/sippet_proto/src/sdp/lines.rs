//! Bytes to lines, within the limits (§5).

use super::Limits;
use super::error::{Defect, ParseError, Reason};

/// One line: where it stands, its letter and its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLine<'a> {
    pub number: usize,
    pub offset: usize,
    pub letter: u8,
    pub value: &'a [u8],
}

impl RawLine<'_> {
    pub fn fault(&self, reason: Reason) -> ParseError {
        ParseError {
            reason,
            line: self.number,
            offset: self.offset,
        }
    }
}

/// The lines of a description, one after the other. What is forgiven of their ends is told with the next one.
pub(super) struct Lines<'a> {
    data: &'a [u8],
    limits: Limits,
    at: usize,
    number: usize,
    ends_told: bool,
}

impl<'a> Lines<'a> {
    pub fn new(data: &'a [u8], limits: Limits) -> Result<Lines<'a>, ParseError> {
        let fault = |reason, line, offset| ParseError {
            reason,
            line,
            offset,
        };
        if data.len() > limits.max_bytes {
            return Err(fault(Reason::TooLong, 1, limits.max_bytes));
        }
        if let Some(offset) = memchr::memchr(0, data) {
            let before = data.get(..offset).unwrap_or_default();
            let line = 1 + memchr::memchr_iter(b'\n', before).count();
            return Err(fault(Reason::Nul, line, offset));
        }
        Ok(Lines {
            data,
            limits,
            at: 0,
            number: 0,
            ends_told: false,
        })
    }

    /// The place behind all lines.
    pub fn end(&self) -> ParseError {
        ParseError {
            reason: Reason::Empty,
            line: self.number.max(1),
            offset: self.data.len(),
        }
    }

    /// The next line that is not empty. `forgive` is told of each defect, and may refuse it.
    pub fn next(
        &mut self,
        mut forgive: impl FnMut(Defect) -> Result<(), ParseError>,
    ) -> Result<Option<RawLine<'a>>, ParseError> {
        loop {
            let offset = self.at;
            let rest = self.data.get(offset..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let fault = |reason, offset| ParseError {
                reason,
                line: self.number,
                offset,
            };
            if self.number > self.limits.max_lines {
                return Err(fault(Reason::TooManyLines, offset));
            }
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.at = offset + end.map_or(rest.len(), |end| end + 1);
            let (line, is_crlf) = match line {
                [line @ .., b'\r'] => (line, end.is_some()),
                _ => (line, false),
            };
            if line.len() > self.limits.max_line_bytes {
                let offset = offset + self.limits.max_line_bytes;
                return Err(fault(Reason::LineTooLong, offset));
            }
            if let Some(at) = memchr::memchr(b'\r', line) {
                return Err(fault(Reason::BareCr, offset + at));
            }
            if !is_crlf && !self.ends_told {
                self.ends_told = true;
                forgive(fault(Reason::LineEnd, offset + line.len()))?;
            }
            match line {
                [] => forgive(fault(Reason::EmptyLine, offset))?,
                [letter, b'=', value @ ..] if letter.is_ascii_alphanumeric() => {
                    return Ok(Some(RawLine {
                        number: self.number,
                        offset,
                        letter: *letter,
                        value,
                    }));
                }
                _ => return Err(fault(Reason::Line, offset)),
            }
        }
    }
}
