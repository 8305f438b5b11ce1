//! The inputs that ought to cost the parser most, of any size: one kind for each thing that a peer can have much of.

/// One kind of input.
pub struct Kind {
    /// In snake case.
    pub name: &'static str,
    /// What goes between the mandatory header fields and the empty line, about `size` bytes of it.
    fields: fn(size: usize) -> Vec<u8>,
}

/// What every message of these has, and what a datagram has to have.
const HEAD: &[u8] = b"OPTIONS sip:bob@biloxi.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
    From: <sip:alice@a.example>;tag=1\r\nTo: <sip:bob@biloxi.example>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n";

impl Kind {
    /// Every kind.
    pub const ALL: &[Kind] = &[
        Kind {
            name: "many_fields",
            fields: |size| repeat(size, b"X: y\r\n"),
        },
        Kind {
            name: "distinct_fields",
            fields: |size| numbered(size, "X-", ": y\r\n"),
        },
        Kind {
            name: "same_hash_length_names",
            fields: |size| numbered(size, "Xxxxxxxx-", ":\r\n"),
        },
        Kind {
            name: "long_text",
            fields: |size| lines(size, b"Subject: ", b"a", b""),
        },
        Kind {
            name: "long_extension",
            fields: |size| lines(size, b"X-Long: ", b"a", b""),
        },
        Kind {
            name: "contact_params",
            fields: |size| numbered_lines(size, "Contact: <sip:a@b>", ";p", "=v", ""),
        },
        Kind {
            name: "repeated_params",
            fields: |size| lines(size, b"Contact: <sip:a@b>", b";p=v", b""),
        },
        Kind {
            name: "via_params",
            fields: |size| numbered_lines(size, "Via: SIP/2.0/UDP a", ";p", "=v", ""),
        },
        Kind {
            name: "uri_params",
            fields: |size| numbered_lines(size, "Contact: <sip:a@b", ";p", "=v", ">"),
        },
        Kind {
            name: "uri_headers",
            fields: |size| lines(size, b"Contact: <sip:a@b?a=b", b"&a=b", b">"),
        },
        Kind {
            name: "uri_escapes",
            fields: |size| lines(size, b"Contact: <sip:", b"%41", b"@b>"),
        },
        Kind {
            name: "at_signs",
            fields: |size| lines(size, b"Contact: <sip:", b"a@", b">"),
        },
        Kind {
            name: "list_values",
            fields: |size| lines(size, b"Allow: a", b",a", b""),
        },
        Kind {
            name: "empty_elements",
            fields: |size| lines(size, b"Supported: a", b",", b""),
        },
        Kind {
            name: "hops",
            fields: |size| lines(size, b"Record-Route: <sip:a;lr>", b",<sip:a;lr>", b""),
        },
        Kind {
            name: "credentials",
            fields: |size| numbered_lines(size, "Authorization: Digest p31=b", ",p", "=\"v\"", ""),
        },
        Kind {
            name: "challenges",
            fields: |size| lines(size, b"WWW-Authenticate: A", b",A b=c", b""),
        },
        Kind {
            name: "folds",
            fields: |size| repeat(size, b"Subject: a\r\n b\r\n\tc\r\n d\r\n"),
        },
        Kind {
            name: "bare_folds",
            fields: |size| lines(size, b"X-Fold: a", b"\r\n ", b"b"),
        },
        Kind {
            name: "backslashes",
            fields: |size| lines(size, b"Contact: \"", b"\\\\", b"\" <sip:a@b>"),
        },
        Kind {
            name: "open_quotes",
            fields: |size| lines(size, b"Contact: ", b"\"\\\"", b""),
        },
        Kind {
            name: "quotes_in_name",
            fields: |size| lines(size, b"Contact: a@", b"\"\"", b"<sip:a@b>"),
        },
        Kind {
            name: "open_brackets",
            fields: |size| lines(size, b"Contact: ", b"<", b""),
        },
        Kind {
            name: "comments",
            fields: |size| lines(size, b"Retry-After: 1 ", b"(", b""),
        },
        Kind {
            name: "comment_escapes",
            fields: |size| lines(size, b"Retry-After: 1 (", b"\\)", b")"),
        },
        Kind {
            name: "mime_comments",
            fields: |size| lines(size, b"MIME-Version: ", b"()", b"1.0"),
        },
        Kind {
            name: "dates",
            fields: |size| repeat(size, b"Date: Sat, 13 Nov 2010 23:29:00 GMX\r\n"),
        },
        Kind {
            name: "digits",
            fields: |size| lines(size, b"Timestamp: ", b"1", b""),
        },
        Kind {
            name: "fractions",
            fields: |size| lines(size, b"Timestamp: 0.", b"0", b"1"),
        },
        Kind {
            name: "warnings",
            fields: |size| lines(size, b"Warning: 301 a \"b\"", b",301 a \"b\"", b""),
        },
        Kind {
            name: "spaces",
            fields: |size| lines(size, b"Subject: a", b" ", b"b"),
        },
        Kind {
            name: "spaces_and_commas",
            fields: |size| lines(size, b"Allow: a", b" , ", b"a"),
        },
        Kind {
            name: "colons",
            fields: |size| repeat(size, b":\r\n"),
        },
        Kind {
            name: "no_colons",
            fields: |size| repeat(size, b"x\r\n"),
        },
        Kind {
            name: "bare_lf",
            fields: |size| repeat(size, b"X: y\n"),
        },
        Kind {
            name: "high_bytes",
            fields: |size| lines(size, b"Subject: ", b"\xff\x80", b""),
        },
        Kind {
            name: "controls",
            fields: |size| lines(size, b"Subject: ", b"\x07", b""),
        },
        Kind {
            name: "nul_pairs",
            fields: |size| lines(size, b"Contact: \"", b"\\\0", b"\" <sip:a@b>"),
        },
        Kind {
            name: "malformed_fields",
            fields: |size| repeat(size, b"Expires: x\r\nContact: <\r\nDate: y\r\n"),
        },
        Kind {
            name: "malformed_late",
            fields: |size| lines(size, b"Contact: <sip:a@b>", b";p=v", b" @"),
        },
        Kind {
            name: "tel_parameters",
            fields: |size| lines(size, b"Contact: <tel:+1", b";a=b", b">"),
        },
        Kind {
            name: "body",
            fields: |size| body(size),
        },
    ];

    /// A message of that kind of `size` bytes, or a few more.
    pub fn build(&self, size: usize) -> Vec<u8> {
        let mut message = HEAD.to_vec();
        message.extend((self.fields)(size.saturating_sub(HEAD.len() + 2)));
        message.extend_from_slice(b"\r\n");
        message
    }
}

/// The longest line that the limits let through, with a reserve for what stands around it.
const LINE: usize = 8_000;

fn repeat(size: usize, piece: &[u8]) -> Vec<u8> {
    piece.repeat(size / piece.len())
}

/// Lines as long as the limits allow, each `start`, many of `piece`, `end`.
fn lines(size: usize, start: &[u8], piece: &[u8], end: &[u8]) -> Vec<u8> {
    let mut fields = Vec::with_capacity(size);
    while fields.len() < size {
        let room = LINE.min(size - fields.len());
        fields.extend_from_slice(start);
        fields.extend(piece.repeat(room / piece.len()));
        fields.extend_from_slice(end);
        fields.extend_from_slice(b"\r\n");
    }
    fields
}

/// The same, each piece with a number of its own in the middle.
fn numbered_lines(size: usize, start: &str, before: &str, behind: &str, end: &str) -> Vec<u8> {
    let mut fields = String::with_capacity(size);
    while fields.len() < size {
        let full = fields.len() + LINE.min(size - fields.len());
        fields.push_str(start);
        for number in 0..32 {
            fields.push_str(&format!("{before}{number}{behind}"));
        }
        // As many again, of a name each that came before: more names are beyond the limits.
        while fields.len() < full {
            fields.push_str(&format!("{before}31{behind}"));
        }
        fields.push_str(end);
        fields.push_str("\r\n");
    }
    fields.into_bytes()
}

fn numbered(size: usize, before: &str, behind: &str) -> Vec<u8> {
    let mut fields = String::with_capacity(size);
    let mut number = 0;
    while fields.len() < size {
        fields.push_str(&format!("{before}{number:04}{behind}"));
        number += 1;
    }
    fields.into_bytes()
}

fn body(size: usize) -> Vec<u8> {
    [b"\r\n", "v=0\r\n".repeat(size / 5).as_bytes()].concat()
}
