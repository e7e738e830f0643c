//! What index maps cost, and those that can't be: errors by name, without a panic and without memory for what they claim.

use crate::common::{gpu, weights};
use ndarray::{Array2, Array3};
use wgrnn::{
    Cell, Device, Error, Lengths, PackedSequence, Rnn, RnnCall, RnnConfig, Schedule, SequenceMap, SessionOptions,
};

const STEPS: usize = 7;
const SEQUENCES: usize = 4;

#[test]
fn maps_that_do_not_fit_are_refused_by_name() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5);
    let rnn = Rnn::new(&Device::cpu(), &config, weights(&config, 1)).unwrap();
    let x = Array3::ones((4, 2, 3));
    let run = |map: SequenceMap| {
        let call = RnnCall::default().map(map);
        rnn.forward_with(x.view(), None, &call).map(|_| ()).unwrap_err().to_string()
    };
    let expect = |error: String, words: &[&str]| {
        words.iter().for_each(|word| assert!(error.contains(word), "{error}: no {word}"));
    };
    let flags = |a, b| Array2::from_elem((a, b), true);
    expect(run(SequenceMap::mask(flags(2, 4).view())), &["mask", "[4, 2]", "[2, 4]"]);
    expect(run(SequenceMap::resets(flags(4, 3).view())), &["resets", "[4, 2]", "[4, 3]"]);
    expect(run(SequenceMap::resets_at(&[vec![], vec![4]])), &["sequence 1", "less than its 4 steps", "got 4"]);
    expect(run(SequenceMap::resets_at(&[vec![]])), &["resets", "[2]", "[1]"]);
    expect(run(SequenceMap::concatenated(&[4, 4])), &["packed input", "[8, 3]", "[4, 2, 3]"]);
    expect(run(SequenceMap::concatenated(&[usize::MAX, 2])), &["sum of lengths"]);
    let huge = SessionOptions::packed(&SequenceMap::concatenated(&[1 << 60])).unwrap();
    assert!(rnn.session(huge).is_err());
    let text = |error: wgrnn::Result<SequenceMap>| error.unwrap_err().to_string();
    expect(text(SequenceMap::packed(&[1, 2], None)), &["batch_sizes of step 1", "from 1 to", "got 2"]);
    expect(text(SequenceMap::packed(&[2, 0], None)), &["batch_sizes of step 1", "got 0"]);
    expect(text(SequenceMap::packed(&[], None)), &["batch_sizes"]);
    expect(text(SequenceMap::packed(&[2, 1], Some(&[0, 0]))), &["sorted_indices", "0 again"]);
    expect(text(SequenceMap::packed(&[2, 1], Some(&[0, 2]))), &["sorted_indices", "less than 2"]);
    expect(text(SequenceMap::packed(&[2, 1], Some(&[0]))), &["sorted_indices", "[2]", "[1]"]);
    expect(text(SequenceMap::rows(3, &[vec![0, 3]])), &["row of sequence 0", "less than 3"]);
    expect(text(SequenceMap::rows(3, &[vec![0], vec![0]])), &["row of sequence 1", "0 again"]);
    let packed = |rows, sizes: &[usize], sorted: Option<Vec<usize>>, unsorted: Option<Vec<usize>>| {
        PackedSequence::new(Array2::zeros((rows, 3)), sizes.to_vec(), sorted, unsorted)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    expect(packed(4, &[2, 1], None, None), &["data of packed sequences", "[3, 3]", "[4, 3]"]);
    expect(packed(4, &[3, 1], Some(vec![1, 2, 0]), Some(vec![1, 2, 0])), &["unsorted_indices", "inverse"]);
    expect(packed(0, &[usize::MAX, usize::MAX], None, None), &["sum of lengths"]);
    expect(packed(0, &[1 << 60], None, None), &["data of packed sequences"]);
    let empty = Array2::zeros((0, 3));
    let error = PackedSequence::pack(&[empty.view()]).unwrap_err();
    assert!(matches!(error, Error::Value { .. }), "{error}");
    let (a, b) = (Array2::zeros((2, 3)), Array2::zeros((2, 4)));
    expect(
        rnn.forward_ragged(&[a.view(), b.view()], None, &RnnCall::default()).unwrap_err().to_string(),
        &["sequence 1"],
    );
    expect(rnn.forward_ragged(&[], None, &RnnCall::default()).unwrap_err().to_string(), &["sequences", "at least one"]);
    let call = RnnCall::default().lengths(Lengths::Fixed(vec![1]));
    expect(rnn.forward_ragged(&[a.view()], None, &call).unwrap_err().to_string(), &["lengths of packed"]);
    let dropped = RnnConfig::new(Cell::Lstm, 3, 5).recurrent_dropout(0.5);
    let rnn = Rnn::trainable(&Device::cpu(), &dropped, &weights(&dropped, 1)).unwrap();
    let call = RnnCall::default().map(SequenceMap::resets_at(&[vec![1], vec![]]));
    let error = rnn.training(SessionOptions::new(4, 2).call(call), false).map(|_| ()).unwrap_err();
    expect(error.to_string(), &["recurrent dropout"]);
}

/// Masks cost the steps that count, and resets no more than none.
#[test]
fn the_cost_of_a_map_is_that_of_its_valid_steps() {
    let config = RnnConfig::new(Cell::Lstm, 3, 5).layers(2);
    let rnn = Rnn::new(&gpu(), &config, weights(&config, 1)).unwrap();
    let flop = |lengths: Lengths| {
        let call = RnnCall::default().lengths(lengths).schedule(Schedule::Step);
        let session = rnn.session(SessionOptions::new(STEPS, SEQUENCES).call(call)).unwrap();
        (session.plan().flop(), session.plan().dispatches().count())
    };
    let mask = Array2::from_shape_fn((STEPS, SEQUENCES), |(t, _)| t % 2 == 0);
    let half = flop(SequenceMap::mask(mask.view()).into());
    assert_eq!(half, flop(Lengths::Fixed(vec![STEPS.div_ceil(2); SEQUENCES])));
    let full = flop(Lengths::Full);
    let cut = flop(SequenceMap::resets_at(&vec![vec![STEPS / 2]; SEQUENCES]).into());
    assert_eq!(cut.0, full.0);
    assert!(cut.1 < full.1, "{} dispatches with resets, {} without", cut.1, full.1);
}
