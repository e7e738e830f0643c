//! Kernels from outside of the library, as commands of a plan.

use crate::error::{Error, Result};
use crate::kernels::{FLAT, OWN_INPUTS, OWN_OUTPUTS, OWN_PARAMS, Of, Own, OwnKernel, OwnParams, Tile, Variant};
use crate::plan::{PlanBuilder, Value};
use crate::tensor::elements;

impl PlanBuilder {
    /// Runs a kernel of one's own with so many workgroups along x, y and z, and gives what it writes: values of these shapes, which keep
    /// from run to run what it does not write. Inputs that are views, or part of a larger array, are copied first.
    ///
    /// # Errors
    /// [`Value`](Error::Value) where the number of inputs, shapes or parameters is not that of the kernel's names, a name is none in WGSL, or
    /// there are no workgroups. [`PlanBuilder::build`] gives [`Gpu`](Error::Gpu) where the shader does not compile.
    pub fn own_kernel(
        &mut self,
        kernel: &'static OwnKernel,
        inputs: &[&Value],
        shapes: &[&[usize]],
        params: &[u32],
        groups: [u32; 3],
    ) -> Result<Vec<Value>> {
        kernel.check()?;
        let of = |what: &str| format!("{what} of the kernel '{}'", kernel.name);
        let numbers = kernel.inputs.len();
        for (what, expected, got) in [
            ("inputs", numbers + kernel.indices.len(), inputs.len()),
            ("shapes", kernel.outputs.len(), shapes.len()),
            ("parameters", kernel.params.len(), params.len()),
        ] {
            if expected != got {
                return Err(Error::value(of(what), expected, got));
            }
        }
        if groups.contains(&0) {
            return Err(Error::value(of("workgroups"), "at least one along each axis", format!("{groups:?}")));
        }
        let mut bindings = Vec::new();
        let mut read = Vec::new();
        for (i, &input) in inputs.iter().enumerate() {
            self.expect_view(input, kernel.inputs.get(i).unwrap_or(&"indices"), i >= numbers)?;
            let input = self.alone(input)?;
            bindings.push(input.buffer);
            read.push(input);
        }
        let unused = self.workspace("unused", 1);
        bindings.resize(OWN_INPUTS, unused);
        let mut outputs = Vec::new();
        for (shape, name) in shapes.iter().zip(kernel.outputs) {
            if elements(shape)? == 0 {
                return Err(Error::shape(*name, "at least one element", *shape));
            }
            outputs.push(self.fresh(name, shape)?);
        }
        bindings.extend(outputs.iter().map(|output| output.buffer));
        for _ in outputs.len()..OWN_OUTPUTS {
            bindings.push(self.workspace("unused output", 1));
        }
        let mut all = [0; OWN_PARAMS];
        all[..params.len()].copy_from_slice(params);
        let [p0, p1, p2, p3, p4, p5, p6, p7] = all;
        let [groups_x, groups_y, groups_z] = groups.map(|groups| groups as usize);
        let params = OwnParams { groups_x, groups_y, groups_z, p0, p1, p2, p3, p4, p5, p6, p7 };
        let tile = Tile { lanes: kernel.lanes, ..FLAT };
        let variant = Variant::new(Of::Own(Own(kernel)), tile, self.device().panel());
        self.draft.dispatch(variant, bindings, &params.words());
        self.record(kernel.name, &read.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>());
        Ok(outputs)
    }

    /// A value that has a buffer for itself, from its first word to its last.
    fn alone(&mut self, value: &Value) -> Result<Value> {
        let words = self.plan().buffers()[value.buffer.0].words;
        if value.is_dense() && value.offset == 0 && value.len() as u64 == words {
            return Ok(value.clone());
        }
        let out = Value { is_index: value.is_index, ..self.fresh("copy", &value.shape)? };
        self.copy(value, &out)?;
        Ok(out)
    }
}
