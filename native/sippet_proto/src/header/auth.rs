//! Challenges and credentials (§20.7, §20.27, §20.28, §20.44), Authentication-Info (§20.6).

use bumpalo::collections::Vec;

use super::params::push;
use super::{Auth, Param, Params};
use crate::error::Reason;
use crate::grammar::{
    Parsed, Scope, Stop, at_end, lower_token, plain_value, quoted_string, skip_space, token,
};

/// `scheme LWS (token68 / name=value *(COMMA name=value))`.
///
/// A comma also separates challenges: what follows it belongs to the next one unless it is `name=`.
pub(crate) fn auth<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Auth<'a>> {
    let (rest, scheme) = token(input)?;
    let start = skip_space(rest);
    if start.len() == rest.len() || matches!(start, [] | [b',', ..]) {
        let auth = Auth {
            scheme,
            params: &[],
        };
        return Ok((start, auth));
    }
    if let Some((rest, name)) = token68(start) {
        let params = scope.arena.alloc_slice_copy(&[Param { name, value: None }]);
        return Ok((rest, Auth { scheme, params }));
    }
    let (rest, params) = pairs(start, scope)?;
    Ok((rest, Auth { scheme, params }))
}

/// `ainfo *(COMMA ainfo)` (§20.6).
pub(crate) fn authentication_info<'a>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<Params<'a>, nom::Err<Stop<'a>>> {
    if value.is_empty() {
        return Err(Stop::at(value, Reason::EmptyValue));
    }
    let (rest, params) = pairs(value, scope)?;
    at_end(rest, Reason::Parameter)?;
    Ok(params)
}

fn pairs<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Params<'a>> {
    let mut list = Vec::with_capacity_in(8, scope.arena);
    let mut start = input;
    loop {
        let (behind, param) = pair(start, scope)?;
        push(&mut list, param, start, scope)?;
        let rest = skip_space(behind);
        // The comma stays for the list of challenges when another scheme follows.
        match next_pair(rest, scope) {
            Some(next) => start = next,
            None => return Ok((rest, list.into_bump_slice())),
        }
    }
}

/// Where the next pair starts: behind a comma, if a name and `=` follow.
fn next_pair<'a>(rest: &'a [u8], scope: &mut Scope<'a>) -> Option<&'a [u8]> {
    let [b',', behind @ ..] = rest else {
        return None;
    };
    let mut next = skip_space(behind);
    while let [b',', behind @ ..] = next {
        next = skip_space(behind);
        scope.forgive(next, Reason::EmptyElement);
    }
    let (behind, _) = token(next).ok()?;
    matches!(skip_space(behind), [b'=', ..]).then_some(next)
}

/// `name EQUAL (token / quoted-string)`
fn pair<'a>(start: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Param<'a>> {
    let (behind, name) =
        lower_token(start, scope.arena).map_err(|_| Stop::at(start, Reason::Parameter))?;
    let [b'=', behind @ ..] = skip_space(behind) else {
        return Err(Stop::at(start, Reason::Parameter));
    };
    let (rest, value) = match skip_space(behind) {
        start @ [b'"', ..] => quoted_string(start, scope)?,
        start => plain_value(start, scope)?,
    };
    let param = Param {
        name,
        value: Some(value),
    };
    Ok((rest, param))
}

/// `token68 = 1*(ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/") *"="` (RFC 7235 §2.1), up to the end or a comma.
fn token68(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !b"-._~+/".contains(byte))
        .unwrap_or(input.len());
    let padding = input
        .get(end..)?
        .iter()
        .take_while(|byte| **byte == b'=')
        .count();
    let (text, rest) = input.split_at(end + padding);
    let rest = skip_space(rest);
    (end > 0 && matches!(rest, [] | [b',', ..])).then_some((rest, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::list::list;
    use crate::message::{Arena, List};

    type Challenges = std::vec::Vec<(String, std::vec::Vec<(String, Option<String>)>)>;

    fn challenges(input: &'static str) -> Result<Challenges, Reason> {
        let arena = Arena::new();
        let mut into = List::new_in(&arena);
        let (result, _) = read(&arena, |scope| {
            list(input.as_bytes(), scope, 9, &mut into, auth)
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match result {
            Ok(()) => Ok(into
                .iter()
                .map(|auth| {
                    let params = auth.params.iter();
                    let params = params.map(|param| (text(param.name), param.value.map(text)));
                    (text(auth.scheme), params.collect())
                })
                .collect()),
            Err(nom::Err::Error(stop)) => Err(stop.reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn pair(name: &str, value: &str) -> (String, Option<String>) {
        (name.into(), Some(value.into()))
    }

    #[test]
    fn the_example_of_20_27_is_read() {
        let expected = vec![
            pair("realm", "atlanta.com"),
            pair("domain", "sip:ss1.carrier.com"),
            pair("qop", "auth,auth-int"),
            pair("stale", "FALSE"),
            pair("algorithm", "MD5"),
        ];
        assert_eq!(
            challenges(
                "Digest realm=\"atlanta.com\", domain=\"sip:ss1.carrier.com\", qop=\"auth,auth-int\", \
                 Stale=FALSE , algorithm = MD5"
            ),
            Ok(vec![("Digest".into(), expected)])
        );
    }

    #[test]
    fn several_challenges_in_one_line_are_kept_apart() {
        assert_eq!(
            challenges("Digest realm=\"a\",nonce=n, Basic realm=\"b\", Negotiate, Digest realm=c"),
            Ok(vec![
                (
                    "Digest".into(),
                    vec![pair("realm", "a"), pair("nonce", "n")]
                ),
                ("Basic".into(), vec![pair("realm", "b")]),
                ("Negotiate".into(), vec![]),
                ("Digest".into(), vec![pair("realm", "c")]),
            ])
        );
    }

    #[test]
    fn a_token68_is_one_flag() {
        let flag = |text: &str| vec![(text.to_owned(), None)];
        assert_eq!(
            challenges("Basic dXNlcjpwYXNz, Basic QQ==,Bearer a/b+c"),
            Ok(vec![
                ("Basic".into(), flag("dXNlcjpwYXNz")),
                ("Basic".into(), flag("QQ==")),
                ("Bearer".into(), flag("a/b+c")),
            ])
        );
    }

    #[test]
    fn malformed_pairs_are_refused() {
        assert_eq!(
            challenges("Digest realm=\"a\" nonce=\"b\""),
            Err(Reason::Syntax)
        );
        assert_eq!(challenges("Digest realm=\"a"), Err(Reason::QuotedString));
        assert_eq!(challenges("Digest =a"), Err(Reason::Parameter));
        assert_eq!(challenges("realm=\"a\""), Err(Reason::Syntax));
    }
}
