//! The WebSocket protocol behind its handshake (RFC 6455 §5 to §7), for the messages of SIP (RFC 7118): bytes of a connection
//! in, messages out, and the other way round. The frames are those of `tungstenite`; sockets are somebody else's.
//!
//! This is a crate of its own since masks are random: everything else of the protocol work is told its randomness.

#![forbid(unsafe_code)]

mod progress;

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use progress::Progress;

/// Bytes that are taken from the input at once: what a connection has for a buffer while it is in the midst of a message.
const READ_BUFFER_BYTES: usize = 1024;

/// Which side of the connection this is. Clients mask their frames (RFC 6455 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that has asked for the connection.
    Client,
    /// The side that was asked.
    Server,
}

/// What a connection brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole message, of text or binary, of one frame or many.
    Message(Bytes),
    /// A Ping; its Pong is in the output.
    Ping,
    /// A Pong, asked for or not.
    Pong,
    /// The peer has closed the connection, the answer is in the output. Nothing follows.
    Closed,
    /// The peer has broken the protocol: call [`WebSocket::close`] with this status code and close the connection. Nothing
    /// follows.
    Failed(u16),
}

/// One connection, from the first byte behind its handshake.
///
/// Between messages it has no buffers.
#[derive(Debug)]
pub struct WebSocket {
    role: Role,
    config: WebSocketConfig,
    max_message_ms: u64,
    context: Option<Box<WebSocketContext>>,
    progress: Progress,
    ended: bool,
}

impl WebSocket {
    /// A connection whose peer may send messages of so many bytes, and may take so many milliseconds for each.
    pub fn new(side: Side, max_message_bytes: usize, max_message_ms: u64) -> WebSocket {
        WebSocket {
            role: match side {
                Side::Client => Role::Client,
                Side::Server => Role::Server,
            },
            // What is written goes to a vector at once: the write buffer never holds more than one frame.
            config: WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER_BYTES)
                .write_buffer_size(0)
                .max_message_size(Some(max_message_bytes))
                .max_frame_size(Some(max_message_bytes)),
            max_message_ms,
            context: None,
            progress: Progress::default(),
            ended: false,
        }
    }

    /// Takes what has come. Events are in their order; `output` is to be sent.
    pub fn push(
        &mut self,
        now: u64,
        input: &[u8],
        output: &mut Vec<u8>,
        mut event: impl FnMut(Event),
    ) {
        if self.ended {
            return;
        }
        self.progress.follow(now, input);
        let mut wire = Wire { input, output };
        let context = open(&mut self.context, self.role, self.config);
        loop {
            match context.read(&mut wire) {
                Ok(Message::Text(text)) => event(Event::Message(text.into())),
                Ok(Message::Binary(bytes)) => event(Event::Message(bytes)),
                Ok(Message::Ping(_)) => event(Event::Ping),
                Ok(Message::Pong(_)) => event(Event::Pong),
                Ok(Message::Close(_)) => {
                    // A server is told that this was the last it sent.
                    let _ = context.flush(&mut wire);
                    self.ended = true;
                    return event(Event::Closed);
                }
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.ended = true;
                    return event(Event::Failed(status_code(&error)));
                }
            }
        }
        if self.deadline().is_none() {
            self.context = None;
        }
    }

    /// When the message has to be complete that is in the midst of coming, in the milliseconds of `push`.
    pub fn deadline(&self) -> Option<u64> {
        let began = self.progress.began().filter(|_| !self.ended)?;
        Some(began.saturating_add(self.max_message_ms))
    }

    /// Writes one message: as text where it is valid UTF-8, else as binary (RFC 7118 §4.2).
    pub fn write_message(&mut self, message: &[u8], output: &mut Vec<u8>) {
        self.write(
            match std::str::from_utf8(message) {
                Ok(text) => Message::Text(Utf8Bytes::from(text)),
                Err(_) => Message::Binary(Bytes::copy_from_slice(message)),
            },
            output,
        );
    }

    /// Writes a Ping.
    pub fn write_ping(&mut self, output: &mut Vec<u8>) {
        self.write(Message::Ping(Bytes::new()), output);
    }

    /// Writes a Close with this status code, unless one was written before. Nothing else is written any more.
    pub fn close(&mut self, code: u16, output: &mut Vec<u8>) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: Utf8Bytes::from_static(""),
        };
        let mut wire = Wire { input: &[], output };
        let context = open(&mut self.context, self.role, self.config);
        // After a Close it refuses, which is what is wanted.
        let _ = context.close(&mut wire, Some(frame));
        self.ended = true;
    }

    fn write(&mut self, message: Message, output: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let mut wire = Wire { input: &[], output };
        let idle = self.context.is_none();
        let context = open(&mut self.context, self.role, self.config);
        // A vector takes all there is.
        let _ = context.write(&mut wire, message);
        let _ = context.flush(&mut wire);
        if idle {
            self.context = None;
        }
    }
}

fn open(
    context: &mut Option<Box<WebSocketContext>>,
    role: Role,
    config: WebSocketConfig,
) -> &mut WebSocketContext {
    context.get_or_insert_with(|| Box::new(WebSocketContext::new(role, Some(config))))
}

/// RFC 6455 §7.4.1.
fn status_code(error: &Error) -> u16 {
    match error {
        Error::Capacity(_) => CloseCode::Size.into(),
        Error::Utf8(_) => CloseCode::Invalid.into(),
        _ => CloseCode::Protocol.into(),
    }
}

/// The connection as `tungstenite` sees it.
struct Wire<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.input.read(buffer),
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
