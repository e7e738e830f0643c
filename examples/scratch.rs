//! scratch: times charlm on devices
use std::time::Instant;
use wgrnn::*;
fn main() {
    let which = std::env::args().nth(1).unwrap_or("cpu".into());
    let d = if which == "cpu" { Device::cpu() } else { Device::gpu().unwrap() };
    let lstm = |i, h| RnnConfig::new(Cell::Lstm, i, h);
    for (name, c, n, t) in [("stream", lstm(128,128), 1, 1), ("vad", lstm(128,128), 1, 100), ("charlm", lstm(128,256), 32, 64), ("charlm gru", RnnConfig::new(Cell::Gru(Reset::After),128,256), 32, 64), ("charlm elman", RnnConfig::new(Cell::Elman(Activation::Tanh),128,256), 32, 64), ("ds512", lstm(512,512), 16, 25), ("ds1024", lstm(1024,1024), 64, 50), ("embed", lstm(40,256).layers(3), 64, 160), ("bi", lstm(256,256).layers(2).direction(Direction::Bidirectional), 8, 128)] {
        if which != "cpu" && (name == "ds1024" || name == "embed") { continue; }
        let rnn = Rnn::new(&d, &c, RnnWeights::init(&c, 0).unwrap()).unwrap();
        for schedule in [Schedule::Step, Schedule::Sequence] {
            let mut o = SessionOptions::new(t, n);
            o.call.schedule = schedule;
            let Ok(s) = rnn.session(o) else { continue };
            let x = ndarray::Array3::from_shape_fn((t, n, c.input_size()), |(t, n, i)| ((t * 31 + n * 17 + i * 7) % 101) as f32 / 50.5 - 1.0);
            s.input().write(x.view()).unwrap();
            let reps = if name == "stream" || name == "vad" { 20 } else { 1 };
            let mut v: Vec<f64> = (0..7).map(|_| { let t = Instant::now(); for _ in 0..reps { s.run().unwrap(); } d.wait().unwrap(); t.elapsed().as_secs_f64() / reps as f64 }).collect();
            v.sort_by(f64::total_cmp);
            println!("{name} {schedule:?}: min {:.3} med {:.3} ms {:.1} GFLOP/s", v[0]*1e3, v[3]*1e3, s.plan().flop() as f64/v[0]/1e9);
        }
    }
}
