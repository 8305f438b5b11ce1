//! A description as text. Every value is checked: what is written is read back as the same, or it is refused.

use super::error::{Place, WriteError, WriteReason};
use super::parse::{Options, UNKNOWN, parse};
use super::text::{ensure, text};
use super::{Limits, Line, Media, Session};
use crate::message::Arena;

/// The order of the lines of a session (§5), `r=` and `z=` being parts of `t=`.
pub(super) const SESSION_ORDER: &[u8] = b"osiuepcbtka";

/// The order of the lines of a media description (§5), behind `m=`.
pub(super) const MEDIA_ORDER: &[u8] = b"icbka";

type Written = Result<(), WriteError>;

impl Session<'_> {
    /// Appends the description to `out`; where it is refused, `out` holds the beginning.
    ///
    /// The lines come in the order of §5, unknown ones last, unless `order` has exactly the letters of what there is. All
    /// end in CRLF.
    pub fn write(&self, out: &mut Vec<u8>) -> Written {
        let start = out.len();
        out.extend_from_slice(b"v=0\r\n");
        self.write_section(out)?;
        for (index, media) in self.media.iter().enumerate() {
            media.write(out, index)?;
        }
        if self.has_oddities() {
            self.check(out.get(start..).unwrap_or_default())?;
        }
        Ok(())
    }

    fn write_section(&self, out: &mut Vec<u8>) -> Written {
        let counts = |letter| match letter {
            b'o' => 1,
            b's' => self.session_name.iter().len(),
            b'i' => self.information.iter().len(),
            b'u' => self.uri.iter().len(),
            b'e' => self.emails.len(),
            b'p' => self.phones.len(),
            b'c' => self.connection.iter().len(),
            b'b' => self.bandwidths.len(),
            b't' => self.timings.len(),
            b'k' => self.key.iter().len(),
            b'a' => self.attributes.len(),
            _ => self.unknown.len(),
        };
        each_line(SESSION_ORDER, self.order, counts, |letter, index| {
            let line = LineWriter::new(out, letter, None, index);
            match letter {
                b'o' => line.one("origin", Some(&self.origin), |it, out| it.write(out)),
                b's' => line.one("session_name", self.session_name, plain),
                b'i' => line.one("information", self.information, plain),
                b'u' => line.one("uri", self.uri, plain),
                b'e' => line.each("emails", self.emails.get(index).copied(), plain),
                b'p' => line.each("phones", self.phones.get(index).copied(), plain),
                b'c' => line.one("connection", self.connection.as_ref(), |it, out| {
                    it.write(out)
                }),
                b'b' => line.each("bandwidths", self.bandwidths.get(index), |it, out| {
                    it.write(out)
                }),
                b't' => self.write_timing(out, index),
                b'k' => line.one("key", self.key, plain),
                b'a' => line.each("attributes", self.attributes.get(index), |it, out| {
                    it.write(out)
                }),
                _ => line.unknown(self.unknown.get(index)),
            }
        })
    }

    fn write_timing(&self, out: &mut Vec<u8>, index: usize) -> Written {
        let Some(timing) = self.timings.get(index) else {
            return Ok(());
        };
        LineWriter::new(out, b't', None, index)
            .each("timings", Some(timing), |it, out| it.write(out))?;
        for repeat in &timing.repeats {
            LineWriter::new(out, b'r', None, index)
                .each("timings", Some(repeat), |it, out| it.write(out))?;
        }
        if !timing.zone_adjustments.is_empty() {
            LineWriter::new(out, b'z', None, index)
                .each("timings", Some(timing), |it, out| it.write_zone(out))?;
        }
        Ok(())
    }

    /// Is there something whose place decides as what it is read?
    fn has_oddities(&self) -> bool {
        let media = |media: &Media<'_>| !media.unknown.is_empty() || media.order.is_some();
        !self.unknown.is_empty() || self.order.is_some() || self.media.iter().any(media)
    }

    /// Reads back what was written. Rare, and simpler than rules for every line that could be taken for another.
    fn check(&self, written: &[u8]) -> Written {
        let arena = Arena::new();
        let options = Options {
            limits: Limits {
                max_bytes: usize::MAX,
                max_lines: usize::MAX,
                max_line_bytes: usize::MAX,
                max_media: usize::MAX,
                max_attributes: usize::MAX,
            },
            ..Options::default()
        };
        let refused = |media| WriteError {
            place: Place {
                media,
                field: "unknown",
                index: None,
            },
            reason: WriteReason::UnknownLine,
        };
        let mut read = parse(written, &options, &arena).map_err(|_| refused(None))?;
        for (index, media) in self.media.iter().enumerate() {
            let read = read.media.get_mut(index).ok_or(refused(None))?;
            // An order that does not fit the lines is not written.
            read.order = media.order;
            if *read != *media {
                return Err(refused(Some(index)));
            }
        }
        let same = read.media.len() == self.media.len()
            && read.origin == self.origin
            && read.session_name == self.session_name
            && read.information == self.information
            && read.uri == self.uri
            && read.emails == self.emails
            && read.phones == self.phones
            && read.connection == self.connection
            && read.bandwidths == self.bandwidths
            && read.timings == self.timings
            && read.key == self.key
            && read.attributes == self.attributes
            && read.unknown == self.unknown;
        if same { Ok(()) } else { Err(refused(None)) }
    }
}

impl Media<'_> {
    fn write(&self, out: &mut Vec<u8>, number: usize) -> Written {
        LineWriter::new(out, b'm', Some(number), 0)
            .one("media", Some(self), |it, out| it.write_line(out))?;
        let counts = |letter| match letter {
            b'i' => self.information.iter().len(),
            b'c' => self.connections.len(),
            b'b' => self.bandwidths.len(),
            b'k' => self.key.iter().len(),
            b'a' => self.attributes.len(),
            _ => self.unknown.len(),
        };
        each_line(MEDIA_ORDER, self.order, counts, |letter, index| {
            let line = LineWriter::new(out, letter, Some(number), index);
            match letter {
                b'i' => line.one("information", self.information, plain),
                b'c' => line.each("connections", self.connections.get(index), |it, out| {
                    it.write(out)
                }),
                b'b' => line.each("bandwidths", self.bandwidths.get(index), |it, out| {
                    it.write(out)
                }),
                b'k' => line.one("key", self.key, plain),
                b'a' => line.each("attributes", self.attributes.get(index), |it, out| {
                    it.write(out)
                }),
                _ => line.unknown(self.unknown.get(index)),
            }
        })
    }
}

/// Calls `write` for each line of a section with its letter and its number among those of that letter.
fn each_line(
    due: &[u8],
    order: Option<&[u8]>,
    count: impl Fn(u8) -> usize,
    mut write: impl FnMut(u8, usize) -> Written,
) -> Written {
    let letters = || due.iter().copied().chain([UNKNOWN]);
    if let Some(order) = order {
        let mut left = [0usize; 256];
        for letter in order {
            if let Some(left) = left.get_mut(usize::from(*letter)) {
                *left += 1;
            }
        }
        let is_known = |letter: &u8| letters().any(|due| due == *letter);
        let fits = |letter: u8| left.get(usize::from(letter)) == Some(&count(letter));
        if order.iter().all(is_known) && letters().all(fits) {
            let mut next = [0usize; 256];
            for letter in order {
                if let Some(next) = next.get_mut(usize::from(*letter)) {
                    write(*letter, *next)?;
                    *next += 1;
                }
            }
            return Ok(());
        }
    }
    for letter in letters() {
        for index in 0..count(letter) {
            write(letter, index)?;
        }
    }
    Ok(())
}

/// Writes one line, and names its field when that is refused.
struct LineWriter<'o> {
    out: &'o mut Vec<u8>,
    letter: u8,
    media: Option<usize>,
    index: usize,
}

impl<'o> LineWriter<'o> {
    fn new(out: &'o mut Vec<u8>, letter: u8, media: Option<usize>, index: usize) -> LineWriter<'o> {
        LineWriter {
            out,
            letter,
            media,
            index,
        }
    }

    /// The only line of its letter.
    fn one<T>(
        self,
        field: &'static str,
        value: Option<T>,
        write: impl FnOnce(T, &mut Vec<u8>) -> Result<(), WriteReason>,
    ) -> Written {
        self.write(field, None, value, write)
    }

    /// One of several.
    fn each<T>(
        self,
        field: &'static str,
        value: Option<T>,
        write: impl FnOnce(T, &mut Vec<u8>) -> Result<(), WriteReason>,
    ) -> Written {
        let index = self.index;
        self.write(field, Some(index), value, write)
    }

    fn unknown(mut self, line: Option<&Line<'_>>) -> Written {
        self.letter = line.map_or(self.letter, |line| line.letter);
        let is_letter = self.letter.is_ascii_alphanumeric();
        self.each("unknown", line, |line, out| {
            ensure(is_letter, WriteReason::Syntax)?;
            text(out, line.value)
        })
    }

    fn write<T>(
        self,
        field: &'static str,
        index: Option<usize>,
        value: Option<T>,
        write: impl FnOnce(T, &mut Vec<u8>) -> Result<(), WriteReason>,
    ) -> Written {
        let Some(value) = value else {
            return Ok(());
        };
        self.out.extend_from_slice(&[self.letter, b'=']);
        write(value, self.out).map_err(|reason| WriteError {
            place: Place {
                media: self.media,
                field,
                index,
            },
            reason,
        })?;
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

fn plain(value: &[u8], out: &mut Vec<u8>) -> Result<(), WriteReason> {
    text(out, value)
}
