use std::hint::black_box;

use bytes::Bytes;
use ezk_sip_types::header::DecodeValues;
use ezk_sip_types::header::typed::{
    Accept, Allow, AuthChallenge, AuthResponse, CSeq, CallID, Contact, ContentLength, ContentType,
    Expires, FromTo, MaxForwards, MinSe, Routing, SessionExpires, Supported, Via,
};
use ezk_sip_types::msg::{Line, MessageLine, PullParser};
use ezk_sip_types::parse::Parse;
use ezk_sip_types::{Headers, Name};

pub fn parse(data: &[u8]) -> Result<usize, String> {
    let bytes = Bytes::copy_from_slice(data);
    let mut lines = PullParser::new(&bytes, 0);
    let text = |line| std::str::from_utf8(line).map_err(|error| error.to_string());
    let first = lines
        .next()
        .ok_or("no line")?
        .map_err(|error| format!("{error:?}"))?;
    let (_, start_line) =
        MessageLine::parse(&bytes)(text(first)?).map_err(|error| error.to_string())?;
    let mut headers = Headers::new();
    for line in &mut lines {
        let line = text(line.map_err(|error| format!("{error:?}"))?)?;
        let (_, line) = Line::parse(&bytes, line).map_err(|error| error.to_string())?;
        headers.insert(line.name, line.value);
    }
    let body = bytes.slice(lines.head_end()..);
    black_box((&start_line, &headers, &body));

    let mut typed = 0;
    typed += count::<Vec<Via>>(&headers, Name::VIA)?;
    typed += count::<FromTo>(&headers, Name::FROM)?;
    typed += count::<FromTo>(&headers, Name::TO)?;
    typed += count::<CallID>(&headers, Name::CALL_ID)?;
    typed += count::<CSeq>(&headers, Name::CSEQ)?;
    typed += count::<MaxForwards>(&headers, Name::MAX_FORWARDS)?;
    typed += count::<ContentLength>(&headers, Name::CONTENT_LENGTH)?;
    typed += count::<ContentType>(&headers, Name::CONTENT_TYPE)?;
    typed += count::<Vec<Contact>>(&headers, Name::CONTACT)?;
    typed += count::<Vec<Routing>>(&headers, Name::ROUTE)?;
    typed += count::<Vec<Routing>>(&headers, Name::RECORD_ROUTE)?;
    typed += count::<Vec<Allow>>(&headers, Name::ALLOW)?;
    typed += count::<Vec<Supported>>(&headers, Name::SUPPORTED)?;
    typed += count::<Vec<Accept>>(&headers, Name::ACCEPT)?;
    typed += count::<Expires>(&headers, Name::EXPIRES)?;
    typed += count::<SessionExpires>(&headers, Name::SESSION_EXPIRES)?;
    typed += count::<MinSe>(&headers, Name::MIN_SE)?;
    typed += count::<Vec<AuthResponse>>(&headers, Name::AUTHORIZATION)?;
    typed += count::<Vec<AuthChallenge>>(&headers, Name::WWW_AUTHENTICATE)?;
    Ok(typed)
}

fn count<H: DecodeValues>(headers: &Headers, name: Name) -> Result<usize, String> {
    match headers.try_get::<H>(name) {
        None => Ok(0),
        Some(Ok(value)) => {
            black_box(&value);
            Ok(1)
        }
        Some(Err(error)) => Err(format!("{error:?}")),
    }
}
