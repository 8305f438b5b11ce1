//! The simulation's messages, small, and what it reads off one in passing.

use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Invite,
    Ack,
    Cancel,
    Bye,
    Options,
}

impl Method {
    pub fn word(self) -> &'static str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Cancel => "CANCEL",
            Method::Bye => "BYE",
            Method::Options => "OPTIONS",
        }
    }

    fn of(word: &str) -> Option<Method> {
        [
            Method::Invite,
            Method::Ack,
            Method::Cancel,
            Method::Bye,
            Method::Options,
        ]
        .into_iter()
        .find(|method| method.word() == word)
    }
}

/// A transaction as the wire knows it: every branch of a run has a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    pub branch: u32,
    pub method: Method,
}

impl Id {
    pub fn with(self, method: Method) -> Id {
        Id { method, ..self }
    }
}

/// What a message says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    /// None for a request.
    pub status: Option<u16>,
    /// Of the topmost Via and the CSeq.
    pub id: Id,
    pub call: u32,
    pub to_tag: &'a str,
}

impl<'a> Glance<'a> {
    /// None if it is not a message of the simulation's own.
    pub fn of(bytes: &'a [u8]) -> Option<Glance<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let status = match lines.next()?.strip_prefix("SIP/2.0 ") {
            Some(rest) => Some(rest.get(..3)?.parse().ok()?),
            None => None,
        };
        let (mut branch, mut call, mut to_tag, mut method) = (None, None, "", None);
        for line in lines {
            if let Some(via) = line.strip_prefix("Via: ") {
                if branch.is_none() {
                    let (_, digits) = via.split_once("branch=z9hG4bK")?;
                    let digits = digits.split(';').next()?;
                    branch = Some(u32::from_str_radix(digits, 16).ok()?);
                }
            } else if let Some(to) = line.strip_prefix("To: ") {
                to_tag = to.split_once(";tag=").map_or("", |(_, tag)| tag);
            } else if let Some(number) = line.strip_prefix("Call-ID: c") {
                call = Some(number.parse().ok()?);
            } else if let Some(cseq) = line.strip_prefix("CSeq: ") {
                method = Some(Method::of(cseq.split_once(' ')?.1)?);
                break;
            }
        }
        Some(Glance {
            status,
            id: Id {
                branch: branch?,
                method: method?,
            },
            call: call?,
            to_tag,
        })
    }

    /// `INVITE 1f` or `486 INVITE 1f`.
    pub fn title(&self) -> String {
        let mut title = String::new();
        if let Some(status) = self.status {
            let _ = write!(title, "{status} ");
        }
        let _ = write!(title, "{} {:x}", self.id.method.word(), self.id.branch);
        title
    }
}

/// A request as its sender's core writes it. `to` names the nodes that it may go to, a digit each.
pub struct Draft<'a> {
    pub id: Id,
    pub node: usize,
    pub to: &'a str,
    pub call: u32,
    pub cseq: u32,
    pub from_tag: &'a str,
    pub to_tag: &'a str,
}

impl Draft<'_> {
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(256);
        let method = self.id.method.word();
        let _ = write!(
            text,
            "{method} sip:{}@b SIP/2.0\r\nVia: {}\r\nFrom: <sip:a@a>;tag={}\r\nTo: <sip:b@b>",
            self.to,
            via(self.node, self.id.branch),
            self.from_tag
        );
        if !self.to_tag.is_empty() {
            let _ = write!(text, ";tag={}", self.to_tag);
        }
        let _ = write!(
            text,
            "\r\nCall-ID: c{}\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
            self.call, self.cseq
        );
        text
    }
}

fn via(node: usize, branch: u32) -> String {
    format!("SIP/2.0/UDP 10.0.0.{node};branch=z9hG4bK{branch:x}")
}

/// The request with a Via more, as a proxy sends it on (§16.6).
pub fn forwarded(request: &str, node: usize, branch: u32) -> String {
    request.replacen("\r\n", &format!("\r\nVia: {}\r\n", via(node, branch)), 1)
}

/// The response without its topmost Via, as a proxy sends it back (§16.7); None if it has no other.
pub fn returned(response: &str) -> Option<String> {
    let start = response.find("\r\nVia: ")?;
    let end = start + 2 + response[start + 2..].find("\r\n")?;
    let rest = &response[end..];
    rest.starts_with("\r\nVia: ")
        .then(|| format!("{}{rest}", &response[..start]))
}

/// The nodes that a request may go to.
pub fn destinations(request: &str) -> Vec<usize> {
    let digits = request.split_once("sip:").map_or("", |(_, rest)| rest);
    digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .map(|digit| usize::from(digit - b'0'))
        .collect()
}

/// The To tag that a node's core gives to a request by its branch; a second one where it plays two forks.
pub fn to_tag(node: usize, branch: u32, fork: bool) -> String {
    format!("t{node}x{branch:x}{}", if fork { "y" } else { "" })
}

/// The node and branch of such a tag.
pub fn tagged(tag: &str) -> Option<(usize, u32)> {
    let (node, branch) = tag.strip_prefix('t')?.split_once('x')?;
    let branch = branch.strip_suffix('y').unwrap_or(branch);
    Some((node.parse().ok()?, u32::from_str_radix(branch, 16).ok()?))
}
