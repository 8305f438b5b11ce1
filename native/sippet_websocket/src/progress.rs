//! How far a message has come, which `tungstenite` does not tell: since when there is something of one that is not whole. It
//! reads the headers of the frames a second time and counts what is behind them.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::OpCode;

/// RFC 6455 §5.2: two bytes, eight of length, four of a mask.
const MAX_HEADER_BYTES: usize = 14;

#[derive(Debug, Default)]
pub struct Progress {
    header: [u8; MAX_HEADER_BYTES],
    header_bytes: usize,
    /// Of the frame's payload.
    left: u64,
    /// A message of several frames has begun.
    fragmented: bool,
    began: Option<u64>,
}

impl Progress {
    /// When the first byte came of a message, or of a frame of control, that is not whole.
    pub fn began(&self) -> Option<u64> {
        self.began
    }

    /// What follows a frame that is no frame is not looked at: the connection ends there.
    pub fn follow(&mut self, now: u64, mut input: &[u8]) {
        while let Some((first, rest)) = input.split_first() {
            if self.left > 0 {
                let skipped = input
                    .len()
                    .min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                input = input.get(skipped..).unwrap_or_default();
            } else {
                self.began.get_or_insert(now);
                let Some(place) = self.header.get_mut(self.header_bytes) else {
                    return;
                };
                *place = *first;
                self.header_bytes += 1;
                input = rest;
                match self.parse() {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(()) => return,
                }
            }
            if self.left == 0 && !self.fragmented {
                self.began = None;
            }
        }
    }

    /// Whether the header is whole.
    fn parse(&mut self) -> Result<bool, ()> {
        let bytes = self.header.get(..self.header_bytes).ok_or(())?;
        let Some((header, length)) = FrameHeader::parse(&mut Cursor::new(bytes)).map_err(|_| ())?
        else {
            return Ok(false);
        };
        self.header_bytes = 0;
        self.left = length;
        // Frames of control stand between those of a message (RFC 6455 §5.4).
        if let OpCode::Data(_) = header.opcode {
            self.fragmented = !header.is_final;
        }
        Ok(true)
    }
}
