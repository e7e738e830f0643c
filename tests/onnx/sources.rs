//! Weights, states and lengths that come in the ways that exporters write them.

use super::folder;
use super::write::{self, Graph};
use ndarray::{Array3, ArrayD};
use serde_json::Value;
use std::path::{Path, PathBuf};
use wgrnn::onnx::{Inputs, Model, Node, Outputs, Tensor};
use wgrnn::{Device, Error};

/// The models of a folder, with ONNX Runtime's answers.
fn cases() -> Vec<(PathBuf, Value)> {
    let files = std::fs::read_dir(folder("../onnx_held")).unwrap().map(|entry| entry.unwrap().path());
    let mut models: Vec<_> = files.filter(|path| path.extension().is_some_and(|of| of == "onnx")).collect();
    models.sort();
    let answers = |path: &Path| serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
    models.into_iter().map(|path| (path.clone(), answers(&path))).collect()
}

fn array(answers: &Value, name: &str) -> ArrayD<f32> {
    let shape: Vec<usize> = serde_json::from_value(answers[name]["shape"].clone()).unwrap();
    let data: Vec<f32> = serde_json::from_value(answers[name]["data"].clone()).unwrap();
    ArrayD::from_shape_vec(shape, data).unwrap()
}

fn run(node: &Node, device: &Device, answers: &Value) -> Outputs {
    let x: Array3<f32> = array(answers, "x").into_dimensionality().unwrap();
    node.layer(device, &[]).unwrap().run(&Inputs::new(x.view())).unwrap()
}

fn largest(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    (a - b).iter().fold(0.0, |most, error| most.max(error.abs()))
}

#[test]
fn every_source_of_weights_states_and_lengths_gives_onnx_runtimes_numbers() {
    let cases = cases();
    assert!(cases.len() > 40, "{}", cases.len());
    for device in [Device::gpu().unwrap(), Device::cpu()] {
        for (path, answers) in &cases {
            let model = Model::load(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let answers = &answers["nodes"][0];
            let nodes = model.nodes().into_iter().map(|node| node.unwrap_or_else(|error| panic!("{error}")));
            let mut nodes: Vec<_> =
                nodes.filter(|node| node.name.ends_with(answers["name"].as_str().unwrap())).collect();
            nodes.sort_by_key(|node| !node.name.contains("then_branch"));
            let node = nodes.remove(0);
            let outputs = run(&node, &device, answers);
            // ONNX Runtime rounds X and h to eight bits at each step: 1/254 of their range, through five steps.
            let most = if node.quantized { 2e-2 } else { 1e-6 };
            for (got, expected) in [
                (Some(outputs.y.into_dyn()), "yout"),
                (Some(outputs.h.into_dyn()), "yh"),
                (outputs.c.map(Array3::into_dyn), "yc"),
            ] {
                if answers[expected].is_null() {
                    continue;
                }
                let error = largest(&got.unwrap(), &array(answers, expected));
                assert!(error < most, "{}, {expected} on {}: {error}", path.display(), device.name());
            }
        }
    }
}

#[test]
fn futures_of_a_layer_give_what_it_gives_at_once() {
    let kinds = [None, Some(vec![3, 0]), Some(vec![0, 0])];
    for device in [Device::gpu().unwrap(), Device::cpu()] {
        let model = Model::load(folder("../onnx_held/split.onnx")).unwrap();
        let layer = model.nodes().remove(0).unwrap().layer(&device, &[]).unwrap();
        let x = Array3::from_shape_fn((5, 2, 3), |(t, n, i)| (t * 7 + n * 3 + i) as f32 / 50.0);
        let inputs = kinds.clone().map(|lengths| Inputs::new(x.view()).lengths(lengths));
        let expected: Vec<_> = inputs.iter().map(|inputs| layer.run(inputs).unwrap()).collect();
        assert_ne!(expected[0], expected[1]);
        let all = inputs.iter().map(|inputs| layer.run_async(inputs));
        assert_eq!(pollster::block_on(futures_util::future::try_join_all(all)).unwrap(), expected);
    }
}

#[test]
fn quantized_nodes_say_so() {
    let quantized =
        |name: &str| Model::load(folder("../onnx_held").join(name)).unwrap().nodes().remove(0).unwrap().quantized;
    assert!(quantized("dynq.onnx") && quantized("dynamic_each_i8.onnx") && !quantized("qdq.onnx"));
}

#[test]
fn nodes_of_bodies_are_named_by_their_path() {
    let names = |name: &str| -> Vec<_> {
        let model = Model::load(folder("../onnx_held").join(name)).unwrap();
        model.nodes().into_iter().map(|node| node.unwrap().name).collect()
    };
    assert_eq!(names("in_if_named.onnx"), ["if/else_branch/other", "if/then_branch/lstm"]);
    assert_eq!(names("in_loop.onnx"), ["loop/body/lstm"]);
    let model = Model::load(folder("../onnx_held").join("in_if_named.onnx")).unwrap();
    for name in ["lstm", "if/then_branch/lstm"] {
        assert_eq!(model.node(name).unwrap().name, "if/then_branch/lstm");
    }
    let error = model.node("if/lstm").unwrap_err().to_string();
    assert!(error.contains("'if/else_branch/other', 'if/then_branch/lstm'"), "{error}");
    // Both branches of an `If` without a name have a node "lstm": the paths begin with what it computes.
    assert_eq!(names("in_if.onnx"), ["Y/else_branch/lstm", "Y/then_branch/lstm"]);
    let error = Model::load(folder("../onnx_held").join("in_if.onnx")).unwrap().node("lstm").unwrap_err().to_string();
    assert!(error.contains("got 2"), "{error}");
}

#[test]
fn data_in_another_file_come_from_the_folder_or_a_callback() {
    let path = folder("../onnx_held").join("external.onnx");
    let bytes = std::fs::read(&path).unwrap();
    let error = Model::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("external.data") && error.contains("from_bytes_with"), "{error}");
    let data = std::fs::read(path.with_file_name("external.data")).unwrap();
    let mut asked = Vec::new();
    let model = Model::from_bytes_with(&bytes, |name| {
        asked.push(name.to_owned());
        Ok(data.clone())
    });
    assert_eq!(asked, ["external.data"]);
    assert_eq!(model.unwrap().tensor("W").unwrap(), Model::load(&path).unwrap().tensor("W").unwrap());
    for length in [0, 1, data.len() / 2, data.len() - 1] {
        let model = Model::from_bytes_with(&bytes, |_| Ok(data[..length].to_vec())).unwrap();
        let error = model.node("lstm").unwrap().layer(&Device::cpu(), &[]).err().unwrap().to_string();
        assert!(error.contains("'external.data'") && error.contains("copied whole"), "{error}");
    }
    let refused = Model::from_bytes_with(&bytes, |name| Err(Error::Onnx(name.to_owned())));
    assert!(refused.is_err_and(|error| error.to_string().contains("external.data")));
}

#[test]
fn a_data_file_outside_of_the_folder_is_refused() {
    let folder = std::env::temp_dir().join(format!("wgrnn_onnx_{}", std::process::id()));
    std::fs::create_dir_all(folder.join("inside")).unwrap();
    std::fs::write(folder.join("secret"), [0; 64]).unwrap();
    for location in ["../secret", "inside/../../secret", folder.join("secret").to_str().unwrap()] {
        let model = Graph::default().holds(write::external("W", &[2, 2], location)).file();
        let path = folder.join("inside/model.onnx");
        std::fs::write(&path, model).unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        assert!(error.contains("leaves it"), "{location}: {error}");
    }
    let path = folder.join("inside/model.onnx");
    std::fs::write(&path, Graph::default().holds(write::external("W", &[2, 2], "none.data")).file()).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("none.data"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.join("secret"), folder.join("inside/none.data")).unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        assert!(error.contains("a link that leaves it"), "{error}");
        // A cache links both to where they lie together.
        std::fs::create_dir_all(folder.join("blobs")).unwrap();
        std::fs::rename(&path, folder.join("blobs/1")).unwrap();
        std::fs::write(folder.join("blobs/2"), [0; 64]).unwrap();
        std::fs::remove_file(folder.join("inside/none.data")).unwrap();
        std::os::unix::fs::symlink("../blobs/1", &path).unwrap();
        std::os::unix::fs::symlink("../blobs/2", folder.join("inside/none.data")).unwrap();
        assert_eq!(Model::load(&path).unwrap().tensor("W").unwrap().shape(), [2, 2]);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_model_without_recurrent_nodes_says_what_it_is_made_of() {
    let graph = Graph::default().node(write::node("Conv", "c", &["x", "w"], &["y"], &[]));
    let errors = graph.model().nodes();
    assert_eq!(errors.len(), 1);
    let error = errors[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("Conv (1)"), "{error}");
    assert_eq!(graph.model().node("lstm").unwrap_err().to_string(), error);

    let node = |operator, inputs: &[&str], output| write::node(operator, output, inputs, &[output], &[]);
    let lstm = Graph::default()
        .node(node("Gemm", &["xh", "weights", "bias"], "gates"))
        .node(write::node("Split", "", &["gates"], &["i_", "o_", "f_", "g_"], &[]))
        .node(node("Sigmoid", &["i_"], "i"))
        .node(node("Sigmoid", &["o_"], "o"))
        .node(node("Sigmoid", &["f_"], "f"))
        .node(node("Tanh", &["g_"], "g"))
        .node(node("Mul", &["f", "c"], "fc"))
        .node(node("Mul", &["i", "g"], "ig"))
        .node(node("Add", &["fc", "ig"], "c1"))
        .node(node("Tanh", &["c1"], "t"))
        .node(node("Mul", &["o", "t"], "h"));
    let error = lstm.model().nodes()[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("functions: LSTM (1)") && error.contains("'h'") && error.contains("'weights'"), "{error}");
    let gru = Graph::default()
        .node(node("MatMul", &["x", "wn"], "n_"))
        .node(node("Tanh", &["n_"], "n"))
        .node(node("Sigmoid", &["z_"], "z"))
        .node(node("Sub", &["one", "z"], "rest"))
        .node(node("Mul", &["n", "rest"], "new"))
        .node(node("Mul", &["z", "h"], "old"))
        .node(node("Add", &["new", "old"], "h1"));
    let error = gru.model().nodes()[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("functions: GRU (1)") && error.contains("'wn'"), "{error}");
    let rnn = Graph::default()
        .node(node("MatMul", &["x", "wx"], "a"))
        .node(node("Add", &["a", "bias"], "b"))
        .node(node("Gemm", &["h", "wh"], "c"))
        .node(node("Add", &["b", "c"], "d"))
        .node(node("Tanh", &["d"], "h1"));
    let error = rnn.model().nodes()[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("functions: RNN (1)") && error.contains("'wx'"), "{error}");
}

#[test]
fn what_stands_in_the_way_of_a_constant_is_named() {
    let layer = |graph: Graph| {
        let cell = write::node("LSTM", "cell", &["x", "W", "R"], &["y"], &[write::integer("hidden_size", 2)]);
        let model = graph.node(cell).input("x").input("scale").model();
        let node = model.node("cell").unwrap();
        node.layer(&Device::cpu(), &[]).err().unwrap().to_string()
    };
    let held = |name, shape: &[usize]| write::floats(name, shape, &vec![0.5; shape.iter().product()]);
    let graph = || Graph::default().holds(held("R", &[1, 8, 2])).holds(held("w", &[1, 8, 3]));
    let node = |operator, inputs: &[&str], output| write::node(operator, output, inputs, &[output], &[]);
    let error = layer(graph().node(node("Einsum", &["w"], "v")).node(node("Identity", &["v"], "W")));
    assert!(error.contains("Einsum node 'v'") && error.contains("give its value"), "{error}");
    let error = layer(graph().node(node("Mul", &["w", "scale"], "v")).node(node("Identity", &["v"], "W")));
    assert!(error.contains("'scale', an input of the graph"), "{error}");
    let error = layer(graph().node(node("Add", &["w", "missing"], "W")));
    assert!(error.contains("'missing', which nothing in the graph makes"), "{error}");
    // Of a version before 7, whose shapes fit each other in another way.
    let old = write::node("Add", "sum", &["w", "w"], &["W"], &[write::integer("broadcast", 1)]);
    let error = layer(graph().node(old));
    assert!(error.contains("attribute broadcast") && error.contains("'sum'"), "{error}");
    let error = layer(graph().node(node("Identity", &["v"], "W")).node(node("Identity", &["W"], "v")));
    assert!(error.contains("computes what it is computed from"), "{error}");
}

/// What a caller gives also takes part in what nodes compute from it.
#[test]
fn a_given_value_is_computed_with() {
    let held = |name, shape: &[usize]| write::floats(name, shape, &vec![0.5; shape.iter().product()]);
    let cell = write::node("LSTM", "cell", &["x", "W", "R"], &["y"], &[write::integer("hidden_size", 2)]);
    let graph = Graph::default().holds(held("R", &[1, 8, 2])).holds(held("w", &[1, 8, 3])).input("x").input("scale");
    let model = graph.node(write::node("Mul", "m", &["w", "scale"], &["W"], &[])).node(cell).model();
    let node = model.node("cell").unwrap();
    let x = Array3::from_elem((2, 1, 3), 0.3);
    let y = |scale: f32| {
        let scale = Tensor::Numbers(ndarray::arr0(scale).into_dyn());
        let layer = node.layer(&Device::cpu(), &[("scale", &scale)]).unwrap();
        layer.run(&Inputs::new(x.view())).unwrap().y
    };
    let direct = |w: f32| {
        let w = Tensor::Numbers(Array3::from_elem((1, 8, 3), w).into_dyn());
        let layer = node.layer(&Device::cpu(), &[("W", &w)]).unwrap();
        layer.run(&Inputs::new(x.view())).unwrap().y
    };
    assert_eq!(y(2.0), direct(1.0));
    assert_eq!(y(-1.0), direct(-0.5));
}

#[test]
fn tensors_are_reachable_by_name_also_dequantized_and_in_bodies() {
    let load = |name: &str| Model::load(folder("../onnx_held").join(name)).unwrap();
    let model = load("dequantized_1_i8_13.onnx");
    let names = model.tensor_names().unwrap();
    assert!(["Wq", "Ws", "W", "Rq", "R"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    let (Tensor::Integers(q), Tensor::Numbers(s)) = (model.tensor("Wq").unwrap(), model.tensor("Ws").unwrap()) else {
        panic!("{names:?}")
    };
    let scale = s.into_shape_with_order((1, 16, 1)).unwrap();
    let expected = q.mapv(|q| q as f32) * scale;
    assert_eq!(model.tensor("W").unwrap(), Tensor::Numbers(expected));
    let names = load("in_loop.onnx").tensor_names().unwrap();
    assert!(names.contains(&"W2".to_owned()), "{names:?}");
    assert_eq!(load("in_loop.onnx").tensor("loop/body/Wt").unwrap().shape(), [1, 16, 3]);
    let error = model.tensor("V").unwrap_err().to_string();
    assert!(error.contains("Wq") && error.contains("'V'"), "{error}");
    let error = model.tensor("X").unwrap_err().to_string();
    assert!(error.contains("an input of the graph"), "{error}");
}

/// A few bytes may ask for any amount of memory, or of stack.
#[test]
fn a_bomb_is_an_error() {
    let cell = write::node("LSTM", "cell", &["x", "W", "R"], &["y"], &[write::integer("hidden_size", 2)]);
    let shape = write::int64s("shape", &[1 << 20, 1 << 20]);
    let graph = Graph::default().holds(shape).node(write::node("ConstantOfShape", "f", &["shape"], &["W"], &[]));
    let error =
        graph.node(cell.clone()).model().node("cell").unwrap().layer(&Device::cpu(), &[]).err().unwrap().to_string();
    assert!(error.contains("1048576, 1048576"), "{error}");
    // Bodies within bodies.
    let mut graph = Graph::default().node(&cell);
    for _ in 0..1000 {
        let body = write::attribute("then_branch", 5, &write::bytes(6, &graph.0));
        graph = Graph::default().node(write::node("If", "i", &["c"], &["y"], &[body]));
    }
    let error = Model::from_bytes(&graph.file()).unwrap_err().to_string();
    assert!(error.contains("bodies within each other"), "{error}");
    // A chain of nodes.
    let mut graph = Graph::default().holds(write::floats("0", &[1, 8, 3], &[0.5; 24]));
    for i in 0..50_000 {
        graph = graph.node(write::node("Identity", "", &[&i.to_string()], &[&(i + 1).to_string()], &[]));
    }
    let cell = write::node("LSTM", "cell", &["x", "50000", "R"], &["y"], &[write::integer("hidden_size", 2)]);
    let graph = graph.holds(write::floats("R", &[1, 8, 2], &[0.5; 16])).node(cell);
    assert!(graph.model().node("cell").unwrap().layer(&Device::cpu(), &[]).is_ok());
}
