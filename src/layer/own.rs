//! Kernels from outside of the library, as commands of a plan.

use crate::error::{Error, Result};
use crate::kernels::{FLAT, OWN_INPUTS, OWN_OUTPUTS, OWN_PARAMS, Of, Own, OwnKernel, OwnParams, Tile, Variant};
use crate::plan::{PlanBuilder, Value};
use crate::tensor::elements;

impl PlanBuilder {
    /// Runs a kernel of one's own with so many workgroups along x, y and z, and gives what it writes: values of these shapes, which keep
    /// from run to run what it does not write. Inputs whose elements do not lie one after the other from the beginning of their
    /// array on are copied first; indices have to lie so.
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
            let input = self.first(input)?;
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
        let words = |values: &[Value], i: usize| values.get(i).map_or(0, Value::len);
        let [words_0, words_1, words_2, words_3, words_4, words_5] = std::array::from_fn(|i| words(&read, i));
        let [words_6, words_7] = std::array::from_fn(|i| words(&outputs, i));
        let params = OwnParams {
            groups_x,
            groups_y,
            groups_z,
            words_0,
            words_1,
            words_2,
            words_3,
            words_4,
            words_5,
            words_6,
            words_7,
            p0,
            p1,
            p2,
            p3,
            p4,
            p5,
            p6,
            p7,
        };
        let tile = Tile { lanes: kernel.lanes, ..FLAT };
        let variant = Variant::new(Of::Own(Own(kernel)), tile, self.device().panel());
        self.draft.dispatch(variant, bindings, &params.words());
        self.record(kernel.name, &read.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>());
        Ok(outputs)
    }

    /// A value at the beginning of its buffer.
    fn first(&mut self, value: &Value) -> Result<Value> {
        if value.is_dense() && value.offset == 0 {
            return Ok(value.clone());
        }
        if value.is_index {
            let got = format!("a part of a larger one, {:?}", value.shape);
            return Err(Error::value("indices for a kernel of one's own", "a tensor of their own", got));
        }
        self.copy_of(value)
    }
}
