//! Header fields that go on in the next line (§7.3.1).

use super::lines::RawField;
use super::{Arena, List};

/// A line end with white space around it, and white space behind it, reads as one SP (§7.3.1).
#[cold]
pub(crate) fn unfold<'a>(raw: &[u8], arena: &'a Arena) -> &'a [u8] {
    let mut text = List::with_capacity_in(raw.len(), arena);
    unfold_to(raw, |byte, _| text.push(byte));
    text.into_bump_slice()
}

/// Gives each byte of the unfolded text with its place in the raw one.
fn unfold_to(raw: &[u8], mut push: impl FnMut(u8, usize)) {
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        if !is_fold_byte(*byte) {
            push(*byte, at);
            at += 1;
            continue;
        }
        let rest = raw.get(at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !is_fold_byte(*byte))
            .unwrap_or(rest.len());
        let space = rest.get(..length).unwrap_or_default();
        if space.contains(&b'\n') {
            push(b' ', at);
        } else {
            for (index, byte) in space.iter().enumerate() {
                push(*byte, at + index);
            }
        }
        at += length;
    }
}

fn is_fold_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Where in the input the last `left` bytes of the unfolded value start.
#[cold]
pub(crate) fn original_offset(line: &RawField<'_>, value: &[u8], left: usize) -> usize {
    let target = value.len() - left;
    if line.folds == 0 {
        return line.value_offset + target;
    }
    let mut count = 0;
    let mut place = line.value.len();
    unfold_to(line.value, |_, at| {
        if count == target {
            place = at;
        }
        count += 1;
    });
    line.value_offset + place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::lines::Lines;

    #[test]
    fn a_fold_reads_as_one_space() {
        let arena = Arena::new();
        for (raw, expected) in [
            (
                &b"I know you're there,\r\n pick up\r\n\tthe phone"[..],
                &b"I know you're there, pick up the phone"[..],
            ),
            (b"a  \r\n   b", b"a b"),
            (b"a\n b", b"a b"),
            (b"a\r\n \r\n b", b"a b"),
            (b"a  b", b"a  b"),
        ] {
            assert_eq!(unfold(raw, &arena), expected);
        }
    }

    #[test]
    fn places_behind_a_fold_are_places_of_the_input() {
        let arena = Arena::new();
        let data = b"A b SIP/2.0\r\nSubject: ab\r\n   cd\r\n";
        let line = Lines::new(data).unwrap().next().unwrap();
        let value = unfold(line.value, &arena);
        assert_eq!(value, b"ab cd");
        assert_eq!(data[original_offset(&line, value, 2)..][..2], *b"cd");
        assert_eq!(data[original_offset(&line, value, 5)..][..2], *b"ab");
        assert_eq!(original_offset(&line, value, 0), data.len() - 2);
    }
}
