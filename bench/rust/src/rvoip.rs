use std::hint::black_box;

use rvoip_sip_core::{Message, parse_message};

/// It types every field by itself.
pub fn parse(data: &[u8]) -> Result<usize, String> {
    let message = parse_message(data).map_err(|error| error.to_string())?;
    Ok(match black_box(&message) {
        Message::Request(request) => request.headers.len(),
        Message::Response(response) => response.headers.len(),
    })
}
