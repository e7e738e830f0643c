//! Translation from memory.

use crate::metrics::distance;

/// The place of the known sequence with the least edit distance to what is asked for, the first one of equals; none if none is known.
pub fn most_similar<'a, T: PartialEq + 'a>(asked: &[T], known: impl IntoIterator<Item = &'a [T]>) -> Option<usize> {
    let mut best = None;
    for (place, sequence) in known.into_iter().enumerate() {
        let least = best.map_or(usize::MAX, |(_, distance)| distance);
        // The distance is at least the difference of the lengths.
        if sequence.len().abs_diff(asked.len()) < least {
            let distance = distance(asked, sequence);
            best = if distance < least { Some((place, distance)) } else { best };
        }
    }
    best.map(|(place, _)| place)
}

/// What belongs to the most similar of known sequences: a translation from memory. Nothing, if none is known.
pub fn recall<'a, T: PartialEq + 'a, U: Clone + 'a>(
    asked: &[T],
    known: impl Iterator<Item = (&'a [T], &'a [U])> + Clone,
) -> Vec<U> {
    let place = most_similar(asked, known.clone().map(|(sequence, _)| sequence));
    place.and_then(|place| known.clone().nth(place)).map_or_else(Vec::new, |(_, belongs)| belongs.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_is_the_one_with_the_fewest_changes() {
        let known = ["in 3 days", "in 3 weeks", "3 days ago"].map(str::as_bytes);
        assert_eq!(most_similar(b"in 4 weeks", known), Some(1));
        assert_eq!(most_similar(b"9 days ago", known), Some(2));
        assert_eq!(most_similar(b"in 9 dayz", known), Some(0));
        assert_eq!(most_similar(b"x", []), None);
    }
}
