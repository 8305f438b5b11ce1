//! The values of one field as lines, outside of any message; and the fields of the documented table in this form.

use crate::error::{Field, ParseError, Reason, WriteError};
use crate::grammar::Stop;
use crate::header::Headers;
use crate::limits::Limits;
use crate::message::fold::{original_offset, unfold};
use crate::message::lines::{RawField, trim_end, trim_start};
use crate::message::parse::{parse_values, place};
use crate::message::write::write_values;
use crate::message::{Arena, List};

/// One value, as it was handed over and as it is read.
pub(crate) struct Line<'a> {
    raw: RawField<'a>,
    /// Unfolded and trimmed.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Where it starts among all values.
    pub fn start(&self) -> usize {
        self.raw.offset
    }

    pub fn has_nul(&self) -> bool {
        memchr::memchr(0, self.text).is_some()
    }

    #[cold]
    pub fn error(&self, field: Field<'a>, stop: nom::Err<Stop<'a>>) -> ParseError<'a> {
        let (reason, left) = place(stop);
        ParseError {
            reason,
            field,
            offset: original_offset(&self.raw, self.text, left),
        }
    }
}

/// Trims and unfolds; refuses line ends that no white space follows.
pub(crate) fn lines<'a>(
    field: Field<'a>,
    values: &[&'a [u8]],
    limits: &Limits,
    arena: &'a Arena,
) -> Result<List<'a, Line<'a>>, ParseError<'a>> {
    let error = |reason, offset| ParseError {
        reason,
        field,
        offset,
    };
    let mut lines = List::with_capacity_in(values.len().min(limits.max_fields), arena);
    let mut offset = 0;
    for whole in values {
        if lines.len() >= limits.max_fields {
            return Err(error(Reason::TooManyValues, offset));
        }
        let folds = folds(whole).map_err(|at| error(Reason::ControlCharacter, offset + at))?;
        if folds > limits.max_folds {
            return Err(error(Reason::TooManyFolds, offset));
        }
        // Folds at either end go, too.
        let start = trim_start(whole);
        let value = trim_end(start);
        let value_offset = offset + whole.len() - start.len();
        let raw = RawField {
            line: whole,
            offset,
            name: None,
            value,
            value_offset,
            folds,
        };
        let text = match folds {
            0 => value,
            _ => unfold(value, arena),
        };
        lines.push(Line { raw, text });
        offset += whole.len() + 1;
    }
    Ok(lines)
}

/// How many lines continue the first one, or where there is a CR or LF that is no fold.
fn folds(value: &[u8]) -> Result<usize, usize> {
    let mut folds = 0;
    for at in memchr::memchr2_iter(b'\r', b'\n', value) {
        match value.get(at..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([b'\n', b' ' | b'\t', ..]) => folds += 1,
            _ => return Err(at),
        }
    }
    Ok(folds)
}

/// Reads the values of one field of the documented table, each the value of a line: the headers have that field alone.
///
/// `None` where the table has no field of that name. Whatever is malformed is an error; what lenient parsing forgives is
/// forgiven. Offsets are those of [`parse`](super::parse()).
pub fn parse_known<'a>(
    name: &'a [u8],
    values: &[&'a [u8]],
    limits: &Limits,
    arena: &'a Arena,
) -> Option<Result<Headers<'a>, ParseError<'a>>> {
    let entry = crate::header::name::look_up(name)?;
    let known = entry.known?;
    let field = Field::Header(entry.text);
    // No line at all is an empty one: an empty list, or an error where there has to be a value.
    let values = if values.is_empty() {
        &[&b""[..]]
    } else {
        values
    };
    Some(lines(field, values, limits, arena).and_then(|lines| {
        let texts = lines.iter().map(|line| line.text);
        parse_values(known, texts, limits, arena).map_err(|(index, stop)| match lines.get(index) {
            Some(line) => line.error(field, stop),
            None => ParseError {
                reason: place(stop).0,
                field,
                offset: 0,
            },
        })
    }))
}

/// Appends each field of the documented table as it stands in a message: `Name: value` and CRLF. Appends nothing where it
/// fails.
pub fn write_known<'a>(headers: &Headers<'a>, out: &mut Vec<u8>) -> Result<(), WriteError<'a>> {
    let start = out.len();
    write_values(headers, out).inspect_err(|_| out.truncate(start))
}
