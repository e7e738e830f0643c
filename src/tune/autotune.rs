//! Which tiles are fastest on this very adapter: measured once, kept on disk. What is not equal to its twin is not taken.

use crate::check::{self, Case, cooperative_cases, timed, timed_half, timed_staged, timed_staged_outer};
use crate::device::{AdapterReport, Autotune, Class, Device, Trial, Tuning, TuningReport, is_asked};
use crate::error::{Error, Result};
use crate::kernels::{Kernel, STAGED, Tile};
use crate::weights::files;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use web_time::Instant;

/// A file of the cache.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: Key,
    tuning: Tuning,
    trials: Vec<Trial>,
}

/// What a measurement is true for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    wgrnn: String,
    adapter: String,
    driver: String,
    backend: String,
    /// A device may have been asked for less than its adapter has.
    features: String,
    /// The row of the table that it began with.
    table: String,
}

impl Autotune {
    /// What `WGRNN_AUTOTUNE` asks for.
    pub(super) fn from_environment() -> Option<Self> {
        is_asked("WGRNN_AUTOTUNE").then(Self::default)
    }

    fn cache_folder(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("WGRNN_CACHE").filter(|name| !name.is_empty()).map(PathBuf::from);
        self.folder.clone().or_else(named).or_else(|| cache().map(|folder| folder.join("wgrnn")))
    }
}

/// The user's folder for what can be made again.
fn cache() -> Option<PathBuf> {
    #[cfg(not(target_arch = "wasm32"))]
    return dirs::cache_dir();
    #[cfg(target_arch = "wasm32")]
    None
}

impl Key {
    fn of(device: &Device) -> Self {
        let report = device.report();
        let text = |of: fn(&AdapterReport) -> String| report.map(of).unwrap_or_default();
        Self {
            wgrnn: env!("CARGO_PKG_VERSION").to_owned(),
            adapter: text(|report| report.name.clone()),
            driver: text(|report| report.driver.clone()),
            backend: text(|report| report.backend.clone()),
            features: text(|report| format!("{:?} {:?}", report.features, report.limits)) + &device.dialect(),
            table: format!("{:?}", table(device)),
        }
    }

    /// A file's name that tells a reader what it is about; the key inside decides.
    fn file(&self) -> String {
        let Self { wgrnn, adapter, driver, backend, features, table } = self;
        let all = format!("{wgrnn} {adapter} {driver} {backend} {features} {table}");
        let plain: String = self.adapter.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        // FNV-1a: the same in every version of Rust.
        let hash = all
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{plain}-{hash:016x}.json")
    }
}

/// What suits a device: out of the cache, or measured and put there. That a cache can't be read or written is a note.
pub(super) fn tuned(device: &Device, autotune: &Autotune) -> (Tuning, TuningReport) {
    let key = Key::of(device);
    let path = autotune.cache_folder().map(|folder| folder.join(key.file()));
    let mut note = None;
    if let Some(path) = path.as_ref().filter(|path| !autotune.anew && path.exists()) {
        match read(path, &key, device) {
            Ok(Kept { tuning, trials, .. }) => {
                return (tuning, TuningReport { read_from: Some(path.clone()), note, trials });
            }
            Err(reason) => note = Some(format!("{} was not used: {reason}", path.display())),
        }
    }
    let (tuning, trials) = measure(device);
    if !trials.iter().any(|trial| trial.taken) {
        note = Some("nothing could be measured: the table is used".to_owned());
        return (tuning, TuningReport { read_from: None, note, trials });
    }
    let kept = Kept { key, tuning, trials };
    match path.as_ref().map(|path| write(path, &kept)) {
        None => note = Some("not kept: there is no folder for caches".to_owned()),
        Some(Err(error)) => note = Some(format!("not kept: {error}")),
        Some(Ok(())) => {}
    }
    (kept.tuning, TuningReport { read_from: None, note, trials: kept.trials })
}

/// What a file holds, if it is about this device and holds nothing but what could have been measured.
fn read(path: &Path, key: &Key, device: &Device) -> std::result::Result<Kept, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let kept: Kept = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if kept.key != *key {
        return Err("it is of another adapter, driver or version".to_owned());
    }
    let table = table(device);
    let Tuning { gemm, outer, step, sequence, staged, split, fill, cooperative, texture, uniform, .. } = kept.tuning;
    let known = |kernel, tile| candidates(device, kernel).contains(&tile);
    let tiles = [(Kernel::Gemm, gemm), (Kernel::Outer, outer), (Kernel::Step, step), (Kernel::Sequence, sequence)];
    let all_known = tiles.into_iter().all(|(kernel, tile)| known(kernel, tile))
        && [None, table.staged, Some(Tuning::STAGED)].contains(&staged)
        && [1, 4, 8, table.split].contains(&split)
        && [0, Tuning::FILL, table.fill].contains(&fill);
    let rest = Tuning { gemm, outer, step, sequence, staged, split, fill, cooperative, texture, uniform, ..table };
    if !all_known || rest != kept.tuning {
        return Err("it holds what is no candidate".to_owned());
    }
    Ok(kept)
}

fn write(path: &Path, kept: &Kept) -> Result<()> {
    let file = |source| Error::File { path: path.to_owned(), source };
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(file)?;
    let text = serde_json::to_string_pretty(kept).map_err(|error| file(error.into()))?;
    files::replace(path, text.as_bytes())
}

/// The row of the table for the device's class.
fn table(device: &Device) -> Tuning {
    crate::device::tuning(device).clone()
}

/// Tiles to try, the table's first. They are few: every one is a shader to compile.
fn candidates(device: &Device, kernel: Kernel) -> Vec<Tile> {
    const fn tile([rows, columns, lanes, spread]: [u32; 4]) -> Tile {
        Tile { rows, columns, lanes, spread }
    }
    let others: &[[u32; 4]] = match kernel {
        Kernel::Gemm => &[[16, 4, 32, 8], [8, 4, 32, 8], [8, 4, 32, 0], [8, 2, 64, 0], [4, 4, 64, 0]],
        Kernel::Step => &[[16, 4, 32, 8], [8, 4, 32, 8], [8, 4, 32, 0], [4, 4, 64, 0], [4, 8, 32, 0], [2, 4, 32, 0]],
        Kernel::Outer => &[[16, 4, 32, 4], [8, 4, 32, 0], [8, 4, 64, 0], [16, 4, 64, 0]],
        _ => &[[8, 1, 64, 0], [4, 1, 64, 0], [4, 1, 128, 0], [1, 1, 128, 0], [1, 1, 256, 0]],
    };
    let report = device.report();
    let first = crate::device::own_tiles(device, kernel)[0];
    let shares = report.is_none_or(|report| report.has_subgroups_of(first.spread));
    let mut tiles = vec![if shares { first } else { Tile { spread: 0, ..first } }];
    for tile in others.iter().copied().map(tile) {
        let lanes = report.is_some_and(|report| tile.lanes <= report.limits.invocations);
        let shares = tile.spread == 0 || report.is_some_and(|report| report.has_subgroups_of(tile.spread));
        if lanes && shares && !tiles.contains(&tile) {
            tiles.push(tile);
        }
    }
    tiles
}

/// Of the candidates' seconds, none for those that failed, the one to take: the fastest, if it is clearly faster than the
/// first, which is the table's, or if that one failed; none where all did.
fn choose(seconds: &[Option<f64>]) -> Option<usize> {
    // Less than this is noise.
    const CLEARLY: f64 = 0.95;
    let timed = seconds.iter().enumerate().filter_map(|(i, time)| Some((i, (*time)?)));
    let best = timed.min_by(|(_, time), (_, other)| time.total_cmp(other))?;
    match seconds[0] {
        Some(table) if best.1 > CLEARLY * table => Some(0),
        _ => Some(best.0),
    }
}

/// Something to try: cases to be timed together, and what would be used beside them.
#[derive(Clone)]
struct Candidate {
    timed: Vec<Option<Case>>,
    beside: Vec<Option<Case>>,
}

/// Goes through candidates; gives the one to take.
fn pick(device: &Device, candidates: &[Candidate], trials: &mut Vec<Trial>) -> Option<usize> {
    let first = trials.len();
    for candidate in candidates {
        let mut trial = Trial { variant: String::new(), seconds: Some(0.0), failure: None, taken: false };
        let mut names = Vec::new();
        for case in &candidate.timed {
            let time = match case {
                Some(case) => {
                    names.push(case.variant().to_string());
                    time(device, case)
                }
                None => Err("the kernel has no such form".to_owned()),
            };
            match time {
                Ok(time) => trial.seconds = trial.seconds.map(|seconds| seconds + time),
                Err(reason) => (trial.seconds, trial.failure) = (None, Some(reason)),
            }
        }
        trials.push(Trial { variant: names.join(" and "), ..trial });
    }
    let trials = &mut trials[first..];
    loop {
        let seconds: Vec<_> = trials.iter().map(|trial| trial.seconds).collect();
        let best = choose(&seconds)?;
        match fault(device, candidates[best].beside.iter().flatten()) {
            None => {
                trials[best].taken = true;
                return Some(best);
            }
            Some(fault) => (trials[best].seconds, trials[best].failure) = (None, Some(fault)),
        }
    }
}

/// What is wrong with cases that this device can run: they do not compile, or not give what their twins do.
fn fault<'a>(device: &Device, cases: impl IntoIterator<Item = &'a Case>) -> Option<String> {
    let mut runnable = cases.into_iter().filter(|case| case.left_out(device).is_none());
    runnable.find_map(|case| match check::compare_case(device, case) {
        Ok(comparisons) => comparisons.iter().find(|comparison| !comparison.passed()).map(ToString::to_string),
        Err(error) => Some(error.to_string()),
    })
}

/// What is wrong with a device's units for small matrices: full tiles and others, of cells with one gate to four.
pub(super) fn cooperative_fault(device: &Device) -> Option<String> {
    fault(device, &cooperative_cases(device))
}

/// Seconds of a case that is equal to its twin; else why it is not.
fn time(device: &Device, case: &Case) -> std::result::Result<f64, String> {
    match case.left_out(device).or_else(|| fault(device, [case])) {
        Some(reason) => Err(reason),
        None => measure_case(device, case).map_err(|error| error.to_string()),
    }
}

fn measure_case(device: &Device, case: &Case) -> Result<f64> {
    let program = case.program(device)?;
    let stamps = device.report().is_some_and(|report| report.features.timestamps);
    let begin = Instant::now();
    let (mut least, mut runs) = (f64::INFINITY, 0);
    while runs < 5 || begin.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        let seconds = if stamps {
            program.profile()?.seconds()
        } else {
            program.run()?;
            device.wait()?;
            start.elapsed().as_secs_f64()
        };
        // Stamps of some drivers go backwards at times.
        if seconds > 0.0 {
            least = least.min(seconds);
        }
        runs += 1;
    }
    Ok(least)
}

/// One choice after the other, each with what was chosen before.
fn measure(device: &Device) -> (Tuning, Vec<Trial>) {
    let mut tuning = table(device);
    let mut trials = Vec::new();
    // The table's first.
    let forms = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(t, u)| (tuning.texture ^ (t == 1), tuning.uniform ^ (u == 1)));
    // Windows cut products up, which only a GPU in software does not mind.
    let software = device.report().is_some_and(|report| report.class == Class::Software);
    let forms: Vec<_> = forms.into_iter().filter(|form| software || form.1 == tuning.uniform).collect();
    let candidates_of_forms = forms.iter().map(|&form| Candidate {
        // A product of as many rows in each of them.
        timed: [Kernel::Gemm, Kernel::Step]
            .map(|kernel| timed(kernel, device, candidates(device, kernel)[0], form, WINDOW_ROWS))
            .into(),
        beside: Vec::new(),
    });
    if let Some(taken) = pick(device, &candidates_of_forms.collect::<Vec<_>>(), &mut trials) {
        (tuning.texture, tuning.uniform) = forms[taken];
    }
    let form = (tuning.texture, tuning.uniform);
    let rows = if tuning.uniform { WINDOW_ROWS } else { MANY_ROWS };
    for kernel in [Kernel::Gemm, Kernel::Step, Kernel::Outer, Kernel::Sequence] {
        let tiles = candidates(device, kernel);
        let candidate = |&tile: &Tile| Candidate {
            timed: vec![timed(kernel, device, tile, form, rows)],
            // What remains of a tile where there are fewer rows.
            beside: [
                Tile { rows: 1, spread: 0, ..tile },
                Tile { spread: 0, ..tile },
                Tile { rows: (tile.rows / 2).max(1).max(tile.spread), ..tile },
            ]
            .into_iter()
            .filter(|other| *other != tile)
            .map(|other| timed(kernel, device, other, form, rows))
            .chain(same_tile(kernel).iter().map(|&other| timed(other, device, tile, form, rows)))
            .collect(),
        };
        if let Some(taken) = pick(device, &tiles.iter().map(candidate).collect::<Vec<_>>(), &mut trials) {
            *place(&mut tuning, kernel) = tiles[taken];
        }
    }
    choose_split(device, &mut tuning, rows, &mut trials);
    choose_staged(device, &mut tuning, rows, &mut trials);
    choose_units(device, &mut tuning, rows, &mut trials);
    (tuning, trials)
}

/// How many lanes share the sums of `step`.
fn choose_split(device: &Device, tuning: &mut Tuning, rows: usize, trials: &mut Vec<Trial>) {
    let form = (tuning.texture, tuning.uniform);
    if tuning.step.spread == 0 {
        let step = timed(Kernel::Step, device, tuning.step, form, rows);
        let splits = [tuning.split, 1, 4, 8];
        let split = |&split: &u32| Candidate {
            timed: vec![step.as_ref().and_then(|case| case.split(split))],
            // Fewer share where a workgroup would be too large.
            beside: [split / 2, split / 4]
                .iter()
                .filter(|&&less| less > 1)
                .map(|&less| step.as_ref()?.split(less))
                .collect(),
        };
        if let Some(taken) = pick(device, &splits.iter().map(split).collect::<Vec<_>>(), trials) {
            tuning.split = splits[taken];
            tuning.fill = if tuning.split > 1 { tuning.fill.max(Tuning::FILL) } else { 0 };
        }
    }
}

/// Whether `gemm` stages its operands in workgroup memory.
fn choose_staged(device: &Device, tuning: &mut Tuning, rows: usize, trials: &mut Vec<Trial>) {
    let form = (tuning.texture, tuning.uniform);
    // Products through windows are too small to be staged.
    if tuning.uniform {
        tuning.staged = None;
    } else if device.plan_limits().invocations >= 256 {
        let plain = timed(Kernel::Gemm, device, tuning.gemm, form, rows);
        let both = [plain, timed_staged(device, form.0, rows, STAGED[0])];
        let other = timed_staged(device, form.0, rows, STAGED[1]);
        // What is staged with it: gradients of matrices.
        let beside = STAGED.map(|tile| Some(timed_staged_outer(tile))).into_iter().chain([other]).collect::<Vec<_>>();
        let both = both.map(|case| Candidate { timed: vec![case], beside: beside.clone() });
        let taken = pick(device, &both, trials);
        tuning.staged = (taken == Some(1)).then_some(tuning.staged.unwrap_or(Tuning::STAGED));
    }
}

/// Whether products in half precision go by units for small matrices.
fn choose_units(device: &Device, tuning: &mut Tuning, rows: usize, trials: &mut Vec<Trial>) {
    // Products through windows are too small for them.
    if !tuning.uniform && device.cooperative(1).is_some() {
        let [gemm, step] = [(Kernel::Gemm, tuning.gemm), (Kernel::Step, tuning.step)]
            .map(|(kernel, tile)| timed_half(kernel, device, tile, tuning.texture, rows));
        let both = [false, true].map(|by_units| {
            let of = |cases: &[Option<Case>; 2]| cases[usize::from(by_units)].clone();
            Candidate { timed: vec![of(&gemm), of(&step)], beside: Vec::new() }
        });
        let order = if tuning.cooperative { [true, false] } else { [false, true] };
        let candidates: Vec<_> = order.iter().map(|&by_units| both[usize::from(by_units)].clone()).collect();
        tuning.cooperative = pick(device, &candidates, trials).is_some_and(|taken| order[taken]);
    }
}

/// Rows of a product: as many whole tiles as a window holds, and more than fill a GPU.
const WINDOW_ROWS: usize = 48;
const MANY_ROWS: usize = 512;

/// Kernels that go by another one's tile.
const fn same_tile(kernel: Kernel) -> &'static [Kernel] {
    match kernel {
        Kernel::Step => &[Kernel::StepBackward, Kernel::Wave],
        Kernel::Sequence => &[Kernel::SequenceBackward],
        _ => &[],
    }
}

fn place(tuning: &mut Tuning, kernel: Kernel) -> &mut Tile {
    match kernel {
        Kernel::Gemm => &mut tuning.gemm,
        Kernel::Step => &mut tuning.step,
        Kernel::Outer => &mut tuning.outer,
        _ => &mut tuning.sequence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_is_taken_where_it_is_clearly_faster_than_the_table() {
        assert_eq!(choose(&[Some(1.0), Some(0.8), Some(0.5)]), Some(2));
        assert_eq!(choose(&[Some(1.0), Some(0.97), Some(2.0)]), Some(0));
        assert_eq!(choose(&[Some(1.0)]), Some(0));
    }

    #[test]
    fn what_failed_is_never_taken() {
        assert_eq!(choose(&[Some(1.0), None, Some(0.9)]), Some(2));
        assert_eq!(choose(&[None, Some(3.0), Some(2.0)]), Some(2));
        assert_eq!(choose(&[None, None]), None);
        assert_eq!(choose(&[Some(1.0), None]), Some(0));
    }

    /// A product that no device computes well enough is as one that a device computes wrongly.
    #[test]
    fn a_candidate_that_is_not_equal_to_its_twin_is_not_taken() {
        let device = Device::cpu();
        let tile = candidates(&device, Kernel::Step)[0];
        let right = timed(Kernel::Step, &device, tile, (false, false), 0).unwrap();
        let mut wrong = right.clone();
        wrong.tolerance = -1.0;
        let candidate = |timed: &Case, beside: &[&Case]| Candidate {
            timed: vec![Some(timed.clone())],
            beside: beside.iter().map(|&case| Some(case.clone())).collect(),
        };
        let taken = |candidates: &[Candidate]| {
            let mut trials = Vec::new();
            let taken = pick(&device, candidates, &mut trials);
            assert_eq!(trials.iter().position(|trial| trial.taken), taken);
            (taken, trials)
        };
        let (index, trials) = taken(&[candidate(&wrong, &[]), candidate(&right, &[]), candidate(&wrong, &[])]);
        assert_eq!(index, Some(1));
        assert!(trials[0].failure.as_ref().is_some_and(|failure| failure.contains("FAILED")), "{trials:?}");
        // What it leads to where there are fewer rows counts too.
        let (index, trials) = taken(&[candidate(&right, &[&right, &wrong]), candidate(&right, &[&right])]);
        assert_eq!(index, Some(1), "{trials:?}");
        assert_eq!(taken(&[candidate(&wrong, &[])]).0, None);
    }

    /// What the CPU's row would be as a file: no adapter is needed to read one.
    fn kept(device: &Device) -> Kept {
        Kept { key: Key::of(device), tuning: table(device), trials: Vec::new() }
    }

    #[test]
    fn only_a_whole_file_about_this_device_is_read() {
        let device = Device::cpu();
        let key = Key::of(&device);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join(key.file());
        let fault = |kept: &Kept| {
            write(&path, kept).unwrap();
            read(&path, &key, &device).err()
        };
        assert_eq!(fault(&kept(&device)), None);
        let text = std::fs::read(&path).unwrap();
        for part in [0, 1, text.len() / 2, text.len() - 2] {
            std::fs::write(&path, &text[..part]).unwrap();
            assert!(read(&path, &key, &device).is_err(), "{part} bytes");
        }
        let of = |key, tuning| Kept { key, tuning, trials: Vec::new() };
        let driver = Key { driver: "newer".to_owned(), ..key.clone() };
        assert!(fault(&of(driver, table(&device))).is_some_and(|reason| reason.contains("another")));
        let tile = Tile { rows: 0, ..table(&device).step };
        let strange = [
            Tuning { step: tile, ..table(&device) },
            Tuning { gemm: Tile { rows: 3, columns: 1 << 30, ..tile }, ..table(&device) },
            Tuning { sequence_work: 0, ..table(&device) },
            Tuning { staged: Some([0, 0]), ..table(&device) },
        ];
        for tuning in strange {
            assert!(fault(&of(key.clone(), tuning)).is_some_and(|reason| reason.contains("no candidate")));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_with_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(&file.path().join("tuning.json"), &kept(&Device::cpu())).unwrap_err();
        assert!(error.to_string().contains("tuning.json"), "{error}");
    }
}
