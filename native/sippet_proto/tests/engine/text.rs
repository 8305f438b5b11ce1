//! The messages of the tests, as text, made from each other.

/// A request of its own Call-ID, outside a dialog.
pub fn request(method: &str, branch: &str) -> String {
    format!(
        "{method} sip:bob@biloxi.example SIP/2.0\r\n\
         Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch={branch}\r\n\
         Max-Forwards: 70\r\n\
         From: Alice <sip:alice@atlanta.example>;tag=1928301774\r\n\
         To: Bob <sip:bob@biloxi.example>\r\n\
         Call-ID: a84b4c76e66710\r\n\
         CSeq: 314159 {method}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// An INVITE with the branch that most tests use.
pub fn invite() -> String {
    request("INVITE", "z9hG4bK776asdhds")
}

/// The response to a request; a tag of "" leaves To as it is.
pub fn response(request: &str, status_code: u16, to_tag: &str) -> String {
    let mut text = format!("SIP/2.0 {status_code} Whatever\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        for line in request.split("\r\n").filter(|line| is_field(line, name)) {
            text.push_str(line);
            if name == "To" && !to_tag.is_empty() && !line.contains(";tag=") {
                text.push_str(&format!(";tag={to_tag}"));
            }
            text.push_str("\r\n");
        }
    }
    text + "Content-Length: 0\r\n\r\n"
}

/// The CANCEL of an INVITE (§9.1).
pub fn cancel(invite: &str) -> String {
    with_method(invite, "CANCEL")
}

/// The ACK that a client's core sends for a 2xx, or, under the branch of the INVITE, the one for 300–699.
pub fn ack(invite: &str, to_tag: &str, branch: &str) -> String {
    let ack = with_method(&with_branch(invite, branch), "ACK");
    if to_tag.is_empty() {
        return ack;
    }
    let to = field(&ack, "To");
    ack.replace(
        &format!("To: {to}\r\n"),
        &format!("To: {to};tag={to_tag}\r\n"),
    )
}

/// The same request by another method.
pub fn with_method(request: &str, method: &str) -> String {
    let old = request.split(' ').next().unwrap();
    request.replacen(old, method, 1).replace(
        &format!("CSeq: {}", field(request, "CSeq")),
        &format!("CSeq: {}", field(request, "CSeq").replace(old, method)),
    )
}

/// The same request under another branch.
pub fn with_branch(request: &str, branch: &str) -> String {
    let old = request.split("branch=").nth(1).unwrap();
    let old = &old[..old.find(['\r', ';']).unwrap()];
    request.replacen(&format!("branch={old}"), &format!("branch={branch}"), 1)
}

/// The same message with another value of one field.
pub fn with_field(message: &str, name: &str, value: &str) -> String {
    let old = field(message, name);
    message.replacen(
        &format!("\r\n{name}: {old}\r\n"),
        &format!("\r\n{name}: {value}\r\n"),
        1,
    )
}

/// The value of the first field of this name, or nothing.
pub fn field<'a>(message: &'a str, name: &str) -> &'a str {
    fields(message, name).first().copied().unwrap_or_default()
}

/// The values of all fields of this name.
pub fn fields<'a>(message: &'a str, name: &str) -> Vec<&'a str> {
    message
        .split("\r\n")
        .filter(|line| is_field(line, name))
        .map(|line| line.split_once(": ").unwrap().1)
        .collect()
}

fn is_field(line: &str, name: &str) -> bool {
    line.split_once(": ")
        .is_some_and(|(field, _)| field == name)
}
