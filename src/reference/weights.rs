//! A layer's weights in the type of the computation.

use super::numbers::{Real, real, stored};
use crate::config::Precision;
use crate::weights::LayerWeights;
use ndarray::{Array1, Array2};

/// A layer's weights in the type of the computation.
pub(super) struct Weights<F> {
    pub w: Array2<F>,
    pub r: Array2<F>,
    pub b_w: Array1<F>,
    pub b_r: Array1<F>,
    pub w_hr: Option<Array2<F>>,
    pub peepholes: Array1<F>,
    pub norm: Option<Norms<F>>,
}

/// The weights of layer norms: γ of W's products, R's and c', and β of c'.
pub(super) struct Norms<F> {
    pub w: Array1<F>,
    pub r: Array1<F>,
    pub c: Array1<F>,
    pub b_c: Array1<F>,
}

impl<F: Real> Weights<F> {
    pub fn new(weights: &LayerWeights, precision: Precision, diagonal: bool) -> Self {
        let rows = weights.w.nrows();
        let bias = |b: &Option<Array1<f32>>| b.as_ref().map_or_else(|| Array1::zeros(rows), |b| b.mapv(real));
        Self {
            w: weights.w.mapv(|w| stored(w, precision)),
            // A diagonal is stored in 32 bits, as biases are.
            r: weights.r.mapv(|w| if diagonal { real(w) } else { stored(w, precision) }),
            b_w: bias(&weights.b_w),
            b_r: bias(&weights.b_r),
            w_hr: weights.w_hr.as_ref().map(|w| w.mapv(|w| stored(w, precision))),
            peepholes: bias(&weights.peepholes),
            norm: weights.norm.as_ref().map(|norm| {
                let vector =
                    |a: &Option<Array1<f32>>, len| a.as_ref().map_or_else(|| Array1::zeros(len), |a| a.mapv(real));
                let units = norm.c.as_ref().map_or(0, Array1::len);
                let [c, b_c] = [&norm.c, &norm.b_c].map(|a| vector(a, units));
                Norms { w: norm.w.mapv(real), r: norm.r.mapv(real), c, b_c }
            }),
        }
    }
}
