//! Files that are damaged, contradict themselves or are made to do harm: errors, and neither panics nor more memory than the
//! file gives reason for.

use super::folder;
use super::memory::allocated_by;
use super::write::{self, Graph};
use ndarray::Array3;
use std::time::{Duration, Instant};
use wgrnn::onnx::{Inputs, Model, Node, Operator, Tensor};
use wgrnn::{Activation, Device, Direction, Error};

/// A GRU of I = 1 and H = 1.
fn gru(name: &str, inputs: &[&str]) -> Vec<u8> {
    write::node("GRU", name, inputs, &[&format!("{name} y")], &[write::integer("hidden_size", 1)])
}

fn weights(name: &str) -> Vec<u8> {
    write::floats(name, &[1, 3, 1], &[0.5; 3])
}

fn graph() -> Graph {
    Graph::default().input("X").holds(weights("W")).holds(weights("R"))
}

/// Makes layers of all nodes and runs them.
fn all(bytes: &[u8]) -> Result<usize, Error> {
    let model = Model::from_bytes(bytes)?;
    let nodes = model.nodes().into_iter().collect::<Result<Vec<_>, _>>()?;
    for node in &nodes {
        let layer = node.layer(&Device::cpu(), &[])?;
        let x = Array3::ones((2, 2, layer.config().input_size()));
        layer.run(&Inputs::new(x.view()))?;
    }
    Ok(nodes.len())
}

fn refused<T>(result: Result<T, Error>, parts: &[&str]) -> Error {
    let error = result.err().unwrap_or_else(|| panic!("accepted, not refused with {parts:?}"));
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "'{text}' lacks some of {parts:?}");
    error
}

/// In the old reader each node had copies of its own: 2000 times 600 KB here.
#[test]
fn thousands_of_nodes_share_one_initialiser() {
    let size = 50_000;
    let shared = |name: &str| write::floats(name, &[1, 3, size], &vec![0.5; 3 * size]);
    let initial = write::node("Constant", "", &[], &["h0"], &[write::value(&shared("h0"))]);
    let mut graph = Graph::default().input("X").holds(shared("W")).holds(weights("R")).node(initial);
    for i in 0..2000 {
        graph = graph.node(gru(&format!("gru {i}"), &["X", "W", "R", "", "", "h0"]));
    }
    let file = graph.file();
    let (nodes, bytes) = allocated_by(|| Model::from_bytes(&file).unwrap().nodes());
    assert!(nodes.len() == 2000 && nodes.iter().all(Result::is_ok));
    assert!(bytes < 10 * file.len(), "{bytes} bytes for a file of {}", file.len());
}

/// Quadratic time is some minutes here, where this takes a fraction of a second.
#[test]
fn tens_of_thousands_of_nodes_and_initialisers_are_found_by_name_at_once() {
    let count = 40_000;
    let mut graph = Graph::default();
    for i in 0..count {
        let [w, r, h] = ["w", "r", "h"].map(|kind| format!("{kind}{i}"));
        graph = graph.input(&w).holds(weights(&w)).holds(weights(&r)).input(&format!("x{i}"));
        graph = graph.node(write::node("Constant", "", &[], &[&h], &[write::value(&weights("h"))]));
        graph = graph.node(gru(&format!("gru {i}"), &[&format!("x{i}"), &w, &r, "", "", &h]));
    }
    let file = graph.file();
    let start = Instant::now();
    let model = Model::from_bytes(&file).unwrap();
    assert_eq!(model.inputs().count(), count);
    assert_eq!(model.nodes().into_iter().filter(Result::is_ok).count(), count);
    for i in 0..count {
        assert_eq!(model.node(&format!("gru {i}")).unwrap().inputs[1], Some(format!("w{i}")));
    }
    assert!(model.node("none").unwrap_err().to_string().len() < 1000);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// An empty message takes two bytes of a file.
#[test]
fn a_file_of_empty_messages_takes_memory_in_proportion() {
    for tag in [1, 5, 11, 12, 15] {
        let file = Graph(write::bytes(tag, []).repeat(200_000)).file();
        let (model, bytes) = allocated_by(|| Model::from_bytes(&file));
        assert!(bytes < 200 * file.len(), "field {tag}: {bytes} bytes for a file of {}", file.len());
        assert!(model.unwrap().nodes().iter().all(Result::is_err));
    }
}

#[test]
fn a_name_that_stands_for_two_values_is_an_error_that_names_it() {
    let constant = |output: &str| write::node("Constant", "", &[], &[output], &[write::value(&weights(""))]);
    let twice = [
        (graph().holds(weights("W")), "an initialiser and of an initialiser"),
        (graph().node(constant("W")), "an initialiser and of an output of a node"),
        (graph().node(write::node("Exp", "", &["X"], &["W"], &[])), "an initialiser and of an output of a node"),
        (graph().holds(weights("V")).node(constant("h0")).node(constant("h0")), "an output of a node and of an output"),
        (graph().input("h0").node(constant("h0")), "an output of a node and of an input"),
        (graph().input("h0").input("h0"), "an input of the graph and of an input of the graph"),
    ];
    for (graph, parts) in twice {
        let name = if parts.starts_with("an init") { "'W'" } else { "'h0'" };
        let error = refused(all(&graph.node(gru("cell", &["X", "W", "R", "", "", "h0"])).file()), &[name, parts]);
        assert!(matches!(error, Error::Onnx(_)), "{error}");
    }
    // Of nodes too: all of them are there, but not by that name.
    let model = graph().node(gru("cell", &["X", "W", "R"])).node(gru("cell", &["X", "W", "R"])).model();
    assert_eq!(model.nodes().len(), 2);
    refused(model.node("cell"), &["'cell'", "one node", "got 2"]);
}

#[test]
fn what_a_node_has_too_much_of_is_an_error_that_names_it() {
    let of = |node: Vec<u8>| all(&graph().holds(weights("h0")).node(node).file());
    let hidden = write::integer("hidden_size", 1);
    let attributes = |more: &[Vec<u8>]| {
        write::node("GRU", "cell", &["X", "W", "R"], &["Y"], &[std::slice::from_ref(&hidden), more].concat())
    };
    assert_eq!(of(attributes(&[])).unwrap(), 1);
    refused(of(attributes(&[write::integer("hidden_size", 2)])), &["hidden_size", "GRU node 'cell'", "twice"]);
    refused(of(attributes(&[write::integer("new_one", 2)])), &["new_one", "GRU node 'cell'", "not supported"]);
    refused(of(attributes(&[write::integer("activations", 2)])), &["activations", "'cell'", "strings", "an integer"]);
    let after = write::attribute("linear_before_reset", 1, &[0x15, 0, 0, 0x80, 0x3f]);
    refused(of(attributes(&[after])), &["linear_before_reset", "'cell'", "an integer", "a float"]);
    // Without a type, as old files have it.
    let untyped = |value: &[u8]| [&write::bytes(1, "linear_before_reset"), value].concat();
    assert_eq!(of(attributes(&[untyped(&write::number(3, 1))])).unwrap(), 1);
    let float = untyped(&[0x15, 0, 0, 0x80, 0x3f]);
    refused(of(attributes(&[float])), &["linear_before_reset", "'cell'", "an integer", "a float"]);
    refused(
        of(gru("cell", &["X", "W", "R", "", "", "", "h0"])),
        &["'h0'", "7 inputs", "GRU node 'cell'", "not supported"],
    );
    let outputs = write::node("GRU", "cell", &["X", "W", "R"], &["Y", "", "Y_c"], std::slice::from_ref(&hidden));
    refused(of(outputs), &["'Y_c'", "3 outputs", "GRU node 'cell'"]);
    let sparse = write::bytes(15, write::bytes(1, weights("S")));
    let graph = Graph([graph().node(gru("cell", &["X", "S", "R"])).0, sparse].concat());
    refused(all(&graph.file()), &["sparse", "'S'"]);
}

#[test]
fn bytes_that_are_changed_or_cut_off_never_panic() {
    let fixtures = [
        "onnx/test_lstm_with_peepholes/model",
        "onnx/test_gru_seq_length/model",
        "onnx_held/learned_h0",
        "onnx_held/const_lens",
    ];
    for fixture in fixtures {
        let whole = std::fs::read(folder("..").join(fixture).with_extension("onnx")).unwrap();
        for end in 0..whole.len() {
            assert!(Model::from_bytes(&whole[..end]).is_err(), "{fixture} cut off at {end}");
        }
        for place in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= change;
                drop(all(&bytes));
            }
        }
    }
}

#[test]
fn sizes_of_a_damaged_file_are_checked_before_memory_is_asked_for() {
    let tensor = |dims: &[usize]| write::tensor("W", write::FLOAT, dims, &[0; 12]);
    for dims in [&[1, 3, 1 << 40][..], &[1 << 32, 1 << 32, 1], &[1, 3, usize::MAX], &[1; 1000], &[0, 3, 1]] {
        let graph = Graph::default().holds(tensor(dims)).holds(weights("R")).node(gru("cell", &["X", "W", "R"]));
        let file = graph.file();
        let (result, bytes) = allocated_by(|| all(&file));
        refused(result, &["'W'"]);
        assert!(bytes < 1 << 20, "{bytes}");
    }
    let infinite = graph().holds(write::floats("V", &[1, 3, 1], &[0.5, f32::INFINITY, 0.5]));
    refused(all(&infinite.node(gru("cell", &["X", "V", "R"])).file()), &["W ('V') of GRU node 'cell'", "element 1"]);
    let huge = write::node("GRU", "cell", &["X", "W", "R"], &["Y"], &[write::integer("hidden_size", 1 << 24)]);
    refused(all(&graph().node(huge).file()), &["W ('W')", "50331648"]);
}

#[test]
fn a_file_of_another_format_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let safetensors = [&2_u64.to_le_bytes()[..], b"{}"].concat();
    let entry = b"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    let filled = [&(entry.len() as u64).to_le_bytes()[..], entry, &[0; 4]].concat();
    for (name, bytes, parts) in [
        ("a.safetensors", &safetensors[..], ["safetensors", "RnnWeights::load"]),
        ("b.safetensors", &filled[..], ["safetensors", "dialects::pytorch::load"]),
        ("model.pt", b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl", ["zip", "torch.onnx.export"]),
        ("old.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", ["pickle", "torch.onnx.export"]),
        ("model.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0", ["HDF5", "dialects::keras"]),
        ("empty.onnx", b"", ["empty", "empty.onnx"]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for result in [Model::load(&path).map(drop), Tensor::load(&path).map(drop)] {
            let error = refused(result, &[name, parts[0], parts[1]]);
            assert!(matches!(error, Error::Onnx(_)), "{error}");
        }
        refused(Model::from_bytes(bytes), &parts[..1]);
    }
}

#[test]
fn a_node_has_no_cell_of_a_direction_that_it_does_not_have() {
    let both = [write::integer("hidden_size", 1), write::text("direction", "bidirectional")];
    for (operator, attributes, directions) in [("RNN", &both[..1], 1), ("LSTM", &both, 2), ("GRU", &both, 2)] {
        let node = write::node(operator, "cell", &["X", "W", "R"], &["Y"], attributes);
        let node = graph().node(node).model().node("cell").unwrap();
        for direction in 0..directions {
            assert!(node.cell(direction).is_ok());
        }
        for direction in [directions, 5, usize::MAX] {
            let parts = ["direction", operator, "'cell'", &direction.to_string()];
            refused(node.cell(direction), &parts);
        }
    }
}

#[test]
fn fields_of_a_node_with_values_that_no_file_gives_are_errors() {
    let node = graph().node(gru("cell", &["X", "W", "R"])).model().node("cell").unwrap();
    let with = |change: &dyn Fn(&mut Node)| {
        let mut node = node.clone();
        change(&mut node);
        let layer = node.layer(&Device::cpu(), &[])?;
        let x = Array3::ones((2, 2, 1));
        layer.run(&Inputs::new(x.view()))
    };
    assert!(with(&|_| ()).is_ok());
    for size in [0, usize::MAX, usize::MAX / 3, 1 << 62, 1 << 25] {
        refused(with(&|node| node.hidden_size = size), &["hidden_size of GRU node 'cell'", &size.to_string()]);
    }
    refused(with(&|node| node.hidden_size = 2), &["W ('W')", "[1, 6, any]"]);
    for count in [0, 2, 3] {
        let activations = vec![[Activation::Tanh; 3]; count];
        refused(
            with(&|node| node.activations = activations.clone()),
            &["activations of GRU node 'cell'", &format!("got {count}")],
        );
    }
    refused(
        with(&|node| node.direction = Direction::Bidirectional),
        &["activations of GRU node 'cell'", "2 directions"],
    );
    refused(with(&|node| node.operator = Operator::Lstm), &["W ('W') of LSTM node 'cell'", "[1, 4, any]"]);
    for clip in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(with(&|node| node.clip = Some(clip)), &["clip"]);
    }
    refused(with(&|node| node.coupled = true), &["coupled"]);
    for input in [6, 7] {
        refused(
            with(&|node| node.inputs[input] = Some("W".to_owned())),
            &["('W') of GRU node 'cell'", "not supported"],
        );
    }
    refused(with(&|node| node.inputs[1] = None), &["W of GRU node 'cell'", "missing"]);
    refused(with(&|node| node.inputs[5] = Some("other".to_owned())), &["initial_h ('other')", "nothing in the graph"]);
    let nan = Activation::HardSigmoid { alpha: f32::NAN.into(), beta: 0.5.into() };
    assert!(with(&|node| node.activations = vec![[nan; 3]]).is_err());
}

#[test]
fn tensors_given_twice_or_of_another_rank_or_type_are_errors() {
    let node = graph().node(gru("cell", &["X", "W", "R"])).model().node("cell").unwrap();
    let numbers = |shape: &[usize]| Tensor::Numbers(ndarray::ArrayD::zeros(shape));
    let w = numbers(&[1, 3, 1]);
    let layer = |given: &[(&str, &Tensor)]| node.layer(&Device::cpu(), given);
    assert!(layer(&[("W", &w), ("of another node", &w)]).is_ok());
    refused(layer(&[("W", &w), ("W", &w)]), &["'W'", "once"]);
    for shape in [&[][..], &[3], &[1, 3], &[1, 3, 1, 1], &[0, 3, 1], &[1, 3, 0], &[1 << 40, 0, 1 << 20]] {
        refused(layer(&[("W", &numbers(shape))]), &[if shape == [1, 3, 0] { "input size" } else { "W ('W')" }]);
    }
    refused(
        layer(&[("R", &Tensor::Integers(ndarray::ArrayD::zeros(&[1, 3, 1][..])))]),
        &["R ('R')", "floats", "integers"],
    );
}
