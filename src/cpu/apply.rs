//! out[m, j] = f(x[m, j]), or √(x[m, j]² + x[m, columns + j]²).

use super::call::Call;
use crate::cells::Activation;
use crate::cells::math::{MulAdd, Vectorised, vectorise};
use crate::kernels::{ApplyParams, Function, Of};

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ApplyParams = call.params();
    let Of::Apply(function) = call.variant.of else { return };
    let (x, out) = (call.read(0), call.write(1));
    for m in 0..p.rows {
        let x = &x[p.x_offset + m * p.x_row..];
        let out = &mut out[p.out_offset + m * p.out_row..][..p.columns];
        match function {
            Function::Activation(activation) => vectorise(Row { activation, x, out }),
            Function::Magnitude => {
                let (real, imaginary) = x.split_at(out.len());
                for ((out, a), b) in out.iter_mut().zip(real).zip(imaginary) {
                    *out = (a * a + b * b).sqrt();
                }
            }
        }
    }
}

struct Row<'a> {
    activation: Activation,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Vectorised for Row<'_> {
    #[inline(always)]
    fn run<M: MulAdd>(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = self.activation.of::<M>(x);
        }
    }
}
