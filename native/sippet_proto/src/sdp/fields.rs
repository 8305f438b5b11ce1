//! The lines with a value of several parts, each with its reading and its writing: §5.2, §5.7 to §5.11, §5.14.

use super::error::WriteReason;
use super::text::{
    MAX_NUMBER, Words, bounded, digits, ensure, is_typed_time, number, plain_number, small, word,
    word_of, word_without, words,
};
use super::{Bandwidth, Connection, Media, Number, Origin, Repeat, Timing};
use crate::message::{Arena, List};

type Written = Result<(), WriteReason>;

impl<'a> Origin<'a> {
    /// The last five parts are words; the user name is what stands before them, whatever that is.
    pub(super) fn parse(value: &'a [u8]) -> Option<Origin<'a>> {
        let mut rest = value;
        let mut last = || {
            let end = rest.iter().rposition(|byte| *byte != b' ')? + 1;
            let text = rest.get(..end)?;
            let start = memchr::memrchr(b' ', text).map_or(0, |space| space + 1);
            rest = text.get(..start)?;
            text.get(start..)
        };
        let address = last()?;
        let address_type = last()?;
        let network_type = last()?;
        let session_version = plain_number(last()?);
        let session_id = last()?;
        let spaces = rest.iter().rev().take_while(|byte| **byte == b' ').count();
        let name = rest.get(..rest.len() - spaces)?;
        let start = name.iter().take_while(|byte| **byte == b' ').count();
        Some(Origin {
            username: name.get(start..)?,
            session_id,
            session_version,
            network_type,
            address_type,
            address,
        })
    }

    /// Has it what §5.2 asks for?
    pub(super) fn is_sound(&self) -> bool {
        !self.username.is_empty() && !self.username.contains(&b' ')
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Written {
        let bare = |byte: Option<&u8>| byte == Some(&b' ');
        let name = self.username;
        ensure(
            !bare(name.first()) && !bare(name.last()),
            WriteReason::WhiteSpace,
        )?;
        super::text::text(out, name)?;
        out.push(b' ');
        word(out, self.session_id)?;
        out.push(b' ');
        match self.session_version {
            Number::Integer(version) => bounded(out, version, MAX_NUMBER)?,
            Number::Word(version) => {
                let is_number = matches!(plain_number(version), Number::Integer(_));
                word_of(out, version, !is_number)?;
            }
        }
        out.push(b' ');
        words(out, [self.network_type, self.address_type, self.address])
    }
}

impl<'a> Connection<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Connection<'a>> {
        let mut words = Words::new(value);
        let network_type = words.next()?;
        let address_type = words.next()?;
        let mut parts = words.next()?.split(|byte| *byte == b'/');
        let address = parts.next().filter(|address| !address.is_empty())?;
        let (mut ttl, mut address_count) = (None, None);
        if let Some(part) = parts.next() {
            let first = Some(small(part, u32::MAX)?);
            // IPv6 has no time to live.
            if address_type == b"IP6" {
                address_count = first;
            } else {
                ttl = first;
                if let Some(part) = parts.next() {
                    address_count = Some(small(part, u32::MAX)?);
                }
            }
        }
        let is_whole = parts.next().is_none() && words.is_done();
        is_whole.then_some(Connection {
            network_type,
            address_type,
            address,
            ttl,
            address_count,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Written {
        words(out, [self.network_type, self.address_type])?;
        out.push(b' ');
        word_without(out, self.address, b'/')?;
        let ttl_fits = if self.address_type == b"IP6" {
            self.ttl.is_none()
        } else {
            self.ttl.is_some() || self.address_count.is_none()
        };
        ensure(ttl_fits, WriteReason::Syntax)?;
        for number in self.ttl.iter().chain(&self.address_count) {
            out.push(b'/');
            digits(out, (*number).into());
        }
        Ok(())
    }
}

impl<'a> Bandwidth<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Bandwidth<'a>> {
        let mut words = Words::new(value);
        let word = words.next()?;
        let colon = memchr::memchr(b':', word)?;
        let bandwidth_type = word.get(..colon).filter(|name| !name.is_empty())?;
        let bandwidth = number(word.get(colon + 1..)?, MAX_NUMBER)?;
        words.is_done().then_some(Bandwidth {
            bandwidth_type,
            bandwidth,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Written {
        word_without(out, self.bandwidth_type, b':')?;
        out.push(b':');
        bounded(out, self.bandwidth, MAX_NUMBER)
    }
}

impl<'a> Timing<'a> {
    pub(super) fn parse(value: &'a [u8], arena: &'a Arena) -> Option<Timing<'a>> {
        let mut words = Words::new(value);
        let start = words.number(MAX_NUMBER)?;
        let stop = words.number(MAX_NUMBER)?;
        words.is_done().then(|| Timing {
            start,
            stop,
            repeats: List::new_in(arena),
            zone_adjustments: List::new_in(arena),
        })
    }

    /// The `t=` line.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Written {
        bounded(out, self.start, MAX_NUMBER)?;
        out.push(b' ');
        bounded(out, self.stop, MAX_NUMBER)
    }

    /// The value of a `z=`, a pair at least.
    pub(super) fn parse_zone(
        value: &'a [u8],
        arena: &'a Arena,
    ) -> Option<List<'a, (u64, &'a [u8])>> {
        let mut words = Words::new(value);
        let mut adjustments = List::new_in(arena);
        loop {
            let time = words.number(MAX_NUMBER)?;
            let offset = words.next().filter(|word| is_typed_time(word, true))?;
            adjustments.push((time, offset));
            if words.is_done() {
                return Some(adjustments);
            }
        }
    }

    pub(super) fn write_zone(&self, out: &mut Vec<u8>) -> Written {
        for (index, (time, offset)) in self.zone_adjustments.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            bounded(out, *time, MAX_NUMBER)?;
            out.push(b' ');
            word_of(out, offset, is_typed_time(offset, true))?;
        }
        Ok(())
    }
}

impl<'a> Repeat<'a> {
    pub(super) fn parse(value: &'a [u8], arena: &'a Arena) -> Option<Repeat<'a>> {
        let mut words = Words::new(value).map(|word| is_typed_time(word, false).then_some(word));
        let interval = words.next()??;
        let duration = words.next()??;
        let mut offsets = List::new_in(arena);
        for word in words {
            offsets.push(word?);
        }
        (!offsets.is_empty()).then_some(Repeat {
            interval,
            duration,
            offsets,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Written {
        ensure(!self.offsets.is_empty(), WriteReason::Empty)?;
        let first = [self.interval, self.duration];
        for (index, time) in first.iter().chain(&self.offsets).enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            word_of(out, time, is_typed_time(time, false))?;
        }
        Ok(())
    }
}

impl<'a> Media<'a> {
    /// A media description of this `m=` line, without what comes behind it.
    pub(super) fn parse(value: &'a [u8], arena: &'a Arena) -> Option<Media<'a>> {
        let mut words = Words::new(value);
        let media_type = words.next()?;
        let ports = words.next()?;
        let (port, port_count) = match memchr::memchr(b'/', ports) {
            Some(slash) => (
                ports.get(..slash)?,
                Some(small(ports.get(slash + 1..)?, u32::MAX)?),
            ),
            None => (ports, None),
        };
        let port = number(port, 65535)? as u16;
        let protocol = words.next()?;
        let mut formats = List::new_in(arena);
        formats.extend(words);
        Some(Media {
            media_type,
            port,
            port_count,
            protocol,
            formats,
            information: None,
            connections: List::new_in(arena),
            bandwidths: List::new_in(arena),
            key: None,
            attributes: List::new_in(arena),
            unknown: List::new_in(arena),
            order: None,
        })
    }

    /// The `m=` line.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) -> Written {
        word(out, self.media_type)?;
        out.push(b' ');
        digits(out, self.port.into());
        if let Some(count) = self.port_count {
            out.push(b'/');
            digits(out, count.into());
        }
        out.push(b' ');
        word(out, self.protocol)?;
        for format in &self.formats {
            out.push(b' ');
            word(out, format)?;
        }
        Ok(())
    }
}
