//! A cell in the form that a layer has it.

use super::activation::{Activation, Coefficient};
use super::cell::Cell;
use super::norm::Norm;
use super::options::{CellClip, Equations, Options};
use super::phase::Phase;
use super::scan::Scan;
use super::spec::Spec;
use crate::error::{Error, Result};

/// A cell with everything that determines its equations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Form {
    /// The cell.
    pub cell: Cell,
    /// Whether h is projected.
    pub projected: bool,
    /// Its options.
    pub options: Options,
}

/// Whether a cell can have something.
type Can = fn(&Spec) -> bool;

/// The names of the cells that can have something.
fn cells_with(has: Can) -> String {
    let names: Vec<_> = Cell::ALL.into_iter().map(Cell::spec).filter(|spec| has(spec)).map(|spec| spec.name).collect();
    names.join(", ")
}

impl Form {
    /// The usual form of a cell.
    pub const fn new(cell: Cell, projected: bool) -> Self {
        Self { cell, projected, options: Options::USUAL }
    }

    /// The usual form of every cell, and those with projection.
    pub fn usual() -> impl Iterator<Item = Self> {
        let projected = Cell::ALL.into_iter().filter(|cell| cell.spec().projects()).map(|cell| Self::new(cell, true));
        Cell::ALL.into_iter().map(|cell| Self::new(cell, false)).chain(projected)
    }

    /// Forms in which every cell, option and activation occurs. Tests and benches go through them.
    pub fn all() -> impl Iterator<Item = Self> {
        let [alpha, beta] = [Coefficient::new(0.3), Coefficient::new(0.6)];
        let elman = |activation| Self::new(Cell::Elman(activation), false);
        let clip = Equations { clip: Some(Coefficient::new(0.5)), ..Equations::USUAL };
        // Activations that no cell of the list has.
        let others = [
            Self { options: Options::of(clip), ..elman(Activation::LeakyRelu { alpha }) },
            elman(Activation::Affine { alpha, beta }),
        ];
        let own =
            |cell: Cell| cell.spec().forms.iter().map(move |&(projected, options)| Self { cell, projected, options });
        Self::usual().chain(others).chain(Cell::ALL.into_iter().flat_map(own))
    }

    /// G: the number of gates.
    pub const fn gates(&self) -> usize {
        self.cell.gates()
    }

    /// The phases of a time step.
    pub const fn phases(&self) -> &'static [Phase] {
        self.cell.phases(self.projected)
    }

    /// The layer norm of this form; `None` if it has none.
    pub fn norm(&self) -> Option<&'static Norm> {
        self.cell.spec().norm.as_ref().filter(|_| self.options.layer_norm)
    }

    /// Its equations with the activation that is the cell's own, if they are not the usual ones.
    pub(crate) fn equations(&self) -> Option<Equations> {
        let is_usual = self.cell.spec().trains() && self.options.equations == Equations::USUAL;
        (!is_usual).then(|| Equations { activations: self.activations(), ..self.options.equations })
    }

    /// Whether it is as textbooks have it. What training draws changes no equation of the cell.
    pub fn is_usual(&self) -> bool {
        self.equations().is_none() && !self.options.layer_norm
    }

    /// Whether training draws random masks for this form.
    pub const fn draws(&self) -> bool {
        self.options.noise.zoneout.is_some() || self.options.noise.recurrent_dropout.is_some()
    }

    /// The same as kernels run it: dropout is a matter of training alone.
    pub(crate) const fn running(mut self, training: bool) -> Self {
        if !training {
            self.options.noise.recurrent_dropout = None;
        }
        self
    }

    /// Whether gates see an h that R does not: with recurrent dropout, the one without its mask.
    pub(crate) fn sees_unmasked(&self) -> bool {
        self.options.noise.recurrent_dropout.is_some() && self.phases().iter().any(|phase| phase.hidden)
    }

    /// Columns of the reserve that follow the old h, each as wide as that: the masks, and h without its mask.
    pub(crate) fn drawn_columns(&self) -> usize {
        usize::from(self.draws()) + usize::from(self.sees_unmasked())
    }

    /// Whether its gradients are known: those of the usual forms, of a clipped c, and of norms of the usual forms.
    pub fn trains(&self) -> bool {
        let without_clip = Equations { cell_clip: None, ..self.options.equations };
        let clips = self.options.equations.cell_clip.is_some();
        self.cell.spec().trains() && without_clip == Equations::USUAL && !(clips && self.options.layer_norm)
    }

    /// The activations of the gates, of the candidate, and of c. An Elman cell has one, which is given three times.
    pub const fn activations(&self) -> [Activation; 3] {
        match self.cell.activation() {
            Some(activation) => [activation; 3],
            None => self.options.equations.activations,
        }
    }

    /// Returns an error if the cell does not have one of the options, or if an option is out of range.
    pub fn check(&self) -> Result<()> {
        let spec = self.cell.spec();
        let Equations { activations, clip, cell_clip, coupled, peepholes } = self.options.equations;
        self.check_draws()?;
        self.activations().into_iter().try_for_each(Activation::check)?;
        let own = self.cell.activation().zip(spec.own_activations);
        if let Some((activation, known)) = own.filter(|(activation, known)| !known.contains(activation)) {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            return Err(Error::value(format!("activation of {}", spec.name), known.join(" or "), activation));
        }
        let wanted: [(_, _, Can); 6] = [
            ("activations f, g and h", activations != Equations::USUAL.activations, |spec| spec.activations > 0),
            ("clip", clip.is_some(), |spec| spec.clip),
            ("projection", self.projected, Spec::projects),
            ("cell clip", cell_clip.is_some(), |spec| spec.cell_clip),
            ("coupled forget gate", coupled, |spec| spec.coupled),
            ("peepholes", peepholes, |spec| spec.peepholes),
        ];
        for (what, is_wanted, has) in wanted {
            if is_wanted && !has(spec) {
                return Err(Error::value(
                    what,
                    format!("one of the cells that have it: {}", cells_with(has)),
                    spec.name,
                ));
            }
        }
        if self.options.layer_norm && (self.projected || !self.trains() || spec.norm.is_none()) {
            let cells = cells_with(|spec| spec.norm.is_some());
            let expected = format!("one of the cells {cells}, without projection or other equations");
            return Err(Error::value("layer norm", expected, self));
        }
        self.options.equations.check()
    }

    /// Refuses what can't be drawn, and for what cells it is not.
    fn check_draws(&self) -> Result<()> {
        let noise = self.options.noise;
        let named = noise.zoneout.map(|[h, c]| [("zoneout of h", h), ("zoneout of c", c)]);
        let dropped = noise.recurrent_dropout.map(|p| [("recurrent dropout", p)]);
        for (name, probability) in named.iter().flatten().chain(dropped.iter().flatten()) {
            probability.check(name)?;
        }
        let name = if noise.zoneout.is_some() { "zoneout" } else { "recurrent dropout" };
        match noise.zoneout {
            Some(_) if noise.recurrent_dropout.is_some() => {
                Err(Error::value("zoneout with recurrent dropout", "one of the two", self.cell.name()))
            }
            _ if self.draws() && !(self.cell.spec().noise && !self.projected && self.is_usual()) => {
                let cells = cells_with(|spec| spec.noise);
                Err(Error::value(name, format!("one of the cells {cells}, in its usual form without projection"), self))
            }
            Some([_, c]) if c.get() > 0.0 && !self.cell.has_cell_state() => {
                let cells = cells_with(|spec| spec.noise && spec.cell_numbers() > 0);
                Err(Error::value("zoneout of c", format!("one of the cells that have a c: {cells}"), self.cell.name()))
            }
            _ => Ok(()),
        }
    }

    /// Returns an error if the form has no backward pass.
    pub fn check_training(&self) -> Result<()> {
        if self.trains() {
            return Ok(());
        }
        let expected =
            "PyTorch's activations and no clip of sums, coupled gates or peepholes: other cells run forward only";
        Err(Error::value("cell to train", expected, self))
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Options { layer_norm, noise, .. } = self.options;
        write!(f, "{}{}", self.cell.name(), if self.projected { " projected" } else { "" })?;
        if layer_norm {
            write!(f, " normed")?;
        }
        if let Some([h, c]) = noise.zoneout {
            write!(f, " zoneout {}, {}", h.get(), c.get())?;
        }
        if let Some(p) = noise.recurrent_dropout {
            write!(f, " recurrent dropout {}", p.get())?;
        }
        let Some(Equations { activations, clip, cell_clip, coupled, peepholes }) = self.equations() else {
            return Ok(());
        };
        let [gate, candidate, output] = activations;
        write!(f, " of {gate}, {candidate}, {output}")?;
        if let Some(clip) = clip {
            write!(f, " clip {}", clip.get())?;
        }
        if let Some(CellClip { low, high, propagates_nan }) = cell_clip {
            write!(f, " cell clip {}..{}{}", low.get(), high.get(), if propagates_nan { " or NaN" } else { "" })?;
        }
        write!(f, "{}{}", if coupled { " coupled" } else { "" }, if peepholes { " peepholes" } else { "" })
    }
}

impl Phase {
    /// The phases of all forms of all cells. A phase that several forms share occurs more than once.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Form::all().flat_map(|form| form.phases())
    }
}

impl Scan {
    /// The scans of all cells that have one.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Cell::ALL.into_iter().filter_map(Cell::scan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a form has an option.
    type Has = fn(&Form) -> bool;

    /// What a cell's [`Spec`] says that it can have, and forms have.
    const OPTIONS: [(&str, Can, Has); 9] = [
        (
            "activations",
            |spec| spec.activations > 0,
            |form| form.options.equations.activations != Equations::USUAL.activations,
        ),
        ("clip", |spec| spec.clip, |form| form.options.equations.clip.is_some()),
        ("cell clip", |spec| spec.cell_clip, |form| form.options.equations.cell_clip.is_some()),
        ("coupled gates", |spec| spec.coupled, |form| form.options.equations.coupled),
        ("peepholes", |spec| spec.peepholes, |form| form.options.equations.peepholes),
        ("projection", Spec::projects, |form| form.projected),
        ("norms", |spec| spec.norm.is_some(), |form| form.options.layer_norm),
        ("zoneout", |spec| spec.noise, |form| form.options.noise.zoneout.is_some()),
        ("recurrent dropout", |spec| spec.noise, |form| form.options.noise.recurrent_dropout.is_some()),
    ];

    /// The three Elman cells are one, of another activation each.
    fn is_same(a: Cell, b: Cell) -> bool {
        a == b || matches!((a, b), (Cell::Elman(_), Cell::Elman(_)))
    }

    #[test]
    fn every_option_that_a_cell_can_have_is_tried_with_it() {
        for cell in Cell::ALL {
            for (option, can, has) in OPTIONS {
                let tried = Form::all().any(|form| is_same(form.cell, cell) && has(&form));
                assert_eq!(tried, can(cell.spec()), "{} with {option}", cell.name());
            }
        }
    }

    #[test]
    fn every_form_that_is_tried_can_be() {
        for form in Form::all() {
            assert!(form.check().is_ok(), "{form}: {:?}", form.check());
        }
    }

    #[test]
    fn no_two_cells_have_one_name() {
        for cell in Cell::ALL {
            assert_eq!(Cell::named(cell.name()), Some(cell));
        }
    }
}
