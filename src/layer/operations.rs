//! A plan's operations on whole values, but for recurrent layers: copies, dense layers, functions of each number.

use super::copies::{copy_rows, copy_value};
use super::elements::{Into, emit_map};
use super::linear::Linear;
use super::pack::row_lanes;
use super::product::{Operands, Right, gemm};
use crate::cells::Activation;
use crate::error::{Error, Result};
use crate::kernels::{
    ApplyParams, ArgmaxParams, FLAT, Formula, Function, GatherParams, GemmParams, Kernel, Of, Variant, row_tile,
};
use crate::plan::{PlanBuilder, Value};

impl PlanBuilder {
    /// Copies numbers to a value of the same shape, for example to a tensor that the host can read. It has no backward
    /// pass.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the shapes differ, [`Value`](Error::Value) for indices.
    pub fn copy(&mut self, from: &Value, to: &Value) -> Result<()> {
        self.expect_view(from, "value", false)?;
        self.expect(to, "copy", false)?;
        if from.shape != to.shape {
            return Err(Error::shape("copy", &from.shape, &to.shape));
        }
        if from.is_dense() {
            copy_value(self, from, to, false);
        } else {
            emit_map(self, Formula::identity(), &[from], Into { value: to, accumulate: false })?;
        }
        self.record("copy", &[from], &[to]);
        Ok(())
    }

    /// Puts values side by side along their last axis: [..., a] and [..., b] give [..., a + b]. All other axes are
    /// equal. It has no backward pass.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the other axes differ or there are no values, [`Value`](Error::Value) for indices.
    pub fn concat(&mut self, values: &[&Value]) -> Result<Value> {
        let expected = || Error::shape("values side by side", "[..., features]", "none");
        let (_, rest) = values.first().and_then(|first| first.shape.split_last()).ok_or_else(expected)?;
        let mut width = 0;
        for value in values {
            self.expect(value, "value", false)?;
            width += match value.shape.split_last() {
                Some((features, others)) if others == rest => features,
                _ => return Err(Error::shape("values side by side", format!("{rest:?} and features"), &value.shape)),
            };
        }
        let out = self.fresh("values side by side", &[rest, &[width]].concat())?;
        let rows = rest.iter().product::<usize>();
        let mut column = 0;
        for value in values {
            let features = value.shape.last().copied().unwrap_or_default();
            let params = GatherParams {
                m: rows,
                columns: features,
                table_rows: rows,
                table_offset: value.offset,
                table_row: features,
                out_offset: out.offset + column,
                out_row: width,
                ..Default::default()
            };
            copy_rows(self, value.buffer, out.buffer, params);
            column += features;
        }
        self.record("concat", values, &[&out]);
        Ok(out)
    }

    /// The same numbers in memory that no other value shares.
    pub(crate) fn copy_of(&mut self, value: &Value) -> Result<Value> {
        let out = self.fresh("copy", &value.shape)?;
        self.copy(value, &out)?;
        Ok(out)
    }

    /// Looks up rows of `table` [rows, features] by `indices` [...], which gives [..., features]. An index beyond the
    /// table gives NaN.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where `table` is no matrix.
    pub fn embedding(&mut self, table: &Value, indices: &Value) -> Result<Value> {
        self.expect(table, "embedding table", false)?;
        self.expect(indices, "embedding indices", true)?;
        let &[rows, features] = &table.shape[..] else {
            return Err(Error::shape("embedding table", "[rows, features]", &table.shape));
        };
        let out = self.fresh("embedding", &[&indices.shape[..], &[features]].concat())?;
        let params = GatherParams {
            m: indices.len(),
            columns: features,
            table_rows: rows,
            table_offset: table.offset,
            table_row: features,
            indexed: true,
            index_offset: indices.offset,
            out_row: features,
            nan: f32::NAN,
            row_lanes: row_lanes(out.len()),
            ..Default::default()
        };
        let bindings = vec![table.buffer, indices.buffer, out.buffer];
        self.draft.dispatch(Variant::plain(Kernel::Gather, FLAT, self.device().panel()), bindings, &params.words());
        self.record("embedding", &[table, indices], &[&out]);
        Ok(out)
    }

    /// Computes x·Wᵀ + b over the last axis of `x`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where that axis is not W's.
    pub fn linear(&mut self, linear: &Linear, x: &Value) -> Result<Value> {
        self.expect(x, "linear input", false)?;
        let rest = x.shape.split_last().map_or(&[][..], |(_, rest)| rest);
        let out = self.fresh("output of a linear layer", &[rest, &[linear.outputs]].concat())?;
        self.linear_into(linear, x, &out)?;
        Ok(out)
    }

    /// Computes x·Wᵀ + b over the last axis of `x` and writes it to `out`.
    ///
    /// # Errors
    /// As [`PlanBuilder::linear`].
    pub fn linear_into(&mut self, linear: &Linear, x: &Value, out: &Value) -> Result<()> {
        self.expect(out, "linear output", false)?;
        self.expect(x, "linear input", false)?;
        let Some((&inputs, rest)) = x.shape.split_last().filter(|(inputs, _)| **inputs == linear.inputs) else {
            return Err(Error::shape("linear input", format!("[..., {}]", linear.inputs), &x.shape));
        };
        if !linear.device.is(self.device()) {
            return Err(Error::OtherDevice { tensor: "linear weight".to_owned() });
        }
        let expected = [rest, &[linear.outputs]].concat();
        if out.shape != expected {
            return Err(Error::shape("linear output", expected, &out.shape));
        }
        let m = rest.iter().product::<usize>();
        let none = self.workspace("no map", 1);
        let params = GemmParams {
            m,
            n: linear.outputs,
            k: inputs,
            batch: 1,
            a_offset: x.offset,
            a_row: inputs,
            a_column: 1,
            c_offset: out.offset,
            c_row: linear.outputs,
            ..Default::default()
        };
        gemm(
            self,
            Operands { a: x.buffer, b: Right::Packed(&linear.packed), map: none, c: out.buffer, narrow: false },
            &params,
        );
        self.record("linear", &[x], &[out]).parameters = linear.parameters().cloned();
        Ok(())
    }

    /// Applies an activation to each number. It has no backward pass.
    ///
    /// # Errors
    /// [`Value`](Error::Value) for indices, or a constant that is not finite.
    pub fn activate(&mut self, x: &Value, activation: Activation) -> Result<Value> {
        self.expect(x, "activated value", false)?;
        activation.check()?;
        let columns = x.shape.last().copied().unwrap_or(1);
        self.apply(x, Function::Activation(activation), columns, &x.shape)
    }

    /// Computes the magnitudes √(a² + b²) of complex numbers: [..., 2·n], where n real parts a stand before n imaginary
    /// parts b, gives [..., n]. It has no backward pass.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the last axis is odd, [`Value`](Error::Value) for indices.
    pub fn magnitude(&mut self, x: &Value) -> Result<Value> {
        self.expect(x, "complex numbers", false)?;
        match x.shape.split_last() {
            Some((&parts, rest)) if parts % 2 == 0 => {
                let shape = [rest, &[parts / 2]].concat();
                self.apply(x, Function::Magnitude, parts / 2, &shape)
            }
            _ => Err(Error::shape("complex numbers", "[..., 2·n]", &x.shape)),
        }
    }

    fn apply(&mut self, x: &Value, function: Function, columns: usize, shape: &[usize]) -> Result<Value> {
        let out = self.fresh("function of each element", shape)?;
        let rows = out.len() / columns;
        let params = ApplyParams {
            rows,
            columns,
            x_offset: x.offset,
            x_row: x.len() / rows,
            out_offset: out.offset,
            out_row: columns,
            row_lanes: row_lanes(out.len()),
        };
        let name = if function == Function::Magnitude { "magnitude" } else { "activate" };
        let variant = Variant::new(Of::Apply(function), FLAT, self.device().panel());
        self.draft.dispatch(variant, vec![x.buffer, out.buffer], &params.words());
        self.record(name, &[x], &[&out]);
        Ok(out)
    }

    /// Writes the column of the largest element of each row of `values`, `[rows, columns]`, to `out`, `[rows]`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the rows differ.
    pub fn argmax(&mut self, values: &Value, out: &Value) -> Result<()> {
        self.expect(values, "argmax values", false)?;
        self.expect(out, "argmax output", true)?;
        let &[rows, columns] = &values.shape[..] else {
            return Err(Error::shape("argmax values", "[rows, columns]", &values.shape));
        };
        if out.shape != [rows] {
            return Err(Error::shape("argmax output", [rows], &out.shape));
        }
        let params = ArgmaxParams {
            m: rows,
            columns,
            values_offset: values.offset,
            values_row: columns,
            out_offset: out.offset,
        };
        let tile = row_tile(Kernel::Argmax, columns, self.device().plan_limits().trips);
        let variant = Variant::plain(Kernel::Argmax, tile, self.device().panel());
        self.draft.dispatch(variant, vec![values.buffer, out.buffer], &params.words());
        self.record("argmax", &[values], &[out]);
        Ok(())
    }
}
