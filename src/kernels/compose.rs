//! Shaders from their templates: tiles unrolled, a cell's file put in.

use super::formula::MAX_INPUTS;
use super::kernel::Kernel;
use super::of::{Folding, Function, Of};
use super::own_kernel::OWN_PARAMS;
use super::tile::{STAGED, Tile};
use super::variant::Variant;
use crate::cells::{Activation, CellClip, Coefficient, EPSILON, Equations, Noise, Phase, Probability, Scan};
use crate::error::{Error, Result};
use minijinja::{Environment, Value, context};
use std::sync::LazyLock;

/// Which language features the text of a shader may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Dialect {
    /// Whether parameters are immediates. Otherwise they are a uniform buffer in group 1.
    pub immediates: bool,
    /// Whether the text begins with `enable subgroups;`, which browsers require and wgpu's own compiler rejects.
    pub enable_subgroups: bool,
}

impl Dialect {
    /// Sets whether parameters are immediates.
    #[must_use]
    pub const fn immediates(self, immediates: bool) -> Self {
        Self { immediates, ..self }
    }

    /// Sets whether the text begins with `enable subgroups;`.
    #[must_use]
    pub const fn enable_subgroups(self, enable_subgroups: bool) -> Self {
        Self { enable_subgroups, ..self }
    }
}

/// Partial templates that shaders include.
const PARTIALS: &[(&str, &str)] = &[
    ("overflow.wgsl", include_str!("../../shaders/overflow.wgsl")),
    ("rows.wgsl", include_str!("../../shaders/rows.wgsl")),
    ("groups.wgsl", include_str!("../../shaders/groups.wgsl")),
    ("norm_row.wgsl", include_str!("../../shaders/norm_row.wgsl")),
    ("scan_lane.wgsl", include_str!("../../shaders/scan_lane.wgsl")),
    ("activations.wgsl", include_str!("../../shaders/activations.wgsl")),
    ("formula.wgsl", include_str!("../../shaders/formula.wgsl")),
    ("selection.wgsl", include_str!("../../shaders/selection.wgsl")),
    ("larger.wgsl", include_str!("../../shaders/larger.wgsl")),
    ("elements.wgsl", include_str!("../../shaders/elements.wgsl")),
    ("gate.wgsl", include_str!("../../shaders/gate.wgsl")),
    ("cooperative.wgsl", include_str!("../../shaders/cooperative.wgsl")),
    ("gemm_cooperative.wgsl", include_str!("../../shaders/gemm_cooperative.wgsl")),
    ("step_cooperative.wgsl", include_str!("../../shaders/step_cooperative.wgsl")),
    ("gemm_staged.wgsl", include_str!("../../shaders/gemm_staged.wgsl")),
    ("outer_staged.wgsl", include_str!("../../shaders/outer_staged.wgsl")),
    ("half.wgsl", include_str!("../../shaders/half.wgsl")),
    ("progress.wgsl", include_str!("../../shaders/progress.wgsl")),
    ("operands.wgsl", include_str!("../../shaders/operands.wgsl")),
    ("math.wgsl", include_str!("../../shaders/math.wgsl")),
    ("tile.wgsl", include_str!("../../shaders/tile.wgsl")),
    ("recurrence.wgsl", include_str!("../../shaders/recurrence.wgsl")),
    ("zoneout.wgsl", include_str!("../../shaders/zoneout.wgsl")),
    ("threefry.wgsl", include_str!("../../shaders/threefry.wgsl")),
    ("backward.wgsl", include_str!("../../shaders/backward.wgsl")),
];

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for (name, text) in PARTIALS {
        environment.add_template(name, text)?;
    }
    for kernel in Kernel::ALL {
        environment.add_template(kernel.row().name, kernel.row().wgsl)?;
    }
    for phase in Phase::all() {
        environment.add_template(phase.name, phase.wgsl)?;
    }
    for scan in Scan::all() {
        environment.add_template(scan.name, scan.wgsl)?;
    }
    Ok(environment)
});

/// The WGSL of the trial whether so many workgroups run side by side, so many times over.
pub(crate) fn compose_progress(groups: u32, rounds: u32) -> Result<String> {
    let fault = |error: &minijinja::Error| Error::Plan(format!("composing the trial of workgroups: {error:#}"));
    let template = TEMPLATES.as_ref().map_err(fault)?.get_template("progress.wgsl");
    let text = template.and_then(|template| {
        template.render(context! { GROUPS => groups, ROUNDS => rounds, POLLS => super::limits::POLLS })
    });
    text.map_err(|error| fault(&error))
}

/// A constant as shaders have it: the shortest text that is this number.
fn literal(constant: Coefficient) -> String {
    format!("{:?}", constant.get())
}

/// What is kept of an old value, and what is taken of a new one.
fn parts(probability: Probability) -> [String; 2] {
    let z = probability.get() as f32;
    [z, 1.0 - z].map(|part| literal(Coefficient::new(part)))
}

/// An activation's name, and what follows its argument.
fn function(activation: Activation) -> Value {
    let (name, constants) = activation.parts();
    let constants: String =
        constants.into_iter().flatten().map(|constant| format!(", {}", literal(constant))).collect();
    context! { name => name, constants => constants }
}

fn bounds(clip: CellClip) -> Value {
    context! { low => literal(clip.low), high => literal(clip.high), propagates_nan => clip.propagates_nan }
}

/// Refuses a variant that its template can't make: text is repeated as often as its numbers say.
fn check(variant: &Variant) -> Result<()> {
    let fault = |what: &str| Err(Error::Plan(format!("{:?}: no variant with such {what}", variant.kernel())));
    let Tile { rows, columns, lanes, spread } = variant.tile;
    let within = |number: u32, least: u32, most: u32| (least..=most).contains(&number);
    if !(within(rows, 1, 64) && within(columns, 1, 64) && within(lanes, 1, 1024) && within(spread, 0, 64)) {
        return fault("a tile");
    }
    let of = variant.of;
    let units = of.units().is_none_or(|units| within(units.edge, 1, 64) && within(units.subgroups, 1, 1024));
    let sizes = within(of.split(), 1, 64)
        && within(of.parts(), 1, 1 << 10)
        && within(of.state_width(), 0, 1 << 16)
        && within(variant.reads.panel, 1, 4)
        && units;
    if !sizes {
        return fault("sizes");
    }
    if of.resident() && (spread == 0 || of.state_width() > 1 << 10) {
        return fault("resident weights");
    }
    if let Some(form) = of.form() {
        form.check()?;
    }
    let phases = variant.phases().len();
    match of {
        Of::Outer { staged: true, vector, .. } if !vector || !STAGED.contains(&variant.tile) => fault("a tile"),
        Of::Step { phase, .. } | Of::StepBackward { phase, .. } if phase >= phases => fault("a phase"),
        Of::Sequence { .. } | Of::SequenceBackward { .. } | Of::Grid { .. } if phases == 0 => fault("a cell"),
        Of::Wave { .. } if phases != 1 => fault("a cell"),
        Of::Scan { .. } | Of::ScanBackward { .. } if variant.scan().is_none() => fault("a cell"),
        Of::NormStep { .. } | Of::NormStepBackward { .. } if variant.norm().is_none() => fault("a cell"),
        _ if !of.fits() => fault("options: it has some of its own"),
        Of::Own(own) => own.0.check(),
        Of::Apply(Function::Activation(activation)) => activation.check(),
        Of::Map { formula, .. } | Of::Fold { formula, .. } => {
            if of.axes().0 > 16 {
                return fault("axes");
            }
            formula.activations().try_for_each(Activation::check)
        }
        _ => Ok(()),
    }
}

/// Composes the WGSL text of a variant from its template and its cell.
///
/// ```
/// # fn main() -> wgrnn::Result<()> {
/// use wgrnn::kernels::{Dialect, Kernel, compose};
/// use wgrnn::Device;
/// let case = &Kernel::Argmax.cases(&Device::cpu())[0];
/// let wgsl = compose(case.variant(), Dialect::default())?;
/// assert!(wgsl.contains("fn main"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Plan`] where the template cannot make this variant, [`Error::Value`] where its cell or function is
/// impossible.
pub fn compose(variant: &Variant, dialect: Dialect) -> Result<String> {
    check(variant)?;
    let fault = |error: &minijinja::Error| Error::Plan(format!("composing {variant}: {error:#}"));
    let Equations { activations, clip, cell_clip, coupled, peepholes } = variant.template_equations();
    let Noise { zoneout, recurrent_dropout } = variant.noise();
    let phases: Vec<Value> = variant
        .phases()
        .iter()
        .map(|phase| {
            context! {
                name => phase.name, file => phase.name, gates => phase.gates, slots => phase.slots,
                input => phase.input, hidden => phase.hidden || zoneout.is_some(), kept => phase.kept, fields => phase.fields,
                peepholes => phase.input && peepholes,
                hidden_backward => phase.hidden_backward, carries_h => phase.carries_h, carried => phase.carried,
            }
        })
        .collect();
    let Variant { of, tile, reads, .. } = *variant;
    // `outer` shares vectors of rows, the others rows.
    let shared = if variant.kernel() == Kernel::Outer { tile.rows / 4 } else { tile.rows };
    if tile.spread != 0 && !of.resident() && !shared.is_multiple_of(tile.spread) {
        return Err(Error::Plan(format!("{variant}: rows are not a multiple of the lanes that share them")));
    }
    let text = TEMPLATES.as_ref().map_err(fault)?.get_template(variant.row().name).and_then(|template| {
        template.render(context! {
            params => if dialect.immediates {
                "var<immediate> p: Params;"
            } else {
                "@group(1) @binding(0) var<uniform> p: Params;"
            },
            ROWS => tile.rows, COLUMNS => tile.columns, UNITS => tile.columns, LANES => tile.lanes,
            SPREAD => tile.spread, SPLIT => of.split(), VECTOR => of.vector(), RESIDENT => of.resident(),
            WIDTH => of.state_width(), PHASE => of.phase(), PART => of.part().name(), KEEP => of.keep(),
            STAGED => of.staged(), PARTS => of.parts(), UNBIASED => of.unbiased(), WRAPPED => variant.wrapped > 0,
            TEXTURE => reads.texture, HALF => reads.half, NARROW => reads.narrow, UNIFORM => reads.uniform,
            WINDOW => super::limits::WINDOW,
            TEXELS => super::limits::TEXELS, POLLS => super::limits::POLLS, HEAD => super::grid::EXCHANGE_HEAD,
            EXCHANGE => variant.kernel() == Kernel::Grid, WAVE => variant.kernel() == Kernel::Wave,
            EDGE => of.units().map_or(0, |units| units.edge),
            SUBGROUPS => of.units().map_or(0, |units| units.subgroups),
            PITCH => super::tile::COOPERATIVE_PITCH,
            FUNCTION => match of {
                Of::Apply(Function::Activation(activation)) => Some(function(activation)),
                _ => None,
            },
            AXES => of.axes().0, FOLDED => of.axes().1, SHARED => of.shares_folds(),
            MAX => matches!(of, Of::Fold { folding: Folding::Max, .. }),
            INPUTS => of.formula().map_or(0, |(formula, _)| formula.inputs()),
            READS => of.formula().map_or(vec![], |(formula, _)| (0..formula.inputs()).map(|k| formula.reads(k)).collect()),
            INTEGERS => (0..MAX_INPUTS).map(|k| of.formula().is_some_and(|(_, integers)| integers >> k & 1 == 1)).collect::<Vec<_>>(),
            DENSE => (0..=MAX_INPUTS).map(|k| of.dense() >> k & 1 == 1).collect::<Vec<_>>(),
            TERMS => of.formula().map(|(formula, _)| formula.wgsl()),
            RESULT => of.formula().map(|(formula, _)| format!("t{}", formula.terms().len() - 1)),
            OWN => variant.own().map(|own| {
                let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
                // A struct of one length, whatever the names.
                let unnamed = (own.params.len()..OWN_PARAMS).map(|i| format!("unnamed_{i}"));
                let params: Vec<String> = names(own.params).into_iter().chain(unnamed).collect();
                context! { inputs => names(own.inputs), indices => names(own.indices), outputs => names(own.outputs), params => params, wgsl => own.wgsl }
            }),
            PHASES => phases,
            SCAN => variant.scan().map(|scan| {
                context! { name => scan.name, file => scan.name, gates => scan.gates, has_c => scan.has_c, diagonal => scan.diagonal }
            }),
            NORM => variant.norm().map(|norm| {
                let counts = [0, 1].map(|group| norm.count(group));
                let epsilon = literal(Coefficient::new(EPSILON));
                context! { gates => norm.groups.len(), groups => norm.groups.to_vec(), counts => counts.to_vec(), has_c => norm.has_c, epsilon => epsilon }
            }),
            GENERAL => variant.equations().is_some() || variant.phases().iter().any(|phase| phase.uses_activations),
            ACTIVATIONS => activations.map(function), CLIP => clip.map(literal), COUPLED => coupled,
            ZONEOUT => zoneout.map(|z| z.map(parts)), DROPOUT => recurrent_dropout.is_some(),
            UNMASKED => of.form().is_some_and(|form| form.sees_unmasked()),
            PEEPHOLES => peepholes, CELL_CLIP => cell_clip.map(bounds),
        })
    });
    let enable = if dialect.enable_subgroups && tile.spread > 0 { "enable subgroups;\n" } else { "" };
    let cooperative = if of.units().is_some() { "enable f16;\nenable wgpu_cooperative_matrix;\n" } else { "" };
    text.map(|text| format!("{enable}{cooperative}{text}")).map_err(|error| fault(&error))
}
