//! The search for the end of a head, over pieces of any size.

use memchr::memchr2;

use crate::error::{Field, ParseError, Reason};
use crate::grammar::is_token_byte;
use crate::limits::Limits;

/// How far a head was looked through. Each byte is looked at once; lines and fields are what `message::lines` takes them for.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes looked at, which is also where the next one stands.
    length: usize,
    line_start: usize,
    /// Where the header field or the start line begins that the line belongs to.
    field_start: usize,
    fields: usize,
    folds: usize,
    /// A CR has come that has to be followed by an LF.
    after_cr: bool,
    /// The first space of the start line has come.
    has_space: bool,
    lines: Ends,
}

/// How the lines of a head end.
#[derive(Debug, Default, PartialEq, Eq)]
enum Ends {
    /// The start line has not ended.
    #[default]
    Unknown,
    Crlf,
    /// The start line ended so, with which no element that wants CRLF would have let it pass.
    Lf,
}

/// What looking at a piece has shown.
#[derive(Debug)]
pub(super) enum Scan {
    /// The head goes on behind the piece.
    More,
    /// It ends after so many bytes of the piece.
    End(usize),
    /// It will not be a message. The number is how long the head is up to the last header field that is whole.
    Stop(ParseError<'static>, usize),
}

impl Head {
    pub fn scan(&mut self, piece: &[u8], limits: &Limits) -> Scan {
        match self.look(piece, limits) {
            Ok(None) => Scan::More,
            Ok(Some(end)) => Scan::End(end),
            Err(reason) => {
                // Of the field that it is found in an answer could copy a part only.
                let error = ParseError {
                    reason,
                    field: if self.is_start_line() {
                        Field::StartLine
                    } else {
                        Field::Message
                    },
                    offset: self.length,
                };
                Scan::Stop(error, self.field_start)
            }
        }
    }

    fn look(&mut self, piece: &[u8], limits: &Limits) -> Result<Option<usize>, Reason> {
        let mut rest = piece;
        while let [byte, behind @ ..] = rest {
            if self.after_cr {
                if *byte != b'\n' {
                    return Err(Reason::BareCr);
                }
                rest = behind;
                if self.end_line(1)? {
                    return Ok(Some(piece.len() - rest.len()));
                }
                continue;
            }
            if self.length == self.line_start {
                self.begin_line(*byte, limits)?;
            }
            let run = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            let (text, behind) = rest.split_at(run);
            self.text(text, limits)?;
            rest = match behind {
                [b'\r', behind @ ..] => {
                    self.after_cr = true;
                    behind
                }
                [_, behind @ ..] => {
                    if self.lines == Ends::Crlf {
                        return Err(Reason::BareLf);
                    }
                    self.lines = Ends::Lf;
                    if self.end_line(0)? {
                        return Ok(Some(piece.len() - behind.len()));
                    }
                    behind
                }
                [] => behind,
            };
        }
        Ok(None)
    }

    fn is_start_line(&self) -> bool {
        self.field_start == 0
    }

    fn begin_line(&mut self, first: u8, limits: &Limits) -> Result<(), Reason> {
        if self.length == 0 {
            return Ok(());
        }
        // What seems to continue the start line is a line of its own.
        if matches!(first, b' ' | b'\t') && self.fields > 0 {
            self.folds += 1;
            if self.folds > limits.max_folds {
                return Err(Reason::TooManyFolds);
            }
            return Ok(());
        }
        self.field_start = self.length;
        self.folds = 0;
        if matches!(first, b'\r' | b'\n') {
            return Ok(());
        }
        self.fields += 1;
        if self.fields > limits.max_fields {
            return Err(Reason::TooManyFields);
        }
        Ok(())
    }

    /// Bytes of a line. What is wrong first is told, so that it does not matter which bytes come together.
    fn text(&mut self, text: &[u8], limits: &Limits) -> Result<(), Reason> {
        let line_bound = self.field_start.saturating_add(limits.max_line_bytes);
        let message_bound = limits.max_stream_message_bytes;
        let room = line_bound.min(message_bound).saturating_sub(self.length);
        let within = text.get(..room).unwrap_or(text);
        if !self.has_space {
            self.first_word(within)?;
        }
        self.length = self.length.saturating_add(within.len());
        let is_over = within.len() < text.len() || self.length > message_bound;
        match is_over {
            false => Ok(()),
            true if message_bound < line_bound => Err(Reason::MessageTooLong),
            true if self.is_start_line() => Err(Reason::StartLineTooLong),
            true => Err(Reason::LineTooLong),
        }
    }

    /// A method or a SIP-Version stands first (§7.1, §7.2): another protocol is known by its first bytes, and not waited for.
    fn first_word(&mut self, text: &[u8]) -> Result<(), Reason> {
        let end = memchr::memchr(b' ', text);
        let word = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        if let Some(odd) = word
            .iter()
            .position(|byte| !is_token_byte(*byte) && *byte != b'/')
        {
            self.length = self.length.saturating_add(odd);
            return Err(Reason::Method);
        }
        if end == Some(0) && self.length == 0 {
            return Err(Reason::Method);
        }
        self.has_space = end.is_some();
        Ok(())
    }

    /// Ends a line whose text stands behind `self.length`, with `cr` bytes before its LF; tells whether it is the empty one.
    fn end_line(&mut self, cr: usize) -> Result<bool, Reason> {
        let is_empty = self.length == self.line_start;
        if !self.has_space {
            return Err(Reason::StartLine);
        }
        if self.lines == Ends::Unknown {
            self.lines = Ends::Crlf;
        }
        self.after_cr = false;
        self.length = self.length.saturating_add(cr + 1);
        self.line_start = self.length;
        Ok(is_empty)
    }
}
