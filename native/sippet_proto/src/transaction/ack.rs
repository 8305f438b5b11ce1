//! The ACK that an INVITE client owes to a final response other than 2xx (§17.1.1.3).

use bytes::Bytes;

use crate::header::{CSeq, Headers};
use crate::message::parse::{Framing, Options, parse};
use crate::message::{Arena, List, Message, Method, RequestLine, StartLine, Version};

/// Made from the request as it was sent and the response as it came; None if either cannot be read, which no message
/// is that a transaction was made from.
pub(super) fn build_ack(request: &[u8], response: &[u8]) -> Option<Bytes> {
    let arena = Arena::new();
    let request = reread(request, &arena)?;
    let response = reread(response, &arena)?;
    let mut ack = hop(request, Method::Ack, &arena)?;
    ack.headers.to = response.headers.to;
    let mut out = Vec::with_capacity(512);
    ack.write(&mut out).ok()?;
    Some(Bytes::from(out))
}

/// A message that a transaction keeps.
pub(super) fn reread<'a>(bytes: &'a [u8], arena: &'a Arena) -> Option<Message<'a>> {
    let options = Options {
        framing: Framing::Whole,
        ..Options::default()
    };
    parse(bytes, &options, arena).ok()
}

/// A request that goes the way of an INVITE to its next hop only: the topmost Via alone, Route copied, the rest that
/// tells the transaction the same (§9.1, §17.1.1.3).
pub(super) fn hop<'a>(
    invite: Message<'a>,
    method: Method<'a>,
    arena: &'a Arena,
) -> Option<Message<'a>> {
    let request_uri = invite.request_line()?.request_uri;
    let mut via = List::with_capacity_in(1, arena);
    via.push(*invite.headers.via.as_ref()?.first()?);
    let mut headers = Headers::new_in(arena);
    headers.via = Some(via);
    headers.route = invite.headers.route;
    headers.max_forwards = Some(70);
    headers.from = invite.headers.from;
    headers.to = invite.headers.to;
    headers.call_id = invite.headers.call_id;
    headers.cseq = Some(CSeq {
        number: invite.headers.cseq?.number,
        method,
    });
    Some(Message {
        start_line: StartLine::Request(RequestLine {
            method,
            request_uri,
            version: Version::SIP_2_0,
        }),
        headers,
        body: Some(b""),
        defects: List::new_in(arena),
    })
}
