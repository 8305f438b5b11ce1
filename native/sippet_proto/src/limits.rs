//! How much of a message is taken: checked before memory is reserved.

/// The bounds of one message. Beyond one of them parsing stops with an error, in any mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all of a datagram, or of a message that is parsed alone.
    pub max_message_bytes: usize,
    /// Header field lines, continuation lines not counted.
    pub max_fields: usize,
    /// Bytes of the start line, or of one header field with its continuation lines.
    pub max_line_bytes: usize,
    /// Values of one list field, all its lines together.
    pub max_values: usize,
    /// The same for Via, Route and Record-Route.
    pub max_hops: usize,
    /// Parameters of one value.
    pub max_parameters: usize,
    /// Continuation lines of one header field (§7.3.1).
    pub max_folds: usize,
    /// Bytes in all of a message on a stream.
    pub max_stream_message_bytes: usize,
    /// Milliseconds from the first byte of a message on a stream to its last.
    pub max_stream_message_ms: u64,
}

impl Limits {
    /// What a stack takes unless told otherwise.
    pub const DEFAULT: Limits = Limits {
        max_message_bytes: 64 * 1024,
        max_fields: 256,
        max_line_bytes: 8 * 1024,
        max_values: 256,
        max_hops: 64,
        max_parameters: 32,
        max_folds: 16,
        max_stream_message_bytes: 1024 * 1024,
        max_stream_message_ms: 10_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
