//! `*(SEMI generic-param)` (§25.1): the parameters of most header fields.

use bumpalo::collections::Vec;

use super::{Param, Params};
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, lower_token, plain_value, quoted_string, skip_space};
use crate::message::List;

/// Reads parameters up to whatever else follows, white space before it included.
///
/// Forgives `;` with nothing behind it, `name=` with nothing behind it, values that should have been quoted, and names
/// that come twice.
#[inline]
pub(crate) fn params<'a>(input: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Params<'a>> {
    let mut rest = skip_space(input);
    let [b';', ..] = rest else {
        return Ok((rest, &[]));
    };
    let mut list = Vec::with_capacity_in(4, scope.arena);
    while let [b';', behind @ ..] = rest {
        let start = skip_space(behind);
        if let [] | [b';' | b',', ..] = start {
            scope.forgive(start, Reason::Parameter);
            rest = start;
            continue;
        }
        let (behind, param) = param(start, scope)?;
        push(&mut list, param, start, scope)?;
        rest = skip_space(behind);
    }
    Ok((rest, list.into_bump_slice()))
}

/// `generic-param = token [EQUAL gen-value]`
#[inline]
pub(crate) fn param<'a>(start: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, Param<'a>> {
    let (behind, name) =
        lower_token(start, scope.arena).map_err(|_| Stop::at(start, Reason::Parameter))?;
    let [b'=', behind @ ..] = skip_space(behind) else {
        return Ok((behind, Param { name, value: None }));
    };
    let (behind, value) = value(skip_space(behind), scope)?;
    Ok((
        behind,
        Param {
            name,
            value: Some(value),
        },
    ))
}

/// `gen-value = token / host / quoted-string`
#[inline]
fn value<'a>(start: &'a [u8], scope: &mut Scope<'a>) -> Parsed<'a, &'a [u8]> {
    match start {
        [b'"', ..] => quoted_string(start, scope),
        _ => plain_value(start, scope),
    }
}

/// Adds a parameter; of a name that is there already, the value is replaced.
#[inline]
pub(crate) fn push<'a>(
    list: &mut List<'a, Param<'a>>,
    param: Param<'a>,
    start: &'a [u8],
    scope: &mut Scope<'a>,
) -> Result<(), nom::Err<Stop<'a>>> {
    if let Some(twin) = list.iter_mut().find(|twin| twin.name == param.name) {
        twin.value = param.value;
        scope.forgive(start, Reason::DuplicateParameter);
        return Ok(());
    }
    if list.len() >= scope.limits.max_parameters {
        return Err(Stop::at(start, Reason::TooManyParameters));
    }
    list.push(param);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::message::Arena;

    fn all<'a>(
        arena: &'a Arena,
        input: &'a str,
    ) -> (Vec<'a, (&'a str, Option<&'a str>)>, Option<Reason>) {
        let (result, forgiven) = read(arena, |scope| params(input.as_bytes(), scope));
        let (rest, list) = result.unwrap();
        assert_eq!(rest, b"");
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        let list = list
            .iter()
            .map(|param| (text(param.name), param.value.map(text)));
        (Vec::from_iter_in(list, arena), forgiven)
    }

    #[test]
    fn names_are_lower_and_values_bare() {
        let arena = Arena::new();
        let (list, forgiven) = all(&arena, " ; Tag = x;lr;y=\"a\\\"b;,\" ;h=[::1];m=192.0.2.1");
        assert_eq!(
            &list[..],
            [
                ("tag", Some("x")),
                ("lr", None),
                ("y", Some("a\"b;,")),
                ("h", Some("[::1]")),
                ("m", Some("192.0.2.1")),
            ]
        );
        assert_eq!(forgiven, None);
    }

    #[test]
    fn what_the_grammar_lacks_is_forgiven() {
        let arena = Arena::new();
        for (input, expected, reason) in [
            (";;a", ("a", None), Reason::Parameter),
            (";a;", ("a", None), Reason::Parameter),
            (";a=", ("a", Some("")), Reason::Parameter),
            (";a==/b", ("a", Some("=/b")), Reason::Parameter),
            (";a=<urn:x>", ("a", Some("<urn:x>")), Reason::Parameter),
            (";a=1;A=2", ("a", Some("2")), Reason::DuplicateParameter),
        ] {
            let (list, forgiven) = all(&arena, input);
            assert_eq!(&list[..], [expected], "{input}");
            assert_eq!(forgiven, Some(reason), "{input}");
        }
    }

    #[test]
    fn malformed_parameters_stop() {
        let arena = Arena::new();
        for input in [";=x", ";a=\"x", ";\"a\"", ";@"] {
            let (result, _) = read(&arena, |scope| params(input.as_bytes(), scope));
            assert!(result.is_err(), "{input}");
        }
    }

    #[test]
    fn more_than_the_limit_stops() {
        let arena = Arena::new();
        let input: String = (0..33).map(|index| format!(";p{index}")).collect();
        let (result, _) = read(&arena, |scope| params(input.as_bytes(), scope));
        assert_eq!(result, Err(Stop::at(b"p32", Reason::TooManyParameters)));
    }
}
