//! `%Sippet.SDP{}`.

use rustler::Atom;
use sippet_proto::sdp::{
    Attribute, Bandwidth, Candidate, Connection, Decimal, Defect, Line, Media, Number, Origin,
    Repeat, Session, Timing,
};

use super::Encoder;
use crate::atoms::sdp::{self, SdpAtoms};
use crate::error::offset;
use crate::term::Raw;

impl<'e> Encoder<'e, '_> {
    /// `%Sippet.SDP{}`
    pub fn sdp(&self, session: &Session<'_>) -> Raw<'e> {
        let own = sdp::get();
        self.fields([
            (self.atoms.struct_key, own.sdp_struct.into()),
            (own.attributes, self.sdp_attributes(&session.attributes)),
            (
                own.bandwidths,
                self.list(&session.bandwidths, |each| self.bandwidth(each)),
            ),
            (
                own.connection,
                self.maybe(session.connection.as_ref(), |it| self.connection(it)),
            ),
            (
                own.defects,
                self.list(&session.defects, |each| self.sdp_defect(each)),
            ),
            (
                own.emails,
                self.list(&session.emails, |each| self.string(each)),
            ),
            (own.information, self.optional(session.information)),
            (own.key, self.optional(session.key)),
            (
                own.media,
                self.list(&session.media, |each| self.media(each)),
            ),
            (own.order, self.optional(session.order)),
            (own.origin, self.origin(&session.origin)),
            (
                own.phones,
                self.list(&session.phones, |each| self.string(each)),
            ),
            (own.session_name, self.optional(session.session_name)),
            (
                own.timings,
                self.list(&session.timings, |each| self.timing(each)),
            ),
            (
                own.unknown,
                self.list(&session.unknown, |each| self.line(each)),
            ),
            (own.uri, self.optional(session.uri)),
            (own.version, self.vm.integer(0)),
        ])
    }

    fn media(&self, media: &Media<'_>) -> Raw<'e> {
        let own = sdp::get();
        self.fields([
            (self.atoms.struct_key, own.media_struct.into()),
            (own.attributes, self.sdp_attributes(&media.attributes)),
            (
                own.bandwidths,
                self.list(&media.bandwidths, |each| self.bandwidth(each)),
            ),
            (
                own.connections,
                self.list(&media.connections, |each| self.connection(each)),
            ),
            (
                own.formats,
                self.list(&media.formats, |each| self.string(each)),
            ),
            (own.information, self.optional(media.information)),
            (own.key, self.optional(media.key)),
            (own.order, self.optional(media.order)),
            (own.port, self.vm.integer(media.port.into())),
            (
                own.port_count,
                self.maybe(media.port_count, |it| self.vm.integer(it)),
            ),
            (own.protocol, self.string(media.protocol)),
            (own.type_, self.string(media.media_type)),
            (
                own.unknown,
                self.list(&media.unknown, |each| self.line(each)),
            ),
        ])
    }

    fn origin(&self, origin: &Origin<'_>) -> Raw<'e> {
        let own = sdp::get();
        let version = match origin.session_version {
            Number::Integer(number) => self.vm.wide(number),
            Number::Word(word) => self.string(word),
        };
        self.fields([
            (self.atoms.struct_key, own.origin_struct.into()),
            (own.address, self.string(origin.address)),
            (own.address_type, self.string(origin.address_type)),
            (own.network_type, self.string(origin.network_type)),
            (own.session_id, self.string(origin.session_id)),
            (own.session_version, version),
            (own.username, self.string(origin.username)),
        ])
    }

    fn connection(&self, connection: &Connection<'_>) -> Raw<'e> {
        let own = sdp::get();
        self.fields([
            (self.atoms.struct_key, own.connection_struct.into()),
            (own.address, self.string(connection.address)),
            (
                own.address_count,
                self.maybe(connection.address_count, |it| self.vm.integer(it)),
            ),
            (own.address_type, self.string(connection.address_type)),
            (own.network_type, self.string(connection.network_type)),
            (
                own.ttl,
                self.maybe(connection.ttl, |it| self.vm.integer(it)),
            ),
        ])
    }

    fn bandwidth(&self, bandwidth: &Bandwidth<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.string(bandwidth.bandwidth_type),
            self.vm.wide(bandwidth.bandwidth),
        ])
    }

    fn timing(&self, timing: &Timing<'_>) -> Raw<'e> {
        let own = sdp::get();
        let zone = |(time, offset): &(u64, &[u8])| {
            self.vm.tuple([self.vm.wide(*time), self.string(offset)])
        };
        self.fields([
            (self.atoms.struct_key, own.timing_struct.into()),
            (
                own.repeats,
                self.list(&timing.repeats, |each| self.repeat(each)),
            ),
            (own.start, self.vm.wide(timing.start)),
            (own.stop, self.vm.wide(timing.stop)),
            (
                own.zone_adjustments,
                self.list(&timing.zone_adjustments, zone),
            ),
        ])
    }

    fn repeat(&self, repeat: &Repeat<'_>) -> Raw<'e> {
        self.vm.tuple([
            self.string(repeat.interval),
            self.string(repeat.duration),
            self.list(&repeat.offsets, |each| self.string(each)),
        ])
    }

    fn line(&self, line: &Line<'_>) -> Raw<'e> {
        self.vm
            .tuple([self.vm.copy(&[line.letter]), self.string(line.value)])
    }

    fn sdp_defect(&self, defect: &Defect) -> Raw<'e> {
        let own = sdp::get();
        self.fields([
            (own.line, offset(self.vm, defect.line)),
            (self.atoms.offset, offset(self.vm, defect.offset)),
            (self.atoms.reason, own.reason(defect.reason).into()),
        ])
    }

    fn sdp_attributes(&self, attributes: &sippet_proto::List<'_, Attribute<'_>>) -> Raw<'e> {
        let own = sdp::get();
        self.list(attributes, |attribute| {
            let (name, value) = self.attribute(own, attribute);
            self.vm.tuple([name, value])
        })
    }

    fn attribute(&self, own: &SdpAtoms, attribute: &Attribute<'_>) -> (Raw<'e>, Raw<'e>) {
        let flag = |name: Atom| (name.into(), self.atoms.true_.into());
        let named = |name: Atom, value| (name.into(), value);
        match attribute {
            Attribute::RtpMap {
                payload_type,
                encoding_name,
                clock_rate,
                parameters,
            } => named(
                own.rtpmap,
                self.fields([
                    (own.clock_rate, self.vm.integer(*clock_rate)),
                    (own.encoding_name, self.string(encoding_name)),
                    (own.parameters, self.optional(*parameters)),
                    (own.payload_type, self.vm.integer((*payload_type).into())),
                ]),
            ),
            Attribute::Fmtp { format, parameters } => named(
                own.fmtp,
                self.fields([
                    (own.format, self.string(format)),
                    (own.parameters, self.string(parameters)),
                ]),
            ),
            Attribute::Ptime(number) => named(own.ptime, self.decimal(*number)),
            Attribute::MaxPtime(number) => named(own.maxptime, self.decimal(*number)),
            Attribute::Direction(direction) => {
                named(own.direction, own.direction(*direction).into())
            }
            Attribute::Candidate(candidate) => named(own.candidate, self.candidate(own, candidate)),
            Attribute::Fingerprint { hash, value } => named(
                own.fingerprint,
                self.fields([
                    (own.hash, self.string(hash)),
                    (own.value, self.string(value)),
                ]),
            ),
            Attribute::IceUfrag(value) => named(own.ice_ufrag, self.string(value)),
            Attribute::IcePwd(value) => named(own.ice_pwd, self.string(value)),
            Attribute::IceOptions(options) => named(
                own.ice_options,
                self.list(options, |each| self.string(each)),
            ),
            Attribute::IceLite => flag(own.ice_lite),
            Attribute::IceMismatch => flag(own.ice_mismatch),
            Attribute::IcePacing(pacing) => named(own.ice_pacing, self.vm.integer(*pacing)),
            Attribute::Setup(setup) => named(own.setup, own.setup(*setup).into()),
            Attribute::Mid(mid) => named(own.mid, self.string(mid)),
            Attribute::Group { semantics, mids } => named(
                own.group,
                self.fields([
                    (own.mids, self.list(mids, |each| self.string(each))),
                    (own.semantics, self.string(semantics)),
                ]),
            ),
            Attribute::Msid { id, appdata } => named(
                own.msid,
                self.fields([
                    (own.appdata, self.optional(*appdata)),
                    (own.id, self.string(id)),
                ]),
            ),
            Attribute::Ssrc {
                ssrc,
                attribute,
                value,
            } => named(
                own.ssrc,
                self.fields([
                    (own.attribute, self.string(attribute)),
                    (own.ssrc, self.vm.integer(*ssrc)),
                    (own.value, self.true_or(*value)),
                ]),
            ),
            Attribute::SsrcGroup { semantics, ssrcs } => named(
                own.ssrc_group,
                self.fields([
                    (own.semantics, self.string(semantics)),
                    (own.ssrcs, self.list(ssrcs, |each| self.vm.integer(*each))),
                ]),
            ),
            Attribute::Crypto {
                tag,
                suite,
                key_parameters,
                session_parameters,
            } => named(
                own.crypto,
                self.fields([
                    (
                        own.key_parameters,
                        self.list(key_parameters, |each| self.string(each)),
                    ),
                    (
                        own.session_parameters,
                        self.list(session_parameters, |each| self.string(each)),
                    ),
                    (own.suite, self.string(suite)),
                    (own.tag, self.vm.integer(*tag)),
                ]),
            ),
            Attribute::Rtcp { port, address } => {
                let part = |index: usize| {
                    self.optional(address.as_ref().and_then(|parts| parts.get(index).copied()))
                };
                named(
                    own.rtcp,
                    self.fields([
                        (own.address, part(2)),
                        (own.address_type, part(1)),
                        (own.network_type, part(0)),
                        (own.port, self.vm.integer((*port).into())),
                    ]),
                )
            }
            Attribute::RtcpMux => flag(own.rtcp_mux),
            Attribute::RtcpRsize => flag(own.rtcp_rsize),
            Attribute::RtcpFb {
                format,
                feedback,
                parameters,
            } => named(
                own.rtcp_fb,
                self.fields([
                    (own.feedback, self.string(feedback)),
                    (own.format, self.string(format)),
                    (own.parameters, self.optional(*parameters)),
                ]),
            ),
            Attribute::Other { name, value } => (self.string(name), self.true_or(*value)),
        }
    }

    fn candidate(&self, own: &SdpAtoms, candidate: &Candidate<'_>) -> Raw<'e> {
        let pair =
            |(name, value): &(&[u8], &[u8])| self.vm.tuple([self.string(name), self.string(value)]);
        self.fields([
            (own.address, self.string(candidate.address)),
            (own.component, self.vm.integer(candidate.component)),
            (own.extensions, self.list(&candidate.extensions, pair)),
            (own.foundation, self.string(candidate.foundation)),
            (own.port, self.vm.integer(candidate.port.into())),
            (own.priority, self.vm.integer(candidate.priority)),
            (
                own.related_address,
                self.optional(candidate.related_address),
            ),
            (
                own.related_port,
                self.maybe(candidate.related_port, |it| self.vm.integer(it.into())),
            ),
            (self.atoms.transport, self.string(candidate.transport)),
            (own.type_, self.string(candidate.candidate_type)),
        ])
    }

    fn decimal(&self, number: Decimal<'_>) -> Raw<'e> {
        match number {
            Decimal::Integer(number) => self.vm.integer(number),
            Decimal::Real(text) => self.string(text),
        }
    }

    /// What stands behind a colon, `true` where there is none.
    fn true_or(&self, value: Option<&[u8]>) -> Raw<'e> {
        match value {
            Some(value) => self.string(value),
            None => self.atoms.true_.into(),
        }
    }

    fn maybe<T>(&self, value: Option<T>, encode: impl FnOnce(T) -> Raw<'e>) -> Raw<'e> {
        value.map_or(self.atoms.nil.into(), encode)
    }

    fn fields<const N: usize>(&self, pairs: [(Atom, Raw<'e>); N]) -> Raw<'e> {
        self.vm.map(
            &pairs.map(|(key, _)| Raw::from(key)),
            &pairs.map(|(_, value)| value),
        )
    }
}
