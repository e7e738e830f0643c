//! The pretrained network gives, word for word, what its own numpy code gives.

#[expect(dead_code, reason = "the example uses all of it")]
#[path = "../examples/g2p/model.rs"]
mod model;

use model::{G2p, Weights};
use wgrnn::Device;

/// Words and phonemes that `scripts/make_g2p.py` wrote.
fn fixture() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("fixtures/g2p_words.tsv").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| line.split_once('\t').unwrap()).collect()
}

fn all_words_are_equal(device: &Device) {
    let words = fixture();
    assert!(words.len() >= 1000, "only {} words", words.len());
    let g2p = G2p::new(device, Weights::read(include_bytes!("../examples/g2p/g2p_en.safetensors")).unwrap()).unwrap();
    for batch in words.chunks(256) {
        let spelled: Vec<_> = batch.iter().map(|(word, _)| *word).collect();
        let answer = pollster::block_on(g2p.pronounce(&spelled)).unwrap();
        for ((word, expected), got) in batch.iter().zip(&answer.phonemes) {
            assert_eq!(got, expected, "{word} on {}", device.name());
        }
    }
}

#[test]
fn all_words_are_pronounced_on_the_gpu_as_by_the_numpy_reference() {
    all_words_are_equal(&Device::gpu().expect("these tests need an adapter"));
}

#[test]
fn all_words_are_pronounced_on_the_cpu_as_by_the_numpy_reference() {
    all_words_are_equal(&Device::cpu());
}
