//! Many-to-many by CTC: the lesson `handwriting`.

use lessons::data::handwriting::{Line, load, own};
use lessons::metrics::rates;
use std::path::Path;

#[allow(dead_code, reason = "its main")]
#[path = "../../examples/training/handwriting.rs"]
mod lesson;

crate::common::every_lesson!("handwriting", lesson, few: "--tested 4", gpu: "2", files: ["digits.png"]);

const CUT: &str = "cut at blanks, nearest neighbour";
const NETWORK: &str = "convolutions, GRUs, CTC";

#[test]
fn lines_are_read_after_few_steps_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let line = format!("--device cpu --steps 150 --tested 40 --plot {}", folder.path().display());
    let outcome = lesson::run(&crate::common::options(&line)).unwrap();
    // Without a digit read, all are wrong; the baseline has 24 % of all lines' digits wrong.
    assert!(outcome.figure(NETWORK, "wrong digits") < 0.9, "{outcome}");
    assert!((0.1..0.4).contains(&outcome.figure(CUT, "wrong digits")), "{outcome}");
    let picture = std::fs::read_to_string(folder.path().join("handwriting.svg")).unwrap();
    assert!(picture.contains("Lines held out") && picture.contains("blank"));
    assert!(std::fs::read_to_string(folder.path().join("handwriting_loss.svg")).unwrap().contains("held out"));
}

#[test]
fn the_demo_page_s_weights_read_lines_that_training_did_not_see() {
    let [_, tested] = load(None).unwrap();
    let lines = tested.lines(60, 5, 5);
    let network = lesson::Network::new(&wgrnn::Device::cpu(), 0).unwrap();
    let file = std::fs::read("../web/demo/models/handwriting.safetensors").unwrap();
    network.1.load_safetensors_partial(&file, "").unwrap();
    let arrays = safetensors::SafeTensors::deserialize(&file).unwrap();
    let named = network.0.names().map(|(name, shape)| {
        let data = arrays.tensor(&format!("convolution.{name}")).unwrap().data().to_vec();
        let numbers = data.chunks_exact(2).map(|pair| half::f16::from_le_bytes([pair[0], pair[1]]).to_f32());
        (name.to_owned(), ndarray::ArrayD::from_shape_vec(shape, numbers.collect()).unwrap())
    });
    network.0.write(&named.collect::<Vec<_>>()).unwrap();
    let recogniser = network.recogniser(lessons::data::handwriting::WIDEST, 60).unwrap();
    let read = recogniser.recognise(&lines.iter().map(Line::example).collect::<Vec<_>>()).unwrap();
    let digits = lines.iter().map(|line| line.digits.as_slice());
    // 4.4 % of 500 lines' digits are wrong; of about 270 digits, 10 % would be more than four standard deviations away.
    let [wrong, _] = rates(digits, |n| read[n].labels.clone());
    assert!(wrong < 0.1, "{wrong}");
}

/// Writes a picture in grey, or in red, green, blue and alpha.
fn write(path: &Path, [width, height]: [u32; 2], colour: png::ColorType, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

/// A ring of ink, 40 high and 30 wide, on paper of 100 by 60.
fn ring(ink: u8, paper: u8) -> Vec<u8> {
    let pixel = |i: usize| {
        let (x, y) = ((i % 100) as f64 - 50.0, (i / 100) as f64 - 30.0);
        let far = |wide: f64, high: f64| (x / wide).powi(2) + (y / high).powi(2);
        if far(15.0, 20.0) <= 1.0 && far(10.0, 15.0) >= 1.0 { ink } else { paper }
    };
    (0..6000).map(pixel).collect()
}

#[test]
fn a_picture_of_any_size_is_scaled_whether_its_ink_is_dark_or_light() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.png");
    write(&path, [100, 60], png::ColorType::Grayscale, &ring(20, 240));
    let dark = own(&path).unwrap();
    // 41 by 31 pixels of ink: 15 columns when 20 high, and 2 blank ones on both sides; a multiple of 4.
    assert_eq!(dark.dim(), (20, 24));
    let has_ink = |column: usize| dark.row(column).iter().any(|&ink| ink > 0.3);
    assert_eq!((0..20).filter(|&column| has_ink(column)).collect::<Vec<_>>(), (2..17).collect::<Vec<_>>());
    assert!(dark[[9, 12]] < 0.1 && dark[[9, 3]] > 0.9, "{dark}");
    write(&path, [100, 60], png::ColorType::Grayscale, &ring(230, 10));
    let light = own(&path).unwrap();
    // Levels of 8 bits.
    assert!(dark.iter().zip(&light).all(|(a, b)| (a - b).abs() < 1e-5));
    let colours: Vec<u8> = ring(20, 240).into_iter().flat_map(|pixel| [pixel, pixel, pixel, 255]).collect();
    write(&path, [100, 60], png::ColorType::Rgba, &colours);
    assert!(dark.iter().zip(&own(&path).unwrap()).all(|(a, b)| (a - b).abs() < 1e-5));
    let outcome = run(&format!("--steps 1 --picture {}", path.display())).unwrap();
    assert!(outcome.to_string().contains("0.png: "), "{outcome}");
}

#[test]
fn pictures_that_are_none_or_have_no_line_are_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.png");
    let refused = |expected: &str| {
        let error = run(&format!("--steps 1000000 --picture {}", path.display())).unwrap_err();
        assert!(error.contains("mine.png") && error.contains(expected), "{error}");
    };
    refused("cannot be read");
    for bytes in [&b""[..], b"P5 2 2 255 abcd", b"\x89PNG\r\n\x1a\n"] {
        std::fs::write(&path, bytes).unwrap();
        refused("expected a PNG picture");
    }
    write(&path, [100, 60], png::ColorType::Grayscale, &ring(20, 240));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("damaged");
    write(&path, [100, 60], png::ColorType::Grayscale, &[200; 6000]);
    refused("no writing on it");
    let line: Vec<u8> = (0..5 * 3000).map(|i| if (3000..6000).contains(&i) { 0 } else { 255 }).collect();
    write(&path, [3000, 5], png::ColorType::Grayscale, &line);
    refused("cut it into shorter ones");
}

#[test]
fn a_sheet_with_an_empty_tile_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("digits.png"), [1400, 4760], png::ColorType::Grayscale, &vec![0; 1400 * 4760]);
    let error = run(&format!("--steps 1 --data {}", folder.path().display())).unwrap_err();
    assert!(error.contains("digits.png") && error.contains("no digit in row 1, column 1"), "{error}");
}

#[test]
fn lines_depend_on_seed_and_step_only_and_are_as_wide_as_the_network_reads() {
    let [learned, _] = load(None).unwrap();
    let lines = learned.lines(8, 1, 2);
    assert_eq!(lines, learned.lines(8, 1, 2));
    assert!(lines != learned.lines(8, 1, 3) && lines != learned.lines(8, 2, 2));
    for line in &lines {
        assert!(line.columns.nrows() % 4 == 0 && (1..=8).contains(&line.digits.len()), "{line:?}");
        assert!(line.columns.iter().all(|ink| (0.0..=1.0).contains(ink)));
    }
}
