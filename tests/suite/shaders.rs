//! The shaders as text: each file is in the kernel table, and what it declares is what the table says. No GPU is needed.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ScalarKind, StorageAccess, TypeInner};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use wgrnn::Device;
use wgrnn::cells::{Phase, Scan};
use wgrnn::kernels::{Access, Dialect, Kernel, MAX_BINDINGS, Variant, WINDOW, compose};

/// What other shaders include, and the trial of workgroups.
const PARTIALS: [&str; 25] = [
    "selection",
    "larger",
    "elements",
    "formula",
    "rows",
    "overflow",
    "groups",
    "norm_row",
    "scan_lane",
    "activations",
    "gate",
    "math",
    "half",
    "cooperative",
    "gemm_cooperative",
    "step_cooperative",
    "gemm_staged",
    "outer_staged",
    "progress",
    "operands",
    "tile",
    "recurrence",
    "backward",
    "threefry",
    "zoneout",
];

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Names of a folder's files with this ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == ending));
    files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn kernels() -> BTreeSet<String> {
    Kernel::ALL.map(|kernel| kernel.row().name.to_owned()).into()
}

#[test]
fn every_shader_is_a_row_of_the_kernel_table() {
    let mut shaders = names("shaders", "wgsl");
    assert!(PARTIALS.iter().all(|partial| shaders.remove(*partial)), "{shaders:?}");
    assert_eq!(shaders, kernels());
    assert_eq!(kernels().len(), Kernel::ALL.len(), "names differ");
}

#[test]
fn every_kernel_has_a_twin_of_its_name() {
    let twins = names("src/cpu", "rs");
    assert!(kernels().is_subset(&twins), "{twins:?}");
}

#[test]
fn every_cell_file_is_a_phase_of_a_cell() {
    // Elman cells of different activations share a file, which names the function as its phase is named.
    let used: BTreeSet<&str> = Phase::all().map(|phase| phase.wgsl).chain(Scan::all().map(|scan| scan.wgsl)).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shaders/cells");
    let names = names("shaders/cells", "wgsl");
    for name in &names {
        let text = std::fs::read_to_string(format!("{folder}/{name}.wgsl")).unwrap();
        assert!(used.contains(&*text), "no cell has {name}.wgsl");
    }
    assert_eq!(used.len(), names.len());
}

/// Each variant that the kernels' cases have, once.
fn variants() -> Vec<Variant> {
    let mut seen = std::collections::HashSet::new();
    let cases = Kernel::ALL.into_iter().flat_map(|kernel| kernel.cases(&Device::cpu()));
    let variants: Vec<_> =
        cases.map(|case| case.variant().clone()).filter(|variant| seen.insert(variant.clone())).collect();
    for kernel in Kernel::ALL {
        assert!(variants.iter().any(|variant| variant.kernel() == kernel), "{kernel:?}");
    }
    variants
}

/// How a shader declares a binding.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Declared {
    Read,
    Write,
    Texture,
    Window,
}

/// How a variant should.
fn declared(variant: &Variant, access: Access) -> Declared {
    match access {
        Access::Matrix if variant.reads.texture => Declared::Texture,
        Access::Rows if variant.reads.uniform => Declared::Window,
        Access::Read | Access::Matrix | Access::Rows => Declared::Read,
        Access::Write => Declared::Write,
        other => panic!("{other:?} has no declaration yet"),
    }
}

/// Names of the first group's bindings in order, with how they are declared.
fn bindings(module: &Module) -> Vec<(u32, &str, Declared)> {
    let variables = module.global_variables.iter().filter_map(|(_, variable)| {
        let binding = variable.binding.filter(|binding| binding.group == 0)?;
        let declared = match variable.space {
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Declared::Write,
            AddressSpace::Storage { .. } => Declared::Read,
            AddressSpace::Uniform => {
                let bytes = module.types[variable.ty].inner.size(module.to_ctx());
                assert_eq!(bytes, 4 * WINDOW, "{:?}", variable.name);
                Declared::Window
            }
            AddressSpace::Handle => Declared::Texture,
            space => panic!("{:?} is {space:?}", variable.name),
        };
        Some((binding.binding, variable.name.as_deref().unwrap(), declared))
    });
    let mut buffers: Vec<_> = variables.collect();
    buffers.sort_by_key(|buffer| buffer.0);
    buffers
}

/// What of the text is not as the table says.
fn reflect(variant: &Variant, dialect: Dialect, module: &Module) {
    let row = variant.kernel().row();
    let name = format!("{variant} {dialect:?}");
    let expected: Vec<_> =
        row.bindings.iter().zip(0..).map(|(&(name, access), i)| (i, name, declared(variant, access))).collect();
    assert_eq!(bindings(module), expected, "{name}");
    assert!(expected.len() <= MAX_BINDINGS && MAX_BINDINGS <= 8, "{name}: more buffers than WebGPU guarantees");

    let (_, params) = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap();
    let TypeInner::Struct { members, span } = &params.inner else { panic!("{name}: Params is no struct") };
    let fields: Vec<_> = members.iter().map(|member| member.name.as_deref().unwrap()).collect();
    assert_eq!(fields, row.params, "{name}");
    for (member, i) in members.iter().zip(0..) {
        assert_eq!(member.offset, 4 * i, "{name}, {:?}", member.name);
        let TypeInner::Scalar(scalar) = module.types[member.ty].inner else { panic!("{name}: {:?}", member.name) };
        assert_eq!((scalar.kind, scalar.width), (ScalarKind::Uint, 4), "{name}, {:?}", member.name);
    }
    assert_eq!(*span as usize, 4 * row.params.len(), "{name}");

    let (_, variable) =
        module.global_variables.iter().find(|(_, variable)| variable.name.as_deref() == Some("p")).unwrap();
    let place = variable.binding.map(|binding| (binding.group, binding.binding));
    match (&variable.space, dialect.immediates) {
        (AddressSpace::Immediate, true) => assert_eq!(place, None, "{name}"),
        (AddressSpace::Uniform, false) => assert_eq!(place, Some((1, 0)), "{name}"),
        (space, _) => panic!("{name}: parameters are {space:?}"),
    }

    let [entry] = &module.entry_points[..] else { panic!("{name}: more than one entry point") };
    assert_eq!((&*entry.name, entry.workgroup_size), ("main", [variant.invocations(), 1, 1]), "{name}");
    assert!(variant.invocations() <= 256, "{name}: more lanes than WebGPU guarantees");
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
    // Adapters with units for small matrices have more than WebGPU guarantees.
    let most = if variant.of.units().is_some() { 32 << 10 } else { 16 << 10 };
    assert!(bytes <= most, "{name}: {bytes} bytes of workgroup memory");
}

#[test]
fn every_variant_is_valid_and_declares_what_the_table_says() {
    for variant in variants() {
        for immediates in [true, false] {
            let dialect = Dialect::default().immediates(immediates);
            let text = compose(&variant, dialect).unwrap();
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{variant}: {}", error.emit_to_string(&text)));
            reflect(&variant, dialect, &module);
            // Nothing beyond what a kernel may use.
            let mut allowed = Capabilities::empty();
            allowed.set(Capabilities::IMMEDIATES, immediates);
            let cooperative = variant.of.units().is_some();
            allowed.set(Capabilities::SUBGROUP, variant.tile.spread > 0 || cooperative);
            allowed.set(Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16, cooperative);
            allowed.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, variant.reads.half);
            Validator::new(ValidationFlags::all(), allowed)
                .validate(&module)
                .unwrap_or_else(|error| panic!("{variant}: {}", error.emit_to_string(&text)));
        }
    }
}

#[test]
fn a_variant_whose_rows_do_not_fill_its_lanes_is_refused() {
    let mut variant = variants().into_iter().find(|variant| variant.tile.spread > 0).unwrap();
    variant.tile.rows = variant.tile.spread + 1;
    let dialect = Dialect::default().enable_subgroups(true);
    let text = compose(&variant, dialect).unwrap_err().to_string();
    assert!(text.contains("rows"), "{text}");
}

/// Browsers compile WGSL with tint, which is stricter, and have no cooperative matrices. Where it is not installed this says so past the test's output.
#[test]
fn every_variant_is_valid_for_browsers() {
    let folder = tempfile::tempdir().unwrap();
    let mut faults = Vec::new();
    for (i, variant) in variants().iter().filter(|variant| variant.of.units().is_none()).enumerate() {
        let text = compose(variant, Dialect::default().enable_subgroups(true)).unwrap();
        assert_eq!(text.starts_with("enable subgroups;"), variant.tile.spread > 0, "{variant}");
        let path = folder.path().join(format!("{i}.wgsl"));
        std::fs::write(&path, text).unwrap();
        let output = match std::process::Command::new("tint").args(["--format", "wgsl"]).arg(&path).output() {
            Ok(output) => output,
            Err(error) => {
                let line = format!("\nNOT TESTED: shaders with tint, as browsers compile them ({error})\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return;
            }
        };
        if !output.status.success() {
            faults.push(format!("{variant}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(faults.is_empty(), "{} variants:\n{}", faults.len(), faults.join("\n"));
}
