//! Cases large enough to time.

use super::adam::adam_case;
use super::apply::apply_case;
use super::argmax::argmax_case;
use super::attend::attend_case;
use super::average::average_case;
use super::backward::backward_case;
use super::beam::beam_case;
use super::case::Case;
use super::cross_entropy::{Kind, cross_entropy_case};
use super::ctc::{TIMED, ctc_gradient_case, ctc_labels_case, ctc_lattice_case};
use super::ctc_decoding::{ctc_beam_case, ctc_greedy_case};
use super::dropout::dropout_case;
use super::element_loss::element_loss_case;
use super::forms::forms;
use super::gather::gather_case;
use super::guard::guard;
use super::links::links_case;
use super::log_sum_exp::log_sum_exp_case;
use super::map::{fold_case, map_case};
use super::masks::masks_case;
use super::norm::{norm_backward_case, norm_case};
use super::outer::outer_case;
use super::own::own_case;
use super::pack::pack_case;
use super::product::{GemmForm, gemm_case};
use super::recurrence::recurrence_case;
use super::reduce::reduce_case;
use super::rms_prop::rms_prop_case;
use super::running_mean::running_mean;
use super::sample::sample_case;
use super::scan::{scan_backward_case, scan_case};
use super::scatter_add::scatter_add_case;
use super::settle::settle_case;
use super::sgd::sgd_case;
use super::update::Taken;
use super::wave::wave_case;
use crate::cells::{Activation, Cell, Form};
use crate::device::{self, Device};
use crate::kernels::{
    ATTEND_TILES, Access, ElementLossForm, FLAT, Folding, Formula, Function, Kernel, Of, STAGED, Tile, Variant,
};
use crate::layer;

/// Cases large enough to time, with the tiles and the packing that the device uses.
pub(crate) fn bench(kernel: Kernel, device: &Device) -> Vec<Case> {
    let (texture, uniform) = (device.packs_textures(), device.reads_windows());
    let has = |case: &Case, access| case.variant.row().bindings.iter().any(|binding| binding.1 == access);
    let as_used = |case: Case| {
        let texture = texture && has(&case, Access::Matrix);
        let uniform = uniform && matches!(kernel, Kernel::Gemm | Kernel::Step | Kernel::Wave | Kernel::StepBackward);
        if !texture && !uniform {
            return case;
        }
        // Rows that are more than a window are timed as a buffer.
        case.read_by(texture, uniform).or_else(|| case.read_by(texture, false)).unwrap_or(case)
    };
    plain_bench(kernel, device).into_iter().map(as_used).collect()
}

/// A product for a tile to be timed on, `gemm`'s of so many rows, read from textures and windows as it says; none where the
/// kernel has no such form.
pub(crate) fn timed(
    kernel: Kernel,
    device: &Device,
    tile: Tile,
    (texture, uniform): (bool, bool),
    rows: usize,
) -> Option<Case> {
    // Rows of `sequence_backward` hold the gradients of all gates.
    let width = if kernel == Kernel::SequenceBackward { 256 } else { 64 };
    let variant = |tile| Variant::new(Of::recurrent(kernel, Form::new(Cell::Lstm, false), width), tile, device.panel());
    let case = match kernel {
        Kernel::Gemm => gemm_case(tile, device.panel(), (rows, 1024, 256), GemmForm::Plain, 1),
        Kernel::Step => {
            let tile = Tile { columns: (tile.columns / 4).max(1), ..tile };
            // The states of two layers and tracks, which a window still holds.
            recurrence_case(variant(tile), 16, 192, 1)
        }
        Kernel::Sequence => recurrence_case(variant(tile), 8, 64, 64),
        Kernel::Outer => outer_case(tile, 1, (1024, 256, 256), (false, true), 1),
        Kernel::Wave => {
            let tile = Tile { columns: (tile.columns / 4).max(1), ..tile };
            wave_case(variant(tile), 16, 65, 0..3)
        }
        Kernel::StepBackward => backward_case(variant(tile), 16, 65, 1),
        Kernel::SequenceBackward => {
            let tile = Tile { rows: tile.rows.min(8), ..tile };
            backward_case(variant(tile), 3, 33, 5)
        }
        _ => return None,
    };
    let uniform = uniform && matches!(kernel, Kernel::Gemm | Kernel::Step);
    let texture = texture && kernel != Kernel::Outer;
    if texture || uniform { case.read_by(texture, uniform) } else { Some(case) }
}

/// The same product through workgroup memory.
pub(crate) fn timed_staged(device: &Device, texture: bool, rows: usize, tile: Tile) -> Option<Case> {
    let case = gemm_case(tile, device.panel(), (rows, 1024, 256), GemmForm::Plain, 1).staged();
    if texture { case.read_by(true, false) } else { Some(case) }
}

/// Gradients of a matrix through workgroup memory.
pub(crate) fn timed_staged_outer(tile: Tile) -> Case {
    outer_case(tile, 4, (1024, 256, 512), (false, false), 1).staged()
}

/// The same products in half precision, and by this device's units for small matrices, if it has any.
pub(crate) fn timed_half(kernel: Kernel, device: &Device, tile: Tile, texture: bool, rows: usize) -> [Option<Case>; 2] {
    let Some(case) = timed(kernel, device, tile, (texture, false), rows) else { return [None, None] };
    let by_units = case.by_units(device, if kernel == Kernel::Gemm { rows } else { 16 }, true).pop();
    [Some(case.in_half(true)), by_units]
}

/// A case of a kernel that attends, decodes, or belongs to a CTC loss.
fn decoded(kernel: Kernel) -> Case {
    match kernel {
        Kernel::CtcLabels => ctc_labels_case(TIMED),
        Kernel::CtcLattice => ctc_lattice_case(TIMED, 0..TIMED.steps, [true, true], 0),
        Kernel::CtcGradient => ctc_gradient_case(TIMED, true, 0),
        Kernel::Attend => attend_case(([32, 1], 52, [256, 256]), ATTEND_TILES[0], false),
        Kernel::Beam => beam_case([16, 5, 1000], false),
        Kernel::CtcGreedy => ctc_greedy_case(TIMED),
        _ => ctc_beam_case(TIMED, 16, 0..20),
    }
}

pub(crate) fn plain_bench(kernel: Kernel, device: &Device) -> Vec<Case> {
    let of_form = |form, tile, width| Variant::new(Of::recurrent(kernel, form, width), tile, device.panel());
    let lstm = |tile, width| of_form(Form::new(Cell::Lstm, false), tile, width);
    match kernel {
        Kernel::Gemm => {
            vec![gemm_case(layer::gemm_tile(device, 512), device.panel(), (512, 1024, 256), GemmForm::Plain, 1)]
        }
        Kernel::Pack => vec![pack_case((256, 1024), (4, true, true), 1 << 15)],
        Kernel::Gather => vec![gather_case((2048, 256), (true, false), 1 << 15)],
        Kernel::Argmax => vec![argmax_case((64, 1000))],
        Kernel::Sample => vec![sample_case((64, 1000), (40, 0.9))],
        Kernel::CtcLabels | Kernel::CtcLattice | Kernel::CtcGradient => vec![decoded(kernel)],
        Kernel::Attend | Kernel::Beam | Kernel::CtcBeam | Kernel::CtcGreedy => vec![decoded(kernel)],
        Kernel::Step => {
            let tile = layer::step_tile(device, 4, [256, 32, 1]);
            vec![recurrence_case(lstm(tile, 0), 32, 256, 1)]
        }
        Kernel::Sequence => {
            let tile = Tile { rows: 8, ..device::own_tiles(device, kernel)[0] };
            vec![recurrence_case(lstm(tile, 64), 8, 64, 64)]
        }
        Kernel::Grid => {
            let tile = device::own_tiles(device, kernel)[0];
            vec![recurrence_case(lstm(tile, 64), 4, 32, 64)]
        }
        Kernel::Settle => vec![settle_case(0, true)],
        Kernel::Wave => {
            let tile = layer::step_tile(device, 4, [256, 8, 3]);
            vec![wave_case(lstm(tile, 0), 8, 256, 0..3)]
        }
        Kernel::Outer => {
            // The gradient of R of a character model: 2,048 rows of gates, times those of the state.
            let (sizes, form) = ((1024, 256, 2048), (false, true));
            let plain = outer_case(layer::outer_tile(device, 1024), 1, sizes, form, 1);
            let staged = STAGED.map(|tile| outer_case(tile, 16, sizes, form, 1).staged());
            std::iter::once(plain).chain(staged).collect()
        }
        Kernel::StepBackward => {
            let tile = layer::step_tile(device, 1, [256, 32, 1]);
            vec![backward_case(lstm(tile, 0), 32, 256, 1)]
        }
        Kernel::Scan | Kernel::ScanBackward => {
            let make = if kernel == Kernel::Scan { scan_case } else { scan_backward_case };
            let cells = forms(kernel).map(|form| of_form(form, FLAT, 0));
            cells.map(|variant| make(variant, [32, 256, 64, 1])).collect()
        }
        Kernel::NormStep | Kernel::NormStepBackward => {
            let make = if kernel == Kernel::NormStep { norm_case } else { norm_backward_case };
            let tile = Tile { lanes: 256, ..FLAT };
            let cells = forms(kernel).map(|form| of_form(form, tile, 0));
            cells.map(|variant| make(variant, [32, 256])).collect()
        }
        Kernel::Map => Formula::new(|[a, b]| (a * b).tanh())
            .into_iter()
            .map(|formula| map_case(formula, &[256, 512], 0, false))
            .collect(),
        Kernel::Fold => vec![fold_case((Formula::identity(), Folding::Sum), (&[256, 512], 1), true, false)],
        Kernel::Apply => vec![apply_case(Function::Activation(Activation::Tanh), (256, 512))],
        Kernel::Dropout => vec![dropout_case(1 << 17, 0.5)],
        Kernel::Masks => vec![masks_case((32, 256, 64), (1 << 29, 1.0, 1 << 28), false)],
        Kernel::Links => vec![links_case((2048, 65))],
        Kernel::ScatterAdd => vec![scatter_add_case((2048, 128, 65))],
        Kernel::Reduce => vec![reduce_case((1 << 18, 1 << 12), 1, 1)],
        Kernel::CrossEntropy => vec![cross_entropy_case((2048, 65), Kind::Classes)],
        Kernel::ElementLoss => vec![element_loss_case(1 << 17, ElementLossForm::Binary)],
        Kernel::LogSumExp => vec![log_sum_exp_case((3200, 80))],
        Kernel::Own => vec![own_case(1 << 17)],
        Kernel::Guard => guard(device).into_iter().take(1).collect(),
        // The weights of a character model.
        Kernel::Sgd => vec![sgd_case(("momentum", 0.9, 0.0, false, 0.0), (1 << 19, 2, Taken::Yes))],
        Kernel::Adam => vec![adam_case(("plain", 0.0, false, 0.0), (1 << 19, 2, Taken::Yes))],
        Kernel::RmsProp => vec![rms_prop_case(("plain", 0.0, 0.0, false, 0.0), (1 << 19, 2, Taken::Yes))],
        Kernel::Average => vec![average_case(1 << 19, 0.1, true, 0)],
        Kernel::RunningMean => running_mean(device).into_iter().take(1).collect(),
        Kernel::SequenceBackward => {
            let tile = Tile { rows: 4, ..device::own_tiles(device, kernel)[0] };
            vec![backward_case(lstm(tile, 256), 8, 64, 64)]
        }
    }
}
