//! A layer on its device against the textbook, and its gradients against the twins'.

use super::comparison::Comparison;
use crate::device::{Device, block_on, elsewhere, may_wait};
use crate::error::{Error, Result};
use crate::layer::{Lengths, Output, Rnn, RnnCall, RnnGradients, State, output_shape};
use crate::plan::Difference;
use crate::reference;
use ndarray::{Array2, Array3, ArrayD, ArrayView3, ArrayViewD, s};
use std::fmt::{Display, Formatter};

/// How the arrays of a layer compare with those expected: y, h and, where the cell has it, c; or all gradients.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LayerReport {
    /// A comparison for each array.
    pub comparisons: Vec<Comparison>,
    /// Where a comparison failed on a GPU: the first dispatch whose results are not those of its twin. `None` if there is none: then
    /// the fault is not in a kernel or its driver, but in the plan.
    pub first_difference: Option<Difference>,
}

impl LayerReport {
    /// Whether there is at least one comparison, each is of at least one element, and all are within their tolerances.
    pub fn passed(&self) -> bool {
        !self.comparisons.is_empty()
            && self.comparisons.iter().all(|comparison| comparison.count > 0 && comparison.passed())
    }

    /// Adds another call's; the first difference stays.
    pub(super) fn add(&mut self, other: Self) {
        self.comparisons.extend(other.comparisons);
        self.first_difference = self.first_difference.take().or(other.first_difference);
    }

    /// The one with the largest error relative to its tolerance.
    pub fn worst(&self) -> Option<&Comparison> {
        self.comparisons.iter().max_by(|a, b| a.severity.total_cmp(&b.severity))
    }
}

impl Display for LayerReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let lines = self.comparisons.iter().map(Comparison::to_string);
        let difference = self.first_difference.iter().map(|difference| format!("first difference: {difference}"));
        f.write_str(&lines.chain(difference).collect::<Vec<_>>().join("\n"))
    }
}

/// The tolerance of a whole layer: the device rounds in another order than the reference, so it may be as far from the
/// exact result as the reference in f32 is from the one in f64, a few times over; and where those two happen to agree,
/// a few ulp of the largest element.
fn tolerance(single: &ArrayD<f32>, double: &ArrayD<f64>) -> f64 {
    let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
    let deviation = single.iter().zip(double).map(|(&a, &b)| finite(f64::from(a) - b)).fold(0.0, f64::max);
    let largest = double.iter().map(|&x| finite(x)).fold(1.0, f64::max);
    16.0 * deviation + 16.0 * f64::from(f32::EPSILON) * largest
}

impl Rnn {
    /// Runs this layer on its device and in the reference, and compares y, h and c.
    ///
    /// # Errors
    /// As [`Rnn::forward_with`]; a difference is no error but a report that has not passed.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> wgrnn::Result<()> {
    /// # use ndarray::Array3;
    /// # use wgrnn::{Cell, Device, Reset, Rnn, RnnCall, RnnConfig, RnnWeights};
    /// # let config = RnnConfig::new(Cell::Gru(Reset::After), 4, 8);
    /// # let rnn = Rnn::new(&Device::auto(), &config, RnnWeights::init(&config, 0)?)?;
    /// let report = rnn.check(Array3::ones((5, 2, 4)).view(), None, &RnnCall::default())?;
    /// assert!(report.passed(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self, x: ArrayView3<'_, f32>, state: Option<&State>, call: &RnnCall) -> Result<LayerReport> {
        block_on(self.check_async(x, state, call))
    }

    /// The asynchronous form of [`Rnn::check`].
    ///
    /// # Errors
    /// As [`Rnn::check`].
    pub async fn check_async(
        &self,
        x: ArrayView3<'_, f32>,
        state: Option<&State>,
        call: &RnnCall,
    ) -> Result<LayerReport> {
        if !may_wait() {
            let (rnn, x, state, call) = (self.clone(), x.to_owned(), state.cloned(), call.clone());
            return elsewhere(move || async move { rnn.check_async(x.view(), state.as_ref(), &call).await }).await;
        }
        let is_map = match &call.lengths {
            Lengths::Map(_) => true,
            Lengths::PerRun(lengths) => lengths.is_masked(),
            _ => false,
        };
        if is_map {
            let reason = "the reference knows lengths, no index maps; compare with a call of the CPU device";
            return Err(Error::unsupported("a check of a call with an index map", reason));
        }
        // There is nothing to check without a step.
        output_shape(self.config(), x.shape(), call)?;
        let got = self.forward_with_async(x, state, call).await?;
        let lengths = call.lengths.list();
        let lengths = lengths.as_deref();
        let (config, weights) = (self.config(), &*self.weights_async().await?);
        let single = reference::forward::<f32>(config, weights, x, lengths, state)?;
        let double = reference::forward::<f64>(config, weights, x.mapv(f64::from).view(), lengths, state)?;
        let (single_y, double_y) = match call.output {
            Output::All => (single.y.into_dyn(), double.y.into_dyn()),
            Output::Last => (self.last(&single.h).into_dyn(), self.last(&double.h).into_dyn()),
        };
        let compare = |name, got: ArrayViewD<'_, f32>, single: &ArrayD<f32>, double: &ArrayD<f64>| {
            Comparison::new(name, got, double.view(), tolerance(single, double))
        };
        let mut comparisons = vec![
            compare("y", got.y.view(), &single_y, &double_y)?,
            compare("h", got.state.h.view().into_dyn(), &single.h.into_dyn(), &double.h.into_dyn())?,
        ];
        if let (Some(got), Some(single), Some(double)) = (&got.state.c, single.c, double.c) {
            comparisons.push(compare("c", got.view().into_dyn(), &single.into_dyn(), &double.into_dyn())?);
        }
        let mut report = LayerReport { comparisons, first_difference: None };
        if !report.passed() && !self.device().is_cpu() {
            report.first_difference = self.first_difference(x, state, call).await?;
        }
        Ok(report)
    }

    /// Computes gradients on this layer's device and with the CPU twins, for the same random gradient of the output,
    /// and compares those of the input, of the initial state and of all weights. The library's own tests compare the
    /// twins with finite differences of the reference.
    ///
    /// # Errors
    /// As [`Rnn::gradients`]; a difference is no error but a report that has not passed.
    pub fn check_gradients(&self, x: ArrayView3<'_, f32>, call: &RnnCall) -> Result<LayerReport> {
        block_on(self.check_gradients_async(x, call))
    }

    /// The asynchronous form of [`Rnn::check_gradients`].
    ///
    /// # Errors
    /// As [`Rnn::check_gradients`].
    pub async fn check_gradients_async(&self, x: ArrayView3<'_, f32>, call: &RnnCall) -> Result<LayerReport> {
        if !may_wait() {
            let (rnn, x, call) = (self.clone(), x.to_owned(), call.clone());
            return elsewhere(move || async move { rnn.check_gradients_async(x.view(), &call).await }).await;
        }
        let twin = Self::trainable(&Device::cpu(), self.config(), &*self.weights_async().await?)?;
        let shape = output_shape(self.config(), x.shape(), call)?;
        // Numbers of either sign, none of them 0.
        let mut place = 0_u32;
        let dy = ArrayD::from_shape_simple_fn(shape, || {
            place = place.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (place >> 8) as f32 / 8_388_608.0 - 1.0
        });
        // The twin's CPU knows no lengths that lie on another device.
        let lengths = match &call.lengths {
            Lengths::PerRun(lengths) if !lengths.is_masked() => Lengths::Fixed(lengths.list()),
            Lengths::PerRun(_) => {
                let reason = "they lie on this device alone: give the mask as an index map";
                return Err(Error::unsupported(
                    "a check of gradients with a mask that changes from run to run",
                    reason,
                ));
            }
            lengths => lengths.clone(),
        };
        let call = call.clone().lengths(lengths);
        let got = self.gradients_async(x, None, &call, dy.view(), None).await?;
        let expected = twin.gradients(x, None, &call, dy.view(), None)?;
        // The twin once more on inputs that were rounded once more: norms divide by what may be small.
        let mut up = false;
        let rounded = x.mapv(|x| {
            up = !up;
            if up { x * (1.0 + f32::EPSILON) } else { x * (1.0 - f32::EPSILON) }
        });
        let rounded = twin.gradients(rounded.view(), None, &call, dy.view(), None)?;
        let arrays = |gradients: &RnnGradients| {
            let mut arrays: Vec<_> = gradients.weights.named().map(|(name, array)| (name, array.to_owned())).collect();
            arrays.push(("x".to_owned(), gradients.x.clone().into_dyn()));
            arrays.push(("h".to_owned(), gradients.state.h.clone().into_dyn()));
            arrays.extend(gradients.state.c.clone().map(|c| ("c".to_owned(), c.into_dyn())));
            arrays
        };
        let compare = |(((name, got), (_, expected)), (_, rounded))| {
            let (got, expected, rounded): (ArrayD<f32>, ArrayD<f32>, ArrayD<f32>) = (got, expected, rounded);
            let deviation = (&expected - &rounded).iter().map(|&d| f64::from(d.abs())).fold(0.0, f64::max);
            let expected = expected.mapv(f64::from);
            // Both are sums over steps and sequences in f32, in orders of their own: each as far from the exact result as
            // float32 implementations are seen to be, 32 ε of the largest element; and each rounds several times in every step, where
            // one rounding of the input moves the gradient by the deviation.
            let largest = expected.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
            let tolerance = 64.0 * f64::from(f32::EPSILON) * largest + 16.0 * deviation;
            Comparison::new(format!("gradient of {name}"), got.view(), expected.view(), tolerance)
        };
        let all = arrays(&got).into_iter().zip(arrays(&expected)).zip(arrays(&rounded));
        let comparisons = all.map(compare).collect::<Result<_>>()?;
        let mut report = LayerReport { comparisons, first_difference: None };
        if !report.passed() && !self.device().is_cpu() {
            report.first_difference = self.first_difference_of_gradients(x, &call, dy.view()).await?;
        }
        Ok(report)
    }

    /// The last layer's h of both directions side by side.
    fn last<F: reference::Real>(&self, h: &Array3<F>) -> Array2<F> {
        let config = self.config();
        let width = config.state_size();
        let first = (config.layers - 1) * config.tracks();
        let mut last = Array2::zeros((h.dim().1, config.output_size()));
        for direction in 0..config.tracks() {
            let part = s![.., direction * width..(direction + 1) * width];
            last.slice_mut(part).assign(&h.slice(s![first + direction, .., ..]));
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, RnnConfig, RnnWeights};

    /// What a failed comparison asks for, which has nothing to find on a driver that is right.
    #[test]
    fn a_layer_and_its_gradients_have_no_dispatch_that_differs() {
        let device = Device::gpu().unwrap();
        let config = RnnConfig::new(Cell::Lstm, 4, 9);
        let rnn = Rnn::trainable(&device, &config, &RnnWeights::init(&config, 1).unwrap()).unwrap();
        let x = Array3::from_shape_fn((3, 2, 4), |(t, n, i)| ((t * 7 + n * 5 + i * 3) % 11) as f32 / 5.3 - 1.0);
        let dy = ArrayD::from_elem(vec![3, 2, 9], 0.5);
        let state = State::zeros(&config, 2).unwrap();
        let call = RnnCall::default();
        assert_eq!(block_on(rnn.first_difference(x.view(), Some(&state), &call)).unwrap(), None);
        assert_eq!(block_on(rnn.first_difference_of_gradients(x.view(), &call, dy.view())).unwrap(), None);
    }

    #[test]
    fn a_report_names_the_first_of_the_differences_of_its_calls() {
        let difference = |command| Difference {
            command,
            kernel: "step lstm".to_owned(),
            buffer: "c".to_owned(),
            element: 3,
            device: 1.5,
            twin: 1.0,
            tolerance: 1e-6,
        };
        let mut report = LayerReport::default();
        for first_difference in [None, Some(difference(7)), Some(difference(2))] {
            report.add(LayerReport { comparisons: Vec::new(), first_difference });
        }
        assert_eq!(report.first_difference, Some(difference(7)));
        let expected =
            "first difference: command 7, step lstm: element 3 of 'c' is 1.5e0, its twin's is 1e0, tolerance 1.000e-6";
        assert_eq!(report.to_string(), expected);
    }
}
