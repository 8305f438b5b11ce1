//! Values separated by commas (§7.3.1).

use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop, skip_space};
use crate::message::List;

/// Reads every value of one line behind those of the lines before it. Forgives empty elements.
#[inline]
pub(crate) fn list<'a, T>(
    value: &'a [u8],
    scope: &mut Scope<'a>,
    max: usize,
    into: &mut List<'a, T>,
    one: impl Fn(&'a [u8], &mut Scope<'a>) -> Parsed<'a, T>,
) -> Result<(), nom::Err<Stop<'a>>> {
    let mut rest = value;
    while !rest.is_empty() {
        if let [b',', behind @ ..] = rest {
            scope.forgive(rest, Reason::EmptyElement);
            rest = skip_space(behind);
            continue;
        }
        if into.len() >= max {
            return Err(Stop::at(rest, Reason::TooManyValues));
        }
        let (behind, value) = one(rest, scope)?;
        into.push(value);
        rest = match skip_space(behind) {
            [] => return Ok(()),
            [b',', behind @ ..] => skip_space(behind),
            behind => return Err(Stop::at(behind, Reason::Syntax)),
        };
        if rest.is_empty() {
            scope.forgive(rest, Reason::EmptyElement);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::grammar::token;
    use crate::message::Arena;

    type Tokens = Result<Vec<String>, Reason>;

    fn tokens(input: &'static str, max: usize) -> (Tokens, Option<Reason>) {
        let arena = Arena::new();
        let mut into = List::new_in(&arena);
        let (result, forgiven) = read(&arena, |scope| {
            match list(input.as_bytes(), scope, max, &mut into, |rest, _| {
                token(rest)
            }) {
                Ok(()) => Ok(()),
                Err(nom::Err::Error(stop)) => Err(stop.reason),
                Err(other) => panic!("{other:?}"),
            }
        });
        let text = |token: &&[u8]| String::from_utf8_lossy(token).into_owned();
        (result.map(|()| into.iter().map(text).collect()), forgiven)
    }

    fn all(tokens: &[&str]) -> Tokens {
        Ok(tokens.iter().map(|token| token.to_string()).collect())
    }

    #[test]
    fn commas_separate_values() {
        assert_eq!(
            tokens("INVITE, ACK ,\tBYE", 9),
            (all(&["INVITE", "ACK", "BYE"]), None)
        );
        assert_eq!(tokens("", 9), (all(&[]), None));
    }

    #[test]
    fn empty_elements_are_forgiven() {
        for input in [",a", "a,", "a, ", ", ,a", "a,,"] {
            assert_eq!(
                tokens(input, 9),
                (all(&["a"]), Some(Reason::EmptyElement)),
                "{input}"
            );
        }
    }

    #[test]
    fn junk_and_more_than_the_limit_stop() {
        assert_eq!(tokens("a b", 9).0, Err(Reason::Syntax));
        assert_eq!(tokens("a,\"b\"", 9).0, Err(Reason::Token));
        assert_eq!(tokens("a,b", 2).0, all(&["a", "b"]));
        assert_eq!(tokens("a,b,c", 2).0, Err(Reason::TooManyValues));
    }
}
