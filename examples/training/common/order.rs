//! The order in which a training reads its data: it depends on seed and step only, so that a training that is resumed reads what one
//! that never stopped would.

use rand_mt::Mt;

/// Puts items in a random order (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], generator: &mut Mt) {
    for i in (1..items.len()).rev() {
        items.swap(i, generator.next_u32() as usize % (i + 1));
    }
}

/// Which of `count` items the batch of a step, from 0, has: all of them in a new order, then again. What does not fill a batch waits for
/// another round; a batch of more items than there are has them all.
pub fn batch(count: usize, size: usize, seed: u32, step: u32) -> Vec<usize> {
    let size = size.clamp(1, count.max(1));
    let batches = (count / size).max(1) as u32;
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut Mt::new_with_key([seed, step / batches]));
    order.into_iter().skip((step % batches) as usize * size).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_comes_once_a_round_in_an_order_of_its_own() {
        let round = |round: u32| (0..5).flat_map(|step| batch(23, 4, 7, 5 * round + step)).collect::<Vec<_>>();
        let (first, second) = (round(0), round(1));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 20);
        assert!(first != second && first != (0..20).collect::<Vec<_>>());
        assert_eq!(round(1), second);
        assert_ne!(batch(23, 4, 8, 0), batch(23, 4, 7, 0));
    }

    #[test]
    fn a_batch_has_no_more_than_there_is() {
        assert_eq!(batch(3, 8, 0, 5).len(), 3);
        assert!(batch(0, 8, 0, 5).is_empty());
    }
}
