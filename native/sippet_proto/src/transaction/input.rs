//! What the engine is fed: messages reduced to keys and bytes, before any lock is taken.

use bytes::Bytes;

use super::delivery::Listener;
use super::effect::Target;
use super::key::{Key, KeyMaker, transaction_method};
use crate::header::Via;
use crate::message::{Message, Method, Protocol, StartLine};

/// Which of the four machines a request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// INVITE.
    Invite,
    /// ACK: of an INVITE's transaction, or of none.
    Ack,
    /// CANCEL: a transaction of its own that points to an INVITE's.
    Cancel,
    /// Any other method.
    NonInvite,
}

impl Kind {
    /// By method.
    pub fn of(method: Method<'_>) -> Kind {
        match method {
            Method::Invite => Kind::Invite,
            Method::Ack => Kind::Ack,
            Method::Cancel => Kind::Cancel,
            _ => Kind::NonInvite,
        }
    }
}

/// The words that a public key is made of, as they were on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    text: Box<[u8]>,
    branch: u16,
    method: u16,
    /// The port of sent-by; where none was written that of the protocol, 0 if it has none here.
    pub port: u16,
}

impl Name {
    fn of(via: &Via<'_>, method: Method<'_>) -> Name {
        let port = via.port.unwrap_or(default_port(via.protocol));
        Name::new(
            via.branch().unwrap_or_default(),
            method.as_bytes(),
            via.host,
            port,
        )
    }

    fn new(branch: &[u8], method: &[u8], host: &[u8], port: u16) -> Name {
        let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(0);
        Name {
            branch: length(branch),
            method: length(method),
            port,
            text: [branch, method, host].concat().into_boxed_slice(),
        }
    }

    /// The branch; empty where there was none.
    pub fn branch(&self) -> &[u8] {
        self.text
            .get(..usize::from(self.branch))
            .unwrap_or_default()
    }

    /// The method.
    pub fn method(&self) -> &[u8] {
        let start = usize::from(self.branch);
        self.text
            .get(start..start + usize::from(self.method))
            .unwrap_or_default()
    }

    /// What the core has this transaction's request by: that of a CANCEL is the INVITE that it means (§9.2).
    pub(super) fn offered(&self) -> Name {
        if self.method() != Method::Cancel.as_bytes() {
            return self.clone();
        }
        Name::new(
            self.branch(),
            Method::Invite.as_bytes(),
            self.host(),
            self.port,
        )
    }

    /// The host of sent-by.
    pub fn host(&self) -> &[u8] {
        self.text
            .get(usize::from(self.branch) + usize::from(self.method)..)
            .unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// The port that a Via without one means, as far as header maps tell it.
fn default_port(protocol: Protocol<'_>) -> u16 {
    match protocol {
        Protocol::Udp | Protocol::Tcp => 5060,
        Protocol::Tls => 5061,
        _ => 0,
    }
}

/// A message lacks what its transaction is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message has no topmost Via, From, To, Call-ID or CSeq, or is not of the asked kind")]
pub struct Unfit;

/// A request that came in.
#[derive(Debug, Clone)]
pub struct IncomingRequest {
    /// Its machine.
    pub kind: Kind,
    /// Its transaction.
    pub key: Key,
    /// The INVITE that a CANCEL means; for others the key itself.
    pub invite: Key,
    /// Its Call-ID.
    pub call: Key,
    /// What a merged request shares with it (§8.2.2.2).
    pub merged: Key,
    /// For an ACK: the 2xx that it answers.
    pub acknowledged: Key,
    /// It has a To tag: it is inside a dialog.
    pub in_dialog: bool,
    /// An ACK to an answer that this stack gave without state (§8.2.7).
    pub stateless_ack: bool,
    /// The public key's words.
    pub name: Name,
    /// Its bytes, the topmost Via stamped.
    pub bytes: Bytes,
    /// Where it came from.
    pub source: Target,
    /// Where responses go (§18.2.2).
    pub target: Target,
    /// The transport delivers or tells.
    pub reliable: bool,
}

impl IncomingRequest {
    /// Reduces a parsed request.
    pub fn new(
        message: &Message<'_>,
        keys: &KeyMaker,
        bytes: Bytes,
        source: Target,
        target: Target,
        reliable: bool,
    ) -> Result<IncomingRequest, Unfit> {
        let StartLine::Request(line) = &message.start_line else {
            return Err(Unfit);
        };
        let headers = &message.headers;
        let via = headers
            .via
            .as_ref()
            .and_then(|via| via.first())
            .ok_or(Unfit)?;
        let from = headers.from.as_ref().ok_or(Unfit)?;
        let to = headers.to.as_ref().ok_or(Unfit)?;
        let call_id = headers.call_id.ok_or(Unfit)?;
        let cseq = headers.cseq.ok_or(Unfit)?;
        let kind = Kind::of(line.method);
        let key = keys.server(message, via, line.method.as_bytes());
        let (invite, acknowledged, stateless_ack) = match kind {
            Kind::Cancel => (
                keys.server(message, via, Method::Invite.as_bytes()),
                key,
                false,
            ),
            Kind::Ack => {
                let from = from.tag().unwrap_or_default();
                let tag = keys.stateless_tag(
                    from,
                    call_id,
                    cseq.number,
                    via.branch().unwrap_or_default(),
                );
                (
                    key,
                    keys.acknowledged(message),
                    to.tag() == Some(&tag.to_tag()[..]),
                )
            }
            Kind::Invite | Kind::NonInvite => (key, key, false),
        };
        Ok(IncomingRequest {
            kind,
            key,
            invite,
            call: keys.call(call_id),
            merged: keys.merged(message),
            acknowledged,
            in_dialog: to.tag().is_some(),
            stateless_ack,
            name: Name::of(via, line.method),
            bytes,
            source,
            target,
            reliable,
        })
    }
}

/// A response that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingResponse {
    /// Its client transaction.
    pub key: Key,
    /// Its Call-ID.
    pub call: Key,
    /// 100 to 699.
    pub status_code: u16,
    /// Which fork answers: what a 2xx shares with its ACK.
    pub fork: Key,
    /// Its bytes.
    pub bytes: Bytes,
    /// Where it came from.
    pub source: Target,
}

impl IncomingResponse {
    /// Reduces a parsed response.
    pub fn new(
        message: &Message<'_>,
        keys: &KeyMaker,
        bytes: Bytes,
        source: Target,
    ) -> Result<IncomingResponse, Unfit> {
        let StartLine::Status(line) = &message.start_line else {
            return Err(Unfit);
        };
        let headers = &message.headers;
        let via = headers
            .via
            .as_ref()
            .and_then(|via| via.first())
            .ok_or(Unfit)?;
        let cseq = headers.cseq.ok_or(Unfit)?;
        Ok(IncomingResponse {
            key: keys.client(via.branch().ok_or(Unfit)?, cseq.method.as_bytes()),
            call: keys.call(headers.call_id.ok_or(Unfit)?),
            status_code: line.status_code,
            fork: keys.accepted(message),
            bytes,
            source,
        })
    }
}

/// A request that the core sends.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// Its machine.
    pub kind: Kind,
    /// Its transaction.
    pub key: Key,
    /// The INVITE that a CANCEL means; for others the key itself.
    pub invite: Key,
    /// Its Call-ID.
    pub call: Key,
    /// What an ACK shares with the 2xx that it answers.
    pub fork: Key,
    /// The public key's words.
    pub name: Name,
    /// Its bytes.
    pub bytes: Bytes,
    /// Where it goes.
    pub target: Target,
    /// The transport delivers or tells.
    pub reliable: bool,
    /// Who is told what becomes of it.
    pub listener: Listener,
    /// It may go elsewhere if this target fails: what comes back then, in a [`super::Reroute`].
    pub plan: Option<Bytes>,
    /// It goes however long it is.
    pub any_length: bool,
    /// The key that the core knows it by, where its branch is not the core's.
    pub known: Option<Key>,
}

impl OutgoingRequest {
    /// Reduces a request about to be sent, of which the core will be told.
    pub fn new(
        message: &Message<'_>,
        keys: &KeyMaker,
        bytes: Bytes,
        target: Target,
        reliable: bool,
    ) -> Result<OutgoingRequest, Unfit> {
        let StartLine::Request(line) = &message.start_line else {
            return Err(Unfit);
        };
        let headers = &message.headers;
        let via = headers
            .via
            .as_ref()
            .and_then(|via| via.first())
            .ok_or(Unfit)?;
        let branch = via.branch().ok_or(Unfit)?;
        let call = keys.call(headers.call_id.ok_or(Unfit)?);
        if headers.cseq.is_none() || headers.from.is_none() || headers.to.is_none() {
            return Err(Unfit);
        }
        Ok(OutgoingRequest {
            kind: Kind::of(line.method),
            key: keys.client(branch, line.method.as_bytes()),
            invite: keys.client(branch, Method::Invite.as_bytes()),
            call,
            fork: keys.accepted(message),
            name: Name::of(via, line.method),
            bytes,
            target,
            reliable,
            listener: Listener::Core,
            plan: None,
            any_length: false,
            known: None,
        })
    }
}

/// Where a request goes on to that has lost its target.
#[derive(Debug, Clone)]
pub struct Continuation<'a> {
    /// A branch of its own, new in space and time (§8.1.1.7).
    pub branch: &'a [u8],
    /// The protocol for its topmost Via (§18.1.1).
    pub protocol: &'a [u8],
    /// The port for the `sent-by` of that; none leaves what it had before.
    pub port: Option<u16>,
    /// Where it goes.
    pub target: Target,
    /// The transport delivers or tells.
    pub reliable: bool,
    /// As of [`OutgoingRequest`].
    pub plan: Option<Bytes>,
    /// As of [`OutgoingRequest`].
    pub any_length: bool,
}

/// A response that the core sends.
#[derive(Debug, Clone)]
pub struct OutgoingResponse {
    /// Its server transaction.
    pub key: Key,
    /// Its Call-ID.
    pub call: Key,
    /// 100 to 699.
    pub status_code: u16,
    /// What the ACK to a 2xx shares with it.
    pub acknowledged: Key,
    /// Its bytes.
    pub bytes: Bytes,
    /// Where it goes, if the core says so; else where the request came from.
    pub target: Option<Target>,
    /// Repeat a 2xx to an INVITE until its ACK comes (§13.3.1.4).
    pub until_ack: bool,
}

impl OutgoingResponse {
    /// Reduces a response about to be sent.
    pub fn new(
        message: &Message<'_>,
        keys: &KeyMaker,
        bytes: Bytes,
        target: Option<Target>,
        until_ack: bool,
    ) -> Result<OutgoingResponse, Unfit> {
        let StartLine::Status(line) = &message.start_line else {
            return Err(Unfit);
        };
        let headers = &message.headers;
        let via = headers
            .via
            .as_ref()
            .and_then(|via| via.first())
            .ok_or(Unfit)?;
        if headers.cseq.is_none() || headers.from.is_none() || headers.to.is_none() {
            return Err(Unfit);
        }
        Ok(OutgoingResponse {
            key: keys.server(message, via, transaction_method(message).as_bytes()),
            call: keys.call(headers.call_id.ok_or(Unfit)?),
            status_code: line.status_code,
            acknowledged: keys.acknowledged(message),
            bytes,
            target,
            until_ack,
        })
    }
}
