//! The corpus vectors of URIs: what is one, what is none, and into which pieces it falls.

mod corpus;

use serde_json::Value;
use sippet_proto::uri::Comparison;
use sippet_proto::{Uri, parse_uri};

fn say(name: &str, judged: usize) {
    corpus::say(&format!("{name}: {judged} rows judged"));
}

fn rows<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    vectors[name].as_array().unwrap()
}

fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if let (b'%', [high, low, behind @ ..]) = (first, behind) {
            let digits = String::from_utf8(vec![*high, *low]).unwrap();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            rest = behind;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn pairs(text: Option<&[u8]>, separator: u8) -> Value {
    let text = text.unwrap_or_default();
    let parts = text
        .get(1..)
        .unwrap_or_default()
        .split(|byte| *byte == separator);
    let pairs = parts.filter(|part| !part.is_empty()).map(|part| {
        let mut sides = part.splitn(2, |byte| *byte == b'=');
        let name = unescape(sides.next().unwrap());
        (name, sides.next().map(unescape).into())
    });
    Value::Object(pairs.collect())
}

fn check_pieces(uri: &Uri<'_>, expect: &Value, text: &str) {
    let mut sides = uri
        .userinfo
        .into_iter()
        .flat_map(|info| info.splitn(2, |byte| *byte == b':'));
    let user: Value = sides.next().map(unescape).into();
    let password: Value = sides.next().map(unescape).into();
    let host = String::from_utf8(uri.host.unwrap().to_vec()).unwrap();
    let expected_host = expect["host"].as_str().unwrap();
    assert_eq!(
        uri.scheme,
        expect["scheme"].as_str().unwrap().as_bytes(),
        "{text}"
    );
    assert_eq!(user, expect["user"], "{text}");
    assert_eq!(password, expect["password"], "{text}");
    assert_eq!(host, expected_host.trim_matches(['[', ']']), "{text}");
    assert_eq!(Value::from(uri.port), expect["port"], "{text}");
    assert_eq!(pairs(uri.parameters, b';'), expect["params"], "{text}");
    assert_eq!(pairs(uri.headers, b'&'), expect["headers"], "{text}");
}

#[test]
fn sip_uris() {
    let Some(vectors) = corpus::vectors("uri_parse.json") else {
        return;
    };
    for row in rows(&vectors, "uris") {
        let text = row["uri"].as_str().unwrap();
        let result = parse_uri(text.as_bytes());
        assert_eq!(result.is_ok(), row["valid"] == true, "{row} {result:?}");
        if let Ok(uri) = result {
            check_pieces(&uri, &row["expect"], text);
        }
    }
    say("uri_parse", rows(&vectors, "uris").len());
}

/// Every pair in both orders, and every URI with itself.
fn check_pairs(pairs: &[Value]) {
    let is_equivalent = |a: &str, b: &str| {
        let a = parse_uri(a.as_bytes()).unwrap();
        a.is_equivalent(&parse_uri(b.as_bytes()).unwrap(), Comparison::Strict)
    };
    assert!(!pairs.is_empty());
    for row in pairs {
        let (a, b) = (row["a"].as_str().unwrap(), row["b"].as_str().unwrap());
        assert_eq!(is_equivalent(a, b), row["equal"] == true, "{row}");
        assert_eq!(is_equivalent(b, a), row["equal"] == true, "{row}");
        assert!(is_equivalent(a, a) && is_equivalent(b, b), "{row}");
    }
}

#[test]
fn equivalence_of_sip_uris_19_1_4() {
    let Some(vectors) = corpus::vectors("uri_equivalence.json") else {
        return;
    };
    let pairs = rows(&vectors, "pairs");
    check_pairs(pairs);
    say("uri_equivalence", pairs.len());
}

#[test]
fn equivalence_of_tel_uris_rfc_3966() {
    let Some(vectors) = corpus::vectors("tel_uris.json") else {
        return;
    };
    let pairs = rows(&vectors, "equivalence");
    check_pairs(pairs);
    say("tel_uris, equivalence", pairs.len());
}

#[test]
fn tel_uris() {
    let Some(vectors) = corpus::vectors("tel_uris.json") else {
        return;
    };
    for row in rows(&vectors, "valid") {
        let text = row["uri"].as_str().unwrap();
        let result = parse_uri(text.as_bytes());
        if row["either"] == true {
            continue;
        }
        let uri = result.unwrap_or_else(|reason| panic!("{text}: {reason}"));
        let number = String::from_utf8(uri.host.unwrap().to_vec()).unwrap();
        let number = number.replace(['-', '.', '(', ')'], "");
        assert_eq!(number, row["number"].as_str().unwrap(), "{text}");
        assert_eq!(pairs(uri.parameters, b';'), row["params"], "{text}");
    }
    for row in rows(&vectors, "invalid") {
        let text = row["uri"].as_str().unwrap();
        assert!(parse_uri(text.as_bytes()).is_err(), "{row}");
    }
    let judged = rows(&vectors, "valid").len() + rows(&vectors, "invalid").len();
    say("tel_uris", judged);
}
