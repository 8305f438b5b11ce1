//! Each parser of SIP messages behind one function: bytes to a message with every header field typed that the crate has a
//! type for. What it has none for stays text, as it does in each of them.

mod ezk;
mod rsip_crate;
mod rsipstack_crate;
mod rvoip;
mod sippet;

/// A parser by its name. The function gives how many values it has typed.
pub struct Parser {
    pub name: &'static str,
    pub parse: fn(&[u8]) -> Result<usize, String>,
}

/// All of them, ours first.
pub const PARSERS: &[Parser] = &[
    Parser {
        name: "sippet_proto",
        parse: sippet::parse,
    },
    Parser {
        name: "ezk-sip-types",
        parse: ezk::parse,
    },
    Parser {
        name: "rsip",
        parse: rsip_crate::parse,
    },
    Parser {
        name: "rsipstack",
        parse: rsipstack_crate::parse,
    },
    Parser {
        name: "rvoip-sip-core",
        parse: rvoip::parse,
    },
];

/// For scale: the line ends of a message alone.
pub fn scan(data: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', data).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parser_takes_every_message_and_types_its_fields() {
        for entry in std::fs::read_dir("../messages").unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            for parser in PARSERS {
                let typed = (parser.parse)(&data);
                assert!(
                    typed.as_ref().is_ok_and(|count| *count >= 5),
                    "{}: {typed:?} of {}",
                    parser.name,
                    path.display()
                );
            }
        }
    }
}
