//! Measures of how right an answer is.

mod bleu;
mod calibration;
mod intervals;

pub use bleu::bleu;
pub use calibration::Calibration;
pub use intervals::Intervals;

/// Symbols to put in, take out or change to make `a` of `b` (Levenshtein 1966).
pub fn distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (row[j + 1] + 1).min(row[j] + 1).min(corner + usize::from(x != y));
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}

/// Symbols that are wrong by [`distance`], as a part of the symbols that were wanted: the error rate of recognisers.
pub fn error_rate<T: PartialEq>(pairs: &[(Vec<T>, Vec<T>)]) -> f64 {
    let wrong: usize = pairs.iter().map(|(got, wanted)| distance(got, wanted)).sum();
    part(wrong, pairs.iter().map(|(_, wanted)| wanted.len()).sum())
}

/// Pairs that are equal, as a part of all.
pub fn exact<T: PartialEq>(pairs: &[(Vec<T>, Vec<T>)]) -> f64 {
    part(pairs.iter().filter(|(got, wanted)| got == wanted).count(), pairs.len())
}

/// [`error_rate`] and [`exact`] of answers by their number, in place of what was wanted.
pub fn rates<'a, T: PartialEq + Clone + 'a>(
    wanted: impl IntoIterator<Item = &'a [T]>,
    answer: impl Fn(usize) -> Vec<T>,
) -> [f64; 2] {
    let pairs: Vec<_> = wanted.into_iter().enumerate().map(|(i, wanted)| (answer(i), wanted.to_vec())).collect();
    [error_rate(&pairs), exact(&pairs)]
}

/// [`exact`] and [`bleu`] of translations.
pub fn translated<'a>(answers: &[Vec<u32>], wanted: impl IntoIterator<Item = &'a [u32]>) -> [f64; 2] {
    let pairs: Vec<_> = answers.iter().cloned().zip(wanted.into_iter().map(<[u32]>::to_vec)).collect();
    [exact(&pairs), bleu(&pairs)]
}

/// Classes that are right, as a part of all.
pub fn accuracy(got: &[usize], wanted: &[usize]) -> f64 {
    part(got.iter().zip(wanted).filter(|(got, wanted)| got == wanted).count(), wanted.len())
}

/// The index of the largest number, the first of equals.
pub fn largest<'a>(numbers: impl IntoIterator<Item = &'a f32>) -> usize {
    let numbers = numbers.into_iter().enumerate();
    numbers.fold((0, f32::NEG_INFINITY), |best, (i, &x)| if x > best.1 { (i, x) } else { best }).0
}

fn part(some: usize, all: usize) -> f64 {
    some as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshtein_s() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2)] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a}, {b}");
        }
    }

    #[test]
    fn rates_are_parts_of_what_was_wanted() {
        let pairs = [(vec![1, 2, 3], vec![1, 2, 3]), (vec![1], vec![1, 2])];
        assert_eq!((error_rate(&pairs), exact(&pairs)), (0.2, 0.5));
        assert_eq!(accuracy(&[1, 2, 0, 0], &[1, 2, 3, 4]), 0.5);
        assert_eq!(largest(&[0.5, 2.0, 2.0, f32::NAN]), 1);
        assert_eq!((error_rate::<u8>(&[]), accuracy(&[], &[])), (0.0, 0.0));
    }
}
