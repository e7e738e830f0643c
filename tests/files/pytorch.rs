//! Files of `torch.save` and `torch.jit.save`.

use crate::common::{equal, expected, folder, output};
use wgrnn::RnnWeights;
use wgrnn::dialects::pytorch;

const FOLDER: &str = "pytorch_files";

#[test]
fn weights_of_every_form_of_file_give_pytorchs_outputs() {
    let (arrays, cases) = expected(&format!("{FOLDER}/expected.safetensors"));
    assert_eq!(cases.len(), 38);
    for case in &cases {
        let path = folder(&format!("{FOLDER}/{}", case.file));
        let (config, weights) =
            pytorch::load(&path, case.cell(), &case.prefix).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        // The configuration that the file leads to reads the file too.
        if case.name.starts_with("cell") {
            assert!(RnnWeights::load(&path, &config, &case.prefix).is_err(), "{}", case.name);
        } else {
            assert_eq!(RnnWeights::load(&path, &config, &case.prefix).unwrap(), weights, "{}", case.name);
        }
        let x = arrays.get(&format!("{}/input", case.name)).unwrap();
        let y = output(&config, weights, x);
        equal(&case.name, y.view(), arrays.get(&format!("{}/output", case.name)).unwrap().view());
    }
}
