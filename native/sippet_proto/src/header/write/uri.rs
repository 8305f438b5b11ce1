//! Writing URIs from their pieces (§19.1.1, RFC 3966 §3, RFC 2396 §3).

use super::{USER, Written, all, check_host, port, put_host, refuse};
use crate::error::WriteReason;
use crate::grammar;
use crate::uri::{Uri, split};

impl Uri<'_> {
    /// Appends the URI, without angle brackets; appends nothing where it fails.
    ///
    /// An IPv6 host gets its brackets. `authority` counts where there is no host, and in schemes other than `sip`, `sips`
    /// and `tel`. Fails with [`WriteReason::Uri`] and the like where the pieces would not be read back as they are.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteReason> {
        let start = out.len();
        let written = uri(out, self);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }
}

#[inline]
pub(crate) fn uri(out: &mut Vec<u8>, uri: &Uri<'_>) -> Written {
    match (uri.scheme, uri.host) {
        (b"sip" | b"sips", Some(name)) => sip(out, uri, name),
        _ => checked(out, uri),
    }
}

/// Well over nine URIs of ten have pieces that need no more than a look.
fn sip(out: &mut Vec<u8>, uri: &Uri<'_>, name: &[u8]) -> Written {
    let userinfo = uri.userinfo.unwrap_or(b"u");
    let parameters = uri.parameters.unwrap_or(b";p");
    if !all(userinfo, USER) || userinfo.is_empty() || !plain(parameters) || uri.headers.is_some() {
        return checked(out, uri);
    }
    out.extend_from_slice(uri.scheme);
    out.push(b':');
    check_host(name)?;
    authority(out, uri, name);
    out.extend_from_slice(uri.parameters.unwrap_or_default());
    Ok(())
}

fn of_host<'a>(uri: &Uri<'a>) -> (Option<&'a [u8]>, Option<&'a [u8]>, Option<u16>) {
    (uri.userinfo, uri.host, uri.port)
}

/// `*(";" pname ["=" pvalue])` of unreserved characters.
fn plain(parameters: &[u8]) -> bool {
    let mut previous = 0;
    for byte in parameters {
        let in_place = match byte {
            b';' => previous != b';',
            b'=' => previous != b';' && previous != 0,
            _ => {
                previous != 0
                    && (byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
            }
        };
        if !in_place {
            return false;
        }
        previous = *byte;
    }
    !matches!(previous, 0 | b';')
}

/// Writes whatever the pieces are, and reads it back to know that they are what they seem.
fn checked(out: &mut Vec<u8>, uri: &Uri<'_>) -> Written {
    let start = out.len();
    let structured = [&b"sip"[..], b"sips", b"tel"]
        .iter()
        .any(|scheme| uri.scheme.eq_ignore_ascii_case(scheme));
    out.extend_from_slice(uri.scheme);
    out.push(b':');
    match (uri.host, uri.authority) {
        (Some(name), None) => authority(out, uri, name),
        (Some(name), Some(_)) if structured => authority(out, uri, name),
        (_, Some(text)) => out.extend_from_slice(text),
        (None, None) => return Err(WriteReason::Empty),
    }
    out.extend_from_slice(uri.parameters.unwrap_or_default());
    out.extend_from_slice(uri.headers.unwrap_or_default());
    let text = out.get(start..).unwrap_or_default();
    if uri.host.is_none() && !shows_user(uri) {
        return refuse(text, WriteReason::Uri);
    }
    let is_same = split(text, false).is_ok_and(|read| {
        read.scheme == uri.scheme
            && read.parameters == uri.parameters
            && read.headers == uri.headers
            && (!structured || uri.host.is_none() || of_host(&read) == of_host(uri))
    });
    if is_same {
        Ok(())
    } else {
        refuse(text, WriteReason::Uri)
    }
}

/// Whether the authority, which is all that is written where there is no host, has the user.
fn shows_user(uri: &Uri<'_>) -> bool {
    let (Some(userinfo), Some(authority)) = (uri.userinfo, uri.authority) else {
        return uri.userinfo.is_none();
    };
    matches!(authority.strip_prefix(userinfo), Some([b'@', ..]))
}

/// Unchecked pieces, in the spelling that `authority` has for them.
#[inline]
fn authority(out: &mut Vec<u8>, uri: &Uri<'_>, name: &[u8]) {
    if let Some(text) = uri.authority
        && agrees(text, uri, name).is_some()
    {
        out.extend_from_slice(text);
        return;
    }
    if let Some(userinfo) = uri.userinfo {
        out.extend_from_slice(userinfo);
        out.push(b'@');
    }
    put_host(out, name);
    port(out, uri.port);
}

/// Whether the text is the pieces, the port with any zeros before it.
#[inline]
fn agrees(text: &[u8], uri: &Uri<'_>, name: &[u8]) -> Option<()> {
    let mut rest = text;
    if let Some(userinfo) = uri.userinfo {
        rest = rest.strip_prefix(userinfo)?.strip_prefix(b"@")?;
    }
    rest = if name.contains(&b':') {
        rest.strip_prefix(b"[")?
            .strip_prefix(name)?
            .strip_prefix(b"]")?
    } else {
        rest.strip_prefix(name)?
    };
    match (rest, uri.port) {
        ([], None) => Some(()),
        ([b':', digits @ ..], Some(port)) => match grammar::port(digits) {
            Ok((b"", value)) if value == port => Some(()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Uri<'_> = Uri {
        scheme: b"sip",
        authority: None,
        userinfo: Some(b"alice"),
        host: Some(b"atlanta.com"),
        port: None,
        parameters: None,
        headers: None,
    };

    fn written(uri: Uri<'_>) -> Result<String, WriteReason> {
        let mut out = b"<".to_vec();
        let result = uri.write(&mut out);
        let text = String::from_utf8(out.split_off(1)).unwrap();
        assert_eq!(result.is_err(), text.is_empty());
        result.map(|()| text)
    }

    #[test]
    fn leading_zeros_of_a_port_stay() {
        let zeros = Uri {
            authority: Some(b"alice@atlanta.com:0005060"),
            port: Some(5060),
            ..ALICE
        };
        assert_eq!(written(zeros).unwrap(), "sip:alice@atlanta.com:0005060");
        let changed = Uri {
            port: Some(5070),
            ..zeros
        };
        assert_eq!(written(changed).unwrap(), "sip:alice@atlanta.com:5070");
    }

    #[test]
    fn the_examples_of_19_1_3_are_written_as_they_are() {
        for text in [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sips:1212@gateway.com",
            "sip:alice@192.0.2.4",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:[2001:db8::10]:5070;lr",
            "SIP:alice@atlanta.com:5060",
            "tel:+1-201-555-0123;ext=1",
            "tel:7042;phone-context=example.com",
            "urn:service:sos",
            "http://www.example.com/a?b",
        ] {
            let uri = crate::uri::parse_uri(text.as_bytes()).unwrap();
            assert_eq!(written(uri), Ok(text.to_string()));
        }
    }

    #[test]
    fn a_user_that_would_not_be_written_is_refused() {
        let urn = Uri {
            scheme: b"urn",
            authority: Some(b"service:sos"),
            userinfo: Some(b"bob"),
            host: None,
            ..ALICE
        };
        assert_eq!(written(urn), Err(WriteReason::Uri));
        let mail = Uri {
            scheme: b"mailto",
            authority: Some(b"bob@biloxi.com"),
            ..urn
        };
        assert_eq!(written(mail).unwrap(), "mailto:bob@biloxi.com");
    }

    #[test]
    fn authority_counts_as_long_as_it_agrees_with_its_pieces() {
        for (authority, expected) in [
            (&b"alice@atlanta.com"[..], "sip:alice@atlanta.com"),
            (b"alice@atlanta.com:05060", "sip:alice@atlanta.com:05060"),
            (b"bob@atlanta.com:5060", "sip:alice@atlanta.com:5060"),
            (b"alice@atlanta.com:5060;lr", "sip:alice@atlanta.com:5060"),
            (b"alice@atlanta.com:5060\r\n", "sip:alice@atlanta.com:5060"),
            (b"alice@[atlanta.com]", "sip:alice@atlanta.com"),
        ] {
            let port = (expected.len() > 21).then_some(5060);
            let uri = Uri {
                authority: Some(authority),
                port,
                ..ALICE
            };
            assert_eq!(written(uri).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn pieces_that_would_be_read_otherwise_are_refused() {
        let bad = [
            Uri {
                scheme: b"",
                ..ALICE
            },
            Uri {
                scheme: b"sip:x@y;z",
                ..ALICE
            },
            Uri {
                userinfo: Some(b"a@b"),
                ..ALICE
            },
            Uri {
                userinfo: Some(b""),
                ..ALICE
            },
            Uri {
                userinfo: Some(b"50%"),
                ..ALICE
            },
            Uri {
                host: Some(b""),
                ..ALICE
            },
            Uri {
                host: Some(b"a:1"),
                ..ALICE
            },
            Uri {
                host: Some(b"a;lr"),
                ..ALICE
            },
            Uri {
                host: Some(b"a>"),
                ..ALICE
            },
            Uri {
                parameters: Some(b"lr"),
                ..ALICE
            },
            Uri {
                parameters: Some(b""),
                ..ALICE
            },
            Uri {
                parameters: Some(b";"),
                ..ALICE
            },
            Uri {
                parameters: Some(b";a?b=c"),
                ..ALICE
            },
            Uri {
                parameters: Some(b";a>"),
                ..ALICE
            },
            Uri {
                headers: Some(b"a=b"),
                ..ALICE
            },
            Uri {
                headers: Some(b"?a b"),
                ..ALICE
            },
            Uri {
                scheme: b"urn",
                host: None,
                userinfo: None,
                ..ALICE
            },
            Uri {
                scheme: b"tel",
                userinfo: None,
                ..ALICE
            },
        ];
        for uri in bad {
            assert!(written(uri).is_err(), "{uri:?}");
        }
    }

    #[test]
    fn what_could_add_a_field_is_named_as_such() {
        for piece in [&b"a\r\nb"[..], b"a\0b"] {
            let parameters = [b";", piece].concat();
            for uri in [
                Uri {
                    scheme: piece,
                    ..ALICE
                },
                Uri {
                    userinfo: Some(piece),
                    ..ALICE
                },
                Uri {
                    host: Some(piece),
                    ..ALICE
                },
                Uri {
                    parameters: Some(&parameters),
                    ..ALICE
                },
                Uri {
                    headers: Some(piece),
                    ..ALICE
                },
                Uri {
                    host: None,
                    authority: Some(piece),
                    ..ALICE
                },
            ] {
                assert_eq!(written(uri), Err(WriteReason::ControlCharacter));
            }
        }
    }
}
