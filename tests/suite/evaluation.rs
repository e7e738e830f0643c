//! Losses over many batches.

use crate::common::{Random, devices};
use ndarray::{Array2, array};
use wgrnn::{Device, IGNORED, Linear, Tape, Targets, Tensor};

#[test]
fn the_mean_over_batches_is_weighted_by_valid_targets_and_read_once() {
    for (name, device) in devices() {
        let linear = Linear::trainable(&device, array![[1.0], [0.5], [-1.0]].view(), None).unwrap();
        let (x, numbers) =
            (Tensor::<f32>::zeros(&device, &[4, 1]).unwrap(), Tensor::<f32>::zeros(&device, &[4, 3]).unwrap());
        let classes = Targets::new(&device, &[4], 3).unwrap();
        let mut tape = Tape::evaluating(&device).unwrap();
        let [input, t] = [&x, &numbers].map(|tensor| tape.input(tensor).unwrap());
        let c = tape.input(classes.tensor()).unwrap();
        let y = tape.linear(&linear, &input).unwrap();
        tape.mean_squared_error(&y, &t).unwrap();
        tape.cross_entropy(&y, &c).unwrap();
        let evaluation = tape.evaluation().unwrap();
        let mut random = Random::new(3);
        let (mut squares, mut entropies) = ((0.0, 0.0), (0.0, 0.0));
        // How many numbers and classes of each batch are targets; in the last one no class is.
        for (some, labelled) in [(12, 4), (1, 2), (7, 1), (5, 0)] {
            let xs = Array2::from_shape_simple_fn((4, 1), || random.number());
            let mut ts = Array2::from_shape_simple_fn((4, 3), || random.number());
            ts.iter_mut().skip(some).for_each(|t| *t = f32::NAN);
            let cs: Vec<u32> = (0..4).map(|i| if i < labelled { i as u32 % 3 } else { IGNORED }).collect();
            x.write(xs.view()).unwrap();
            numbers.write(ts.view()).unwrap();
            classes.tensor().write(ndarray::ArrayView1::from(&cs[..])).unwrap();
            evaluation.add().unwrap();
            for row in 0..4 {
                let y = [1.0, 0.5, -1.0].map(|w| w * f64::from(xs[[row, 0]]));
                for (y, t) in y.iter().zip(ts.row(row)).filter(|(_, t)| !t.is_nan()) {
                    squares = (squares.0 + (y - f64::from(*t)).powi(2), squares.1 + 1.0);
                }
                if cs[row] != IGNORED {
                    let sum: f64 = y.iter().map(|y| y.exp()).sum();
                    entropies = (entropies.0 + sum.ln() - y[cs[row] as usize], entropies.1 + 1.0);
                }
            }
        }
        let expected = squares.0 / squares.1 + entropies.0 / entropies.1;
        let got = f64::from(evaluation.mean().unwrap());
        assert!((got - expected).abs() < 1e-6, "{name}: {got}, not {expected}");
        assert!(evaluation.mean().unwrap().is_nan(), "{name}: it begins anew");
        // A run by itself adds nothing.
        assert!(evaluation.run().unwrap().is_nan() && evaluation.mean().unwrap().is_nan(), "{name}");
    }
    let none = Tape::evaluating(&Device::cpu()).unwrap().evaluation().unwrap();
    none.add().unwrap();
    assert_eq!((none.run().unwrap(), none.mean().unwrap()), (0.0, 0.0));
}
