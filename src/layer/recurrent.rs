//! A plan's recurrent layers, forward and backward, and what they leave in its trace.

use super::backward::{Flow, emit_backward};
use super::call::{RnnCall, output_shape};
use super::emit::emit_forward;
use super::outer::gradient_parts;
use super::reserve::Reserve;
use super::rnn::Rnn;
use super::state::DeviceState;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::plan::{PlanBuilder, Region, Value};

impl PlanBuilder {
    /// Runs a recurrent layer over `x`, [T, N, I] or as its configuration says, from and to a state on the device.
    /// Gives the output, whose shape follows from [`RnnCall::output`]. With an index map of packed sequences, `x` is [rows, I].
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) and [`Value`](Error::Value) where input, lengths or state do not fit the layer.
    pub fn rnn(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall) -> Result<Value> {
        self.expect(x, "recurrent input", false)?;
        let shape = output_shape(rnn.config(), x.shape(), call)?;
        let out = self.fresh("output of a recurrent layer", &shape)?;
        self.rnn_into(rnn, x, state, call, &out)?;
        Ok(out)
    }

    /// Runs a recurrent layer as [`PlanBuilder::rnn`] does, and writes the output to `out`.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`].
    pub fn rnn_into(&mut self, rnn: &Rnn, x: &Value, state: &DeviceState, call: &RnnCall, out: &Value) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        self.expect(out, "recurrent output", false)?;
        emit_forward(self, rnn, x, state, call, out, None)?;
        self.record_rnn("rnn", rnn, (&[x], &[out]), state, call);
        Ok(())
    }

    /// Runs a recurrent layer as [`PlanBuilder::rnn_into`] does, and keeps what [`PlanBuilder::rnn_backward`] needs in
    /// `reserve`.
    ///
    /// # Errors
    /// As [`PlanBuilder::rnn`], and [`Shape`](Error::Shape) where the reserve is another layer's or call's.
    pub fn rnn_keeping(
        &mut self,
        rnn: &Rnn,
        x: &Value,
        state: &DeviceState,
        call: &RnnCall,
        out: &Value,
        reserve: &Reserve,
    ) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        self.expect(out, "recurrent output", false)?;
        emit_forward(self, rnn, x, state, call, out, Some(reserve))?;
        self.record_rnn("rnn", rnn, (&[x], &[out]), state, call);
        Ok(())
    }

    /// Runs the backward pass of a layer whose forward pass over `x` filled the reserve. It overwrites the reserve.
    /// Before it, `state` holds the gradient of the final state; after it, that of the initial state. Gradients of the
    /// weights are added to those of the layer's [`Parameters`]; that of `x` is written to `dx`.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where a gradient or the reserve does not fit, [`Value`](Error::Value) where the layer was
    /// not made by [`Rnn::trainable`].
    #[allow(clippy::too_many_arguments, reason = "a layer, its call, and a gradient for each thing of the call")]
    pub fn rnn_backward(
        &mut self,
        rnn: &Rnn,
        x: &Value,
        call: &RnnCall,
        reserve: &Reserve,
        dy: Option<&Value>,
        state: &DeviceState,
        dx: Option<&Value>,
    ) -> Result<()> {
        self.expect(x, "recurrent input", false)?;
        for (name, value) in [("gradient of the output", dy), ("gradient of the input", dx)] {
            value.map_or(Ok(()), |value| self.expect(value, name, false))?;
        }
        let flow = Flow { dy, state, dx: dx.map(|dx| (dx, false)), weights: true };
        emit_backward(self, rnn, x, call, reserve, &flow)?;
        let reads: Vec<&Value> = [Some(x), dy].into_iter().flatten().collect();
        let carried = RnnCall { carry: true, ..call.clone() };
        self.record_rnn("rnn_backward", rnn, (&reads, dx.as_slice()), state, &carried);
        Ok(())
    }

    /// Sets the gradients of parameters to zero.
    ///
    /// # Errors
    /// [`OtherDevice`](Error::OtherDevice).
    pub fn clear_gradients(&mut self, parameters: &Parameters) -> Result<()> {
        if !parameters.device().is(self.device()) {
            return Err(Error::OtherDevice { tensor: "parameters".to_owned() });
        }
        for part in gradient_parts(self, parameters).all() {
            self.draft.clear(part.buffer, 0, part.words as u64);
        }
        Ok(())
    }

    /// The same for a recurrent layer, which also writes its state and, where `carry` says so, reads it.
    pub(crate) fn record_rnn(
        &mut self,
        name: &'static str,
        rnn: &Rnn,
        (reads, writes): (&[&Value], &[&Value]),
        state: &DeviceState,
        call: &RnnCall,
    ) {
        let (h, c) = state.words();
        let mut places = vec![Region { buffer: self.external("h", &state.h, h), range: 0..h as usize }];
        if let Some(storage) = &state.c {
            places.push(Region { buffer: self.external("c", storage, c), range: 0..c as usize });
        }
        let trace = self.record(name, reads, writes);
        if call.carry {
            trace.reads.extend_from_slice(&places);
        }
        trace.writes.extend(places);
        trace.parameters = rnn.parameters().cloned();
    }
}
