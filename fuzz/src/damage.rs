//! Files that were whole once.

use arbitrary::Unstructured;

/// A file with some damage: bytes changed, cut out, doubled, inserted or swapped, numbers made extreme.
pub fn damaged(draw: &mut Unstructured<'_>, whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..draw.int_in_range(0..=4).unwrap_or(0) {
        damage(draw, &mut bytes);
    }
    bytes
}

fn damage(draw: &mut Unstructured<'_>, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let last = bytes.len() - 1;
    // Headers are at the beginning: half of all damage is there.
    let most = if draw.ratio(1, 2).unwrap_or(false) { last.min(300) } else { last };
    let at = draw.int_in_range(0..=most).unwrap_or(0);
    let length = draw.int_in_range(1..=16).unwrap_or(1).min(bytes.len() - at);
    match draw.int_in_range(0..=7).unwrap_or(0) {
        0 => bytes[at] ^= 1 << draw.int_in_range(0..=7).unwrap_or(0),
        1 => bytes[at] = draw.arbitrary().unwrap_or(0xff),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let copy = bytes[at..at + length].to_vec();
            bytes.splice(at..at, copy).for_each(drop);
        }
        5 => {
            let extreme: [&[u8]; 6] =
                [&[0xff; 8], &[0; 8], &[0x80, 0, 0, 0], b"9999999999", b"-1", &[0, 0, 0xc0, 0x7f]];
            let with = draw.choose(&extreme).copied().unwrap_or(&[0xff]);
            let end = (at + with.len()).min(bytes.len());
            bytes.splice(at..end, with.iter().copied()).for_each(drop);
        }
        6 => {
            // A digit of a header's number.
            if let Some(digit) = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit()) {
                *digit = b'0' + draw.int_in_range(0..=9).unwrap_or(9);
            }
        }
        _ => {
            let from = draw.int_in_range(0..=last).unwrap_or(0);
            bytes.swap(at, from);
        }
    }
}
