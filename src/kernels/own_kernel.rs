//! Kernels from outside of the library: a shader with its names, and a twin.

use crate::error::{Error, Result};
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

/// Values that a kernel of one's own reads.
pub(crate) const OWN_INPUTS: usize = 6;
/// Values that it writes.
pub(crate) const OWN_OUTPUTS: usize = 2;
/// Its parameters.
pub(crate) const OWN_PARAMS: usize = 8;

/// A kernel of one's own: a shader, and a twin that computes the same on the CPU device. [`PlanBuilder::own_kernel`](crate::PlanBuilder::own_kernel) runs
/// it; with one for the backward pass it makes a [`Differentiable`](crate::Differentiable) operation.
///
/// The text of the shader is WGSL. The library declares before it
/// - a buffer for each value that is read, `array<f32>`, or `array<u32>` for indices, and for each that is written, `array<f32>`, by the names
///   given here;
/// - `p`, whose fields are the parameters, each a `u32`, by the names given here; the sizes of values belong to them, since a value may lie
///   at the beginning of a longer buffer, so that `arrayLength` says too much;
/// - `LANES`, the number of lanes of a workgroup: `@compute @workgroup_size(LANES)`.
///
/// The entry point is `main`. Accesses are checked: one beyond a buffer does no harm. Loops of more than 65,535 trips end too
/// early on some drivers.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::kernels::{OwnCall, OwnKernel};
/// use wgrnn::{Device, PlanBuilder, Tensor};
///
/// /// y[i] = x[i] + x[i + 1], and the last element of x.
/// static SUMS: OwnKernel = OwnKernel::new("sums", SHADER, twin).reads(&["x"]).writes(&["y"]).params(&["count"]);
///
/// const SHADER: &str = "
/// @compute @workgroup_size(LANES)
/// fn main(@builtin(global_invocation_id) id: vec3<u32>) {
///     let i = id.x;
///     if (i < p.count) {
///         y[i] = x[i] + select(0.0, x[i + 1u], i + 1u < p.count);
///     }
/// }";
///
/// fn twin(call: &mut OwnCall<'_>) {
///     let (count, x) = (call.params[0] as usize, call.inputs[0]);
///     for i in 0..count {
///         call.outputs[0][i] = x[i] + x.get(i + 1).copied().unwrap_or(0.0);
///     }
/// }
///
/// let device = Device::auto();
/// let x = Tensor::from_array(&device, array![1.0_f32, 2.0, 4.0].view())?;
/// let y = Tensor::<f32>::zeros(&device, &[3])?;
/// let mut plan = PlanBuilder::new(&device);
/// let (input, output) = (plan.tensor(&x)?, plan.tensor(&y)?);
/// let sums = plan.own_kernel(&SUMS, &[&input], &[&[3]], &[3], SUMS.groups_of(3))?;
/// plan.copy(&sums[0], &output)?;
/// plan.build()?.run()?;
/// assert_eq!(y.read()?, array![3.0, 6.0, 4.0].into_dyn());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OwnKernel {
    pub(crate) name: &'static str,
    pub(crate) wgsl: &'static str,
    pub(crate) twin: fn(&mut OwnCall<'_>),
    pub(crate) inputs: &'static [&'static str],
    pub(crate) indices: &'static [&'static str],
    pub(crate) outputs: &'static [&'static str],
    pub(crate) params: &'static [&'static str],
    pub(crate) lanes: u32,
}

/// A dispatch of an [`OwnKernel`] as its twin sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct OwnCall<'a> {
    /// The parameters, in the order of their names.
    pub params: &'a [u32],
    /// The workgroups along x, y and z.
    pub groups: [u32; 3],
    /// The values that are read.
    pub inputs: Vec<&'a [f32]>,
    /// The indices that are read.
    pub indices: Vec<&'a [u32]>,
    /// The values that are written.
    pub outputs: Vec<&'a mut [f32]>,
}

impl OwnKernel {
    /// A kernel with workgroups of 64 lanes that reads and writes nothing yet. `name` is its name in messages and reports.
    pub const fn new(name: &'static str, wgsl: &'static str, twin: fn(&mut OwnCall<'_>)) -> Self {
        Self { name, wgsl, twin, inputs: &[], indices: &[], outputs: &[], params: &[], lanes: 64 }
    }

    /// The names of the values that it reads: up to six, with the indices.
    #[must_use]
    pub const fn reads(self, names: &'static [&'static str]) -> Self {
        Self { inputs: names, ..self }
    }

    /// The names of the values of indices that it reads, which follow the others.
    #[must_use]
    pub const fn reads_indices(self, names: &'static [&'static str]) -> Self {
        Self { indices: names, ..self }
    }

    /// The names of the values that it writes: one or two.
    #[must_use]
    pub const fn writes(self, names: &'static [&'static str]) -> Self {
        Self { outputs: names, ..self }
    }

    /// The names of its parameters: up to eight.
    #[must_use]
    pub const fn params(self, names: &'static [&'static str]) -> Self {
        Self { params: names, ..self }
    }

    /// Lanes of a workgroup: up to 256 on every adapter.
    #[must_use]
    pub const fn lanes(self, lanes: u32) -> Self {
        Self { lanes, ..self }
    }

    /// Workgroups whose lanes are at least so many: up to 65,535 of them along x.
    pub fn groups_of(&self, lanes: usize) -> [u32; 3] {
        let groups = lanes.div_ceil(self.lanes.max(1) as usize);
        [u32::try_from(groups).unwrap_or(u32::MAX), 1, 1]
    }

    /// Whether it reads indices by a binding of this name: `x0`, `x1` and so on.
    pub(crate) fn reads_indices_by(&self, binding: &str) -> bool {
        let values = self.inputs.len()..self.inputs.len() + self.indices.len();
        binding.strip_prefix('x').and_then(|number| number.parse().ok()).is_some_and(|number| values.contains(&number))
    }

    /// Refuses names that WGSL or this library could not declare, and numbers of them that no dispatch has.
    pub(crate) fn check(&self) -> Result<()> {
        let of = |what: &str| format!("{what} of the kernel '{}'", self.name);
        let counts = [
            ("values read", self.inputs.len() + self.indices.len(), 0..=OWN_INPUTS),
            ("values written", self.outputs.len(), 1..=OWN_OUTPUTS),
            ("parameters", self.params.len(), 0..=OWN_PARAMS),
            ("lanes", self.lanes as usize, 1..=1024),
        ];
        for (what, count, allowed) in counts {
            if !allowed.contains(&count) {
                return Err(Error::value(of(what), format!("{} to {}", allowed.start(), allowed.end()), count));
            }
        }
        let is_word = |name: &str| {
            let mut bytes = name.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        // What the struct of parameters has besides.
        let is_field =
            |name: &str| is_word(name) && !["groups_", "words_", "unnamed_"].iter().any(|own| name.starts_with(own));
        let mut known = HashSet::from(["p", "Params", "LANES", "main"]);
        let buffers = [self.inputs, self.indices, self.outputs].concat();
        let mut seen = HashSet::new();
        let wrong = buffers.iter().find(|name| !is_word(name) || !known.insert(name));
        let wrong = wrong.or_else(|| self.params.iter().find(|name| !is_field(name) || !seen.insert(**name)));
        match wrong {
            None => Ok(()),
            Some(name) => Err(Error::value(
                of("a name"),
                "letters, digits and _, none twice, and none that the library declares",
                format!("'{name}'"),
            )),
        }
    }
}

/// A kernel of one's own in a variant: two are equal if they are the same one.
#[derive(Clone, Copy, Debug)]
pub struct Own(pub(crate) &'static OwnKernel);

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.0).hash(state);
    }
}
