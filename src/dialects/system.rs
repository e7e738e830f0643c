//! Gate orders and biases of other systems, which each system's file builds on.

use crate::cells::{Activation, Cell, Reset};
use crate::config::Bias;
use crate::error::{Error, Result};
use ndarray::{Array, Array1, ArrayView, Axis, Dimension, RemoveAxis, Slice};

/// A system whose weights can be converted.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use ndarray::array;
/// use wgrnn::{Cell, dialects::System};
/// // The rows i, o, f, g of an LSTM of one unit, as ONNX orders them.
/// let rows = array![1., 2., 3., 4.];
/// let own = System::Onnx.to_own(Cell::Lstm, rows.view())?;
/// assert_eq!(own, array![1., 3., 4., 2.]); // i, f, g, o
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum System {
    /// PyTorch, whose layout this library shares.
    PyTorch,
    /// cuDNN.
    Cudnn,
    /// ONNX.
    Onnx,
    /// Keras.
    Keras,
}

impl System {
    /// For each gate in this library's order (i, f, g, o; r, z, n), its place in the system's order.
    pub const fn gates(self, cell: Cell) -> &'static [usize] {
        match (cell, self) {
            (Cell::Lstm, Self::Onnx) => &[0, 2, 3, 1],
            (Cell::Gru(_), Self::Onnx | Self::Keras) => &[1, 0, 2],
            // In this library's order: no cell has more gates.
            _ => [0, 1, 2, 3].split_at(cell.gates()).0,
        }
    }

    /// Whether the system has the cell.
    pub const fn has(self, cell: Cell) -> bool {
        match (self, cell) {
            (Self::PyTorch, _) => true,
            (Self::Cudnn, Cell::Elman(activation)) => matches!(activation, Activation::Tanh | Activation::Relu),
            (Self::Onnx | Self::Keras, Cell::Elman(_)) => true,
            (Self::Cudnn, Cell::Gru(reset)) => matches!(reset, Reset::After),
            (_, Cell::Lstm | Cell::Gru(_)) => true,
            _ => false,
        }
    }

    /// Refuses a cell that the system does not have.
    pub(crate) fn check(self, cell: Cell) -> Result<()> {
        if self.has(cell) {
            return Ok(());
        }
        Err(Error::unsupported(format!("the cell {}", cell.name()), format!("{self:?} has no such cell")))
    }

    /// Reorders the blocks of rows, one for each gate, from the system's order into this library's.
    ///
    /// # Errors
    /// [`Shape`](Error::Shape) where the rows are not those of this cell's gates, [`Unsupported`](Error::Unsupported)
    /// for a cell that the system does not have.
    pub fn to_own<D: Dimension + RemoveAxis>(self, cell: Cell, rows: ArrayView<'_, f32, D>) -> Result<Array<f32, D>> {
        self.check(cell)?;
        in_order(self.gates(cell), &rows)
    }

    /// Reorders the blocks of rows, one for each gate, from this library's order into the system's.
    ///
    /// # Errors
    /// As [`Self::to_own`].
    pub fn of_own<D: Dimension + RemoveAxis>(self, cell: Cell, rows: ArrayView<'_, f32, D>) -> Result<Array<f32, D>> {
        self.check(cell)?;
        let gates = self.gates(cell);
        let place = |gate| gates.iter().position(|&theirs| theirs == gate).unwrap_or(gate);
        in_order(&(0..gates.len()).map(place).collect::<Vec<_>>(), &rows)
    }
}

/// Blocks of rows, the n-th of which was the `order[n]`-th.
pub(super) fn in_order<D: Dimension + RemoveAxis>(
    order: &[usize],
    rows: &ArrayView<'_, f32, D>,
) -> Result<Array<f32, D>> {
    let shape = rows.shape();
    let count = shape.first().copied().unwrap_or(0);
    if count == 0 || !count.is_multiple_of(order.len()) {
        return Err(Error::shape("rows of gates", format!("a multiple of {} rows", order.len()), shape));
    }
    let units = (count / order.len()) as isize;
    let gate =
        |&gate: &usize| rows.slice_axis(Axis(0), Slice::from(gate as isize * units..(gate as isize + 1) * units));
    let blocks: Vec<_> = order.iter().map(gate).collect();
    ndarray::concatenate(Axis(0), &blocks).map_err(|error| Error::Plan(format!("gates in another order: {error}")))
}

/// The biases of a layer: beside W and beside R, [G·H] each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Biases {
    /// The bias beside W, [G·H].
    pub input: Option<Array1<f32>>,
    /// The bias beside R, [G·H].
    pub recurrent: Option<Array1<f32>>,
}

impl Biases {
    /// As this library has them: a layer with the second one only has a first one of zeros.
    pub(crate) fn own(self) -> (Bias, Option<Array1<f32>>, Option<Array1<f32>>) {
        match (self.input, self.recurrent) {
            (None, None) => (Bias::None, None, None),
            (Some(input), None) => (Bias::One, Some(input), None),
            (input, Some(recurrent)) => {
                (Bias::Two, Some(input.unwrap_or_else(|| Array1::zeros(recurrent.len()))), Some(recurrent))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Each system with each of its cells.
    fn all() -> impl Iterator<Item = (System, Cell)> {
        let all = SYSTEMS.into_iter().flat_map(|system| Cell::ALL.map(|cell| (system, cell)));
        all.filter(|(system, cell)| system.has(*cell))
    }

    const SYSTEMS: [System; 4] = [System::PyTorch, System::Cudnn, System::Onnx, System::Keras];

    #[test]
    fn every_order_is_one_of_all_gates() {
        for (system, cell) in all() {
            let mut gates = system.gates(cell).to_vec();
            gates.sort_unstable();
            assert_eq!(gates, (0..cell.gates()).collect::<Vec<_>>(), "{system:?} {cell:?}");
        }
    }

    /// The orders by their names, once more: a table of indices is easily read the wrong way round.
    #[test]
    fn gates_are_found_by_their_names() {
        let named = |system: System, cell, theirs: [f32; 4]| {
            let rows = Array1::from_iter(theirs.into_iter().take(Cell::gates(cell)));
            system.to_own(cell, rows.view()).unwrap().to_vec()
        };
        let [i, f, g, o] = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(named(System::Onnx, Cell::Lstm, [i, o, f, g]), [i, f, g, o]);
        assert_eq!(named(System::Keras, Cell::Lstm, [i, f, g, o]), [i, f, g, o]);
        assert_eq!(named(System::Cudnn, Cell::Lstm, [i, f, g, o]), [i, f, g, o]);
        let [r, z, n] = [5.0, 6.0, 7.0];
        let gru = Cell::Gru(Reset::After);
        assert_eq!(named(System::Onnx, gru, [z, r, n, 0.0]), [r, z, n]);
        assert_eq!(named(System::Keras, gru, [z, r, n, 0.0]), [r, z, n]);
        assert_eq!(named(System::PyTorch, gru, [r, z, n, 0.0]), [r, z, n]);
    }

    #[test]
    fn there_and_back_is_the_same() {
        for (system, cell) in all() {
            let rows = Array2::from_shape_fn((cell.gates() * 3, 2), |(i, j)| (10 * i + j) as f32);
            let own = system.to_own(cell, rows.view()).unwrap();
            assert_eq!(system.of_own(cell, own.view()).unwrap(), rows, "{system:?} {cell:?}");
            let theirs = system.of_own(cell, rows.view()).unwrap();
            assert_eq!(system.to_own(cell, theirs.view()).unwrap(), rows, "{system:?} {cell:?}");
        }
    }

    #[test]
    fn a_cell_that_a_system_has_not_is_refused() {
        let rows = Array1::zeros(12);
        for (system, cell) in [
            (System::Cudnn, Cell::Gru(Reset::Before)),
            (System::Cudnn, Cell::Elman(Activation::Sigmoid)),
            (System::Keras, Cell::Qrnn),
            (System::Onnx, Cell::MinGru),
        ] {
            let error = system.of_own(cell, rows.view()).unwrap_err().to_string();
            assert!(error.contains(cell.name()) && system.to_own(cell, rows.view()).is_err(), "{error}");
        }
    }

    #[test]
    fn rows_that_are_no_gates_are_refused() {
        let error = System::Onnx.to_own(Cell::Lstm, array![1.0, 2.0, 3.0].view()).unwrap_err().to_string();
        assert!(error.contains("multiple of 4") && error.contains("[3]"), "{error}");
        assert!(System::Keras.of_own(Cell::Lstm, Array1::zeros(0).view()).is_err());
    }

    #[test]
    fn a_bias_beside_r_alone_gets_zeros_beside_it() {
        let own = |input: Option<Array1<f32>>, recurrent: Option<Array1<f32>>| Biases { input, recurrent }.own();
        let (one, two) = (array![1.0, 2.0], array![3.0, 4.0]);
        assert_eq!(own(None, None), (Bias::None, None, None));
        assert_eq!(own(Some(one.clone()), None), (Bias::One, Some(one.clone()), None));
        assert_eq!(own(Some(one.clone()), Some(two.clone())), (Bias::Two, Some(one), Some(two.clone())));
        assert_eq!(own(None, Some(two.clone())), (Bias::Two, Some(array![0.0, 0.0]), Some(two)));
    }
}
