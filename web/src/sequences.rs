//! Which rows of an input sequences are made of: masks, resets, packed sequences.

use crate::arguments;
use crate::arrays::{array_of, flags, shape_to_js, to_js};
use crate::fault::Result;
use crate::handles::Handle;
use js_sys::Array;
use ndarray::{Array2, ArrayView2, Ix2};
use wasm_bindgen::prelude::*;

/// An index map: which rows of the input each sequence is made of, and where its state is reset. It is the option `map` of a call.
#[wasm_bindgen]
#[derive(Clone)]
pub struct SequenceMap(wgrnn::SequenceMap);

impl Handle for SequenceMap {
    const CLASS: &'static str = "SequenceMap";
}

#[wasm_bindgen]
impl SequenceMap {
    /// The steps that count, in any place: 1 or 0 for each, in the first two axes of the input.
    pub fn mask(#[wasm_bindgen(unchecked_param_type = "Flags")] mask: &JsValue) -> Result<Self> {
        Ok(Self(wgrnn::SequenceMap::mask(flags("mask", mask)?.view())))
    }

    /// All steps, with the state reset before those that are marked, in the first two axes of the input.
    pub fn resets(#[wasm_bindgen(unchecked_param_type = "Flags")] resets: &JsValue) -> Result<Self> {
        Ok(Self(wgrnn::SequenceMap::resets(flags("resets", resets)?.view())))
    }

    /// All steps, with the state reset before these steps of each sequence.
    #[wasm_bindgen(js_name = resetsAt)]
    pub fn resets_at(#[wasm_bindgen(unchecked_param_type = "number[][]")] resets: &JsValue) -> Result<Self> {
        Ok(Self(wgrnn::SequenceMap::resets_at(&lists("resets", resets)?)))
    }

    /// Sequences of these lengths one after the other: [Σ lengths, I].
    pub fn concatenated(#[wasm_bindgen(unchecked_param_type = "number[]")] lengths: &JsValue) -> Result<Self> {
        Ok(Self(wgrnn::SequenceMap::concatenated(&arguments::wholes("lengths", lengths)?)))
    }

    /// The layout of PyTorch's `PackedSequence`.
    pub fn packed(
        #[wasm_bindgen(js_name = batchSizes, unchecked_param_type = "number[]")] batch_sizes: &JsValue,
        #[wasm_bindgen(js_name = sortedIndices, unchecked_optional_param_type = "number[]")] sorted_indices: &JsValue,
    ) -> Result<Self> {
        let sizes = arguments::wholes("batchSizes", batch_sizes)?;
        let sorted = optional_wholes("sortedIndices", sorted_indices)?;
        Ok(Self(wgrnn::SequenceMap::packed(&sizes, sorted.as_deref())?))
    }

    /// Sequences as lists of rows of an input of so many rows.
    pub fn rows(
        #[wasm_bindgen(unchecked_param_type = "number")] rows: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number[][]")] sequences: &JsValue,
    ) -> Result<Self> {
        let rows = arguments::whole("rows", rows)? as usize;
        Ok(Self(wgrnn::SequenceMap::rows(rows, &lists("sequences", sequences)?)?))
    }

    /// This map, with the state reset before the steps that are marked.
    #[wasm_bindgen(js_name = withResets)]
    pub fn with_resets(&self, #[wasm_bindgen(unchecked_param_type = "Flags")] resets: &JsValue) -> Result<Self> {
        Ok(Self(self.0.clone().with_resets(flags("resets", resets)?.view())))
    }

    /// This map, with the state reset before these steps of each sequence.
    #[wasm_bindgen(js_name = withResetsAt)]
    pub fn with_resets_at(
        &self,
        #[wasm_bindgen(unchecked_param_type = "number[][]")] resets: &JsValue,
    ) -> Result<Self> {
        Ok(Self(self.0.clone().with_resets_at(&lists("resets", resets)?)))
    }

    /// This map, whose resets set the state to "zeros" or to the "initial" one.
    #[wasm_bindgen(js_name = resetTo)]
    pub fn reset_to(
        &self,
        #[wasm_bindgen(unchecked_param_type = "\"zeros\" | \"initial\"")] state: &JsValue,
    ) -> Result<Self> {
        let to = match state.as_string().as_deref() {
            Some("zeros") => wgrnn::ResetTo::Zeros,
            Some("initial") => wgrnn::ResetTo::Initial,
            _ => return Err(arguments::fault("state", "\"zeros\" or \"initial\"", state)),
        };
        Ok(Self(self.0.clone().reset_to(to)))
    }

    /// This map, where the output of a masked step repeats that of the step before it.
    #[wasm_bindgen(js_name = repeatOutput)]
    pub fn repeat_output(&self) -> Self {
        Self(self.0.clone().repeat_output())
    }

    /// Another handle of the same map.
    #[wasm_bindgen(js_name = clone)]
    pub fn another(&self) -> Self {
        self.clone()
    }
}

impl SequenceMap {
    pub fn inner(&self) -> &wgrnn::SequenceMap {
        &self.0
    }
}

/// Sequences without padding in the layout of PyTorch's `PackedSequence`.
#[wasm_bindgen]
pub struct PackedSequence(wgrnn::PackedSequence);

#[wasm_bindgen]
impl PackedSequence {
    /// From PyTorch's four arrays.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "NdArray")] data: &JsValue,
        #[wasm_bindgen(js_name = batchSizes, unchecked_param_type = "number[]")] batch_sizes: &JsValue,
        #[wasm_bindgen(js_name = sortedIndices, unchecked_optional_param_type = "number[] | null")]
        sorted_indices: &JsValue,
        #[wasm_bindgen(js_name = unsortedIndices, unchecked_optional_param_type = "number[] | null")]
        unsorted_indices: &JsValue,
    ) -> Result<Self> {
        let data = array_of::<f32, Ix2>("data", data)?;
        let sizes = arguments::wholes("batchSizes", batch_sizes)?;
        let sorted = optional_wholes("sortedIndices", sorted_indices)?;
        let unsorted = optional_wholes("unsortedIndices", unsorted_indices)?;
        Ok(Self(wgrnn::PackedSequence::new(data, sizes, sorted, unsorted)?))
    }

    /// Packs sequences, [T, features] each, in any order of lengths.
    pub fn pack(#[wasm_bindgen(unchecked_param_type = "NdArray[]")] sequences: &JsValue) -> Result<Self> {
        let sequences = matrices("sequences", sequences)?;
        let views: Vec<ArrayView2<'_, f32>> = sequences.iter().map(|x| x.view()).collect();
        Ok(Self(wgrnn::PackedSequence::pack(&views)?))
    }

    /// The sequences, in the order in which they were packed.
    #[wasm_bindgen(unchecked_return_type = "NdArray[]")]
    pub fn unpack(&self) -> Result<JsValue> {
        Ok(matrices_to_js(&self.0.unpack()?))
    }

    /// The rows of all steps: [Σ lengths, features].
    #[wasm_bindgen(unchecked_return_type = "NdArray")]
    pub fn data(&self) -> JsValue {
        to_js(self.0.data().view().into_dyn())
    }

    /// How many sequences have each step.
    #[wasm_bindgen(js_name = batchSizes, unchecked_return_type = "number[]")]
    pub fn batch_sizes(&self) -> JsValue {
        shape_to_js(self.0.batch_sizes())
    }

    /// For each place among the longest-first, its sequence; undefined where these are in that order.
    #[wasm_bindgen(js_name = sortedIndices, unchecked_return_type = "number[] | undefined")]
    pub fn sorted_indices(&self) -> JsValue {
        self.0.sorted_indices().map_or(JsValue::UNDEFINED, shape_to_js)
    }

    /// For each sequence, its place among the longest-first.
    #[wasm_bindgen(js_name = unsortedIndices, unchecked_return_type = "number[] | undefined")]
    pub fn unsorted_indices(&self) -> JsValue {
        self.0.unsorted_indices().map_or(JsValue::UNDEFINED, shape_to_js)
    }

    /// The index map of this layout.
    pub fn map(&self) -> Result<SequenceMap> {
        Ok(SequenceMap(self.0.map()?))
    }
}

impl PackedSequence {
    pub fn of(packed: wgrnn::PackedSequence) -> Self {
        Self(packed)
    }

    pub fn inner(&self) -> &wgrnn::PackedSequence {
        &self.0
    }
}

/// An array of arrays of whole numbers.
fn lists(name: &str, value: &JsValue) -> Result<Vec<Vec<usize>>> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| arguments::fault(name, "an array of arrays", value))?;
    array.iter().enumerate().map(|(i, list)| arguments::wholes(&format!("{name}[{i}]"), &list)).collect()
}

fn optional_wholes(name: &str, value: &JsValue) -> Result<Option<Vec<usize>>> {
    if value.is_undefined() || value.is_null() { Ok(None) } else { arguments::wholes(name, value).map(Some) }
}

/// An array of arrays [T, features].
pub fn matrices(name: &str, value: &JsValue) -> Result<Vec<Array2<f32>>> {
    let array = value.dyn_ref::<Array>().ok_or_else(|| arguments::fault(name, "an array of arrays", value))?;
    array.iter().enumerate().map(|(i, value)| array_of(&format!("{name}[{i}]"), &value)).collect()
}

pub fn matrices_to_js(matrices: &[Array2<f32>]) -> JsValue {
    matrices.iter().map(|matrix| to_js(matrix.view().into_dyn())).collect::<Array>().into()
}
