//! From probabilities of chunks to segments of speech, by the rules and defaults of Silero VAD's own package.

use super::model::{CHUNK, RATE};
use std::ops::Range;

/// Speech begins with a chunk of this probability,
const BEGIN: f32 = 0.5;
/// and ends before one below this, if none of BEGIN follows within [`SILENCE`] samples.
const END: f32 = 0.35;
const SILENCE: usize = RATE / 10;
/// Shorter speech is none.
const SHORTEST: usize = RATE / 4;
/// Samples that each segment gets at either end.
const MARGIN: usize = RATE * 30 / 1000;

/// Segments in samples, of a file of so many.
pub fn segments(probabilities: &[f32], samples: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut begin = None;
    let mut quiet = None;
    for (i, &probability) in probabilities.iter().enumerate() {
        let at = i * CHUNK;
        if probability >= BEGIN {
            quiet = None;
            begin = begin.or(Some(at));
        } else if let (Some(from), true) = (begin, probability < END) {
            let to = *quiet.get_or_insert(at);
            if at - to >= SILENCE {
                found.push(from..to);
                (begin, quiet) = (None, None);
            }
        }
    }
    found.extend(begin.map(|from| from..samples));
    found.retain(|segment| segment.len() > SHORTEST);
    with_margins(found, samples)
}

/// Neighbours that are too near for two margins share what lies between them.
fn with_margins(mut found: Vec<Range<usize>>, samples: usize) -> Vec<Range<usize>> {
    for i in 0..found.len() {
        if i == 0 {
            found[0].start = found[0].start.saturating_sub(MARGIN);
        }
        let gap = found.get(i + 1).map_or(usize::MAX, |next| next.start - found[i].end);
        let margin = if gap < 2 * MARGIN { gap / 2 } else { MARGIN };
        found[i].end = (found[i].end + margin).min(samples);
        if let Some(next) = found.get_mut(i + 1) {
            next.start -= margin;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beginning and end of the segments of chunks of these probabilities, each so many times.
    fn of(parts: &[(f32, usize)]) -> Vec<[usize; 2]> {
        let probabilities: Vec<f32> = parts.iter().flat_map(|&(p, count)| vec![p; count]).collect();
        let found = segments(&probabilities, probabilities.len() * CHUNK);
        found.into_iter().map(|segment| [segment.start, segment.end]).collect()
    }

    #[test]
    fn silence_has_no_segments() {
        assert!(of(&[]).is_empty() && of(&[(0.1, 50)]).is_empty() && of(&[(0.49, 50)]).is_empty());
    }

    #[test]
    fn a_segment_has_margins_within_the_file() {
        assert_eq!(of(&[(0.1, 10), (0.9, 20), (0.1, 10)]), [[10 * CHUNK - MARGIN, 30 * CHUNK + MARGIN]]);
        assert_eq!(of(&[(0.9, 20)]), [[0, 20 * CHUNK]]);
    }

    #[test]
    fn short_pauses_do_not_end_speech_and_short_speech_is_none() {
        assert_eq!(of(&[(0.1, 5), (0.9, 10), (0.1, 3), (0.9, 10), (0.1, 9)]).len(), 1);
        assert_eq!(of(&[(0.1, 5), (0.9, 10), (0.1, 5), (0.9, 10), (0.1, 9)]).len(), 2);
        assert_eq!(of(&[(0.1, 5), (0.9, 10), (0.4, 9), (0.9, 10), (0.1, 9)]).len(), 1);
        assert!(of(&[(0.1, 5), (0.9, 7), (0.1, 9)]).is_empty());
    }
}
