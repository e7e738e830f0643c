//! WAV files, and other sample rates.

use anyhow::{Context, Result, anyhow, bail, ensure};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Sample rates that are read.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Where samples of floats end; 1 is full scale. The squares of larger ones may not fit into a float.
const LARGEST: f32 = 1000.0;
/// Samples that are resampled at a time, about.
const BLOCK: usize = 4096;

/// A file's channels.
pub struct Audio {
    pub spec: WavSpec,
    /// From −1 to 1, or a bit beyond in files of floats.
    pub channels: Vec<Vec<f32>>,
}

/// Reads a file whole.
pub fn read(path: &Path) -> Result<Audio> {
    read_audio(path).with_context(|| path.display().to_string())
}

fn read_audio(path: &Path) -> Result<Audio> {
    let mut reader = WavReader::open(path).map_err(fault)?;
    let spec = reader.spec();
    ensure!(RATES.contains(&spec.sample_rate), "{} samples a second: expected {RATES:?}", spec.sample_rate);
    let samples: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, 32) => reader.samples::<f32>().collect::<Result<_, _>>().map_err(fault)?,
        (SampleFormat::Int, bits @ (8 | 16 | 24 | 32)) => {
            let samples = reader.samples::<i32>().map(|sample| Ok((f64::from(sample?) / full_scale(bits)) as f32));
            samples.collect::<Result<_, hound::Error>>().map_err(fault)?
        }
        (format, bits) => {
            bail!("samples of {bits} bits ({format:?}): expected integers of 8, 16, 24 or 32, or floats of 32")
        }
    };
    ensure!(!samples.is_empty(), "there are no samples");
    // No range contains NaN.
    if let Some(at) = samples.iter().position(|sample| !(-LARGEST..=LARGEST).contains(sample)) {
        bail!("sample {at} is {}: expected numbers from -{LARGEST} to {LARGEST}", samples[at]);
    }
    let count = usize::from(spec.channels);
    ensure!(
        count > 0 && samples.len().is_multiple_of(count),
        "{} samples are not those of {count} channels",
        samples.len()
    );
    let channel = |first| samples.iter().skip(first).step_by(count).copied().collect();
    Ok(Audio { spec, channels: (0..count).map(channel).collect() })
}

/// What went wrong, in one line: hound's text has the system's in it, which anyhow would print again.
fn fault(error: hound::Error) -> anyhow::Error {
    match error {
        hound::Error::IoError(error) if error.kind() != ErrorKind::NotFound && error.raw_os_error().is_none() => {
            anyhow!("it is no WAV file, or is cut off: {error}")
        }
        error => anyhow!("{error}"),
    }
}

/// The mean of a file's channels.
pub fn mixed(audio: &Audio) -> Vec<f32> {
    let count = audio.channels.len() as f32;
    let length = audio.channels.iter().map(Vec::len).min().unwrap_or(0);
    (0..length).map(|at| audio.channels.iter().map(|channel| channel[at]).sum::<f32>() / count).collect()
}

/// Where a file is to be written: what a link points to, which must be a file if it is there at all. A device, such as
/// /dev/null, would be replaced by a file.
pub fn place(path: &Path) -> Result<PathBuf> {
    find_place(path).with_context(|| path.display().to_string())
}

fn find_place(path: &Path) -> Result<PathBuf> {
    let Ok(at_path) = path.symlink_metadata() else {
        let folder = folder(path);
        ensure!(folder.is_dir(), "there is no folder {}", folder.display());
        return Ok(path.to_owned());
    };
    let place = path.canonicalize()?;
    let kind = if at_path.is_symlink() { place.metadata()? } else { at_path };
    ensure!(kind.is_file(), "a file can't be written over {}", if kind.is_dir() { "a folder" } else { "a device" });
    Ok(place)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file of the same format, beside its place first: whatever goes wrong, what was there stays.
pub fn write(path: &Path, audio: &Audio) -> Result<()> {
    write_audio(path, audio).with_context(|| path.display().to_string())
}

fn write_audio(path: &Path, Audio { spec, channels }: &Audio) -> Result<()> {
    let path = find_place(path)?;
    let mut builder = tempfile::Builder::new();
    // As any new file, for the umask to restrict: temporary ones are private.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder(&path))?;
    let mut buffered = BufWriter::new(&mut file);
    let mut writer = WavWriter::new(&mut buffered, *spec)?;
    for at in 0..channels.iter().map(Vec::len).min().unwrap_or(0) {
        for sample in channels.iter().map(|channel| channel[at]) {
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(sample)?,
                SampleFormat::Int => {
                    let scale = full_scale(spec.bits_per_sample);
                    let rounded = (f64::from(sample) * scale).round().clamp(-scale, scale - 1.0);
                    writer.write_sample(rounded as i32)?;
                }
            }
        }
    }
    writer.finalize()?;
    buffered.flush()?;
    drop(buffered);
    if let Ok(old) = path.metadata() {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What 1 is among integers of so many bits.
fn full_scale(bits: u16) -> f64 {
    f64::from(bits - 1).exp2()
}

/// The same sound at another rate, from the same instant on.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>> {
    if from == to {
        return Ok(samples.to_vec());
    }
    // Blocks so long that next to nothing is lost below half the lower rate, and of even length at both rates: what they
    // delay, which is taken off again, is half a block in whole samples.
    let (from, to) = (from as usize, to as usize);
    let unit = from / greatest_common_divisor(from, to);
    let block = unit * (BLOCK / unit).max(1).next_multiple_of(2);
    let window = WindowFunction::BlackmanHarris2;
    let mut resampler = Fft::<f32>::new_custom(from, to, block, 1, 1, window, FixedSync::Both)?;
    let input = InterleavedOwned::new_from(samples.to_vec(), 1, samples.len())?;
    let mut resampled = resampler.process_all(&input, samples.len(), None)?.take_data();
    // Rounding may have made it one more.
    resampled.truncate((samples.len() * to).div_ceil(from));
    Ok(resampled)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
