//! URIs as header fields hold them: split, not decoded (§19.1).

/// A URI in its pieces, nothing unescaped.
///
/// `sip` and `sips` have all pieces. Of a `tel` URI the number is the `host`. Any other scheme has all that follows the
/// colon, up to `;` or `?`, in `authority`, and no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// As received, without the colon.
    pub scheme: &'a [u8],
    /// Between scheme and parameters: `alice:secret@atlanta.com:5060`.
    pub authority: Option<&'a [u8]>,
    /// Before the `@`, a password included.
    pub userinfo: Option<&'a [u8]>,
    /// An IPv6 address stands here without its brackets.
    pub host: Option<&'a [u8]>,
    /// The port, where one was written.
    pub port: Option<u16>,
    /// With the leading `;`.
    pub parameters: Option<&'a [u8]>,
    /// With the leading `?`.
    pub headers: Option<&'a [u8]>,
}
