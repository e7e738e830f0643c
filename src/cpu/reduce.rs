//! out[g] = Σ f(values[i · stride]) over the g-th block of values.

use super::call::Call;
use crate::kernels::ReduceParams;

/// Sums of as many parts of a block, as a workgroup's lanes: also what keeps a long sum precise.
const LANES: usize = 64;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: ReduceParams = call.params();
    let (values, divisor) = (call.read(0), call.read(1));
    let out = call.write(2);
    let values = &values[p.values_offset..][..p.count.saturating_sub(1) * p.stride + 1];
    let term = |x: f32| match p.form {
        0 => x,
        1 => x * x,
        2 => f32::from(x.to_bits() != u32::MAX),
        3 => f32::from(!x.is_nan()),
        _ if x.is_nan() => 0.0,
        _ => x,
    };
    for (block, out) in values.chunks(p.block * p.stride).zip(&mut out[p.out_offset..]) {
        let mut sums = [0.0; LANES];
        if p.stride == 1 {
            for values in block.chunks(LANES) {
                sums.iter_mut().zip(values).for_each(|(sum, &x)| *sum += term(x));
            }
        } else {
            let values = block.iter().step_by(p.stride).enumerate();
            values.for_each(|(i, &x)| sums[i % LANES] += term(x));
        }
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                sums[lane] += sums[lane + half];
            }
            half /= 2;
        }
        *out = sums[0];
        if p.divided {
            let by = divisor[p.divisor_offset];
            *out = if by == 0.0 { p.nan } else { sums[0] / by };
        }
    }
}
