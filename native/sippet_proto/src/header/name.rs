//! The names of header fields: the known ones, and those that are registered with IANA.

use crate::grammar::is_same;

/// Where the values of a field go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    /// The IANA spelling.
    pub text: &'static [u8],
    /// Its place in the table of typed fields.
    pub known: Option<Known>,
}

macro_rules! names {
    (known: $($known:ident = $text:literal,)+; registered: $($other:literal),+ $(,)?) => {
        /// A header field that has a typed form.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Known {
            $($known,)+
        }

        static NAMES: &[Name] = &[
            $(Name { text: $text, known: Some(Known::$known) },)+
            $(Name { text: $other, known: None },)+
        ];
    };
}

names!(
    known:
    Accept = b"Accept",
    AcceptEncoding = b"Accept-Encoding",
    AcceptLanguage = b"Accept-Language",
    AlertInfo = b"Alert-Info",
    Allow = b"Allow",
    AuthenticationInfo = b"Authentication-Info",
    Authorization = b"Authorization",
    CallId = b"Call-ID",
    CallInfo = b"Call-Info",
    Contact = b"Contact",
    ContentDisposition = b"Content-Disposition",
    ContentEncoding = b"Content-Encoding",
    ContentLanguage = b"Content-Language",
    ContentLength = b"Content-Length",
    ContentType = b"Content-Type",
    CSeq = b"CSeq",
    Date = b"Date",
    ErrorInfo = b"Error-Info",
    Expires = b"Expires",
    From = b"From",
    InReplyTo = b"In-Reply-To",
    MaxForwards = b"Max-Forwards",
    MimeVersion = b"MIME-Version",
    MinExpires = b"Min-Expires",
    Organization = b"Organization",
    PAssertedIdentity = b"P-Asserted-Identity",
    Priority = b"Priority",
    ProxyAuthenticate = b"Proxy-Authenticate",
    ProxyAuthorization = b"Proxy-Authorization",
    ProxyRequire = b"Proxy-Require",
    Reason = b"Reason",
    RecordRoute = b"Record-Route",
    ReplyTo = b"Reply-To",
    Require = b"Require",
    RetryAfter = b"Retry-After",
    Route = b"Route",
    Server = b"Server",
    Subject = b"Subject",
    Supported = b"Supported",
    Timestamp = b"Timestamp",
    To = b"To",
    Unsupported = b"Unsupported",
    UserAgent = b"User-Agent",
    Via = b"Via",
    Warning = b"Warning",
    WwwAuthenticate = b"WWW-Authenticate",
    ;
    registered:
    b"Accept-Contact", b"Accept-Resource-Priority", b"Additional-Identity", b"Allow-Events",
    b"Answer-Mode", b"Cellular-Network-Info", b"Content-ID", b"Diversion", b"Encryption", b"Event",
    b"Feature-Caps", b"Flow-Timer", b"Geolocation", b"Geolocation-Error", b"Geolocation-Routing",
    b"Hide", b"History-Info", b"Identity", b"Identity-Info", b"Info-Package", b"Join",
    b"Max-Breadth", b"Min-SE", b"Origination-Id", b"P-Access-Network-Info", b"P-Answer-State",
    b"P-Asserted-Service", b"P-Associated-URI", b"P-Called-Party-ID", b"P-Charge-Info",
    b"P-Charging-Function-Addresses", b"P-Charging-Vector", b"P-DCS-Billing-Info", b"P-DCS-LAES",
    b"P-DCS-OSPS", b"P-DCS-Redirect", b"P-DCS-Trace-Party-ID", b"P-Early-Media",
    b"P-Media-Authorization", b"P-Preferred-Identity", b"P-Preferred-Service",
    b"P-Private-Network-Indication", b"P-Profile-Key", b"P-Refused-URI-List", b"P-Served-User",
    b"P-User-Database", b"P-Visited-Network-ID", b"Path", b"Permission-Missing",
    b"Policy-Contact", b"Policy-ID", b"Priority-Share", b"Priority-Verstat", b"Priv-Answer-Mode",
    b"Privacy", b"RAck", b"Recv-Info", b"Refer-Events-At", b"Refer-Sub", b"Refer-To",
    b"Referred-By", b"Reject-Contact", b"Relayed-Charge", b"Replaces", b"Request-Disposition",
    b"Resource-Priority", b"Resource-Share", b"Response-Key", b"Response-Source",
    b"Restoration-Info", b"RSeq", b"Security-Client", b"Security-Server", b"Security-Verify",
    b"Service-Interact-Info", b"Service-Route", b"Session-Expires", b"Session-ID", b"SIP-ETag",
    b"SIP-If-Match", b"Subscription-State", b"Suppress-If-Match", b"Target-Dialog",
    b"Trigger-Consent", b"User-to-User",
);

/// The compact forms that IANA lists, by their letter.
const COMPACT: &[(u8, &[u8])] = &[
    (b'a', b"Accept-Contact"),
    (b'b', b"Referred-By"),
    (b'c', b"Content-Type"),
    (b'd', b"Request-Disposition"),
    (b'e', b"Content-Encoding"),
    (b'f', b"From"),
    (b'i', b"Call-ID"),
    (b'j', b"Reject-Contact"),
    (b'k', b"Supported"),
    (b'l', b"Content-Length"),
    (b'm', b"Contact"),
    (b'n', b"Identity-Info"),
    (b'o', b"Event"),
    (b'r', b"Refer-To"),
    (b's', b"Subject"),
    (b't', b"To"),
    (b'u', b"Allow-Events"),
    (b'v', b"Via"),
    (b'x', b"Session-Expires"),
    (b'y', b"Identity"),
];

const SLOTS: usize = 2048;
const EMPTY: u8 = u8::MAX;

/// The index in `NAMES` of the one name that has a slot, made when the crate is compiled.
static TABLE: [u8; SLOTS] = table();

const fn table() -> [u8; SLOTS] {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let at = slot(NAMES[index].text);
        assert!(
            table[at] == EMPTY,
            "two names share a slot: try other multipliers"
        );
        table[at] = index as u8;
        index += 1;
    }
    table
}

/// Where the compact form of each letter is in `NAMES`.
static COMPACT_TABLE: [u8; 26] = compact_table();

const fn compact_table() -> [u8; 26] {
    let mut table = [EMPTY; 26];
    let mut index = 0;
    while index < COMPACT.len() {
        let (letter, text) = COMPACT[index];
        table[(letter - b'a') as usize] = position(text);
        index += 1;
    }
    table
}

const fn position(text: &[u8]) -> u8 {
    let mut index = 0;
    while index < NAMES.len() {
        if NAMES[index].text.eq_ignore_ascii_case(text) {
            return index as u8;
        }
        index += 1;
    }
    panic!("a compact form without its long form")
}

/// A hash of the length and four bytes, in any case; its multiplier was found by trying.
#[inline]
const fn slot(name: &[u8]) -> usize {
    let length = name.len();
    if length == 0 {
        return 0;
    }
    let bytes = [
        name[0],
        name[length / 2],
        name[length - 1 - length / 4],
        name[length - 1],
    ];
    let key = u32::from_le_bytes(bytes) | 0x2020_2020;
    let hash = (key ^ (length as u32).wrapping_mul(0x1003f)).wrapping_mul(0x1d44_358f);
    (hash >> (u32::BITS - SLOTS.ilog2())) as usize
}

/// Finds a registered name, long or compact, in any case.
#[inline]
pub(crate) fn look_up(name: &[u8]) -> Option<&'static Name> {
    if let [letter] = name {
        let place = (letter | 0x20).wrapping_sub(b'a');
        return NAMES.get(usize::from(*COMPACT_TABLE.get(usize::from(place))?));
    }
    let entry = NAMES.get(usize::from(*TABLE.get(slot(name))?))?;
    let is_it = is_same(entry.text, name) || entry.text.eq_ignore_ascii_case(name);
    is_it.then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for entry in NAMES {
            assert_eq!(look_up(entry.text), Some(entry));
            assert_eq!(look_up(&entry.text.to_ascii_uppercase()), Some(entry));
            assert_eq!(look_up(&entry.text.to_ascii_lowercase()), Some(entry));
        }
    }

    #[test]
    fn every_compact_form_is_its_long_one() {
        for (letter, text) in COMPACT {
            assert_eq!(look_up(&[*letter]).unwrap().text, *text);
            assert_eq!(look_up(&[letter.to_ascii_uppercase()]).unwrap().text, *text);
        }
        assert_eq!(COMPACT.len(), 20);
    }

    #[test]
    fn other_names_are_not_found() {
        for name in [
            "",
            "g",
            "h",
            "X-Vendor",
            "Vi",
            "Viaa",
            "Max_Forwards",
            "\u{212a}",
        ] {
            assert_eq!(look_up(name.as_bytes()), None, "{name}");
        }
    }
}
