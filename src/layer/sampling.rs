//! The next symbol of a text, drawn on the device.

use crate::error::{Error, Result};
use crate::kernels::{Kernel, SampleParams, Variant, row_tile};
use crate::plan::{PlanBuilder, Value};
use crate::tensor::Tensor;

/// How [`PlanBuilder::sample`] draws.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Device, PlanBuilder, Sampling, Tensor};
/// let device = Device::auto();
/// let logits = Tensor::from_array(&device, array![[0., 2., 1., -1.]].view())?;
/// let (seed, symbol) = (Tensor::zeros(&device, &[2])?, Tensor::<u32>::zeros(&device, &[1])?);
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&logits)?, plan.tensor(&symbol)?);
/// plan.sample(&input, &output, &Sampling::new(&seed).temperature(0.8).top_k(2))?;
/// let program = plan.build()?;
/// for step in 0..10 {
///     seed.write(array![7, step].view())?;
///     program.run()?;
///     assert!([1, 2].contains(&symbol.read()?[0]));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sampling {
    temperature: f32,
    top_k: Option<usize>,
    top_p: f32,
    seed: Option<Tensor<u32>>,
    place: u32,
}

impl Sampling {
    /// Draws by softmax of the logits. `seed`, `[2]`, holds the seed and the step, which the host writes before each run:
    /// the same pair gives the same draws again.
    pub fn new(seed: &Tensor<u32>) -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, seed: Some(seed.clone()), place: 0 }
    }

    /// Takes the largest logit; the first of equals. Nothing is drawn.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, top_k: None, top_p: 1.0, seed: None, place: 0 }
    }

    /// Divides the logits by this number, 1 at first: a lower one makes likely symbols likelier. 0 takes the largest logit,
    /// as [`Sampling::greedy`] does.
    #[must_use]
    pub fn temperature(self, temperature: f32) -> Self {
        Self { temperature, ..self }
    }

    /// Draws among the k largest logits only (Fan et al. 2018). More than there are is all of them, as at first.
    #[must_use]
    pub fn top_k(self, k: usize) -> Self {
        Self { top_k: Some(k), ..self }
    }

    /// Draws among the nucleus only: the smallest set of the most probable symbols whose probabilities sum to at least p
    /// (Holtzman et al. 2020). 1, as at first, is all of them. Where [`top_k`](Self::top_k) is set too, probabilities are
    /// those among the k largest.
    #[must_use]
    pub fn top_p(self, p: f32) -> Self {
        Self { top_p: p, ..self }
    }

    /// Tells draws of one run apart: with another number, 0 at first, the same seed and step give other draws. A plan that
    /// samples several times needs one for each.
    #[must_use]
    pub fn place(self, place: u32) -> Self {
        Self { place, ..self }
    }

    fn check(&self) -> Result<()> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::value("temperature of sampling", "a number of at least 0", self.temperature));
        }
        if self.top_k == Some(0) {
            return Err(Error::value("top_k of sampling", "at least 1", 0));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::value("top_p of sampling", "more than 0, at most 1", self.top_p));
        }
        Ok(())
    }
}

impl PlanBuilder {
    /// Draws a column of each row of `logits`, [rows, C], and writes it to `out`, `[rows]`: column j with a probability that
    /// grows with exp(logits\[j\] / temperature), among those that [`Sampling`] keeps. `out` may be the tensor that the
    /// plan read as its input, so that a text goes on from run to run without coming back to the host.
    ///
    /// The draw is by one random number u, 0 ≤ u < 1, from Threefry-2x32 of the row, the place, the seed and the step (Salmon
    /// et al. 2011): the first column up to which the probabilities of the columns that are kept, in their order, sum to
    /// more than u. So the same seed gives the same symbols on every device, but where such a sum is equal to u within
    /// rounding. Of equal logits those with lower columns are kept first. A row with NaN, or of −∞ alone, gives 2³² − 1,
    /// which an embedding turns into NaN; where a logit is +∞, the draw is among those that are.
    ///
    /// It has no backward pass; as [`PlanBuilder::argmax`], it may stand between layers of a tape.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where rows differ or the seed is not `[2]`, [`Value`](Error::Value) for a temperature below 0,
    /// top_k of 0, top_p that is not more than 0 and at most 1, or a temperature other than 0 without a seed,
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn sample(&mut self, logits: &Value, out: &Value, sampling: &Sampling) -> Result<()> {
        self.expect(logits, "logits", false)?;
        self.expect(out, "sampled symbols", true)?;
        sampling.check()?;
        let &[rows, columns] = logits.shape() else {
            return Err(Error::shape("logits", "[rows, columns]", logits.shape()));
        };
        if out.shape() != [rows] {
            return Err(Error::shape("sampled symbols", [rows], out.shape()));
        }
        let greedy = sampling.temperature == 0.0;
        let seed = match &sampling.seed {
            Some(seed) if seed.shape() != [2] => return Err(Error::shape("seed of sampling", [2], seed.shape())),
            Some(seed) => self.tensor(seed)?.buffer,
            None if greedy => self.constant("no seed", &[0, 0]),
            None => {
                return Err(Error::value("seed of sampling", "a tensor of seed and step, by Sampling::new", "none"));
            }
        };
        let params = SampleParams {
            m: rows,
            columns,
            logits_offset: logits.offset,
            out_offset: out.offset,
            seed_offset: 0,
            place: sampling.place,
            // Where it is too small for a float, logits that differ are as far apart as can be.
            scale: if greedy { 1.0 } else { (1.0 / sampling.temperature).min(f32::MAX) },
            top_k: if greedy { 1 } else { sampling.top_k.unwrap_or(columns).min(columns) },
            top_p: sampling.top_p,
        };
        let tile = row_tile(Kernel::Sample, columns, self.device().plan_limits().trips);
        let variant = Variant::plain(Kernel::Sample, tile, self.device().panel());
        self.draft.dispatch(variant, vec![logits.buffer, seed, out.buffer], &params.words());
        self.record("sample", &[logits], &[out]);
        Ok(())
    }
}
