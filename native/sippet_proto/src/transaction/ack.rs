//! The ACK that an INVITE client owes to a final response other than 2xx (§17.1.1.3).

use bytes::Bytes;

use crate::header::{CSeq, Headers};
use crate::message::parse::{Framing, Options, parse};
use crate::message::{Arena, List, Message, Method, RequestLine, StartLine, Version};

/// Made from the request as it was sent and the response as it came; None if either cannot be read, which no message
/// is that a transaction was made from.
pub(super) fn build_ack(request: &[u8], response: &[u8]) -> Option<Bytes> {
    let arena = Arena::new();
    let options = Options {
        framing: Framing::Whole,
        ..Options::default()
    };
    let request = parse(request, &options, &arena).ok()?;
    let response = parse(response, &options, &arena).ok()?;
    let request_uri = request.request_line()?.request_uri;
    let mut via = List::with_capacity_in(1, &arena);
    via.push(*request.headers.via.as_ref()?.first()?);
    let mut headers = Headers::new_in(&arena);
    headers.via = Some(via);
    headers.route = request.headers.route;
    headers.max_forwards = Some(70);
    headers.from = request.headers.from;
    headers.to = response.headers.to;
    headers.call_id = request.headers.call_id;
    headers.cseq = Some(CSeq {
        number: request.headers.cseq?.number,
        method: Method::Ack,
    });
    let ack = Message {
        start_line: StartLine::Request(RequestLine {
            method: Method::Ack,
            request_uri,
            version: Version::SIP_2_0,
        }),
        headers,
        body: Some(b""),
        defects: List::new_in(&arena),
    };
    let mut out = Vec::with_capacity(512);
    ack.write(&mut out).ok()?;
    Some(Bytes::from(out))
}
