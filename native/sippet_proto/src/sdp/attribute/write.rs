//! Attributes as text, each check a rule of `parse`: what is written is read back as the same.

use super::parse::{MAX_TAG, is_fingerprint, is_real, parse};
use super::{Attribute, Candidate, Decimal};
use crate::message::Arena;
use crate::sdp::error::WriteReason;
use crate::sdp::text::{
    bounded, digits, ensure, is_ice, is_token, tail, text, word, word_of, word_without, words,
};

type Written = Result<(), WriteReason>;

impl Attribute<'_> {
    /// What stands behind `a=`.
    pub fn write(&self, out: &mut Vec<u8>) -> Written {
        match self {
            Attribute::RtpMap {
                payload_type,
                encoding_name,
                clock_rate,
                parameters,
            } => {
                out.extend_from_slice(b"rtpmap:");
                bounded(out, u64::from(*payload_type), 127)?;
                out.push(b' ');
                word_of(out, encoding_name, is_token(encoding_name))?;
                out.push(b'/');
                digits(out, (*clock_rate).into());
                if let Some(parameters) = parameters {
                    out.push(b'/');
                    word(out, parameters)?;
                }
                Ok(())
            }
            Attribute::Fmtp { format, parameters } => {
                out.extend_from_slice(b"fmtp:");
                word(out, format)?;
                out.push(b' ');
                tail(out, parameters)
            }
            Attribute::Ptime(number) => decimal(out, b"ptime:", *number),
            Attribute::MaxPtime(number) => decimal(out, b"maxptime:", *number),
            Attribute::Direction(direction) => flag(out, direction.name().as_bytes()),
            Attribute::Candidate(candidate) => candidate.write(out),
            Attribute::Fingerprint { hash, value } => {
                out.extend_from_slice(b"fingerprint:");
                word_of(out, hash, is_token(hash))?;
                out.push(b' ');
                word_of(out, value, is_fingerprint(value))
            }
            Attribute::IceUfrag(value) => {
                out.extend_from_slice(b"ice-ufrag:");
                word_of(out, value, is_ice(value, 4..=256))
            }
            Attribute::IcePwd(value) => {
                out.extend_from_slice(b"ice-pwd:");
                word_of(out, value, is_ice(value, 22..=256))
            }
            Attribute::IceOptions(options) => {
                out.extend_from_slice(b"ice-options:");
                ensure(!options.is_empty(), WriteReason::Empty)?;
                words(out, options.iter().copied())
            }
            Attribute::IceLite => flag(out, b"ice-lite"),
            Attribute::IceMismatch => flag(out, b"ice-mismatch"),
            Attribute::IcePacing(pacing) => {
                out.extend_from_slice(b"ice-pacing:");
                digits(out, (*pacing).into());
                Ok(())
            }
            Attribute::Setup(setup) => {
                out.extend_from_slice(b"setup:");
                flag(out, setup.name().as_bytes())
            }
            Attribute::Mid(mid) => {
                out.extend_from_slice(b"mid:");
                word(out, mid)
            }
            Attribute::Group { semantics, mids } => {
                out.extend_from_slice(b"group:");
                words(out, std::iter::once(*semantics).chain(mids.iter().copied()))
            }
            Attribute::Msid { id, appdata } => {
                out.extend_from_slice(b"msid:");
                words(out, std::iter::once(*id).chain(*appdata))
            }
            Attribute::Ssrc {
                ssrc,
                attribute,
                value,
            } => {
                out.extend_from_slice(b"ssrc:");
                digits(out, (*ssrc).into());
                out.push(b' ');
                word_of(out, attribute, is_token(attribute))?;
                colon(out, *value)
            }
            Attribute::SsrcGroup { semantics, ssrcs } => {
                out.extend_from_slice(b"ssrc-group:");
                word(out, semantics)?;
                for ssrc in ssrcs {
                    out.push(b' ');
                    digits(out, (*ssrc).into());
                }
                Ok(())
            }
            Attribute::Crypto {
                tag,
                suite,
                key_parameters,
                session_parameters,
            } => {
                out.extend_from_slice(b"crypto:");
                bounded(out, (*tag).into(), MAX_TAG.into())?;
                out.push(b' ');
                word(out, suite)?;
                ensure(!key_parameters.is_empty(), WriteReason::Empty)?;
                for (index, parameter) in key_parameters.iter().enumerate() {
                    out.push(if index == 0 { b' ' } else { b';' });
                    word_without(out, parameter, b';')?;
                }
                for parameter in session_parameters {
                    out.push(b' ');
                    word(out, parameter)?;
                }
                Ok(())
            }
            Attribute::Rtcp { port, address } => {
                out.extend_from_slice(b"rtcp:");
                digits(out, (*port).into());
                for each in address.iter().flatten() {
                    out.push(b' ');
                    word(out, each)?;
                }
                Ok(())
            }
            Attribute::RtcpMux => flag(out, b"rtcp-mux"),
            Attribute::RtcpRsize => flag(out, b"rtcp-rsize"),
            Attribute::RtcpFb {
                format,
                feedback,
                parameters,
            } => {
                out.extend_from_slice(b"rtcp-fb:");
                words(out, [*format, *feedback])?;
                if let Some(parameters) = parameters {
                    out.push(b' ');
                    tail(out, parameters)?;
                }
                Ok(())
            }
            Attribute::Other { name, value } => other(out, name, *value),
        }
    }
}

impl Candidate<'_> {
    fn write(&self, out: &mut Vec<u8>) -> Written {
        out.extend_from_slice(b"candidate:");
        word(out, self.foundation)?;
        out.push(b' ');
        digits(out, self.component.into());
        out.push(b' ');
        word(out, self.transport)?;
        out.push(b' ');
        digits(out, self.priority.into());
        out.push(b' ');
        word(out, self.address)?;
        out.push(b' ');
        digits(out, self.port.into());
        out.extend_from_slice(b" typ ");
        word(out, self.candidate_type)?;
        if let Some(address) = self.related_address {
            out.extend_from_slice(b" raddr ");
            word(out, address)?;
        }
        if let Some(port) = self.related_port {
            out.extend_from_slice(b" rport ");
            digits(out, port.into());
        }
        // The first extension would be read as what is missing.
        let first = self.extensions.first().map(|(name, _)| *name);
        let is_address = first == Some(b"raddr")
            && self.related_address.is_none()
            && self.related_port.is_none();
        let is_port = first == Some(b"rport") && self.related_port.is_none();
        ensure(!is_address && !is_port, WriteReason::Syntax)?;
        for (name, value) in &self.extensions {
            out.push(b' ');
            words(out, [*name, *value])?;
        }
        Ok(())
    }
}

fn flag(out: &mut Vec<u8>, name: &[u8]) -> Written {
    out.extend_from_slice(name);
    Ok(())
}

fn decimal(out: &mut Vec<u8>, name: &[u8], number: Decimal<'_>) -> Written {
    out.extend_from_slice(name);
    match number {
        Decimal::Integer(number) => {
            digits(out, number.into());
            Ok(())
        }
        Decimal::Real(real) => word_of(out, real, is_real(real)),
    }
}

fn colon(out: &mut Vec<u8>, value: Option<&[u8]>) -> Written {
    match value {
        Some(value) => {
            out.push(b':');
            text(out, value)
        }
        None => Ok(()),
    }
}

fn other(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) -> Written {
    text(out, name)?;
    ensure(!name.contains(&b':'), WriteReason::Syntax)?;
    colon(out, value)?;
    // A malformed value is all that such a name can have here.
    let is_typed = matches!(parse(name, value, &Arena::new()), Some(Some(_)));
    ensure(!is_typed, WriteReason::Typed)
}
