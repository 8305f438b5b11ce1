//! Words that most messages have, as terms that need not be made.
//!
//! A constant of a module is a literal of the VM: it lives outside of all heaps and is not copied when a message is sent to
//! another process. `Sippet.Native` hands over a tuple of such strings with each call, and strings that are among them
//! become references to it. The list here and the one of `Sippet.Native.Words` are compared when the library is loaded.

use sippet_proto::grammar::is_same;

use crate::term::{Raw, Vm};

macro_rules! words {
    ($($index:literal $word:literal)+) => {
        /// The words, in the order of the tuple.
        pub const WORDS: &[&[u8]] = &[$($word),+];
        const _: () = {
            let mut place = 0;
            $(assert!($index == place); place += 1;)+
            assert!(WORDS.len() == place);
        };
    };
}

words!(
    0 b""
    1 b"sip"
    2 b"sips"
    3 b"tel"
    4 b"urn"
    5 b"branch"
    6 b"rport"
    7 b"received"
    8 b"tag"
    9 b"lr"
    10 b"maddr"
    11 b"ttl"
    12 b"expires"
    13 b"q"
    14 b"handling"
    15 b"cause"
    16 b"text"
    17 b"transport"
    18 b"ob"
    19 b"reg-id"
    20 b"+sip.instance"
    21 b"purpose"
    22 b"charset"
    23 b"boundary"
    24 b"level"
    25 b"duration"
    26 b"username"
    27 b"realm"
    28 b"nonce"
    29 b"uri"
    30 b"response"
    31 b"algorithm"
    32 b"cnonce"
    33 b"qop"
    34 b"nc"
    35 b"opaque"
    36 b"stale"
    37 b"domain"
    38 b"nextnonce"
    39 b"*"
    40 b"0"
    41 b"1"
    42 b"5060"
    43 b"required"
    44 b"optional"
    45 b"session"
    46 b"MD5"
    47 b"SHA-256"
    48 b"auth"
    49 b"auth,auth-int"
    50 b"00000001"
    51 b"FALSE"
    52 b"false"
    53 b"Digest"
    54 b"3600"
    55 b"utf-8"
    56 b"UTF-8"
    57 b"application"
    58 b"sdp"
    59 b"plain"
    60 b"multipart"
    61 b"mixed"
    62 b"message"
    63 b"sipfrag"
    64 b"simple-message-summary"
    65 b"pidf+xml"
    66 b"dtmf-relay"
    67 b"ACK"
    68 b"BYE"
    69 b"CANCEL"
    70 b"INFO"
    71 b"INVITE"
    72 b"MESSAGE"
    73 b"NOTIFY"
    74 b"OPTIONS"
    75 b"PRACK"
    76 b"PUBLISH"
    77 b"REFER"
    78 b"REGISTER"
    79 b"SUBSCRIBE"
    80 b"UPDATE"
    81 b"100rel"
    82 b"timer"
    83 b"replaces"
    84 b"path"
    85 b"outbound"
    86 b"gruu"
    87 b"norefersub"
    88 b"eventlist"
    89 b"from-change"
    90 b"histinfo"
    91 b"join"
    92 b"precondition"
    93 b"tdialog"
    94 b"sec-agree"
    95 b"identity"
    96 b"gzip"
    97 b"OK"
    98 b"Trying"
    99 b"Ringing"
    100 b"Session Progress"
    101 b"Unauthorized"
    102 b"Proxy Authentication Required"
    103 b"Request Terminated"
    104 b"Not Found"
    105 b"Busy Here"
    106 b"Accepted"
    107 b"127.0.0.1"
    108 b"::1"
    109 b";lr"
    110 b";user=phone"
    111 b";transport=udp"
    112 b";transport=tcp"
    113 b";transport=tls"
    114 b";transport=ws"
    115 b";ob"
    116 b"Session-Expires"
    117 b"Min-SE"
    118 b"Event"
    119 b"Allow-Events"
    120 b"Refer-To"
    121 b"Referred-By"
    122 b"Path"
    123 b"Privacy"
    124 b"RSeq"
    125 b"RAck"
    126 b"P-Preferred-Identity"
    127 b"Subscription-State"
    128 b"Replaces"
    129 b"Diversion"
    130 b"History-Info"
    131 b"P-Charging-Vector"
    132 b"P-Access-Network-Info"
    133 b"Accept-Contact"
    134 b"SIP-ETag"
    135 b"Service-Route"
);

const SLOTS: usize = 1024;
const EMPTY: u8 = u8::MAX;

/// The place in `WORDS` of the one word that has a slot, made when the crate is compiled.
static TABLE: [u8; SLOTS] = {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < WORDS.len() {
        let at = slot(WORDS[index]);
        assert!(
            table[at] == EMPTY,
            "two words share a slot: try other multipliers"
        );
        table[at] = index as u8;
        index += 1;
    }
    table
};

/// A hash of the length and four bytes; its multiplier was found by trying.
#[inline]
const fn slot(bytes: &[u8]) -> usize {
    let length = bytes.len();
    if length == 0 {
        return 0;
    }
    let last = length - 1;
    let four = [
        bytes[0],
        bytes[length / 3],
        bytes[last.saturating_sub(1)],
        bytes[last],
    ];
    let key = u32::from_le_bytes(four) ^ (length as u32).wrapping_mul(0x1003f);
    (key.wrapping_mul(0x3fe8_d1b9) >> (u32::BITS - SLOTS.ilog2())) as usize
}

#[inline]
fn index(bytes: &[u8]) -> Option<usize> {
    let index = usize::from(TABLE[slot(bytes)]);
    let word = WORDS.get(index)?;
    is_same(word, bytes).then_some(index)
}

/// The tuple that a caller handed over; without one, all strings are made.
#[derive(Clone, Copy)]
pub struct Words<'e>(&'e [Raw<'e>]);

impl<'e> Words<'e> {
    /// A tuple of as many strings as [`WORDS`] has. That they are the same was seen when the library was loaded.
    pub fn new(vm: Vm<'e>, tuple: Raw<'e>) -> Option<Words<'e>> {
        vm.elements(tuple)
            .filter(|words| words.len() == WORDS.len())
            .map(Words)
    }

    /// Are they the same, one for one?
    pub fn are_ours(vm: Vm<'e>, tuple: Raw<'e>) -> bool {
        Words::new(vm, tuple).is_some_and(|words| {
            let theirs = words.0.iter().map(|word| vm.bytes(*word));
            theirs.eq(WORDS.iter().map(|word| Some(*word)))
        })
    }

    /// The literal of a word.
    #[inline]
    pub fn find(&self, bytes: &[u8]) -> Option<Raw<'e>> {
        self.0.get(index(bytes)?).copied()
    }
}
