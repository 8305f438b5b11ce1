//! What a message as a whole becomes: header fields merged, bodies cut, faults named with their places.

use sippet_proto::error::Field;
use sippet_proto::header::Contact;
use sippet_proto::message::{Method, StartLine};
use sippet_proto::{
    Arena, Framing, Limits, List, Message, Mode, Options, ParseError, Reason, parse,
};

const LENIENT: Options = Options {
    framing: Framing::Whole,
    mode: Mode::Lenient,
    limits: Limits::DEFAULT,
};
const STRICT: Options = Options {
    mode: Mode::Strict,
    ..LENIENT
};
const DATAGRAM: Options = Options {
    framing: Framing::Datagram,
    ..LENIENT
};

const MANDATORY: &str = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
                         Call-ID: x\r\nCSeq: 1 OPTIONS\r\n";

/// An OPTIONS request with these header fields and no body.
fn request(fields: &str) -> String {
    format!("OPTIONS sip:a@b SIP/2.0\r\n{fields}\r\n")
}

fn reason(data: &str, options: &Options) -> Result<(), Reason> {
    let arena = Arena::new();
    parse(data.as_bytes(), options, &arena)
        .map(|_| ())
        .map_err(|error| error.reason)
}

fn defects(message: &Message<'_>) -> Vec<(String, Reason, usize)> {
    let name = |field| match field {
        Field::Header(name) => String::from_utf8_lossy(name).into_owned(),
        other => format!("{other:?}"),
    };
    let defects = message.defects.iter();
    defects
        .map(|defect| (name(defect.field), defect.reason, defect.offset))
        .collect()
}

/// The extension of exactly that name.
fn extension<'a>(message: &'a Message<'_>, name: &str) -> Option<Vec<&'a str>> {
    let extensions = &message.headers.extensions;
    let found = extensions
        .iter()
        .find(|extension| extension.name == name.as_bytes())?;
    let text = |value: &&'a [u8]| std::str::from_utf8(value).unwrap();
    Some(found.values.iter().map(text).collect())
}

fn tokens<'a>(list: &Option<List<'a, &'a [u8]>>) -> Option<Vec<&'a str>> {
    let list = list.as_ref()?.iter();
    Some(
        list.map(|token| std::str::from_utf8(token).unwrap())
            .collect(),
    )
}

#[test]
fn a_whole_message_keeps_all_that_follows_the_empty_line() {
    let arena = Arena::new();
    let body = |data: &'static str| parse(data.as_bytes(), &LENIENT, &arena).unwrap().body;
    assert_eq!(body("BYE sip:a SIP/2.0"), None);
    assert_eq!(body("BYE sip:a SIP/2.0\r\n"), None);
    assert_eq!(body("BYE sip:a SIP/2.0\nTo: <sip:a>\n"), None);
    assert_eq!(body("BYE sip:a SIP/2.0\r\n\r\n"), Some(&b""[..]));
    assert_eq!(
        body("\r\n\nBYE sip:a SIP/2.0\n\nTo: x\r\n"),
        Some(&b"To: x\r\n"[..])
    );
    assert_eq!(
        body("BYE sip:a SIP/2.0\r\nl: 9\r\n\r\nabc"),
        Some(&b"abc"[..])
    );
}

#[test]
fn a_datagram_is_cut_to_its_content_length_18_3() {
    let arena = Arena::new();
    let data = |fields: &str, body: &str| request(&format!("{MANDATORY}{fields}")) + body;
    for (fields, body, expected) in [
        ("", "abc", Ok("abc")),
        ("", "", Ok("")),
        ("Content-Length: 2\r\n", "abc", Ok("ab")),
        ("Content-Length: 3\r\n", "abc", Ok("abc")),
        ("l: 0\r\n", "abc", Ok("")),
        ("Content-Length: 4\r\n", "abc", Err(Reason::BodyTooShort)),
        (
            "Content-Length: 4294967295\r\n",
            "abc",
            Err(Reason::BodyTooShort),
        ),
        ("Content-Length: 4294967296\r\n", "abc", Err(Reason::Number)),
    ] {
        let data = data(fields, body);
        let result = parse(data.as_bytes(), &DATAGRAM, &arena);
        let result = result
            .map(|message| message.body.unwrap())
            .map_err(|error| error.reason);
        assert_eq!(result, expected.map(str::as_bytes), "{fields}");
    }
    assert_eq!(
        reason(&format!("OPTIONS sip:a SIP/2.0\r\n{MANDATORY}"), &DATAGRAM),
        Err(Reason::MissingEmptyLine)
    );
}

#[test]
fn a_datagram_needs_the_mandatory_fields_8_1_1() {
    let arena = Arena::new();
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let lines = MANDATORY.split_inclusive("\r\n");
        let fields: String = lines
            .filter(|line| !line.starts_with(&format!("{name}:")))
            .collect();
        let data = request(&fields);
        let error = parse(data.as_bytes(), &DATAGRAM, &arena).unwrap_err();
        assert_eq!(error.reason, Reason::MissingField);
        assert_eq!(error.field, Field::Header(name.as_bytes()));
        assert_eq!(error.status_code(), 400);
        assert_eq!(reason(&data, &LENIENT), Ok(()));
    }
}

#[test]
fn another_version_earns_505_and_is_left_to_validation_in_a_whole_message() {
    let arena = Arena::new();
    let data = format!("OPTIONS sip:a SIP/7.0\r\n{MANDATORY}\r\n");
    let error = parse(data.as_bytes(), &DATAGRAM, &arena).unwrap_err();
    assert_eq!((error.reason, error.status_code()), (Reason::Version, 505));
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    let StartLine::Request(line) = message.start_line else {
        panic!("{message:?}")
    };
    assert_eq!((line.version.major, line.version.minor), (7, 0));
}

#[test]
fn lines_of_one_field_merge_in_their_order_7_3_1() {
    let arena = Arena::new();
    let data = request(
        "v: SIP/2.0/UDP a\r\nSUPPORTED : x, y\r\nRoute: <sip:p1;lr>\r\nVia: SIP/2.0/TCP b,\r\n SIP/2.0/TLS c\r\n\
         k\t:z\r\nroute: <sip:p2>, <sip:p3>\r\nsupported:\r\n",
    );
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    let hosts = message
        .headers
        .via
        .as_ref()
        .unwrap()
        .iter()
        .map(|via| via.host);
    assert_eq!(hosts.collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    let routes = message.headers.route.as_ref().unwrap().iter();
    let hosts = routes.map(|route| route.uri.host.unwrap());
    assert_eq!(hosts.collect::<Vec<_>>(), [b"p1", b"p2", b"p3"]);
    assert_eq!(
        tokens(&message.headers.supported),
        Some(vec!["x", "y", "z"])
    );
    assert_eq!(defects(&message), []);
}

#[test]
fn extensions_have_one_spelling_and_a_value_a_line() {
    let arena = Arena::new();
    let data = request(
        "x: 1800;refresher=uac\r\nX-Vendor: a, b\r\nsession-expires: 90\r\nx-VENDOR:  c\r\n d \r\nMin-se: 90\r\n\
         o:\r\nr: <sip:a>\r\n",
    );
    let message = parse(data.as_bytes(), &STRICT, &arena).unwrap();
    let expect = |name, values: &[&str]| {
        assert_eq!(extension(&message, name), Some(values.to_vec()), "{name}");
    };
    expect("Session-Expires", &["1800;refresher=uac", "90"]);
    expect("X-Vendor", &["a, b", "c d"]);
    expect("Min-SE", &["90"]);
    expect("Event", &[""]);
    expect("Refer-To", &["<sip:a>"]);
    assert_eq!(message.headers.extensions.len(), 5);
}

#[test]
fn fields_without_a_value_are_empty_lists_and_texts() {
    let arena = Arena::new();
    let data =
        request("Supported:\r\nAllow: \r\nAccept:\r\nm:\r\nSubject:\r\nServer: \t\r\nRoute:\r\n");
    let message = parse(data.as_bytes(), &STRICT, &arena).unwrap();
    let headers = &message.headers;
    assert_eq!(tokens(&headers.supported), Some(vec![]));
    assert_eq!(tokens(&headers.allow), Some(vec![]));
    assert_eq!(headers.accept.as_ref().map(|list| list.len()), Some(0));
    assert!(matches!(&headers.contact, Some(Contact::Addresses(list)) if list.is_empty()));
    assert_eq!(headers.subject, Some(&b""[..]));
    assert_eq!(headers.server, Some(&b""[..]));
    assert_eq!(headers.route.as_ref().map(|list| list.len()), Some(0));
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(
            reason(&request(&format!("{name}:\r\n")), &LENIENT),
            Err(Reason::EmptyValue)
        );
    }
}

#[test]
fn a_malformed_field_stays_as_text_and_is_told_16_3() {
    let arena = Arena::new();
    let start = "OPTIONS sip:a@b SIP/2.0\r\n";
    let fields = "m: <sip:a@b>\r\nContact: <sip:c@d>, <sip:e@>\r\nDate:  today\r\nExpires: -1\r\nTimestamp: nan\r\n";
    let data = format!("{start}{fields}\r\n");
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    let place = |text: &str| data.find(text).unwrap();
    assert_eq!(
        defects(&message),
        [
            ("Contact".to_owned(), Reason::Host, place("@>") + 1),
            ("Date".to_owned(), Reason::Date, place("today")),
            ("Expires".to_owned(), Reason::Number, place("-1")),
            ("Timestamp".to_owned(), Reason::Number, place("nan")),
        ]
    );
    let Some(Contact::Addresses(contacts)) = &message.headers.contact else {
        panic!("{message:?}")
    };
    assert_eq!(contacts.len(), 1);
    assert_eq!(message.headers.date, None);
    assert_eq!(message.headers.expires, None);
    assert_eq!(
        extension(&message, "Contact"),
        Some(vec!["<sip:c@d>, <sip:e@>"])
    );
    assert_eq!(extension(&message, "Date"), Some(vec!["today"]));
    assert_eq!(reason(&data, &STRICT), Err(Reason::Host));
}

#[test]
fn a_malformed_field_that_matching_or_routing_needs_is_an_error() {
    let arena = Arena::new();
    for (field, reason, at) in [
        ("Via: SIP/2.0/UDP a, SIP/2.0/UDP", Reason::Syntax, None),
        ("Via: ,SIP/2.0/UDP a", Reason::EmptyElement, Some(",SIP")),
        (
            "Via: SIP/2.0/UDP a;;, ,SIP/2.0/UDP b",
            Reason::EmptyElement,
            Some(",SIP"),
        ),
        (
            "Route: <sip:p1;lr>, <sip:>",
            Reason::Host,
            Some(">, <sip:>"),
        ),
        ("Record-Route: sip:p1?x", Reason::AngleBrackets, Some("?x")),
        ("From: <sip:a@b> x", Reason::Syntax, Some("x\r")),
        ("To: \"a", Reason::QuotedString, Some("\"a")),
        ("Call-ID: a b", Reason::Syntax, Some("b\r")),
        ("CSeq: 1OPTIONS", Reason::Number, Some("OPTIONS\r")),
        ("Content-Length: +1", Reason::Number, Some("+1")),
        ("Content-Length: 1, 1", Reason::Number, Some(", 1")),
    ] {
        let data = request(&format!("{field}\r\n"));
        let error = parse(data.as_bytes(), &LENIENT, &arena).unwrap_err();
        assert_eq!(error.reason, reason, "{field}");
        let name = field.split(':').next().unwrap();
        assert_eq!(error.field, Field::Header(name.as_bytes()));
        assert_eq!(error.status_code(), 400);
        let expected = match at {
            Some(">, <sip:>") => data.rfind(">\r").unwrap(),
            Some(text) => data.rfind(text).unwrap(),
            None => data.len() - 4,
        };
        assert_eq!(error.offset, expected, "{field}");
    }
}

#[test]
fn fields_that_stand_once_are_not_there_twice() {
    for field in [
        "From: <sip:a@b>",
        "To: <sip:a@b>",
        "Call-ID: x",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "Max-Forwards: 70",
    ] {
        let data = request(&format!("{field}\r\n{field}\r\n"));
        assert_eq!(
            reason(&data, &LENIENT),
            Err(Reason::DuplicateField),
            "{field}"
        );
    }
    let data = request("f: <sip:a@b>\r\nFrom: <sip:a@b>\r\n");
    assert_eq!(reason(&data, &LENIENT), Err(Reason::DuplicateField));
    let arena = Arena::new();
    let data = request("Expires: 1\r\nExpires: 2\r\nSubject: a\r\ns: b\r\n");
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    assert_eq!(message.headers.expires, Some(1));
    assert_eq!(message.headers.subject, Some(&b"a"[..]));
    let expected = |name: &str, text: &str| {
        (
            name.to_owned(),
            Reason::DuplicateField,
            data.find(text).unwrap(),
        )
    };
    assert_eq!(
        defects(&message),
        [
            expected("Expires", "2\r\nSub"),
            expected("Subject", "b\r\n\r\n")
        ]
    );
    assert!(message.headers.extensions.is_empty());
}

#[test]
fn the_star_stands_alone_20_10() {
    let arena = Arena::new();
    let data = request("Contact: *\r\n");
    let message = parse(data.as_bytes(), &STRICT, &arena).unwrap();
    assert_eq!(message.headers.contact, Some(Contact::Star));
    for (fields, is_star) in [
        ("Contact: *\r\nm: <sip:a@b>\r\n", true),
        ("Contact: <sip:a@b>\r\nm: *\r\n", false),
        ("Contact: *\r\nm: *\r\n", true),
    ] {
        let data = request(fields);
        let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
        assert_eq!(message.headers.contact == Some(Contact::Star), is_star);
        assert_eq!(defects(&message)[0].1, Reason::StarNotAlone);
        assert!(extension(&message, "Contact").is_some());
    }
    for fields in [
        "Contact: *, <sip:a@b>\r\n",
        "Contact: *;expires=0\r\n",
        "Contact: *a\r\n",
    ] {
        let data = request(fields);
        let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
        assert_eq!(message.headers.contact, None);
        assert_eq!(message.defects.len(), 1);
    }
}

#[test]
fn lines_that_are_no_fields_are_left_out_16_3() {
    let arena = Arena::new();
    let data = request("nonsense\r\n: x\r\nX Y: z\r\nTo: <sip:a@b>\r\n");
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    let place = |text: &str| data.find(text).unwrap();
    assert_eq!(
        defects(&message),
        [
            ("nonsense".to_owned(), Reason::HeaderLine, place("nonsense")),
            (String::new(), Reason::HeaderName, place(": x")),
            ("X Y".to_owned(), Reason::HeaderName, place("X Y")),
        ]
    );
    assert!(message.headers.to.is_some());
    assert!(message.headers.extensions.is_empty());
    for fields in [
        " To: x\r\n",
        "T\0o: x\r\n",
        "To\x0b: x\r\n",
        "To\r\n : x\r\n",
    ] {
        assert!(reason(&request(fields), &LENIENT).is_err(), "{fields:?}");
    }
}

#[test]
fn a_cr_alone_ends_no_line() {
    let arena = Arena::new();
    let data = request("Subject: a\rVia: b\r\n");
    let error = parse(data.as_bytes(), &LENIENT, &arena).unwrap_err();
    assert_eq!(
        (error.reason, error.field),
        (Reason::BareCr, Field::Header(b"Subject"))
    );
    assert_eq!(error.offset, data.find("\rVia").unwrap());
    assert_eq!(
        reason("BYE sip:a\r SIP/2.0\r\n\r\n", &LENIENT),
        Err(Reason::BareCr)
    );
    assert_eq!(reason("BYE sip:a SIP/2.0\r\n\r\na\rb", &LENIENT), Ok(()));
}

#[test]
fn an_lf_alone_ends_a_line_and_is_told_of_datagrams() {
    let arena = Arena::new();
    let data = format!("OPTIONS sip:a SIP/2.0\r\n{MANDATORY}Subject: x\n\r\n");
    let message = parse(data.as_bytes(), &DATAGRAM, &arena).unwrap();
    let offset = data.find("x\n").unwrap() + 1;
    assert_eq!(
        defects(&message),
        [("Message".to_owned(), Reason::BareLf, offset)]
    );
    assert_eq!(reason(&data, &STRICT), Err(Reason::BareLf));
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    assert_eq!(defects(&message), []);
}

#[test]
fn a_nul_stands_in_quoted_pairs_only_rfc_4475_3_1_1_2() {
    assert_eq!(
        reason(&request("To: \"\\\0\" <sip:a@b>\r\n"), &STRICT),
        Ok(())
    );
    for fields in [
        "To: \"\0\" <sip:a@b>\r\n",
        "Subject: a\0\r\n",
        "X-Vendor: a\0\r\n",
        "Call-ID: a\0\r\n",
        "Contact: a\0b <sip:a@b>\r\n",
        "Date: \0\r\n",
    ] {
        assert!(reason(&request(fields), &LENIENT).is_err(), "{fields:?}");
    }
}

#[test]
fn faults_in_folded_fields_have_their_place_in_the_input() {
    let arena = Arena::new();
    let data = request("Expires:\r\n 1\r\n \tx\r\nAllow: A,\r\n  B,,\r\n C\r\n");
    let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
    assert_eq!(
        defects(&message),
        [
            (
                "Expires".to_owned(),
                Reason::Number,
                data.find("x\r\n").unwrap()
            ),
            (
                "Allow".to_owned(),
                Reason::EmptyElement,
                data.find(",,").unwrap() + 1
            ),
        ]
    );
    assert_eq!(tokens(&message.headers.allow), Some(vec!["A", "B", "C"]));
    assert_eq!(extension(&message, "Expires"), Some(vec!["1 x"]));
}

#[test]
fn methods_are_compared_by_case_7_1() {
    let arena = Arena::new();
    let method = |data: &'static str| {
        let message = parse(data.as_bytes(), &LENIENT, &arena).unwrap();
        message.request_line().unwrap().method
    };
    assert_eq!(method("INVITE sip:a SIP/2.0"), Method::Invite);
    assert_eq!(method("invite sip:a SIP/2.0"), Method::Other(b"invite"));
}

#[test]
fn no_message_is_empty() {
    for data in ["", "\r\n", "\r\n\r\n", "\n\n\n"] {
        assert_eq!(reason(data, &LENIENT), Err(Reason::Empty));
        assert_eq!(reason(data, &DATAGRAM), Err(Reason::Empty));
    }
}

/// At the limit a message is taken, one step beyond it is refused with this reason and status code.
fn check_limit(limits: Limits, build: impl Fn(usize) -> String, max: usize, beyond: (Reason, u16)) {
    let options = Options { limits, ..LENIENT };
    let arena = Arena::new();
    assert_eq!(reason(&build(max), &options), Ok(()));
    let data = build(max + 1);
    let error: ParseError<'_> = parse(data.as_bytes(), &options, &arena).unwrap_err();
    assert_eq!((error.reason, error.status_code()), beyond);
}

#[test]
fn every_limit_is_kept_to_the_byte() {
    let limits = Limits::DEFAULT;
    let empty = request("").len();
    check_limit(
        limits,
        |size| request("") + &"x".repeat(size - empty),
        65536,
        (Reason::MessageTooLong, 513),
    );
    check_limit(
        limits,
        |count| request(&"a: b\r\n".repeat(count)),
        256,
        (Reason::TooManyFields, 513),
    );
    check_limit(
        limits,
        |size| request(&format!("Subject: {}\r\n", "x".repeat(size - 9))),
        8192,
        (Reason::LineTooLong, 513),
    );
    check_limit(
        limits,
        |size| format!("BYE sip:{}@b SIP/2.0\r\n\r\n", "x".repeat(size - 18)),
        8192,
        (Reason::StartLineTooLong, 414),
    );
    check_limit(
        limits,
        |count| {
            request(&format!(
                "Allow: a{}\r\nAllow: b\r\n",
                ",a".repeat(count - 2)
            ))
        },
        256,
        (Reason::TooManyValues, 513),
    );
    for name in ["Route", "Record-Route"] {
        check_limit(
            limits,
            |count| request(&format!("{name}: <sip:a>\r\n").repeat(count)),
            64,
            (Reason::TooManyValues, 513),
        );
    }
    check_limit(
        limits,
        |count| request(&"Via: SIP/2.0/UDP a\r\n".repeat(count)),
        64,
        (Reason::TooManyValues, 513),
    );
    check_limit(
        limits,
        |count| {
            let params: String = (0..count).map(|index| format!(";p{index}")).collect();
            request(&format!("Accept: a/b{params}\r\n"))
        },
        32,
        (Reason::TooManyParameters, 513),
    );
    check_limit(
        limits,
        |count| request(&format!("Subject: a{}\r\n", "\r\n b".repeat(count))),
        16,
        (Reason::TooManyFolds, 513),
    );
}
