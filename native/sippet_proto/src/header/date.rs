//! Date (§20.17).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take};
use nom::character::complete::char;
use nom::combinator::value;
use nom::sequence::{preceded, terminated};

use super::Date;
use crate::error::Reason;
use crate::grammar::{Parsed, Scope, Stop};

/// `rfc1123-date = wkday "," SP date1 SP time SP "GMT"`: no other zone, no other form (§20.17). The day of the week is
/// not checked against the date.
pub(crate) fn date<'a>(input: &'a [u8], _: &mut Scope<'a>) -> Parsed<'a, Date> {
    sip_date(input).map_err(|error| match error {
        nom::Err::Error(stop) => Stop::at(stop.rest, Reason::Date),
        other => other,
    })
}

fn sip_date(input: &[u8]) -> Parsed<'_, Date> {
    let (rest, _) = (weekday, tag_no_case(&b", "[..])).parse(input)?;
    let (rest, day) = terminated(digits(2), char(' ')).parse(rest)?;
    let (rest, month) = terminated(month, char(' ')).parse(rest)?;
    let (rest, year) = terminated(digits(4), char(' ')).parse(rest)?;
    let (rest, hour) = digits(2).parse(rest)?;
    let (rest, minute) = preceded(char(':'), digits(2)).parse(rest)?;
    let (rest, second) = preceded(char(':'), digits(2)).parse(rest)?;
    let (rest, _) = tag_no_case(&b" GMT"[..])(rest)?;
    let exists =
        day >= 1 && day <= days_in(month, year) && hour < 24 && minute < 60 && second <= 60;
    if !exists {
        return Err(Stop::at(input, Reason::Date));
    }
    Ok((
        rest,
        Date {
            year,
            month,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
        },
    ))
}

fn weekday(input: &[u8]) -> Parsed<'_, &[u8]> {
    let day = |name: &'static [u8]| tag_no_case(name);
    alt((
        day(b"Mon"),
        day(b"Tue"),
        day(b"Wed"),
        day(b"Thu"),
        day(b"Fri"),
        day(b"Sat"),
        day(b"Sun"),
    ))
    .parse(input)
}

fn month(input: &[u8]) -> Parsed<'_, u8> {
    let month = |number: u8, name: &'static [u8]| value(number, tag_no_case(name));
    alt((
        month(1, b"Jan"),
        month(2, b"Feb"),
        month(3, b"Mar"),
        month(4, b"Apr"),
        month(5, b"May"),
        month(6, b"Jun"),
        month(7, b"Jul"),
        month(8, b"Aug"),
        month(9, b"Sep"),
        month(10, b"Oct"),
        month(11, b"Nov"),
        month(12, b"Dec"),
    ))
    .parse(input)
}

/// Exactly `count` digits, four at most.
fn digits<'a>(count: usize) -> impl Parser<&'a [u8], Output = u16, Error = Stop<'a>> {
    move |input: &'a [u8]| {
        let (rest, text): (_, &[u8]) = take(count)(input)?;
        let mut number = 0;
        for digit in text {
            if !digit.is_ascii_digit() {
                return Err(Stop::at(input, Reason::Date));
            }
            number = number * 10 + u16::from(digit - b'0');
        }
        Ok((rest, number))
    }
}

fn days_in(month: u8, year: u16) -> u16 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::tests::read;
    use crate::header::token::only;
    use crate::message::Arena;

    fn parse(input: &'static str) -> Option<Date> {
        let arena = Arena::new();
        read(&arena, |scope| only(input.as_bytes(), scope, date))
            .0
            .ok()
    }

    #[test]
    fn the_example_of_20_17_is_read() {
        let expected = Date {
            year: 2010,
            month: 11,
            day: 13,
            hour: 23,
            minute: 29,
            second: 0,
        };
        assert_eq!(parse("Sat, 13 Nov 2010 23:29:00 GMT"), Some(expected));
    }

    #[test]
    fn days_end_with_their_month() {
        assert!(parse("Thu, 29 Feb 2024 00:00:00 GMT").is_some());
        assert!(parse("Tue, 29 Feb 2000 23:59:60 GMT").is_some());
        for input in [
            "Wed, 29 Feb 2023 00:00:00 GMT",
            "Thu, 29 Feb 1900 00:00:00 GMT",
            "Thu, 31 Apr 2024 00:00:00 GMT",
            "Thu, 00 Apr 2024 00:00:00 GMT",
            "Thu, 01 Apr 2024 24:00:00 GMT",
            "Thu, 01 Apr 2024 00:60:00 GMT",
            "Thu, 01 Apr 2024 00:00:61 GMT",
        ] {
            assert_eq!(parse(input), None, "{input}");
        }
    }

    #[test]
    fn other_forms_of_date_are_refused() {
        for input in [
            "",
            "Fri, 01 Jan 2010 16:00:00 EST",
            "Friday, 01-Jan-10 16:00:00 GMT",
            "Fri Jan  1 16:00:00 2010",
            "Fri, 1 Jan 2010 16:00:00 GMT",
            "01 Jan 2010 16:00:00 GMT",
            "Fri, 01 Jan 2010 16:00:00 GMT x",
            "Fri, 01 Jan 2010 16:00 GMT",
            "2010-01-01T16:00:00Z",
        ] {
            assert_eq!(parse(input), None, "{input}");
        }
    }
}
