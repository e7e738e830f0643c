//! Whole models as plans.

use super::write::{self, Graph};
use super::{case, folder};
use ndarray::{ArrayD, IxDyn, arr0, arr1};
use std::path::PathBuf;
use wgrnn::onnx::{Model, Tensor};
use wgrnn::{Device, Error};

fn devices() -> [Device; 2] {
    [Device::gpu().unwrap(), Device::cpu()]
}

fn numbers(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::Numbers(ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap())
}

fn integers(values: &[i64]) -> Tensor {
    Tensor::Integers(arr1(values).into_dyn())
}

/// Node tests of the onnx package that ask for what this library lacks. Each is refused with the reason; a longer list is a loss.
const REFUSED: [&str; 32] = [
    // The last of equal elements.
    "argmax_default_axis_example_select_last_index",
    "argmax_default_axis_random_select_last_index",
    "argmax_keepdims_example_select_last_index",
    "argmax_keepdims_random_select_last_index",
    "argmax_negative_axis_keepdims_example_select_last_index",
    "argmax_negative_axis_keepdims_random_select_last_index",
    "argmax_no_keepdims_example_select_last_index",
    "argmax_no_keepdims_random_select_last_index",
    // Convolutions of two axes.
    "basic_conv_with_padding",
    "basic_conv_without_padding",
    "conv_with_autopad_same",
    "conv_with_strides_and_asymmetric_padding",
    "conv_with_strides_no_padding",
    "conv_with_strides_padding",
    // Means and variances of the batch.
    "batchnorm_epsilon_training_mode",
    "batchnorm_example_training_mode",
    // Exponents that are not one known number.
    "pow",
    "pow_bcast_array",
    "pow_example",
    "pow_types_float32_int32",
    "pow_types_float32_int64",
    // Arrays without elements.
    "reduce_l1_empty_set",
    "reduce_l2_empty_set",
    "reduce_max_empty_set",
    "reduce_max_empty_set_bool",
    "reduce_min_empty_set",
    "reduce_sum_empty_set",
    "reduce_sum_empty_set_non_reduced_axis_zero",
    "reduce_sum_square_empty_set",
    "reshape_allowzero_reordered",
    "split_zero_size_splits_opset13",
    "split_zero_size_splits_opset18",
];

#[test]
fn the_node_tests_of_the_onnx_package_give_its_numbers() {
    let unpacked = tempfile::tempdir().unwrap();
    let archive = folder("../onnx_operators.tar.gz");
    let folders = case::find(&case::unpacked(&[archive], unpacked.path()).unwrap()).unwrap();
    assert_eq!(folders.len(), 329);
    for device in devices() {
        let mut refused = Vec::new();
        for folder in &folders {
            let name = folder.file_name().unwrap().to_str().unwrap();
            match case::run(&device, folder) {
                Ok(comparisons) => {
                    for comparison in comparisons {
                        assert!(comparison.passed(), "{}, {name}: {comparison}", device.name());
                    }
                }
                Err(error) if case::is_refused(&error) => refused.push(name.strip_prefix("test_").unwrap().to_owned()),
                Err(error) => panic!("{}, {name}: {error:#}", device.name()),
            }
        }
        let mut expected = REFUSED;
        expected.sort_unstable();
        assert_eq!(refused, expected, "on {}", device.name());
    }
}

#[test]
fn models_that_pytorch_exports_give_onnx_runtimes_numbers() {
    let unpacked = tempfile::tempdir().unwrap();
    let archive = folder("../onnx_models.tar.gz");
    let folders = case::find(&case::unpacked(&[archive], unpacked.path()).unwrap()).unwrap();
    assert_eq!(folders.len(), 10);
    for device in devices() {
        for folder in &folders {
            let comparisons =
                case::run(&device, folder).unwrap_or_else(|error| panic!("{}: {error:#}", folder.display()));
            for comparison in comparisons {
                assert!(comparison.passed(), "{}, {}: {comparison}", device.name(), folder.display());
            }
        }
    }
}

fn unpacked(name: &str) -> (tempfile::TempDir, PathBuf) {
    let to = tempfile::tempdir().unwrap();
    let roots = case::unpacked(&[folder("../onnx_models.tar.gz")], to.path()).unwrap();
    let path = roots[0].join(name).join("model.onnx");
    (to, path)
}

/// One plan, other lengths in each run: as a plan of these lengths.
#[test]
fn lengths_of_each_run_give_the_numbers_of_fixed_ones() {
    let (_folder, path) = unpacked("tagger_packed");
    let model = Model::load(path).unwrap();
    let tokens = Tensor::Integers(ArrayD::from_shape_fn(IxDyn(&[3, 7]), |at| (at[0] * 7 + at[1] * 3) as i64 % 20));
    for device in devices() {
        let graph = model.graph(&device, &[("tokens", &[3, 7]), ("lengths", &[3])], &[]).unwrap();
        for lengths in [[7, 4, 2], [7, 7, 7], [7, 1, 1]] {
            let lengths = integers(&lengths);
            let got = graph.run(&[("tokens", &tokens), ("lengths", &lengths)]).unwrap();
            let fixed = model.graph(&device, &[("tokens", &[3, 7])], &[("lengths", &lengths)]).unwrap();
            let expected = fixed.run(&[("tokens", &tokens)]).unwrap();
            let [got, expected] = [got, expected].map(|outputs| match &outputs[0].1 {
                Tensor::Numbers(array) => array.clone(),
                other => panic!("{other:?}"),
            });
            let error = (&got - &expected).iter().fold(0.0_f32, |most, error| most.max(error.abs()));
            // The same sums in the order of another plan.
            assert!(error < 1e-5, "{} on {}", error, device.name());
        }
        let long = integers(&[8, 1, 1]);
        let error = graph.run(&[("tokens", &tokens), ("lengths", &long)]).unwrap_err().to_string();
        assert!(error.contains('8'), "{error}");
    }
}

#[test]
fn symbols_beyond_a_table_are_refused_and_negative_ones_count_from_its_end() {
    let (_folder, path) = unpacked("tagger");
    let model = Model::load(path).unwrap();
    let graph = model.graph(&Device::cpu(), &[("tokens", &[1, 2])], &[]).unwrap();
    let run = |tokens: [i64; 2]| graph.run(&[("tokens", &Tensor::Integers(ndarray::arr2(&[tokens]).into_dyn()))]);
    assert_eq!(run([-1, 3]).unwrap(), run([19, 3]).unwrap());
    for beyond in [20, -21, i64::MAX, i64::MIN] {
        let error = run([0, beyond]).unwrap_err().to_string();
        assert!(error.contains("'tokens'") && error.contains("0 to 19"), "{error}");
    }
}

fn refused(result: Result<wgrnn::onnx::Graph, Error>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    assert!(parts.iter().all(|part| error.contains(part)), "'{error}' lacks some of {parts:?}");
}

#[test]
fn all_operators_that_are_lacking_are_listed() {
    let node = |operator, inputs: &[&str], output| write::node(operator, output, inputs, &[output], &[]);
    let graph = Graph::default()
        .node(node("Relu", &["x"], "a"))
        .node(node("Einsum", &["a"], "b"))
        .node(node("NonZero", &["a"], "c"))
        .node(node("Einsum", &["b"], "d"))
        .node(node("Add", &["b", "c"], "y"))
        // Nothing needs it.
        .node(node("StringNormalizer", &["x"], "unused"))
        .input("x")
        .output("y")
        .output("d");
    let result = graph.model().graph(&Device::cpu(), &[("x", &[2, 2])], &[]);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("Einsum (1 nodes; Einsum node 'b'") && error.contains("NonZero (1 nodes"), "{error}");
    assert!(!error.contains("StringNormalizer") && !error.contains("Relu"), "{error}");
    let dynamic = Graph::default().node(write::node("If", "if", &["x"], &["y"], &[])).input("x").output("y");
    refused(dynamic.model().graph(&Device::cpu(), &[("x", &[1])], &[]), &["If (1 nodes", "condition"]);
    let strange = Graph::default().node(write::node("Relu", "r", &["x"], &["y"], &[write::integer("strength", 2)]));
    let result = strange.input("x").output("y").model().graph(&Device::cpu(), &[("x", &[1])], &[]);
    refused(result, &["attribute strength", "'r'"]);
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let (_folder, path) = unpacked("tagger");
    let model = Model::load(path).unwrap();
    let device = Device::cpu();
    refused(model.graph(&device, &[], &[]), &["'tokens'", "[?, ?]"]);
    refused(model.graph(&device, &[("words", &[1, 2])], &[]), &["'tokens'", "'words'"]);
    refused(model.graph(&device, &[("tokens", &[1, 2, 3])], &[]), &["'tokens'", "[1, 2, 3]"]);
    refused(model.graph(&device, &[("tokens", &[0, 2])], &[]), &["'tokens'", "[0, 2]"]);
    refused(model.graph(&device, &[("tokens", &[1, 2])], &[("other", &integers(&[1]))]), &["'other'"]);
    let graph = model.graph(&device, &[("tokens", &[1, 2])], &[]).unwrap();
    let tokens = Tensor::Integers(ndarray::arr2(&[[1, 2]]).into_dyn());
    let wide = Tensor::Integers(ndarray::arr2(&[[1, 2, 3]]).into_dyn());
    for (inputs, part) in [
        (vec![], "'tokens'"),
        (vec![("tokens", &tokens), ("words", &tokens)], "'words'"),
        (vec![("tokens", &wide)], "[1, 3]"),
        (vec![("tokens", &numbers(&[1, 2], &[0.0; 2]))], "floats"),
    ] {
        let error = graph.run(&inputs).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(graph.inputs().collect::<Vec<_>>(), [("tokens", &[1, 2][..])]);
    assert_eq!(graph.outputs().count(), 1);
}

/// All of them write the inputs of the same program.
#[test]
fn runs_that_are_begun_at_once_do_not_mix() {
    let (_folder, path) = unpacked("speech");
    let model = Model::load(path).unwrap();
    for device in devices() {
        let graph = model.graph(&device, &[("x", &[2, 4, 20])], &[]).unwrap();
        let value = |seed: usize, i: usize| ((i + 1) * (seed + 3) % 17) as f32 / 17.0 - 0.5;
        let input = |seed| numbers(&[2, 4, 20], &(0..160).map(|i| value(seed, i)).collect::<Vec<_>>());
        let inputs: Vec<_> = (0..8).map(input).collect();
        let expected: Vec<_> = inputs.iter().map(|x| graph.run(&[("x", x)]).unwrap()).collect();
        assert_ne!(expected[0], expected[1]);
        let given: Vec<_> = inputs.iter().map(|x| [("x", x)]).collect();
        let all = given.iter().map(|given| graph.run_async(given));
        assert_eq!(pollster::block_on(futures_util::future::try_join_all(all)).unwrap(), expected);
        std::thread::scope(|scope| {
            let threads: Vec<_> = given.iter().map(|given| scope.spawn(|| graph.run(given).unwrap())).collect();
            let got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(got, expected);
        });
    }
}

/// A known condition decides which branch is part of the plan; the other one may be of any operators.
#[test]
fn a_known_condition_takes_a_branch() {
    let body = |operator: &str, name: &str| {
        let graph = Graph::default().node(write::node(operator, "", &["x"], &["inner"], &[])).output("inner");
        write::attribute(name, 5, &write::bytes(6, &graph.0))
    };
    let branches = [body("Neg", "then_branch"), body("Einsum", "else_branch")];
    let graph =
        Graph::default().node(write::node("If", "if", &["c"], &["y"], &branches)).input("x").input("c").output("y");
    let model = graph.model();
    let truth = Tensor::Integers(arr0(1).into_dyn());
    let plan = model.graph(&Device::cpu(), &[("x", &[2])], &[("c", &truth)]).unwrap();
    assert_eq!(plan.run(&[("x", &numbers(&[2], &[1.0, -2.0]))]).unwrap()[0].1, numbers(&[2], &[-1.0, 2.0]));
    let falsehood = Tensor::Integers(arr0(0).into_dyn());
    refused(model.graph(&Device::cpu(), &[("x", &[2])], &[("c", &falsehood)]), &["Einsum"]);
}

/// Of exponents beyond those that are products.
#[test]
fn whole_powers_of_negative_numbers_are_numbers() {
    for exponent in [2.0_f32, 3.0, -3.0, 8.0, 9.0, 10.0, -11.0, 2.5] {
        let graph = Graph::default().holds(write::floats("e", &[], &[exponent])).input("x").output("y");
        let model = graph.node(write::node("Pow", "p", &["x", "e"], &["y"], &[])).model();
        let x = [-1.5_f32, 0.5, 2.0];
        for device in devices() {
            let graph = model.graph(&device, &[("x", &[3])], &[]).unwrap();
            let outputs = graph.run(&[("x", &numbers(&[3], &x))]).unwrap();
            let Tensor::Numbers(y) = &outputs[0].1 else { panic!("{outputs:?}") };
            for (y, x) in y.iter().zip(x) {
                let expected = x.powf(exponent);
                // The rounding of a logarithm, times the exponent.
                assert!(
                    y.is_nan() && expected.is_nan() || (y - expected).abs() <= 2e-5 * expected.abs(),
                    "{x}^{exponent}: {y}"
                );
            }
        }
    }
}

/// Which row a negative index means depends on the table, and a number is no index.
#[test]
fn negative_integers_are_rows_only_where_all_that_read_them_say_the_same() {
    let table = |name, rows: usize| write::floats(name, &[rows, 1], &(0..rows).map(|i| i as f32).collect::<Vec<_>>());
    let gather = |table, y| write::node("Gather", y, &[table, "i"], &[y], &[]);
    let graph = || Graph::default().holds(table("a", 3)).holds(table("b", 3)).holds(table("c", 4)).input_of("i", 7);
    let one = graph().node(gather("a", "y")).output("y");
    let same = graph().node(gather("a", "y")).node(gather("b", "z")).output("y").output("z");
    let other = graph().node(gather("a", "y")).node(gather("c", "z")).output("y").output("z");
    let cast = write::node("Cast", "n", &["i"], &["z"], &[write::integer("to", 1)]);
    let number = graph().node(gather("a", "y")).node(cast).output("y").output("z");
    let given = graph().node(gather("a", "y")).output("y").output("i");
    for (graph, is_row) in [(one, true), (same, true), (other, false), (number, false), (given, false)] {
        let graph = graph.model().graph(&Device::cpu(), &[("i", &[1])], &[]).unwrap();
        let last = graph.run(&[("i", &integers(&[-1]))]);
        assert_eq!(last.is_ok(), is_row, "{last:?}");
        if let Ok(outputs) = last {
            assert!(outputs.iter().all(|(_, y)| *y == numbers(&[1, 1], &[2.0])), "{outputs:?}");
        }
        assert_eq!(graph.run(&[("i", &integers(&[1]))]).unwrap()[0].1, numbers(&[1, 1], &[1.0]));
    }
    // What floats can't hold is refused where it would be given back.
    let back = Graph::default().input_of("i", 7).node(write::node("Identity", "", &["i"], &["y"], &[])).output("y");
    let graph = back.model().graph(&Device::cpu(), &[("i", &[1])], &[]).unwrap();
    assert_eq!(graph.run(&[("i", &integers(&[(1 << 24) - 1]))]).unwrap()[0].1, integers(&[(1 << 24) - 1]));
    assert!(graph.run(&[("i", &integers(&[(1 << 24) + 1]))]).is_err());
}
