//! scratch
fn main() {
    let d = wgrnn::Device::gpu().unwrap();
    for k in wgrnn::kernels::Kernel::ALL {
        let t = std::time::Instant::now();
        let mut v: Vec<(f64, String)> = vec![];
        for c in (k.row().cases)() {
            if c.left_out(&d).is_some() {
                continue;
            }
            let t = std::time::Instant::now();
            let p = c.program(&d).unwrap();
            p.run().unwrap();
            d.wait().unwrap();
            v.push((t.elapsed().as_secs_f64(), c.name.clone()));
        }
        v.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("{} {:.2}", k.row().name, t.elapsed().as_secs_f64());
        for (t, n) in v.iter().take(12) {
            println!("   {t:.3} {n}");
        }
    }
}
