//! Which forms of which cells a kernel is tried with, and in which tiles.

use super::case::Case;
use super::recurrence::form_of;
use crate::cells::{Cell, Form};
use crate::device::{self, Device};
use crate::kernels::{Kernel, Of, Sums, Tile, Variant};

/// An LSTM as it usually is, with projection or without: the cell that is tried in every way.
pub(crate) fn is_thorough(form: &Form) -> bool {
    form.cell == Cell::Lstm && form.is_usual()
}

/// What a cell does and how its sums are tiled are apart in the shaders: each cell is tried with this device's tiles,
/// and one cell with the others. On the CPU all is tried, since no shader is compiled.
pub(crate) fn tiles(device: &Device, kernel: Kernel, form: &Form) -> Vec<Tile> {
    let mut tiles = device::tiles(device, kernel);
    if !device.is_cpu() && !is_thorough(form) {
        let own = device::own_tiles(device, kernel);
        tiles.retain(|tile| own.contains(tile));
    }
    tiles
}

/// Lanes that share sums, for one cell: how sums are made is no matter of the cell's mathematics.
pub(crate) fn splits(form: Form) -> impl Iterator<Item = (Tile, u32)> {
    let tile = |rows| Tile { rows, columns: 1, lanes: 32, spread: 0 };
    let tiles = [(tile(4), 4), (tile(1), 8), (Tile { columns: 2, lanes: 16, ..tile(2) }, 3)];
    tiles.into_iter().filter(move |_| is_thorough(&form))
}

/// The forms of cells that a kernel computes with.
pub(crate) fn forms(kernel: Kernel) -> impl Iterator<Item = Form> {
    let backward = matches!(kernel, Kernel::StepBackward | Kernel::SequenceBackward);
    let scans = matches!(kernel, Kernel::Scan | Kernel::ScanBackward);
    let norms = matches!(kernel, Kernel::NormStep | Kernel::NormStepBackward);
    // Nothing is kept by these, and recurrent dropout is a matter of what is kept.
    let forward = matches!(kernel, Kernel::Grid | Kernel::Wave);
    Form::all().filter(move |form| {
        let of_kernel = (form.cell.scan().is_some(), form.norm().is_some()) == (scans, norms);
        of_kernel && (!backward || form.trains()) && !(forward && form.options.noise.recurrent_dropout.is_some())
    })
}

/// Every phase of every cell by `step` or its backward half.
pub(crate) fn steps(device: &Device, kernel: Kernel) -> Vec<Variant> {
    let mut variants = Vec::new();
    for form in forms(kernel) {
        let of = |phase, split| match kernel {
            Kernel::Step => Of::Step { form, phase, keep: false, sums: Sums::Split(split) },
            _ => Of::StepBackward { form, phase, split },
        };
        for phase in 0..form.phases().len() {
            for tile in tiles(device, kernel, &form) {
                let sums = if kernel == Kernel::Step { form.phases()[phase].gates as u32 } else { 1 };
                let tile = Tile { columns: (tile.columns / sums).max(1), ..tile };
                variants.push(Variant::new(of(phase, 1), tile, 4));
            }
            variants.extend(splits(form).map(|(tile, split)| Variant::new(of(phase, split), tile, 4)));
        }
    }
    variants
}

/// A variant, and the same keeping what training needs, which is tried with one tile only: the two are apart too.
pub(crate) fn keeps(device: &Device, variant: Variant) -> Vec<Variant> {
    let own = device::own_tiles(device, variant.kernel())[0];
    let keep = form_of(&variant).trains() && (variant.tile.lanes, variant.tile.spread) == (own.lanes, own.spread);
    let keeping = variant.clone().keeping();
    let drops = form_of(&variant).options.noise.recurrent_dropout.is_some();
    match keep {
        true if drops => vec![keeping],
        true => vec![variant, keeping],
        false => vec![variant],
    }
}

/// Beside one case of a cell with one phase and of one with two the same in half precision: how weights are read is no
/// matter of the cell's mathematics.
pub(crate) fn in_half_too(cases: Vec<Case>) -> Vec<Case> {
    let mut seen = Vec::new();
    let mut first = |case: &&Case| {
        let one_of_each = [false, true].map(|projected| Form::new(Cell::Lstm, projected));
        let key = (case.variant.of.form(), case.variant.of.keep());
        let is_new = case.variant.of.form().is_some_and(|form| one_of_each.contains(&form)) && !seen.contains(&key);
        seen.push(key);
        is_new
    };
    let narrow = |case: &Case| !case.variant.of.keep() && case.variant.kernel() != Kernel::SequenceBackward;
    let halves: Vec<_> = cases.iter().filter(&mut first).map(|case| case.in_half(narrow(case))).collect();
    cases.into_iter().chain(halves).collect()
}

/// Beside each case the same with matrix and rows read in another way, of which there are three, in turn: for the tiles
/// of this device, and a cell for all.
pub(crate) fn in_all_forms(device: &Device, cases: Vec<Case>) -> Vec<Case> {
    let forms = [(true, false), (false, true), (true, true)];
    let mut all = Vec::new();
    for (i, case) in cases.into_iter().enumerate() {
        let Variant { of, tile, .. } = case.variant;
        let (kernel, cell, keep) = (of.kernel(), of.form(), of.keep());
        let own = device::own_tiles(device, kernel).iter().any(|own| (own.rows, own.lanes) == (tile.rows, tile.lanes));
        if (own || device.is_cpu()) && cell.is_none_or(|form| form == Form::new(Cell::Lstm, false)) && !keep {
            let (texture, uniform) = forms[i % forms.len()];
            all.extend(case.read_by(texture, uniform));
            if case.variant.reads.panel > 1 && tile.spread == 0 {
                // Textures convert halves themselves.
                let half = case.in_half(i % 2 == 0 && kernel != Kernel::StepBackward && !case.accumulates());
                all.extend(if i % 3 == 0 { half.read_by(true, false) } else { Some(half) });
            }
        }
        all.push(case);
    }
    all
}
