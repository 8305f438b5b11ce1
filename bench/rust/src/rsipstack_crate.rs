use std::hint::black_box;

use rsipstack::sip::prelude::ToTypedHeader;
use rsipstack::sip::{Error, Header, Headers, SipMessage};

pub fn parse(data: &[u8]) -> Result<usize, String> {
    let message = SipMessage::try_from(data).map_err(|error| error.to_string())?;
    typed(match &message {
        SipMessage::Request(request) => &request.headers,
        SipMessage::Response(response) => &response.headers,
    })
    .map_err(|error| error.to_string())
}

fn typed(headers: &Headers) -> Result<usize, Error> {
    let mut count = 0;
    for header in headers.iter() {
        match header {
            Header::CSeq(value) => drop(black_box(value.typed()?)),
            Header::Contact(value) => drop(black_box(value.typed()?)),
            Header::From(value) => drop(black_box(value.typed()?)),
            Header::RecordRoute(value) => drop(black_box(value.typed()?)),
            Header::Route(value) => drop(black_box(value.typed()?)),
            Header::To(value) => drop(black_box(value.typed()?)),
            Header::Via(value) => drop(black_box(value.typed()?)),
            Header::ContentLength(value) => drop(black_box(number(value.value())?)),
            Header::MaxForwards(value) => drop(black_box(number(value.value())?)),
            Header::Expires(value) => drop(black_box(number(value.value())?)),
            _ => continue,
        }
        count += 1;
    }
    Ok(count)
}

fn number(text: &str) -> Result<u32, Error> {
    text.trim()
        .parse()
        .map_err(|_| Error::ParseError(text.to_owned()))
}
