//! Lines to a description. Each line goes to its place; one that has none, or does not fit it, stays a line.

use super::attribute::{self, Attribute};
use super::error::{Defect, ParseError, Reason, WriteReason};
use super::lines::{Lines, RawLine};
use super::text::is_token;
use super::write::{MEDIA_ORDER, SESSION_ORDER};
use super::{Bandwidth, Connection, Limits, Line, Media, Number, Origin, Repeat, Session, Timing};
use crate::message::{Arena, List};

/// Whether defects are forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// What real devices send is taken, and the defects are listed.
    #[default]
    Lenient,
    /// The first defect is an error.
    Strict,
}

/// How to parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether defects are forgiven.
    pub mode: Mode,
    /// What is taken at most.
    pub limits: Limits,
}

/// Parses a session description into views on `data`; lists are in `arena`. The time is linear in the bytes. RFC 8866 §5.
pub fn parse<'a>(
    data: &'a [u8],
    options: &Options,
    arena: &'a Arena,
) -> Result<Session<'a>, ParseError> {
    let mut parser = Parser {
        mode: options.mode,
        limits: options.limits,
        arena,
        defects: List::new_in(arena),
        scratch: Vec::new(),
    };
    let mut lines = Lines::new(data, options.limits)?;
    let Some(first) = parser.next(&mut lines)? else {
        return Err(lines.end());
    };
    if first.letter != b'v' || first.value != b"0" {
        return Err(first.fault(Reason::Version));
    }
    let mut top = Top::new(arena);
    let mut section = Section::new(SESSION_ORDER, arena);
    while let Some(line) = parser.next(&mut lines)? {
        if line.letter == b'm' {
            parser.media(&mut top, &mut section, line)?;
        } else if let Some(media) = top.media.last_mut() {
            parser.media_line(media, &mut section, line)?;
        } else {
            parser.session_line(&mut top, &mut section, line)?;
        }
    }
    let end = lines.end();
    parser.close(&mut top, &mut section);
    top.finish(&mut parser, end)
}

/// A session whose origin may still be missing.
struct Top<'a> {
    origin: Option<Origin<'a>>,
    session_name: Option<&'a [u8]>,
    information: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    emails: List<'a, &'a [u8]>,
    phones: List<'a, &'a [u8]>,
    connection: Option<Connection<'a>>,
    bandwidths: List<'a, Bandwidth<'a>>,
    timings: List<'a, Timing<'a>>,
    key: Option<&'a [u8]>,
    attributes: List<'a, Attribute<'a>>,
    media: List<'a, Media<'a>>,
    unknown: List<'a, Line<'a>>,
    order: Option<&'a [u8]>,
}

impl<'a> Top<'a> {
    fn new(arena: &'a Arena) -> Top<'a> {
        Top {
            origin: None,
            session_name: None,
            information: None,
            uri: None,
            emails: List::new_in(arena),
            phones: List::new_in(arena),
            connection: None,
            bandwidths: List::new_in(arena),
            timings: List::new_in(arena),
            key: None,
            attributes: List::new_in(arena),
            media: List::new_in(arena),
            unknown: List::new_in(arena),
            order: None,
        }
    }

    fn finish(self, parser: &mut Parser<'a>, end: ParseError) -> Result<Session<'a>, ParseError> {
        let at_end = |reason| ParseError { reason, ..end };
        let origin = self.origin.ok_or(at_end(Reason::Origin))?;
        if self.session_name.is_none() || self.timings.is_empty() {
            parser.forgive(at_end(Reason::MissingLine))?;
        }
        Ok(Session {
            origin,
            session_name: self.session_name,
            information: self.information,
            uri: self.uri,
            emails: self.emails,
            phones: self.phones,
            connection: self.connection,
            bandwidths: self.bandwidths,
            timings: self.timings,
            key: self.key,
            attributes: self.attributes,
            media: self.media,
            unknown: self.unknown,
            order: self.order,
            defects: std::mem::replace(&mut parser.defects, List::new_in(parser.arena)),
        })
    }
}

/// The order of the lines of the session, or of one media description, as far as they are read.
struct Section<'a> {
    /// In which order they should come.
    due: &'static [u8],
    letters: List<'a, u8>,
    rank: usize,
    is_out_of_order: bool,
    /// Whether the last line was a `t=`, or went with one.
    in_timing: bool,
}

impl<'a> Section<'a> {
    fn new(due: &'static [u8], arena: &'a Arena) -> Section<'a> {
        Section {
            due,
            letters: List::new_in(arena),
            rank: 0,
            is_out_of_order: false,
            in_timing: false,
        }
    }

    /// Tells whether this is the first letter that comes too late.
    fn push(&mut self, letter: u8) -> bool {
        self.letters.push(letter);
        let rank = self.due.iter().position(|due| *due == letter);
        let rank = rank.unwrap_or(self.due.len());
        let is_late = rank < self.rank;
        self.rank = self.rank.max(rank);
        let is_first = is_late && !self.is_out_of_order;
        self.is_out_of_order |= is_late;
        is_first
    }
}

/// How an unknown line is told in an order.
pub(super) const UNKNOWN: u8 = b'-';

struct Parser<'a> {
    mode: Mode,
    limits: Limits,
    arena: &'a Arena,
    defects: List<'a, Defect>,
    scratch: Vec<u8>,
}

impl<'a> Parser<'a> {
    fn next(&mut self, lines: &mut Lines<'a>) -> Result<Option<RawLine<'a>>, ParseError> {
        lines.next(|defect| self.forgive(defect))
    }

    /// There is at most one of each kind a line, so their number is bounded as that of the lines is.
    fn forgive(&mut self, defect: Defect) -> Result<(), ParseError> {
        match self.mode {
            Mode::Lenient => {
                self.defects.push(defect);
                Ok(())
            }
            Mode::Strict => Err(defect),
        }
    }

    /// Tells when writing the value gives other bytes. What is parsed can be written.
    fn compare(
        &mut self,
        line: RawLine<'a>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteReason>,
    ) -> Result<(), ParseError> {
        self.scratch.clear();
        let written = write(&mut self.scratch);
        debug_assert_eq!(written, Ok(()));
        if self.scratch == line.value {
            Ok(())
        } else {
            self.forgive(line.fault(Reason::Spelling))
        }
    }

    fn media(
        &mut self,
        top: &mut Top<'a>,
        section: &mut Section<'a>,
        line: RawLine<'a>,
    ) -> Result<(), ParseError> {
        self.close(top, section);
        if top.media.len() >= self.limits.max_media {
            return Err(line.fault(Reason::TooManyMedia));
        }
        let media =
            Media::parse(line.value, self.arena).ok_or_else(|| line.fault(Reason::Media))?;
        self.compare(line, |out| media.write_line(out))?;
        if media.formats.is_empty() {
            self.forgive(line.fault(Reason::Media))?;
        }
        top.media.push(media);
        *section = Section::new(MEDIA_ORDER, self.arena);
        Ok(())
    }

    /// Keeps the order of a section that has come to its end.
    fn close(&self, top: &mut Top<'a>, section: &mut Section<'a>) {
        if section.is_out_of_order {
            let letters = std::mem::replace(&mut section.letters, List::new_in(self.arena));
            let order: &'a [u8] = letters.into_bump_slice();
            match top.media.last_mut() {
                Some(media) => media.order = Some(order),
                None => top.order = Some(order),
            }
        }
    }

    fn session_line(
        &mut self,
        top: &mut Top<'a>,
        section: &mut Section<'a>,
        line: RawLine<'a>,
    ) -> Result<(), ParseError> {
        let in_timing = std::mem::replace(&mut section.in_timing, false);
        let fault = match line.letter {
            b'o' if top.origin.is_none() => {
                let origin = Origin::parse(line.value).ok_or_else(|| line.fault(Reason::Origin))?;
                self.compare(line, |out| origin.write(out))?;
                if !origin.is_sound() {
                    self.forgive(line.fault(Reason::Origin))?;
                }
                if matches!(origin.session_version, Number::Word(_)) {
                    self.forgive(line.fault(Reason::SessionVersion))?;
                }
                top.origin = Some(origin);
                None
            }
            b's' => once(&mut top.session_name, line.value),
            b'i' => once(&mut top.information, line.value),
            b'u' => once(&mut top.uri, line.value),
            b'e' => {
                top.emails.push(line.value);
                None
            }
            b'p' => {
                top.phones.push(line.value);
                None
            }
            b'c' if top.connection.is_none() => {
                top.connection = self.connection(line)?;
                top.connection.is_none().then_some(Reason::Connection)
            }
            b'b' => self.bandwidth(&mut top.bandwidths, line)?,
            b't' => match Timing::parse(line.value, self.arena) {
                Some(timing) => {
                    self.compare(line, |out| timing.write(out))?;
                    top.timings.push(timing);
                    section.in_timing = true;
                    None
                }
                None => Some(Reason::Timing),
            },
            b'r' | b'z' => {
                let timing = top.timings.last_mut().filter(|_| in_timing);
                let fault = self.timing_line(timing, line)?;
                if fault.is_none() {
                    // It goes with its `t=`, also in the order.
                    section.in_timing = true;
                    return Ok(());
                }
                fault
            }
            b'k' => once(&mut top.key, line.value),
            b'a' => {
                self.attribute(&mut top.attributes, line)?;
                None
            }
            b'v' | b'o' | b'c' => Some(Reason::DuplicateLine),
            _ => Some(Reason::UnknownLine),
        };
        self.place(&mut top.unknown, section, line, fault)
    }

    fn media_line(
        &mut self,
        media: &mut Media<'a>,
        section: &mut Section<'a>,
        line: RawLine<'a>,
    ) -> Result<(), ParseError> {
        let fault = match line.letter {
            b'i' => once(&mut media.information, line.value),
            b'c' => match self.connection(line)? {
                Some(connection) => {
                    media.connections.push(connection);
                    None
                }
                None => Some(Reason::Connection),
            },
            b'b' => self.bandwidth(&mut media.bandwidths, line)?,
            b'k' => once(&mut media.key, line.value),
            b'a' => {
                self.attribute(&mut media.attributes, line)?;
                None
            }
            _ => Some(Reason::UnknownLine),
        };
        self.place(&mut media.unknown, section, line, fault)
    }

    /// A line that has a fault stays a line.
    fn place(
        &mut self,
        unknown: &mut List<'a, Line<'a>>,
        section: &mut Section<'a>,
        line: RawLine<'a>,
        fault: Option<Reason>,
    ) -> Result<(), ParseError> {
        let letter = match fault {
            Some(reason) => {
                self.forgive(line.fault(reason))?;
                unknown.push(Line {
                    letter: line.letter,
                    value: line.value,
                });
                UNKNOWN
            }
            None => line.letter,
        };
        if section.push(letter) {
            self.forgive(line.fault(Reason::Order))?;
        }
        Ok(())
    }

    fn connection(&mut self, line: RawLine<'a>) -> Result<Option<Connection<'a>>, ParseError> {
        let connection = Connection::parse(line.value);
        if let Some(connection) = &connection {
            self.compare(line, |out| connection.write(out))?;
        }
        Ok(connection)
    }

    fn bandwidth(
        &mut self,
        bandwidths: &mut List<'a, Bandwidth<'a>>,
        line: RawLine<'a>,
    ) -> Result<Option<Reason>, ParseError> {
        let Some(bandwidth) = Bandwidth::parse(line.value) else {
            return Ok(Some(Reason::Bandwidth));
        };
        self.compare(line, |out| bandwidth.write(out))?;
        bandwidths.push(bandwidth);
        Ok(None)
    }

    /// `r=` before `z=`, and one `z=` at most.
    fn timing_line(
        &mut self,
        timing: Option<&mut Timing<'a>>,
        line: RawLine<'a>,
    ) -> Result<Option<Reason>, ParseError> {
        let timing = timing.filter(|timing| timing.zone_adjustments.is_empty());
        if line.letter == b'r' {
            let repeat = Repeat::parse(line.value, self.arena);
            let (Some(timing), Some(repeat)) = (timing, repeat) else {
                return Ok(Some(Reason::Repeat));
            };
            self.compare(line, |out| repeat.write(out))?;
            timing.repeats.push(repeat);
        } else {
            let zone = Timing::parse_zone(line.value, self.arena);
            let (Some(timing), Some(zone)) = (timing, zone) else {
                return Ok(Some(Reason::Zone));
            };
            timing.zone_adjustments = zone;
            self.compare(line, |out| timing.write_zone(out))?;
        }
        Ok(None)
    }

    fn attribute(
        &mut self,
        attributes: &mut List<'a, Attribute<'a>>,
        line: RawLine<'a>,
    ) -> Result<(), ParseError> {
        if attributes.len() >= self.limits.max_attributes {
            return Err(line.fault(Reason::TooManyAttributes));
        }
        let (name, value) = match memchr::memchr(b':', line.value) {
            Some(colon) => (
                line.value.get(..colon).unwrap_or_default(),
                line.value.get(colon + 1..),
            ),
            None => (line.value, None),
        };
        let attribute = match attribute::parse(name, value, self.arena) {
            Some(Some(typed)) => {
                self.compare(line, |out| typed.write(out))?;
                typed
            }
            Some(None) => {
                self.forgive(line.fault(Reason::Attribute))?;
                Attribute::Other { name, value }
            }
            None => {
                if !is_token(name) {
                    self.forgive(line.fault(Reason::AttributeName))?;
                }
                Attribute::Other { name, value }
            }
        };
        attributes.push(attribute);
        Ok(())
    }
}

/// Fills what is empty, and tells when it is not.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<Reason> {
    if slot.is_some() {
        return Some(Reason::DuplicateLine);
    }
    *slot = Some(value);
    None
}
