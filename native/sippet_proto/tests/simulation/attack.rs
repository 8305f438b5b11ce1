//! Messages that nobody should send.

use sippet_proto::Bytes;

use super::text::{Draft, Glance, Id, Method};
use super::world::{Event, World};
use crate::engine::text;

/// A replayed message and the delay that it had are together under T4.
const FRESH_MS: u64 = 900;

impl World {
    pub fn attack(&mut self) {
        let nodes = self.profile.nodes as u64;
        let to = self.random.below(nodes) as usize;
        let from = (to + 1 + self.random.below(nodes - 1) as usize) % self.profile.nodes;
        let garbage = self.profile.reliable(from, to) || self.random.percent(20);
        let bytes = if garbage {
            self.garbage()
        } else {
            match self.random.below(10) {
                0..3 => return self.replay(),
                3 => self.heard_as(|_, text| text::with_method(text, "BYE")),
                4 => self.stranger(from, to, Method::Options),
                5 => self.stranger(from, to, Method::Ack),
                6 => self.stranger(from, to, Method::Cancel),
                7 => self.heard_as(|glance, text| {
                    let other = match glance.id.method {
                        Method::Options => "BYE",
                        _ => "OPTIONS",
                    };
                    text::with_field(
                        &text::response(text, 200, "evil"),
                        "CSeq",
                        &format!("1 {other}"),
                    )
                }),
                8 => {
                    let request = self.stranger(from, to, Method::Invite);
                    request.map(|text| text::response(&text, 200, "evil"))
                }
                _ => self.cut(),
            }
            .map(Bytes::from)
        };
        if let Some(bytes) = bytes {
            self.ladder.note(self.now, None, || {
                format!("{to} <- {from} attack {bytes:?}")
            });
            self.plan(self.now, Event::Arrive { from, to, bytes });
        }
    }

    fn garbage(&mut self) -> Option<Bytes> {
        let length = self.random.below(200);
        let bytes = (0..length).map(|_| self.random.next() as u8);
        Some(Bytes::from(bytes.collect::<Vec<_>>()))
    }

    /// A message of late once more, or back to its sender.
    fn replay(&mut self) {
        if self.heard.is_empty() {
            return;
        }
        let slot = self.random.below(self.heard.len() as u64) as usize;
        let (at, from, to, bytes) = self.heard[slot].clone();
        if at + FRESH_MS < self.now || self.profile.reliable(from, to) {
            return;
        }
        let (from, to) = if self.random.percent(50) {
            (from, to)
        } else {
            (to, from)
        };
        self.ladder
            .note(self.now, None, || format!("{to} <- {from} replayed"));
        self.plan(self.now, Event::Arrive { from, to, bytes });
    }

    /// Something made of a request of late.
    fn heard_as(&mut self, make: impl Fn(&Glance<'_>, &str) -> String) -> Option<String> {
        let slot = self.random.below(self.heard.len().max(1) as u64) as usize;
        let (at, .., bytes) = self.heard.get(slot)?;
        let glance = Glance::of(bytes)?;
        let usable = matches!(glance.id.method, Method::Invite | Method::Options)
            && glance.status.is_none()
            && at + FRESH_MS >= self.now;
        usable.then(|| make(&glance, str::from_utf8(bytes).unwrap_or_default()))
    }

    /// A request out of nowhere.
    fn stranger(&mut self, from: usize, to: usize, method: Method) -> Option<String> {
        let branch = self.core.branch(from);
        let draft = Draft {
            id: Id { branch, method },
            node: from,
            to: &to.to_string(),
            call: 1_000_000 + branch,
            cseq: 1,
            from_tag: "stranger",
            to_tag: if method == Method::Ack { "evil" } else { "" },
        };
        Some(draft.text())
    }

    /// A message that ends before it has all that a transaction needs.
    fn cut(&mut self) -> Option<String> {
        let slot = self.random.below(self.heard.len().max(1) as u64) as usize;
        let text = str::from_utf8(&self.heard.get(slot)?.3).ok()?;
        let end = text.find("CSeq")?;
        let end = self.random.below(end as u64) as usize;
        Some(text.get(..end)?.to_owned())
    }
}
