//! One-to-many: the lesson `caption`.

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/caption.rs"]
mod lesson;

use lessons::data::caption::{SIDE, open, picture};

crate::common::every_lesson!("caption", lesson, few: "", gpu: "1", files: ["emoji.png", "emoji.txt"]);

/// A PNG picture of one colour with an alpha channel.
fn png(path: &std::path::Path, [width, height]: [u32; 2], pixel: [u8; 4]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixel.repeat((width * height) as usize)).unwrap();
}

#[test]
fn emoji_get_names_with_a_picture_of_some() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.png");
    png(&mine, [48, 48], [255, 0, 0, 255]);
    let outcome = run(&format!("--steps 12 --plot {} --picture {}", folder.path().display(), mine.display())).unwrap();
    // Letters that are not there cannot be more than a few times those that are.
    assert!((0.3..3.0).contains(&outcome.figure("LSTM", "letters wrong")), "{outcome}");
    assert_eq!(outcome.figure("name of the most similar emoji", "names right"), 0.0);
    assert!(outcome.to_string().contains("mine.png: "), "{outcome}");
    assert!(std::fs::read_to_string(folder.path().join("caption.svg")).unwrap().contains("Emoji held out"));
}

#[test]
fn pictures_are_scaled_and_those_that_can_t_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    png(&path, [60, 60], [255, 0, 0, 255]);
    let pixels = open(&path).unwrap().pixels;
    assert_eq!(pixels.dim(), (SIDE, SIDE, 3));
    assert!(pixels.indexed_iter().all(|((_, _, channel), &value)| value == if channel == 0 { 1.0 } else { 0.0 }));
    // What is half transparent is half white.
    png(&path, [24, 24], [0, 0, 0, 51]);
    let pixels = picture(&std::fs::read(&path).unwrap()).unwrap();
    assert!(pixels.iter().all(|value| (value - 0.8).abs() < 1e-6));
    for (size, expected) in [([30, 40], "30 by 40 pixels: cut it to a square"), ([9, 9], "24 by 24 are the least")] {
        png(&path, size, [0, 0, 0, 255]);
        let error = run(&format!("--steps 1 --picture {}", path.display())).unwrap_err();
        assert!(error.contains("picture.png") && error.contains(expected), "{error}");
    }
    std::fs::write(&path, "no picture").unwrap();
    let error = run(&format!("--steps 1 --picture {}", path.display())).unwrap_err();
    assert!(error.contains("picture.png") && error.contains("expected a PNG picture"), "{error}");
}
