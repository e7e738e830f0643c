//! Files of Keras.

use crate::common::{equal, expected, folder, read};
use wgrnn::dialects::keras::{self, Layer, Merge, Reads};
use wgrnn::files::{Arrays, Format};
use wgrnn::ndarray::Ix3;
use wgrnn::{Cell, Device, Error, RnnConfig};

#[test]
fn layers_of_every_format_of_file_give_kerass_outputs() {
    let (arrays, cases) = expected("keras_files/expected.safetensors");
    let x = arrays.get("input").unwrap().into_dimensionality::<Ix3>().unwrap();
    assert_eq!(cases.len(), 5);
    for case in &cases {
        for (file, layer) in [("model.keras", &case.name), ("model.weights.h5", &case.name), ("model.h5", &case.prefix)]
        {
            let name = format!("{layer} of {file}");
            let weights =
                keras::load(folder("keras_files").join(file), layer).unwrap_or_else(|error| panic!("{name}: {error}"));
            let reads = if weights.len() == 2 { Reads::Both(Merge::Concat) } else { Reads::Forward };
            assert_eq!(weights.len() == 2, case.name == "bidirectional", "{name}");
            let config = RnnConfig::new(case.cell(), 1, 1);
            let layer = Layer::new(&Device::cpu(), &config, &weights, reads).unwrap();
            let outputs = layer.run(x.view(), None, None).unwrap();
            equal(
                &name,
                outputs.sequences.view().into_dyn(),
                arrays.get(&format!("{}/output", case.name)).unwrap().view(),
            );
        }
    }
}

#[test]
fn numbers_of_sixteen_bits_are_read() {
    let (arrays, _) = expected("keras_files/expected.safetensors");
    let x = arrays.get("input").unwrap().into_dimensionality::<Ix3>().unwrap();
    for dtype in ["float16", "bfloat16"] {
        let weights = keras::from_bytes(&read(&format!("keras_files/{dtype}.weights.h5")), "lstm").unwrap();
        let layer = Layer::new(&Device::cpu(), &RnnConfig::new(Cell::Lstm, 1, 1), &weights, Reads::Forward).unwrap();
        let outputs = layer.run(x.view(), None, None).unwrap();
        equal(dtype, outputs.sequences.view().into_dyn(), arrays.get(&format!("{dtype}/output")).unwrap().view());
    }
}

#[test]
fn names_are_those_of_the_file() {
    let arrays = Arrays::load(folder("keras_files/model.weights.h5")).unwrap();
    assert_eq!((arrays.format(), arrays.root()), (Format::Keras, "layers/"));
    assert_eq!(arrays.shape("lstm/cell/vars/0"), Some(&[3, 16][..]));
    assert_eq!(arrays.find("lstm/cell/vars/0"), Some("layers/lstm/cell/vars/0"));
    let error = keras::from_arrays(&arrays, "lstm_7").unwrap_err();
    assert!(matches!(&error, Error::MissingWeight(text) if text.contains("layers/gru/cell/vars/0")), "{error}");
    // Arrays without a file, by the names of Keras's variables.
    let named =
        |name: &str, from: &str| (format!("lstm/{name}"), arrays.get(&format!("lstm/cell/vars/{from}")).unwrap());
    let own = [named("kernel", "0"), named("recurrent_kernel", "1"), named("bias", "2")];
    let own = Arrays::from_named(own).unwrap();
    assert_eq!(keras::from_arrays(&own, "lstm").unwrap(), keras::from_arrays(&arrays, "lstm").unwrap());
    let more = ["kernel", "recurrent_kernel", "gain"].map(|name| named(name, "0"));
    let more = Arrays::from_named(more).unwrap();
    assert!(matches!(keras::from_arrays(&more, "lstm"), Err(Error::LeftOver { .. })));
}
