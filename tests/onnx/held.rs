//! What a model holds of a node's inputs, and what a caller gives in its place.

use super::write::{self, Graph};
use super::{case, folder};
use half::f16;
use ndarray::{Array3, ArrayD, ArrayView3};
use serde_json::Value;
use wgrnn::onnx::{Inputs, Layer, Model, Outputs, Tensor};
use wgrnn::{Device, Error};

const I: usize = 3;
const H: usize = 2;
const T: usize = 5;
const N: usize = 3;

fn devices() -> [Device; 2] {
    [Device::gpu().unwrap(), Device::cpu()]
}

/// Numbers from -0.5 to 0.5, others for each seed.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i + 1) * (2 * seed + 7) * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

fn array(shape: [usize; 3], seed: usize) -> Array3<f32> {
    Array3::from_shape_vec(shape, values(shape.iter().product(), seed)).unwrap()
}

fn tensor(name: &str, array: &Array3<f32>) -> Vec<u8> {
    write::floats(name, array.shape(), array.as_slice().unwrap())
}

/// A node, its kind of layout and directions.
#[derive(Clone, Copy, Debug)]
struct Kind {
    operator: &'static str,
    batch_first: bool,
    both: bool,
}

impl Kind {
    const LSTM: Self = Self { operator: "LSTM", batch_first: false, both: false };

    fn all() -> impl Iterator<Item = Self> {
        let layouts = [false, true].map(|batch_first| [false, true].map(|both| (batch_first, both))).concat();
        let of =
            move |operator| layouts.clone().into_iter().map(move |(batch_first, both)| (operator, batch_first, both));
        let all = ["RNN", "GRU", "LSTM"].into_iter().flat_map(of);
        all.map(|(operator, batch_first, both)| Self { operator, batch_first, both })
    }

    fn directions(self) -> usize {
        1 + usize::from(self.both)
    }

    fn sequence(self, steps: usize, batch: usize, features: usize) -> [usize; 3] {
        if self.batch_first { [batch, steps, features] } else { [steps, batch, features] }
    }

    fn state(self, batch: usize) -> [usize; 3] {
        if self.batch_first { [batch, self.directions(), H] } else { [self.directions(), batch, H] }
    }

    fn x(self) -> Array3<f32> {
        array(self.sequence(T, N, I), 5)
    }

    /// A graph of the node "cell", W and R, whose two directions have different activations. `inputs` are those from B on.
    fn graph(self, inputs: &[&str]) -> Graph {
        let (gates, activations): (_, &[&str]) = match self.operator {
            "RNN" => (1, &["Tanh", "Relu"]),
            "GRU" => (3, &["Sigmoid", "Tanh", "HardSigmoid", "Softsign"]),
            _ => (4, &["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign", "Tanh"]),
        };
        let used = activations.len() / 2 * self.directions();
        let attributes = [
            write::integer("hidden_size", H as i64),
            write::integer("layout", self.batch_first.into()),
            write::text("direction", if self.both { "bidirectional" } else { "forward" }),
            write::texts("activations", &activations[..used]),
        ];
        let inputs = [&["X", "W", "R"], inputs].concat();
        let (w, r) = (array([self.directions(), gates * H, I], 1), array([self.directions(), gates * H, H], 2));
        let node = write::node(self.operator, "cell", &inputs, &["Y", "Y_h"], &attributes);
        Graph::default().input("X").node(node).holds(tensor("W", &w)).holds(tensor("R", &r))
    }
}

fn layer(graph: &Graph, device: &Device) -> Layer {
    graph.model().node("cell").unwrap().layer(device, &[]).unwrap()
}

fn run(graph: &Graph, inputs: &Inputs<'_>) -> Result<Outputs, Error> {
    graph.model().node("cell")?.layer(&Device::cpu(), &[])?.run(inputs)
}

/// An error whose text has all of these parts.
fn refused<T>(result: Result<T, Error>, parts: &[&str]) -> String {
    let text = result.err().unwrap_or_else(|| panic!("accepted, not refused with {parts:?}")).to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "'{text}' lacks some of {parts:?}");
    text
}

/// `initial_h` of a node is this value.
const INITIAL_H: [&str; 3] = ["", "", "h0"];

#[test]
fn a_learned_state_and_held_lengths_give_onnx_runtimes_numbers() {
    for name in ["learned_h0", "const_lens"] {
        let path = folder("../onnx_held").join(name);
        let answers: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let answers = &answers["nodes"][0];
        let array = |name: &str| -> ArrayD<f32> {
            let shape: Vec<usize> = serde_json::from_value(answers[name]["shape"].clone()).unwrap();
            let data: Vec<f32> = serde_json::from_value(answers[name]["data"].clone()).unwrap();
            ArrayD::from_shape_vec(shape, data).unwrap()
        };
        let model = Model::load(path.with_extension("onnx")).unwrap();
        let node = model.node(answers["name"].as_str().unwrap()).unwrap();
        for device in devices() {
            let x: Array3<f32> = array("x").into_dimensionality().unwrap();
            let outputs = node.layer(&device, &[]).unwrap().run(&Inputs::new(x.view())).unwrap();
            let (y, h, c) = (outputs.y.into_dyn(), outputs.h.into_dyn(), outputs.c.unwrap().into_dyn());
            for (got, expected) in [(y, "yout"), (h, "yh"), (c, "yc")] {
                let error = (&got - &array(expected)).iter().fold(0.0_f32, |most, error| most.max(error.abs()));
                assert!(error < 1e-6, "{name}, {expected} on {}: {error}", device.name());
            }
        }
    }
}

/// The inputs of the operator tests become initialisers, all but X.
#[test]
fn nodes_whose_model_holds_all_inputs_but_x_give_onnx_runtimes_numbers() {
    let mut states = 0;
    for device in devices() {
        for folder in case::find(&[folder(""), folder("../onnx_random")]).unwrap() {
            let bytes = std::fs::read(folder.join("model.onnx")).unwrap();
            let model = Model::from_bytes(&bytes).unwrap();
            let node = model.nodes().remove(0).unwrap();
            let set = folder.join("test_data_set_0");
            let mut graph = Graph::default();
            for (i, name) in model.inputs().enumerate().filter(|(_, name)| node.inputs[0].as_deref() != Some(name)) {
                let tensor = std::fs::read(set.join(format!("input_{i}.pb"))).unwrap();
                states += usize::from(node.inputs[4..7].iter().flatten().any(|state| state == name));
                // The last of two names counts, and the fields of a second graph are the first one's too.
                graph = graph.holds([tensor, write::bytes(8, name)].concat());
            }
            let model = Model::from_bytes(&[bytes, write::bytes(7, &graph.0)].concat()).unwrap();
            assert_eq!(model.inputs().count(), 1, "{}", folder.display());
            for comparison in case::run_model(&device, &model, &folder).unwrap() {
                assert!(comparison.passed(), "{}, {}: {comparison}", device.name(), folder.display());
            }
        }
    }
    assert!(states > 60, "{states}");
}

#[test]
fn held_values_are_as_given_ones_in_every_operator_direction_and_layout() {
    for (kind, device) in Kind::all().flat_map(|kind| devices().map(|device| (kind, device))) {
        let (x, h, c) = (kind.x(), array(kind.state(N), 3), array(kind.state(N), 4));
        let lengths = [5_usize, 0, 2];
        let lens = write::int32s("lens", &lengths.map(|length| length as i32));
        let is_lstm = kind.operator == "LSTM";
        let cell_state = if is_lstm { "c0" } else { "" };
        let inputs = ["", "lens", "h0", cell_state];
        let given = Inputs::new(x.view()).lengths(Some(lengths.into())).h(Some(h.view())).c(is_lstm.then(|| c.view()));
        let expected = layer(&kind.graph(&[]), &device).run(&given).unwrap();

        let states = kind.graph(&inputs).holds(tensor("h0", &h)).holds(tensor("c0", &c));
        let held = layer(&states.clone().holds(&lens), &device);
        assert_eq!(held.run(&Inputs::new(x.view())).unwrap(), expected, "{kind:?}");
        // A `Constant` node in place of an initialiser, and lengths from the caller.
        let made = states.node(write::node("Constant", "", &[], &["lens"], &[write::value(&lens)]));
        assert_eq!(layer(&made, &device).run(&Inputs::new(x.view())).unwrap(), expected, "{kind:?}");
        // By name, to the layer.
        let numbers = [&h, &c].map(|array| Tensor::Numbers(array.clone().into_dyn()));
        let integers = Tensor::Integers(ndarray::arr1(&lengths.map(|length| length as i64)).into_dyn());
        let names = [("lens", &integers), ("h0", &numbers[0]), ("c0", &numbers[1])];
        let graph = kind.graph(&inputs).input("lens").input("h0").input("c0");
        let named = graph.model().node("cell").unwrap().layer(&device, &names).unwrap();
        assert_eq!(named.run(&Inputs::new(x.view())).unwrap(), expected, "{kind:?}");
        // All of it matters.
        let usual = layer(&kind.graph(&[]), &device).run(&Inputs::new(x.view())).unwrap();
        assert_ne!(usual, expected);
    }
}

#[test]
fn peepholes_of_a_constant_node_are_as_those_of_an_initialiser() {
    let x = Kind::LSTM.x();
    let graph = Kind::LSTM.graph(&["", "", "", "", "P"]);
    let peepholes = write::floats("P", &[1, 3 * H], &values(3 * H, 9));
    let node = write::node("Constant", "", &[], &["P"], &[write::value(&peepholes)]);
    let made = run(&graph.clone().node(node), &Inputs::new(x.view())).unwrap();
    assert_eq!(made, run(&graph.clone().holds(&peepholes), &Inputs::new(x.view())).unwrap());
    let none = run(&Kind::LSTM.graph(&[]), &Inputs::new(x.view())).unwrap();
    assert_ne!(made, none);
    let zeros = write::node("ConstantOfShape", "", &["shape"], &["P"], &[]);
    assert_eq!(run(&graph.clone().node(zeros), &Inputs::new(x.view())).unwrap(), none);
    let sum = write::node("Add", "sum", &["a", "b"], &["P"], &[]);
    refused(
        run(&graph.node(sum), &Inputs::new(x.view())),
        &["P ('P') of LSTM node 'cell'", "Add node 'sum'", "Node::layer"],
    );
}

#[test]
fn what_a_caller_gives_comes_before_what_the_model_holds() {
    let kind = Kind::LSTM;
    let (x, held, own) = (kind.x(), array(kind.state(N), 3), array(kind.state(N), 8));
    let plain = |h: ArrayView3<'_, f32>, lengths: Option<Vec<usize>>| {
        run(&kind.graph(&[]), &Inputs::new(x.view()).h(Some(h)).lengths(lengths)).unwrap()
    };
    // Also where the graph has it as an input with a default.
    let graph = kind.graph(&["", "lens", "h0"]).holds(tensor("h0", &held)).holds(write::int32s("lens", &[1, 2, 3]));
    for graph in [graph.clone(), graph.input("h0").input("lens")] {
        assert_eq!(graph.model().inputs().collect::<Vec<_>>(), ["X"]);
        let layer = layer(&graph, &Device::cpu());
        let of = |h, lengths| layer.run(&Inputs::new(x.view()).h(h).lengths(lengths)).unwrap();
        assert_eq!(of(None, None), plain(held.view(), Some(vec![1, 2, 3])));
        assert_eq!(of(Some(own.view()), None), plain(own.view(), Some(vec![1, 2, 3])));
        assert_eq!(of(None, Some(vec![5, 5, 5])), plain(held.view(), None));
        let zeros = Array3::zeros(kind.state(N));
        assert_eq!(of(Some(zeros.view()), Some(vec![5; 3])), run(&kind.graph(&[]), &Inputs::new(x.view())).unwrap());
        // To the layer, and then again to the run.
        let given = Tensor::Numbers(own.clone().into_dyn());
        let layer = graph.model().node("cell").unwrap().layer(&Device::cpu(), &[("h0", &given)]).unwrap();
        assert_eq!(layer.run(&Inputs::new(x.view())).unwrap(), plain(own.view(), Some(vec![1, 2, 3])));
        let outputs = layer.run(&Inputs::new(x.view()).h(Some(held.view()))).unwrap();
        assert_eq!(outputs, plain(held.view(), Some(vec![1, 2, 3])));
    }
}

#[test]
fn states_and_lengths_are_read_out_of_every_type_and_form() {
    let kind = Kind::LSTM;
    let x = kind.x();
    // Such as float16 can hold.
    let h = array(kind.state(N), 3).mapv(|value| f16::from_f32(value).to_f32());
    let of = |inputs: &[&str], graph: &dyn Fn(Graph) -> Graph| run(&graph(kind.graph(inputs)), &Inputs::new(x.view()));
    let expected = run(&kind.graph(&[]), &Inputs::new(x.view()).h(Some(h.view()))).unwrap();
    let halves: Vec<u8> = h.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
    let doubles: Vec<u8> = h.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    for (kind_of, raw) in [(write::FLOAT16, halves), (write::DOUBLE, doubles)] {
        let tensor = write::tensor("h0", kind_of, h.shape(), &raw);
        assert_eq!(of(&INITIAL_H, &|graph| graph.holds(&tensor)).unwrap(), expected);
        let node = write::node("Constant", "", &[], &["h0"], &[write::value(&tensor)]);
        assert_eq!(of(&INITIAL_H, &|graph| graph.node(&node)).unwrap(), expected);
    }

    let lens = ["", "lens"];
    let constant = |attribute| write::node("Constant", "made", &[], &["lens"], &[attribute]);
    let expected = run(&kind.graph(&[]), &Inputs::new(x.view()).lengths(Some(vec![4, 1, 3]))).unwrap();
    let longs: Vec<u8> = [4_i64, 1, 3].iter().flat_map(|length| length.to_le_bytes()).collect();
    let longs = write::tensor("lens", write::INT64, &[3], &longs);
    assert_eq!(of(&lens, &|graph| graph.holds(&longs)).unwrap(), expected);
    let list: Vec<u8> = [4, 1, 3].iter().flat_map(|&length| write::number(8, length)).collect();
    let list = write::attribute("value_ints", 7, &list);
    assert_eq!(of(&lens, &|graph| graph.node(constant(list.clone()))).unwrap(), expected);

    let refuse = |attribute: Vec<u8>, parts: &[&str]| {
        refused(of(&lens, &|graph| graph.node(constant(attribute.clone()))), parts)
    };
    refuse(write::attribute("value_int", 2, &write::number(3, 4)), &["sequence_lens ('lens')", "one dimension"]);
    refuse(write::attribute("value_float", 1, &[0x15, 0, 0, 0x80, 0x3f]), &["sequence_lens ('lens')", "floats"]);
    refuse(write::attribute("value_floats", 6, &[0x3d, 0, 0, 0x80, 0x3f]), &["sequence_lens ('lens')", "floats"]);
    refuse(write::attribute("value_string", 3, &write::bytes(4, "4")), &["value_string", "'lens'"]);
    refuse(write::attribute("value_ints", 3, &write::bytes(4, "4")), &["value_ints", "'lens'", "a string"]);
    refuse(write::attribute("sparse_value", 11, &[]), &["sparse_value", "'lens'"]);
    refuse(write::attribute("worth", 2, &write::number(3, 4)), &["'worth'", "'lens'"]);
    refuse(write::value(&write::int32s("", &[4, -1, 3])), &["sequence_lens ('lens')", "from 0", "-1"]);
    let floats = write::floats("h0", &[3], &[1.0; 3]);
    refused(
        of(&INITIAL_H, &|graph| graph.holds(&floats)),
        &["initial_h ('h0') of LSTM node 'cell'", "[1, N, 2]", "[3]"],
    );
    let integers = write::tensor("h0", write::INT32, &[1, 3, 2], &[0; 24]);
    refused(of(&INITIAL_H, &|graph| graph.holds(&integers)), &["initial_h ('h0')", "floats", "integers"]);
    let narrow = write::floats("h0", &[1, 3, 1], &[0.0; 3]);
    refused(of(&INITIAL_H, &|graph| graph.holds(&narrow)), &["initial_h ('h0')", "[1, N, 2]", "[1, 3, 1]"]);
}

/// PyTorch writes zero states of the batch that the model was traced with.
#[test]
fn zeros_of_a_traced_batch_are_zeros_for_any_batch() {
    for kind in Kind::all() {
        let x = kind.x();
        let expected = run(&kind.graph(&[]), &Inputs::new(x.view())).unwrap();
        for traced in [1, 7] {
            let graph = kind.graph(&INITIAL_H).holds(tensor("h0", &Array3::zeros(kind.state(traced))));
            assert_eq!(run(&graph, &Inputs::new(x.view())).unwrap(), expected, "{kind:?}");
        }
        // -0 is zero as well.
        let graph = kind.graph(&INITIAL_H).holds(tensor("h0", &Array3::from_elem(kind.state(1), -0.0)));
        assert_eq!(run(&graph, &Inputs::new(x.view())).unwrap(), expected, "{kind:?}");
    }
}

#[test]
fn a_state_or_lengths_of_another_batch_are_an_error_that_names_both_sizes_and_the_way_out() {
    for kind in Kind::all() {
        let (x, h) = (kind.x(), array(kind.state(1), 3));
        let graph = kind.graph(&INITIAL_H).holds(tensor("h0", &h));
        let [expected, got] = [kind.state(N), kind.state(1)].map(|shape| format!("{shape:?}"));
        let parts = ["initial_h ('h0')", "node 'cell'", &expected, &got, "`Inputs::h`"];
        refused(run(&graph, &Inputs::new(x.view())), &parts);
        let own = array(kind.state(N), 3);
        assert!(run(&graph, &Inputs::new(x.view()).h(Some(own.view()))).is_ok());
    }
    let (x, graph) = (Kind::LSTM.x(), Kind::LSTM.graph(&["", "lens"]));
    let short = graph.clone().holds(write::int32s("lens", &[5, 5]));
    refused(run(&short, &Inputs::new(x.view())), &["sequence_lens ('lens')", "[3]", "[2]", "`Inputs::lengths`"]);
    let long = graph.holds(write::int32s("lens", &[5, 9, 5]));
    refused(run(&long, &Inputs::new(x.view())), &["sequence_lens ('lens')", "0 to 5", "9", "`Inputs::lengths`"]);
    let given = Inputs::new(x.view()).lengths(Some(vec![5; 3]));
    assert_eq!(run(&short, &given).unwrap(), run(&long, &given).unwrap());
}

#[test]
fn zeros_that_the_graph_expands_or_reshapes_are_zeros() {
    let x = Kind::LSTM.x();
    let expected = run(&Kind::LSTM.graph(&[]), &Inputs::new(x.view())).unwrap();
    let zero = write::floats("zero", &[1], &[0.0]);
    let one = write::floats("one", &[1], &[1.0]);
    let of_shape = |attributes: &[Vec<u8>]| write::node("ConstantOfShape", "fill", &["shape"], &["filled"], attributes);
    let chain = |first: Vec<u8>, operators: &[&str]| {
        let mut graph = Kind::LSTM.graph(&INITIAL_H).node(first).holds(&zero).holds(&one);
        let mut from = "filled".to_owned();
        for (i, operator) in operators.iter().enumerate() {
            let to = if i + 1 == operators.len() { "h0".to_owned() } else { format!("value {i}") };
            // Parameters that are known when the model runs.
            let inputs: &[&str] = if *operator == "Concat" { &[&from, "zero"] } else { &[&from, "shape"] };
            graph = graph.node(write::node(operator, "last", inputs, &[&to], &[]));
            from = to;
        }
        graph
    };
    let shape = write::node("Shape", "", &["X"], &["shape"], &[]);
    let whole = ["Unsqueeze", "Expand", "Slice", "Cast", "Transpose", "Concat", "Reshape", "Identity"];
    for fill in [
        of_shape(&[]),
        of_shape(&[write::value(&zero)]),
        write::node("Expand", "", &["zero", "shape"], &["filled"], &[]),
        write::node("Constant", "", &[], &["filled"], &[write::value(&zero)]),
    ] {
        let graph = chain(fill, &whole).node(&shape);
        assert_eq!(run(&graph, &Inputs::new(x.view())).unwrap(), expected);
    }
    // What is not zeros, or not known to be.
    let others = [
        (of_shape(&[write::value(&one)]), &whole[..]),
        (write::node("Expand", "", &["one", "shape"], &["filled"], &[]), &whole),
        (write::node("Expand", "", &["X", "shape"], &["filled"], &[]), &whole),
        (write::node("Expand", "", &["nowhere", "shape"], &["filled"], &[]), &whole),
        (of_shape(&[]), &["Exp"]),
        (of_shape(&[]), &["Add", "Identity"]),
    ];
    for (fill, operators) in others {
        let last = format!("{} node 'last' computes it", operators.last().unwrap());
        let parts = ["initial_h ('h0') of LSTM node 'cell'", &last, "`Inputs::h`", "got none"];
        refused(run(&chain(fill, operators), &Inputs::new(x.view())), &parts);
    }
    // Zeros by default: another value of one of those that they are made of is theirs too.
    let graph = chain(write::node("Expand", "", &["zero", "shape"], &["filled"], &[]), &whole).input("zero");
    let other = Tensor::Numbers(ndarray::arr1(&[1.0]).into_dyn());
    let layer = graph.model().node("cell").unwrap().layer(&Device::cpu(), &[("zero", &other)]).unwrap();
    refused(
        layer.run(&Inputs::new(x.view())),
        &["initial_h ('h0')", "Identity node 'last' computes it", "`Inputs::h`"],
    );
    let circle = chain(write::node("Identity", "", &["h0"], &["filled"], &[]), &["Identity"]);
    refused(run(&circle, &Inputs::new(x.view())), &["Identity node", "computes what it is computed from"]);
}

#[test]
fn what_the_model_does_not_hold_is_an_error_that_says_how_to_give_it() {
    let x = Kind::LSTM.x();
    let state = array(Kind::LSTM.state(N), 3);
    let full = Inputs::new(x.view()).lengths(Some(vec![5, 4, 3])).h(Some(state.view())).c(Some(state.view()));
    let inputs = ["", "lens", "h0", "c0"];
    let leave_out = |field: &str| {
        let mut inputs = full.clone();
        match field {
            "lengths" => inputs.lengths = None,
            "h" => inputs.h = None,
            _ => inputs.c = None,
        }
        inputs
    };
    let expected = run(&Kind::LSTM.graph(&[]), &full).unwrap();
    for (input, name, field) in
        [("sequence_lens", "lens", "lengths"), ("initial_h", "h0", "h"), ("initial_c", "c0", "c")]
    {
        let what = format!("{input} ('{name}') of LSTM node 'cell'");
        let way_out = format!("`Inputs::{field}`");
        let split = write::node("Split", "halves", &["states"], &[name, "other"], &[]);
        let graph = Kind::LSTM.graph(&inputs);
        for (graph, since) in [
            (graph.clone().input(name), "it is an input of the graph"),
            (graph.clone().node(split), "Split node 'halves' computes it"),
            (graph, "nothing in the graph makes it"),
        ] {
            refused(run(&graph, &leave_out(field)), &[&what, since, &way_out]);
            assert_eq!(run(&graph, &full).unwrap(), expected);
        }
    }
    // Weights too.
    let graph = |first: &[&str]| {
        let node = write::node("GRU", "cell", first, &["Y"], &[write::integer("hidden_size", 2)]);
        Graph::default().input("X").input("R").node(node)
    };
    let w = "W ('W') of GRU node 'cell'";
    let made = graph(&["X", "W", "R"]).node(write::node("Concat", "joined", &["a", "b"], &["W"], &[]));
    refused(run(&made, &full), &[w, "not supported", "Concat node 'joined' computes it", "Node::layer"]);
    refused(run(&graph(&["X", "W", "R"]).input("W"), &full), &[w, "input of the graph", "Node::layer"]);
    refused(run(&graph(&["X", "", "R"]), &full), &["W of GRU node 'cell'", "missing"]);
}

#[test]
fn x_of_other_sizes_is_an_error_whatever_the_lengths_are() {
    for kind in Kind::all() {
        let lens = write::int32s("lens", &[0; N]);
        let (plain, held) =
            (layer(&kind.graph(&[]), &Device::cpu()), layer(&kind.graph(&["", "lens"]).holds(lens), &Device::cpu()));
        let sizes = [(T, N, I + 1), (T, N, 0), (0, N, I), (T, 0, I), (0, 0, 0), (1 << 40, N, 0), (1, 1 << 40, 0)];
        for (steps, batch, features) in sizes {
            let x = Array3::zeros(kind.sequence(steps, batch, features));
            let shape = format!("{:?}", x.shape());
            refused(plain.run(&Inputs::new(x.view())), &["X ('X')", "node 'cell'", ", 3]", &shape]);
            refused(held.run(&Inputs::new(x.view())), &["X ('X')", &shape]);
            let lengths = Some(vec![0; batch.min(N)]);
            refused(plain.run(&Inputs::new(x.view()).lengths(lengths)), &["X ('X')", &shape]);
        }
        let x = kind.x();
        let of = |lengths: &[usize]| plain.run(&Inputs::new(x.view()).lengths(Some(lengths.to_vec())));
        refused(of(&[0, 6, 0]), &["sequence_lens", "0 to 5", "6 for sequence 1"]);
        refused(of(&[0, 0]), &["sequence_lens", "[3]", "[2]"]);
        refused(of(&[usize::MAX; 3]), &["sequence_lens", "0 to 5"]);
        let none = held.run(&Inputs::new(x.view())).unwrap();
        assert!(none.y.iter().chain(&none.h).all(|&value| value == 0.0));
        let narrow = Array3::zeros([1, N, 1]);
        let states = Inputs::new(x.view()).h(Some(narrow.view())).lengths(Some(vec![0; N]));
        refused(plain.run(&states), &["initial_h", "[1, 3, 1]"]);
    }
}
