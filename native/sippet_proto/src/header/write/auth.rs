//! Writing challenges, credentials and Authentication-Info (§20.6, §20.7, §20.27, §20.28, §20.44, RFC 7616).

use super::{TOKEN, TOKEN68, Written, all, quoted, token};
use crate::error::WriteReason;
use crate::header::{Auth, Param, Params};

/// Who sends the parameters, which decides about the quotes of `qop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// WWW-Authenticate, Proxy-Authenticate.
    Challenge,
    /// Authorization, Proxy-Authorization, and Authentication-Info.
    Credentials,
}

/// Quoted strings, whatever they hold.
const QUOTED: &[&[u8]] = &[
    b"cnonce",
    b"domain",
    b"nextnonce",
    b"nonce",
    b"opaque",
    b"realm",
    b"response",
    b"rspauth",
    b"uri",
    b"username",
];

pub(crate) fn auth(out: &mut Vec<u8>, auth: &Auth<'_>, role: Role) -> Written {
    token(out, auth.scheme)?;
    match auth.params {
        [] => Ok(()),
        [Param { name, value: None }] => {
            out.push(b' ');
            token68(out, name)
        }
        params => {
            out.push(b' ');
            self::params(out, params, role)
        }
    }
}

/// `name=value`, `name="value"`, with commas between.
pub(crate) fn params(out: &mut Vec<u8>, params: Params<'_>, role: Role) -> Written {
    for (index, param) in params.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        token(out, param.name)?;
        out.push(b'=');
        let value = param.value.ok_or(WriteReason::Empty)?;
        let must_quote = match param.name {
            b"qop" => role == Role::Challenge,
            name => QUOTED.contains(&name),
        };
        if must_quote || value.is_empty() || !all(value, TOKEN) {
            quoted(out, value)?;
        } else {
            out.extend_from_slice(value);
        }
    }
    Ok(())
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn token68(out: &mut Vec<u8>, text: &[u8]) -> Written {
    let mut bare = text;
    while let [rest @ .., b'='] = bare {
        bare = rest;
    }
    super::of_class(out, bare, TOKEN68, WriteReason::Token)?;
    out.extend_from_slice(text.get(bare.len()..).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param<'a>(pair: &(&'a str, &'a str)) -> Param<'a> {
        Param {
            name: pair.0.as_bytes(),
            value: Some(pair.1.as_bytes()),
        }
    }

    fn written(scheme: &[u8], pairs: &[(&str, &str)], role: Role) -> String {
        let params: Vec<Param<'_>> = pairs.iter().map(param).collect();
        let mut out = Vec::new();
        auth(
            &mut out,
            &Auth {
                scheme,
                params: &params,
            },
            role,
        )
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_challenge_of_20_44_keeps_its_quotes() {
        let pairs = [
            ("realm", "atlanta.com"),
            ("domain", "sip:boxesbybob.com"),
            ("qop", "auth"),
            ("nonce", "f84f1cec41e6cbe5aea9c8e88d359"),
            ("opaque", ""),
            ("stale", "FALSE"),
            ("algorithm", "MD5"),
        ];
        assert_eq!(
            written(b"Digest", &pairs, Role::Challenge),
            "Digest realm=\"atlanta.com\", domain=\"sip:boxesbybob.com\", qop=\"auth\", \
             nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5"
        );
    }

    #[test]
    fn credentials_have_bare_qop_and_nc_20_7() {
        let pairs = [
            ("username", "bob \"b\""),
            ("uri", "sip:bob@biloxi.com"),
            ("qop", "auth"),
            ("nc", "00000001"),
            ("cnonce", "0a4f113b"),
            ("algorithm", "SHA-512-256"),
            ("x", "a b"),
        ];
        assert_eq!(
            written(b"Digest", &pairs, Role::Credentials),
            "Digest username=\"bob \\\"b\\\"\", uri=\"sip:bob@biloxi.com\", qop=auth, nc=00000001, \
             cnonce=\"0a4f113b\", algorithm=SHA-512-256, x=\"a b\""
        );
    }

    #[test]
    fn a_token68_is_written_bare() {
        let name = b"QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        let params = [Param { name, value: None }];
        let mut out = Vec::new();
        let basic = Auth {
            scheme: b"Basic",
            params: &params,
        };
        auth(&mut out, &basic, Role::Credentials).unwrap();
        assert_eq!(out, b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_flag_among_parameters_is_refused() {
        let flag = Param {
            name: b"realm",
            value: None,
        };
        let params = [param(&("nonce", "1")), flag];
        let result = auth(
            &mut Vec::new(),
            &Auth {
                scheme: b"Digest",
                params: &params,
            },
            Role::Challenge,
        );
        assert_eq!(result, Err(WriteReason::Empty));
    }
}
