//! Messages out of a byte stream (§18.3), and the keep-alives between them (RFC 5626 §3.5.1, §4.4.1).

mod head;

use std::borrow::Cow;

use crate::error::{Field, ParseError, Reason};
use crate::grammar::only_number;
use crate::header::name::{Known, look_up};
use crate::limits::Limits;
use crate::message::lines::Lines;
use head::{Head, Scan};

/// Takes messages out of what one connection brings, in pieces of any size.
///
/// How the stream is cut into pieces makes no difference to what comes out. Each byte is looked at a bounded number of times, and
/// only bytes of a message that has arrived in part are kept: nothing is reserved for a body that was announced.
///
/// A head ends its lines in CRLF. One whose first line ends in LF may go on with LF; in any other an LF without CR breaks
/// the stream, since another element might see the message end elsewhere.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    state: State,
    /// What has arrived of a message, while more of it has to come.
    partial: Vec<u8>,
    deadline: Option<u64>,
    awaits_pong: bool,
}

#[derive(Debug)]
enum State {
    /// Between messages.
    Between {
        /// A CR has come whose LF has not.
        after_cr: bool,
        /// The first CRLF of what may become a ping.
        half: bool,
    },
    /// The empty line has not come.
    Head(Head),
    /// So many bytes are to come; where none is kept yet, head and body are meant.
    Rest(usize),
    Broken,
}

const BETWEEN: State = State::Between {
    after_cr: false,
    half: false,
};

/// What was found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'c> {
    /// A whole message: its head can be told from its body, and nothing else is known of it. Borrowed where all of it was in one
    /// piece.
    Message(Cow<'c, [u8]>),
    /// A double CRLF, which a single one answers (RFC 5626 §3.5.1).
    Ping,
    /// A CRLF after [`Framer::expect_pong`].
    Pong,
    /// The stream cannot be followed any further. Nothing comes after this.
    Broken(Broken<'c>),
}

/// A stream that cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken<'c> {
    /// Why, and the status code that a request earns by it. Offsets count from the start of the message.
    pub error: ParseError<'static>,
    /// The message up to the last header field that is there in full: `message::reply` may find enough in it.
    pub head: Cow<'c, [u8]>,
}

impl Framer {
    /// A stream from its first byte on.
    ///
    /// Of `limits` those count that can be checked without parsing: lines, fields, folds, `max_stream_message_bytes` and
    /// `max_stream_message_ms`.
    pub fn new(limits: Limits) -> Framer {
        Framer {
            limits,
            state: BETWEEN,
            partial: Vec::new(),
            deadline: None,
            awaits_pong: false,
        }
    }

    /// Takes the next thing from the front of `input`; `None` when all of it is taken.
    ///
    /// `now` is in milliseconds of any clock.
    pub fn next<'c>(&mut self, now: u64, input: &mut &'c [u8]) -> Option<Frame<'c>> {
        loop {
            match &mut self.state {
                State::Between { .. } => {
                    if let Some(frame) = self.between(input) {
                        return Some(frame);
                    }
                    if input.is_empty() {
                        return None;
                    }
                    self.state = State::Head(Head::default());
                    self.deadline = Some(now.saturating_add(self.limits.max_stream_message_ms));
                }
                State::Head(head) => match head.scan(input, &self.limits) {
                    Scan::More => {
                        self.keep(input, input.len());
                        return None;
                    }
                    Scan::End(length) => {
                        if let Err(error) = self.end_head(input, length) {
                            let length = error.1;
                            return Some(self.break_off(input, error.0, length));
                        }
                    }
                    Scan::Stop(error, whole) => {
                        return Some(self.break_off(input, error, whole));
                    }
                },
                State::Rest(left) => {
                    let missing = left.saturating_sub(input.len());
                    let taken = *left - missing;
                    if missing > 0 {
                        *left = missing;
                        self.keep(input, taken);
                        return None;
                    }
                    return Some(Frame::Message(self.take(input, taken)));
                }
                State::Broken => {
                    *input = &[];
                    return None;
                }
            }
        }
    }

    /// When the message that has arrived in part has to be complete; `None` between messages.
    ///
    /// A connection on which it passes should be closed: who sends a byte now and then would keep it for ever.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// The next CRLF between messages is the answer to a ping of ours (RFC 5626 §4.4.1).
    ///
    /// The stream alone does not tell: two answers look like one ping.
    pub fn expect_pong(&mut self) {
        self.awaits_pong = true;
    }

    /// What a message that has arrived in part takes, in bytes of memory.
    pub fn kept_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Whether the stream is broken.
    pub fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Line ends, up to the first byte of a message; any number of them may be there (§7.5).
    fn between<'c>(&mut self, input: &mut &'c [u8]) -> Option<Frame<'c>> {
        let State::Between { after_cr, half } = &mut self.state else {
            return None;
        };
        while let [byte, rest @ ..] = *input {
            match (*after_cr, byte) {
                (true, b'\n') => {
                    *after_cr = false;
                    *input = rest;
                    if self.awaits_pong {
                        self.awaits_pong = false;
                        return Some(Frame::Pong);
                    }
                    *half = !*half;
                    if !*half {
                        return Some(Frame::Ping);
                    }
                }
                (true, _) => {
                    let error = ParseError {
                        reason: Reason::BareCr,
                        field: Field::Message,
                        offset: 0,
                    };
                    return Some(self.break_off(input, error, 0));
                }
                (false, b'\r') => {
                    *after_cr = true;
                    *input = rest;
                }
                (false, b'\n') => {
                    *half = false;
                    *input = rest;
                }
                (false, _) => return None,
            }
        }
        None
    }

    /// Decides where the message ends, now that `length` bytes of `input` have completed its head. An error comes with how much of
    /// the message an answer may use.
    fn end_head(
        &mut self,
        input: &mut &[u8],
        length: usize,
    ) -> Result<(), (ParseError<'static>, usize)> {
        let kept = !self.partial.is_empty();
        if kept {
            self.keep(input, length);
        }
        let head = match kept {
            true => &self.partial[..],
            false => input.get(..length).unwrap_or_default(),
        };
        let body = content_length(head).map_err(|error| (error, head.len()))?;
        if head.len().saturating_add(body) > self.limits.max_stream_message_bytes {
            let error = ParseError {
                reason: Reason::MessageTooLong,
                field: Field::Header(b"Content-Length"),
                offset: head.len(),
            };
            return Err((error, head.len()));
        }
        self.state = State::Rest(if kept { body } else { length + body });
        Ok(())
    }

    /// Moves bytes to what is kept.
    fn keep(&mut self, input: &mut &[u8], length: usize) {
        let (piece, rest) = input.split_at(length.min(input.len()));
        self.partial.extend_from_slice(piece);
        *input = rest;
    }

    /// A whole message, with `length` bytes of `input` at its end.
    fn take<'c>(&mut self, input: &mut &'c [u8], length: usize) -> Cow<'c, [u8]> {
        self.state = BETWEEN;
        self.deadline = None;
        if self.partial.is_empty() {
            let (piece, rest) = input.split_at(length.min(input.len()));
            *input = rest;
            return Cow::Borrowed(piece);
        }
        self.keep(input, length);
        Cow::Owned(std::mem::take(&mut self.partial))
    }

    /// Ends it all; `whole` bytes of the message may be used for an answer.
    fn break_off<'c>(
        &mut self,
        input: &mut &'c [u8],
        error: ParseError<'static>,
        whole: usize,
    ) -> Frame<'c> {
        let missing = whole.saturating_sub(self.partial.len());
        let mut head = self.take(input, missing);
        match &mut head {
            Cow::Owned(head) => head.truncate(whole),
            Cow::Borrowed(head) => *head = head.get(..whole).unwrap_or(head),
        }
        *input = &[];
        self.state = State::Broken;
        Frame::Broken(Broken { error, head })
    }
}

/// What Content-Length says, read as `message::parse` reads it: there once, under whichever of its names, and a plain number.
fn content_length(head: &[u8]) -> Result<usize, ParseError<'static>> {
    let error = |reason, offset| ParseError {
        reason,
        field: Field::Header(b"Content-Length"),
        offset,
    };
    let mut found = None;
    for line in Lines::new(head).into_iter().flatten() {
        let entry = line.name.and_then(look_up);
        if entry.and_then(|entry| entry.known) != Some(Known::ContentLength) {
            continue;
        }
        if found.is_some() {
            return Err(error(Reason::DuplicateField, line.offset));
        }
        // A fold inside of it is white space, which a number has not.
        let length = only_number(line.value, u32::MAX)
            .map_err(|_| error(Reason::Number, line.value_offset))?;
        found = Some(length as usize);
    }
    found.ok_or(error(Reason::MissingField, head.len()))
}
