//! `%Sippet.SDP{}` as a description that borrows its binaries.

use rustler::Atom;
use sippet_proto::List;
use sippet_proto::sdp::{
    Attribute, Bandwidth, Candidate, Connection, Decimal, Line, Media, Number, Origin, Place,
    Repeat, Session, Timing,
};

use super::{Decoded, Decoder};
use crate::atoms::sdp::{self, SdpAtoms};
use crate::error::Refusal;
use crate::term::Raw;

/// The parts of one section, each of which is named when it has not its shape.
struct Part<'d, 'e, 'a> {
    decoder: &'d Decoder<'e, 'a>,
    map: Raw<'e>,
    media: Option<usize>,
}

impl<'e: 'a, 'a> Part<'_, 'e, 'a> {
    fn place(&self, field: &'static str, index: Option<usize>) -> Place {
        Place {
            media: self.media,
            field,
            index,
        }
    }

    fn one<T>(
        &self,
        key: Atom,
        field: &'static str,
        decode: impl FnOnce(Raw<'e>) -> Decoded<T>,
    ) -> Result<T, Place> {
        self.decoder
            .field(self.map, key)
            .and_then(decode)
            .map_err(|_| self.place(field, None))
    }

    fn text(&self, key: Atom, field: &'static str) -> Result<Option<&'a [u8]>, Place> {
        self.one(key, field, |term| self.decoder.optional(term))
    }

    fn each<T: 'a>(
        &self,
        key: Atom,
        field: &'static str,
        mut decode: impl FnMut(usize, Raw<'e>) -> Result<T, Place>,
    ) -> Result<List<'a, T>, Place> {
        let decoder = self.decoder;
        let place = self.place(field, None);
        let term = decoder.field(self.map, key).map_err(|_| place)?;
        let length = decoder.vm.list_length(term).ok_or(place)?;
        let mut list = List::with_capacity_in(length, decoder.arena);
        let mut rest = term;
        while let Some((head, tail)) = decoder.vm.uncons(rest) {
            list.push(decode(list.len(), head)?);
            rest = tail;
        }
        Ok(list)
    }

    fn list<T: 'a>(
        &self,
        key: Atom,
        field: &'static str,
        decode: impl Fn(Raw<'e>) -> Decoded<T>,
    ) -> Result<List<'a, T>, Place> {
        self.each(key, field, |index, term| {
            decode(term).map_err(|_| self.place(field, Some(index)))
        })
    }
}

impl<'e: 'a, 'a> Decoder<'e, 'a> {
    /// `%Sippet.SDP{}`
    pub fn sdp(&self, term: Raw<'e>) -> Result<Session<'a>, Place> {
        let own = sdp::get();
        let part = Part {
            decoder: self,
            map: term,
            media: None,
        };
        part.one(self.atoms.struct_key, "version", |name| {
            self.is(name, own.sdp_struct)
        })?;
        part.one(own.version, "version", |version| {
            match self.integer(version)? {
                0u32 => Ok(()),
                _ => Err(Refusal::InvalidTerm),
            }
        })?;
        Ok(Session {
            origin: part.one(own.origin, "origin", |it| self.origin(own, it))?,
            session_name: part.text(own.session_name, "session_name")?,
            information: part.text(own.information, "information")?,
            uri: part.text(own.uri, "uri")?,
            emails: part.list(own.emails, "emails", |each| self.string(each))?,
            phones: part.list(own.phones, "phones", |each| self.string(each))?,
            connection: part.one(own.connection, "connection", |it| {
                self.maybe(it, |it| self.connection(own, it))
            })?,
            bandwidths: part.list(own.bandwidths, "bandwidths", |each| self.bandwidth(each))?,
            timings: part.list(own.timings, "timings", |each| self.timing(own, each))?,
            key: part.text(own.key, "key")?,
            attributes: part.list(own.attributes, "attributes", |each| {
                self.attribute(own, each)
            })?,
            media: part.each(own.media, "media", |index, each| {
                self.media(own, each, index)
            })?,
            unknown: part.list(own.unknown, "unknown", |each| self.line(each))?,
            order: part.text(own.order, "order")?,
            defects: List::new_in(self.arena),
        })
    }

    fn media(&self, own: &SdpAtoms, term: Raw<'e>, index: usize) -> Result<Media<'a>, Place> {
        let part = Part {
            decoder: self,
            map: term,
            media: Some(index),
        };
        part.one(self.atoms.struct_key, "media", |name| {
            self.is(name, own.media_struct)
        })?;
        Ok(Media {
            media_type: part.one(own.type_, "type_", |it| self.string(it))?,
            port: part.one(own.port, "port", |it| self.integer(it))?,
            port_count: part.one(own.port_count, "port_count", |it| {
                self.maybe(it, |it| self.integer(it))
            })?,
            protocol: part.one(own.protocol, "protocol", |it| self.string(it))?,
            formats: part.list(own.formats, "formats", |each| self.string(each))?,
            information: part.text(own.information, "information")?,
            connections: part.list(own.connections, "connections", |each| {
                self.connection(own, each)
            })?,
            bandwidths: part.list(own.bandwidths, "bandwidths", |each| self.bandwidth(each))?,
            key: part.text(own.key, "key")?,
            attributes: part.list(own.attributes, "attributes", |each| {
                self.attribute(own, each)
            })?,
            unknown: part.list(own.unknown, "unknown", |each| self.line(each))?,
            order: part.text(own.order, "order")?,
        })
    }

    fn origin(&self, own: &SdpAtoms, term: Raw<'e>) -> Decoded<Origin<'a>> {
        self.is(self.field(term, self.atoms.struct_key)?, own.origin_struct)?;
        let version = self.field(term, own.session_version)?;
        Ok(Origin {
            username: self.string(self.field(term, own.username)?)?,
            session_id: self.string(self.field(term, own.session_id)?)?,
            session_version: match self.vm.bytes(version) {
                Some(word) => Number::Word(word),
                None => Number::Integer(self.integer(version)?),
            },
            network_type: self.string(self.field(term, own.network_type)?)?,
            address_type: self.string(self.field(term, own.address_type)?)?,
            address: self.string(self.field(term, own.address)?)?,
        })
    }

    fn connection(&self, own: &SdpAtoms, term: Raw<'e>) -> Decoded<Connection<'a>> {
        self.is(
            self.field(term, self.atoms.struct_key)?,
            own.connection_struct,
        )?;
        let count = |key| self.maybe(self.field(term, key)?, |it| self.integer(it));
        Ok(Connection {
            network_type: self.string(self.field(term, own.network_type)?)?,
            address_type: self.string(self.field(term, own.address_type)?)?,
            address: self.string(self.field(term, own.address)?)?,
            ttl: count(own.ttl)?,
            address_count: count(own.address_count)?,
        })
    }

    fn bandwidth(&self, term: Raw<'e>) -> Decoded<Bandwidth<'a>> {
        let [bandwidth_type, bandwidth] = self.tuple(term)?;
        Ok(Bandwidth {
            bandwidth_type: self.string(*bandwidth_type)?,
            bandwidth: self.integer(*bandwidth)?,
        })
    }

    fn timing(&self, own: &SdpAtoms, term: Raw<'e>) -> Decoded<Timing<'a>> {
        self.is(self.field(term, self.atoms.struct_key)?, own.timing_struct)?;
        Ok(Timing {
            start: self.integer(self.field(term, own.start)?)?,
            stop: self.integer(self.field(term, own.stop)?)?,
            repeats: self.list(self.field(term, own.repeats)?, |each| self.repeat(each))?,
            zone_adjustments: self.list(self.field(term, own.zone_adjustments)?, |each| {
                let [time, offset] = self.tuple(each)?;
                Ok((self.integer(*time)?, self.string(*offset)?))
            })?,
        })
    }

    fn repeat(&self, term: Raw<'e>) -> Decoded<Repeat<'a>> {
        let [interval, duration, offsets] = self.tuple(term)?;
        Ok(Repeat {
            interval: self.string(*interval)?,
            duration: self.string(*duration)?,
            offsets: self.strings(*offsets)?,
        })
    }

    fn line(&self, term: Raw<'e>) -> Decoded<Line<'a>> {
        let [letter, value] = self.tuple(term)?;
        match self.string(*letter)? {
            [letter] => Ok(Line {
                letter: *letter,
                value: self.string(*value)?,
            }),
            _ => Err(Refusal::InvalidTerm),
        }
    }

    fn attribute(&self, own: &SdpAtoms, term: Raw<'e>) -> Decoded<Attribute<'a>> {
        let [name, value] = self.tuple(term)?;
        let (name, value) = (*name, *value);
        if let Some(name) = self.vm.bytes(name) {
            let value = self.true_or(value)?;
            return Ok(Attribute::Other { name, value });
        }
        let is = |atom: Atom| name == atom.into();
        Ok(if is(own.rtpmap) {
            self.has::<4>(value)?;
            Attribute::RtpMap {
                payload_type: self.integer(self.field(value, own.payload_type)?)?,
                encoding_name: self.string(self.field(value, own.encoding_name)?)?,
                clock_rate: self.integer(self.field(value, own.clock_rate)?)?,
                parameters: self.optional(self.field(value, own.parameters)?)?,
            }
        } else if is(own.fmtp) {
            self.has::<2>(value)?;
            Attribute::Fmtp {
                format: self.string(self.field(value, own.format)?)?,
                parameters: self.string(self.field(value, own.parameters)?)?,
            }
        } else if is(own.ptime) {
            Attribute::Ptime(self.decimal(value)?)
        } else if is(own.maxptime) {
            Attribute::MaxPtime(self.decimal(value)?)
        } else if is(own.direction) {
            Attribute::Direction(own.to_direction(value.bits()).ok_or(Refusal::InvalidTerm)?)
        } else if is(own.candidate) {
            Attribute::Candidate(self.arena.alloc(self.candidate(own, value)?))
        } else if is(own.fingerprint) {
            self.has::<2>(value)?;
            Attribute::Fingerprint {
                hash: self.string(self.field(value, own.hash)?)?,
                value: self.string(self.field(value, own.value)?)?,
            }
        } else if is(own.ice_ufrag) {
            Attribute::IceUfrag(self.string(value)?)
        } else if is(own.ice_pwd) {
            Attribute::IcePwd(self.string(value)?)
        } else if is(own.ice_options) {
            Attribute::IceOptions(self.strings(value)?)
        } else if is(own.ice_lite) {
            self.flag(value, Attribute::IceLite)?
        } else if is(own.ice_mismatch) {
            self.flag(value, Attribute::IceMismatch)?
        } else if is(own.ice_pacing) {
            Attribute::IcePacing(self.integer(value)?)
        } else if is(own.setup) {
            Attribute::Setup(own.to_setup(value.bits()).ok_or(Refusal::InvalidTerm)?)
        } else if is(own.mid) {
            Attribute::Mid(self.string(value)?)
        } else if is(own.group) {
            self.has::<2>(value)?;
            Attribute::Group {
                semantics: self.string(self.field(value, own.semantics)?)?,
                mids: self.strings(self.field(value, own.mids)?)?,
            }
        } else if is(own.msid) {
            self.has::<2>(value)?;
            Attribute::Msid {
                id: self.string(self.field(value, own.id)?)?,
                appdata: self.optional(self.field(value, own.appdata)?)?,
            }
        } else if is(own.ssrc) {
            self.has::<3>(value)?;
            Attribute::Ssrc {
                ssrc: self.integer(self.field(value, own.ssrc)?)?,
                attribute: self.string(self.field(value, own.attribute)?)?,
                value: self.true_or(self.field(value, own.value)?)?,
            }
        } else if is(own.ssrc_group) {
            self.has::<2>(value)?;
            Attribute::SsrcGroup {
                semantics: self.string(self.field(value, own.semantics)?)?,
                ssrcs: self.list(self.field(value, own.ssrcs)?, |each| self.integer(each))?,
            }
        } else if is(own.crypto) {
            self.has::<4>(value)?;
            Attribute::Crypto {
                tag: self.integer(self.field(value, own.tag)?)?,
                suite: self.string(self.field(value, own.suite)?)?,
                key_parameters: self.strings(self.field(value, own.key_parameters)?)?,
                session_parameters: self.strings(self.field(value, own.session_parameters)?)?,
            }
        } else if is(own.rtcp) {
            self.rtcp(own, value)?
        } else if is(own.rtcp_mux) {
            self.flag(value, Attribute::RtcpMux)?
        } else if is(own.rtcp_rsize) {
            self.flag(value, Attribute::RtcpRsize)?
        } else if is(own.rtcp_fb) {
            self.has::<3>(value)?;
            Attribute::RtcpFb {
                format: self.string(self.field(value, own.format)?)?,
                feedback: self.string(self.field(value, own.feedback)?)?,
                parameters: self.optional(self.field(value, own.parameters)?)?,
            }
        } else {
            return Err(Refusal::InvalidTerm);
        })
    }

    fn candidate(&self, own: &SdpAtoms, map: Raw<'e>) -> Decoded<Candidate<'a>> {
        self.has::<10>(map)?;
        Ok(Candidate {
            foundation: self.string(self.field(map, own.foundation)?)?,
            component: self.integer(self.field(map, own.component)?)?,
            transport: self.string(self.field(map, self.atoms.transport)?)?,
            priority: self.integer(self.field(map, own.priority)?)?,
            address: self.string(self.field(map, own.address)?)?,
            port: self.integer(self.field(map, own.port)?)?,
            candidate_type: self.string(self.field(map, own.type_)?)?,
            related_address: self.optional(self.field(map, own.related_address)?)?,
            related_port: self.maybe(self.field(map, own.related_port)?, |it| self.integer(it))?,
            extensions: self.list(self.field(map, own.extensions)?, |each| {
                let [name, value] = self.tuple(each)?;
                Ok((self.string(*name)?, self.string(*value)?))
            })?,
        })
    }

    /// The three parts of the address are there or not, together.
    fn rtcp(&self, own: &SdpAtoms, map: Raw<'e>) -> Decoded<Attribute<'a>> {
        self.has::<4>(map)?;
        let part = |key| self.optional(self.field(map, key)?);
        let address = match [
            part(own.network_type)?,
            part(own.address_type)?,
            part(own.address)?,
        ] {
            [Some(network_type), Some(address_type), Some(address)] => {
                Some([network_type, address_type, address])
            }
            [None, None, None] => None,
            _ => return Err(Refusal::InvalidTerm),
        };
        Ok(Attribute::Rtcp {
            port: self.integer(self.field(map, own.port)?)?,
            address,
        })
    }

    fn decimal(&self, term: Raw<'e>) -> Decoded<Decimal<'a>> {
        Ok(match self.vm.bytes(term) {
            Some(text) => Decimal::Real(text),
            None => Decimal::Integer(self.integer(term)?),
        })
    }

    fn strings(&self, term: Raw<'e>) -> Decoded<List<'a, &'a [u8]>> {
        self.list(term, |each| self.string(each))
    }

    /// `true`, or a string.
    fn true_or(&self, term: Raw<'e>) -> Decoded<Option<&'a [u8]>> {
        if term == self.atoms.true_.into() {
            Ok(None)
        } else {
            self.string(term).map(Some)
        }
    }

    fn flag(&self, term: Raw<'e>, attribute: Attribute<'a>) -> Decoded<Attribute<'a>> {
        self.is(term, self.atoms.true_).map(|()| attribute)
    }

    /// nil or a value.
    fn maybe<T>(
        &self,
        term: Raw<'e>,
        decode: impl FnOnce(Raw<'e>) -> Decoded<T>,
    ) -> Decoded<Option<T>> {
        if term == self.atoms.nil.into() {
            Ok(None)
        } else {
            decode(term).map(Some)
        }
    }

    fn is(&self, term: Raw<'e>, atom: Atom) -> Decoded<()> {
        if term == atom.into() {
            Ok(())
        } else {
            Err(Refusal::InvalidTerm)
        }
    }

    /// Keys that are not asked for would be lost.
    fn has<const N: usize>(&self, map: Raw<'e>) -> Decoded<()> {
        if self.vm.map_size(map) == Some(N) {
            Ok(())
        } else {
            Err(Refusal::InvalidTerm)
        }
    }
}
