//! Writing one value of each shape.

use std::io::Write;

use super::params::{Owner, params};
use super::uri::uri;
use super::{
    COMMENT, VISIBLE, Written, escaped, host, number, of_class, padded, port, quoted, refuse, token,
};
use crate::error::WriteReason;
use crate::header::{
    CSeq, Date, Info, MediaType, MimeVersion, NameAddr, RetryAfter, Timestamp, TokenParams, Via,
    Warning,
};
use crate::message::Version;

/// `name-addr` with the display name quoted and the URI in angle brackets, which are never wrong (§20.10).
#[inline]
pub(crate) fn name_addr(out: &mut Vec<u8>, address: &NameAddr<'_>) -> Written {
    owned_name_addr(out, address, Owner::Generic)
}

/// The same in Contact.
#[inline]
pub(crate) fn contact_addr(out: &mut Vec<u8>, address: &NameAddr<'_>) -> Written {
    owned_name_addr(out, address, Owner::Contact)
}

#[inline]
fn owned_name_addr(out: &mut Vec<u8>, address: &NameAddr<'_>, owner: Owner) -> Written {
    if !address.display_name.is_empty() {
        quoted(out, address.display_name)?;
        out.push(b' ');
    }
    bracketed(out, &address.uri)?;
    params(out, address.params, owner)
}

#[inline]
pub(crate) fn bracketed(out: &mut Vec<u8>, address: &crate::uri::Uri<'_>) -> Written {
    out.push(b'<');
    uri(out, address)?;
    out.push(b'>');
    Ok(())
}

pub(crate) fn info(out: &mut Vec<u8>, info: &Info<'_>) -> Written {
    bracketed(out, &info.uri)?;
    params(out, info.params, Owner::Generic)
}

#[inline]
pub(crate) fn via(out: &mut Vec<u8>, via: &Via<'_>) -> Written {
    version(out, via.version);
    out.push(b'/');
    token(out, via.protocol.as_bytes())?;
    out.push(b' ');
    host(out, via.host)?;
    port(out, via.port);
    params(out, via.params, Owner::Generic)
}

/// `SIP/2.0`.
#[inline]
pub(crate) fn version(out: &mut Vec<u8>, version: Version) {
    if version == Version::SIP_2_0 {
        out.extend_from_slice(b"SIP/2.0");
        return;
    }
    out.extend_from_slice(b"SIP/");
    number(out, u64::from(version.major));
    out.push(b'.');
    number(out, u64::from(version.minor));
}

pub(crate) fn cseq(out: &mut Vec<u8>, cseq: &CSeq<'_>) -> Written {
    if cseq.number >= 1 << 31 {
        return Err(WriteReason::Number);
    }
    number(out, u64::from(cseq.number));
    out.push(b' ');
    token(out, cseq.method.as_bytes())
}

#[inline]
pub(crate) fn media_type(out: &mut Vec<u8>, media: &MediaType<'_>) -> Written {
    token(out, media.kind)?;
    out.push(b'/');
    token(out, media.subtype)?;
    params(out, media.params, Owner::Generic)
}

pub(crate) fn token_params(out: &mut Vec<u8>, value: &TokenParams<'_>) -> Written {
    token(out, value.token)?;
    params(out, value.params, Owner::Generic)
}

pub(crate) fn reason(out: &mut Vec<u8>, value: &TokenParams<'_>) -> Written {
    token(out, value.token)?;
    params(out, value.params, Owner::Reason)
}

pub(crate) fn warning(out: &mut Vec<u8>, warning: &Warning<'_>) -> Written {
    if !(100..=999).contains(&warning.code) {
        return Err(WriteReason::Number);
    }
    padded(out, warning.code, 3);
    out.push(b' ');
    of_class(out, warning.agent, VISIBLE, WriteReason::Syntax)?;
    out.push(b' ');
    quoted(out, warning.text)
}

pub(crate) fn retry_after(out: &mut Vec<u8>, value: &RetryAfter<'_>) -> Written {
    number(out, u64::from(value.seconds));
    if !value.comment.is_empty() {
        out.extend_from_slice(b" (");
        escaped(out, value.comment, COMMENT)?;
        out.push(b')');
    }
    params(out, value.params, Owner::Generic)
}

/// Decimal digits without exponent, as many as it takes to be read back as the same number.
pub(crate) fn timestamp(out: &mut Vec<u8>, value: &Timestamp) -> Written {
    let is_time = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
    if !is_time(value.timestamp) || !is_time(value.delay) {
        return Err(WriteReason::Number);
    }
    seconds(out, value.timestamp);
    if value.delay > 0.0 {
        out.push(b' ');
        seconds(out, value.delay);
    }
    Ok(())
}

fn seconds(out: &mut Vec<u8>, value: f64) {
    // A sign goes from zero; a vector takes all that is written to it.
    let _ = write!(out, "{}", value.abs());
}

pub(crate) fn mime_version(out: &mut Vec<u8>, value: &MimeVersion) -> Written {
    number(out, u64::from(value.major));
    out.push(b'.');
    number(out, u64::from(value.minor));
    Ok(())
}

/// `rfc1123-date` (§20.17).
pub(crate) fn date(out: &mut Vec<u8>, date: &Date) -> Written {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let Some(month) = MONTHS.get(usize::from(date.month).wrapping_sub(1)) else {
        return Err(WriteReason::Date);
    };
    let is_day = (1..=month_days(date.year, date.month)).contains(&date.day);
    if !is_day || date.year > 9999 || date.hour > 23 || date.minute > 59 || date.second > 60 {
        return Err(WriteReason::Date);
    }
    out.extend_from_slice(weekday(date));
    out.extend_from_slice(b", ");
    padded(out, u16::from(date.day), 2);
    out.push(b' ');
    out.extend_from_slice(*month);
    out.push(b' ');
    padded(out, date.year, 4);
    for (before, part) in [(b' ', date.hour), (b':', date.minute), (b':', date.second)] {
        out.push(before);
        padded(out, u16::from(part), 2);
    }
    out.extend_from_slice(b" GMT");
    Ok(())
}

fn month_days(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u8::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts the days since Saturday, the first of January of the year 0.
fn weekday(date: &Date) -> &'static [u8; 3] {
    const DAYS: [&[u8; 3]; 7] = [b"Sat", b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri"];
    let year = u32::from(date.year);
    let leap_days = year.div_ceil(4) - year.div_ceil(100) + year.div_ceil(400);
    let months: u32 = (1..date.month)
        .map(|month| u32::from(month_days(date.year, month)))
        .sum();
    let days = year * 365 + leap_days + months + u32::from(date.day) - 1;
    DAYS[(days % 7) as usize]
}

/// Visible ASCII: the words of a Call-ID, and what peers take for them (§20.8).
pub(crate) fn call_id(out: &mut Vec<u8>, text: &&[u8]) -> Written {
    of_class(out, text, VISIBLE, WriteReason::Syntax)
}

/// The same in a list, where a comma would end it (§20.21).
pub(crate) fn call_id_in_list(out: &mut Vec<u8>, text: &&[u8]) -> Written {
    if text.contains(&b',') {
        return refuse(text, WriteReason::Syntax);
    }
    call_id(out, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Param;
    use crate::message::{Method, Protocol};
    use crate::uri::parse_uri;

    fn text(write: impl Fn(&mut Vec<u8>) -> Written) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn refused(write: impl Fn(&mut Vec<u8>) -> Written) -> WriteReason {
        write(&mut Vec::new()).unwrap_err()
    }

    #[test]
    fn the_addresses_of_20_10_have_quotes_and_brackets() {
        let params = [
            Param {
                name: b"q",
                value: Some(b"0.7"),
            },
            Param {
                name: b"expires",
                value: Some(b"3600"),
            },
        ];
        let address = NameAddr {
            display_name: b"Mr. \"Watson\"",
            uri: parse_uri(b"sip:watson@worcester.bell-telephone.com").unwrap(),
            params: &params,
        };
        assert_eq!(
            text(|out| contact_addr(out, &address)),
            "\"Mr. \\\"Watson\\\"\" <sip:watson@worcester.bell-telephone.com>;q=0.7;expires=3600"
        );
        let address = NameAddr {
            display_name: b"",
            params: &[],
            ..address
        };
        assert_eq!(
            text(|out| name_addr(out, &address)),
            "<sip:watson@worcester.bell-telephone.com>"
        );
    }

    #[test]
    fn via_has_brackets_around_ipv6_in_sent_by_only_20_42() {
        let params = [
            Param {
                name: b"received",
                value: Some(b"2001:db8::9:255"),
            },
            Param {
                name: b"rport",
                value: None,
            },
            Param {
                name: b"branch",
                value: Some(b"z9hG4bKas3-111"),
            },
        ];
        let mut value = Via {
            version: Version::SIP_2_0,
            protocol: Protocol::Udp,
            host: b"2001:db8::9:1",
            port: Some(5060),
            params: &params,
        };
        assert_eq!(
            text(|out| via(out, &value)),
            "SIP/2.0/UDP [2001:db8::9:1]:5060;received=2001:db8::9:255;rport;branch=z9hG4bKas3-111"
        );
        value.port = None;
        value.params = &[];
        value.protocol = Protocol::Other(b"TLS-SCTP");
        assert_eq!(
            text(|out| via(out, &value)),
            "SIP/2.0/TLS-SCTP [2001:db8::9:1]"
        );
        value.host = b"a b";
        assert_eq!(refused(|out| via(out, &value)), WriteReason::Host);
        value.host = b"";
        assert_eq!(refused(|out| via(out, &value)), WriteReason::Empty);
    }

    #[test]
    fn a_sequence_number_is_below_2_31_8_1_1_5() {
        let mut value = CSeq {
            number: 4711,
            method: Method::Invite,
        };
        assert_eq!(text(|out| cseq(out, &value)), "4711 INVITE");
        value.number = 1 << 31;
        assert_eq!(refused(|out| cseq(out, &value)), WriteReason::Number);
        value = CSeq {
            number: 1,
            method: Method::Other(b"A B"),
        };
        assert_eq!(refused(|out| cseq(out, &value)), WriteReason::Token);
    }

    #[test]
    fn retry_after_has_its_comment_before_its_parameters_20_33() {
        let params = [Param {
            name: b"duration",
            value: Some(b"3600"),
        }];
        let value = RetryAfter {
            seconds: 18000,
            comment: b"in a (long) meeting",
            params: &params,
        };
        assert_eq!(
            text(|out| retry_after(out, &value)),
            "18000 (in a \\(long\\) meeting);duration=3600"
        );
    }

    #[test]
    fn warnings_have_three_digits_and_a_quoted_text_20_43() {
        let mut value = Warning {
            code: 307,
            agent: b"isi.edu",
            text: b"not \"understood\"",
        };
        assert_eq!(
            text(|out| warning(out, &value)),
            "307 isi.edu \"not \\\"understood\\\"\""
        );
        value.agent = b"a b";
        assert_eq!(refused(|out| warning(out, &value)), WriteReason::Syntax);
        value.code = 1000;
        assert_eq!(refused(|out| warning(out, &value)), WriteReason::Number);
    }

    #[test]
    fn timestamps_have_no_exponent_20_38() {
        let written = |time, delay| {
            text(|out| {
                timestamp(
                    out,
                    &Timestamp {
                        timestamp: time,
                        delay,
                    },
                )
            })
        };
        assert_eq!(written(54.0, 0.0), "54");
        assert_eq!(written(54.21, 0.5), "54.21 0.5");
        assert_eq!(written(1e21, 1e-7), "1000000000000000000000 0.0000001");
        assert_eq!(written(-0.0, 0.0), "0");
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            let value = Timestamp {
                timestamp: bad,
                delay: 0.0,
            };
            assert_eq!(refused(|out| timestamp(out, &value)), WriteReason::Number);
            let value = Timestamp {
                timestamp: 1.0,
                delay: bad,
            };
            assert_eq!(refused(|out| timestamp(out, &value)), WriteReason::Number);
        }
    }

    #[test]
    fn dates_know_their_weekday_20_17() {
        // 2010 as in §20.17; the others by the calendar of the year 2000 and of the leap years around it.
        for (value, expected) in [
            ((2010, 11, 13, 23, 29, 0), "Sat, 13 Nov 2010 23:29:00 GMT"),
            ((1970, 1, 1, 0, 0, 0), "Thu, 01 Jan 1970 00:00:00 GMT"),
            ((2000, 2, 29, 7, 8, 9), "Tue, 29 Feb 2000 07:08:09 GMT"),
            ((1900, 3, 1, 0, 0, 0), "Thu, 01 Mar 1900 00:00:00 GMT"),
            ((2026, 11, 21, 5, 0, 60), "Sat, 21 Nov 2026 05:00:60 GMT"),
            ((987, 1, 1, 0, 0, 0), "Mon, 01 Jan 0987 00:00:00 GMT"),
        ] {
            assert_eq!(text(|out| date(out, &of(value))), expected);
        }
        for bad in [
            (2023, 2, 29, 0, 0, 0),
            (1900, 2, 29, 0, 0, 0),
            (2023, 4, 31, 0, 0, 0),
            (2023, 0, 1, 0, 0, 0),
            (2023, 13, 1, 0, 0, 0),
            (2023, 1, 0, 0, 0, 0),
            (2023, 1, 1, 24, 0, 0),
            (2023, 1, 1, 0, 60, 0),
            (2023, 1, 1, 0, 0, 61),
            (10000, 1, 1, 0, 0, 0),
        ] {
            assert_eq!(
                refused(|out| date(out, &of(bad))),
                WriteReason::Date,
                "{bad:?}"
            );
        }
    }

    fn of((year, month, day, hour, minute, second): (u16, u8, u8, u8, u8, u8)) -> Date {
        Date {
            year,
            month,
            day,
            hour,
            minute,
            second,
        }
    }
}
