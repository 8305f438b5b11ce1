use std::hint::black_box;

use rsip::headers::ToTypedHeader;
use rsip::{Header, Headers, SipMessage};

pub fn parse(data: &[u8]) -> Result<usize, String> {
    let message = SipMessage::try_from(data).map_err(|error| error.to_string())?;
    typed(match &message {
        SipMessage::Request(request) => &request.headers,
        SipMessage::Response(response) => &response.headers,
    })
    .map_err(|error| error.to_string())
}

fn typed(headers: &Headers) -> Result<usize, rsip::Error> {
    let mut count = 0;
    for header in headers.iter() {
        match header {
            Header::Accept(value) => drop(black_box(value.typed()?)),
            Header::Allow(value) => drop(black_box(value.typed()?)),
            Header::Authorization(value) => drop(black_box(value.typed()?)),
            Header::CSeq(value) => drop(black_box(value.typed()?)),
            Header::Contact(value) => drop(black_box(value.typed()?)),
            Header::ContentDisposition(value) => drop(black_box(value.typed()?)),
            Header::ContentType(value) => drop(black_box(value.typed()?)),
            Header::From(value) => drop(black_box(value.typed()?)),
            Header::ProxyAuthorization(value) => drop(black_box(value.typed()?)),
            Header::RecordRoute(value) => drop(black_box(value.typed()?)),
            Header::ReplyTo(value) => drop(black_box(value.typed()?)),
            Header::Route(value) => drop(black_box(value.typed()?)),
            Header::To(value) => drop(black_box(value.typed()?)),
            Header::Via(value) => drop(black_box(value.typed()?)),
            Header::ContentLength(value) => drop(black_box(value.length()?)),
            Header::MaxForwards(value) => drop(black_box(value.num()?)),
            Header::Expires(value) => drop(black_box(value.seconds()?)),
            _ => continue,
        }
        count += 1;
    }
    Ok(count)
}
