//! The CANCEL of an INVITE that was sent (§9.1).

use bytes::Bytes;

use super::ack::{hop, reread};
use super::delivery::Listener;
use super::effect::Target;
use super::input::OutgoingRequest;
use super::key::KeyMaker;
use crate::message::{Arena, Method};

/// Made from the INVITE as it was sent; None if that cannot be read, which no message is that a transaction was made from.
pub(super) fn build_cancel(
    invite: &[u8],
    keys: &KeyMaker,
    target: Target,
    reliable: bool,
) -> Option<OutgoingRequest> {
    let arena = Arena::new();
    let cancel = hop(reread(invite, &arena)?, Method::Cancel, &arena)?;
    let mut bytes = Vec::with_capacity(512);
    cancel.write(&mut bytes).ok()?;
    let cancel = OutgoingRequest::new(&cancel, keys, Bytes::from(bytes), target, reliable).ok()?;
    Some(OutgoingRequest {
        listener: Listener::Nobody,
        ..cancel
    })
}
