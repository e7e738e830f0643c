//! The pretrained network gives, word for word, what its own numpy code gives.

#[expect(dead_code, reason = "the example uses all of it")]
#[path = "../examples/g2p/model.rs"]
mod model;

use model::{G2p, Readable, Weights};
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
fn what_the_network_can_not_read_of_a_word_is_named() {
    let weights = Weights::read(include_bytes!("../examples/g2p/g2p_en.safetensors")).unwrap();
    assert_eq!(weights.check("Network"), Readable::Yes);
    for (word, characters) in [("123", "'1', '2', '3'"), ("你好", "'你', '好'"), (" ", "' '"), ("11", "'1'")] {
        let Readable::No(why) = weights.check(word) else { panic!("{word} is read") };
        assert!(why.contains(&format!("'{word}'")) && why.ends_with(characters), "{why}");
    }
    for (word, characters) in [("4you", "'4'"), ("don't", "'''"), ("naïve", "'ï'")] {
        let Readable::InPart(what) = weights.check(word) else { panic!("{word} is read whole, or not at all") };
        assert!(what.contains(word) && what.contains(characters), "{what}");
    }
    assert!(matches!(weights.check(""), Readable::No(_)));
    assert!(matches!(weights.check(&"a".repeat(1000)), Readable::No(why) if why.contains("1000 characters")));
}

#[test]
fn all_words_are_pronounced_on_the_gpu_as_by_the_numpy_reference() {
    all_words_are_equal(&Device::gpu().expect("these tests need an adapter"));
}

#[test]
fn all_words_are_pronounced_on_the_cpu_as_by_the_numpy_reference() {
    all_words_are_equal(&Device::cpu());
}
