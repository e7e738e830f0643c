//! Music as files: MIDI, and sound.

use anyhow::{Context, Result, anyhow};
use midly::num::{u4, u7, u15, u24, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, Track, TrackEvent, TrackEventKind};
use std::f64::consts::TAU;
use std::path::Path;

/// Notes of a voice: begin and length in sixteenths, and MIDI number.
pub type Notes = Vec<(usize, usize, u32)>;

/// Sixteenths a minute.
const TEMPO: u32 = 4 * 76;
/// MIDI's ticks of a sixteenth.
const TICKS: u32 = 120;
/// Samples a second.
const RATE: u32 = 44_100;

/// Writes voices as NAME.mid and NAME.wav in a folder, and says so.
///
/// # Errors
///
/// Files that can't be written.
pub fn save(folder: &Path, name: &str, voices: &[Notes]) -> Result<()> {
    midi(&folder.join(format!("{name}.mid")), voices)?;
    wav(&folder.join(format!("{name}.wav")), voices)?;
    eprintln!("wrote {name}.mid and {name}.wav in {}", folder.display());
    Ok(())
}

/// Writes voices as a MIDI file, each as a track and a channel of its own.
///
/// # Errors
///
/// A file that can't be written.
pub fn midi(path: &Path, voices: &[Notes]) -> Result<()> {
    let mut first: Track<'_> = Vec::new();
    let tempo = MetaMessage::Tempo(u24::from(60_000_000 / (TEMPO / 4)));
    first.push(TrackEvent { delta: u28::from(0), kind: TrackEventKind::Meta(tempo) });
    let mut tracks = vec![ended(first)];
    tracks.extend(voices.iter().zip(0_u8..).map(|(notes, channel)| track(notes, u4::from(channel % 16))));
    let timing = Timing::Metrical(u15::from(4 * TICKS as u16));
    let file = Smf { header: Header::new(Format::Parallel, timing), tracks };
    file.save(path).with_context(|| path.display().to_string())
}

fn track(notes: &Notes, channel: u4) -> Track<'static> {
    // An end comes before a beginning at the same time.
    let ends = notes.iter().map(|&(begin, length, note)| (begin + length, 0_u8, note));
    let mut events: Vec<_> = ends.chain(notes.iter().map(|&(begin, _, note)| (begin, 80, note))).collect();
    events.sort_unstable();
    let mut now = 0;
    let event = |(time, velocity, note): (usize, u8, u32)| {
        let delta = u28::from((time - now) as u32 * TICKS);
        now = time;
        let (key, vel) = (u7::from(note.min(127) as u8), u7::from(velocity));
        let message = if velocity > 0 { MidiMessage::NoteOn { key, vel } } else { MidiMessage::NoteOff { key, vel } };
        TrackEvent { delta, kind: TrackEventKind::Midi { channel, message } }
    };
    ended(events.into_iter().map(event).collect())
}

fn ended(mut track: Track<'_>) -> Track<'_> {
    track.push(TrackEvent { delta: u28::from(0), kind: TrackEventKind::Meta(MetaMessage::EndOfTrack) });
    track
}

/// Writes voices as sound: a note is a sum of sines, at its frequency f and at 2f, 3f, ..., the k-th one weaker by k²; it comes in 30
/// milliseconds and goes in 80.
///
/// # Errors
///
/// A file that can't be written.
pub fn wav(path: &Path, voices: &[Notes]) -> Result<()> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let named = |error| anyhow!("{}: {error}", path.display());
    let mut writer = hound::WavWriter::create(path, spec).map_err(named)?;
    for sample in sound(voices) {
        writer.write_sample((sample * f64::from(i16::MAX)) as i16).map_err(named)?;
    }
    writer.finalize().map_err(named)
}

/// Samples from −0.9 to 0.9.
fn sound(voices: &[Notes]) -> Vec<f64> {
    let seconds = |sixteenths: usize| sixteenths as f64 * 60.0 / f64::from(TEMPO);
    let end = voices.iter().flatten().map(|&(begin, length, _)| begin + length).max().unwrap_or(0);
    let (attack, release) = (0.03, 0.08);
    let mut sound = vec![0.0; ((seconds(end) + release) * f64::from(RATE)) as usize];
    for &(begin, length, note) in voices.iter().flatten() {
        let frequency = 440.0 * ((f64::from(note) - 69.0) / 12.0).exp2();
        let first = (seconds(begin) * f64::from(RATE)) as usize;
        let lasts = seconds(length);
        for (i, sample) in sound.iter_mut().skip(first).take(((lasts + release) * f64::from(RATE)) as usize).enumerate()
        {
            let t = i as f64 / f64::from(RATE);
            let loudness = (t / attack).min(1.0) * (1.0 - (t - lasts).max(0.0) / release);
            let sines = (1..=6).map(f64::from).map(|k| (TAU * k * frequency * t).sin() / (k * k));
            *sample += loudness * sines.sum::<f64>();
        }
    }
    let loudest = sound.iter().fold(0.0, |most: f64, sample| most.max(sample.abs()));
    sound.iter_mut().for_each(|sample| *sample *= 0.9 / loudest.max(1e-9));
    sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_midi_file_has_the_notes_again() {
        let folder = std::env::temp_dir().join(format!("lessons-midi-{}.mid", std::process::id()));
        midi(&folder, &[vec![(0, 4, 60), (4, 2, 60), (8, 1, 62)], vec![]]).unwrap();
        let bytes = std::fs::read(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        let file = Smf::parse(&bytes).unwrap();
        assert_eq!(file.tracks.len(), 3);
        let mut time = 0;
        let mut notes = Vec::new();
        for event in &file.tracks[1] {
            time += event.delta.as_int() / TICKS;
            match event.kind {
                TrackEventKind::Midi { message: MidiMessage::NoteOn { key, .. }, .. } => {
                    notes.push((time, key.as_int(), true))
                }
                TrackEventKind::Midi { message: MidiMessage::NoteOff { key, .. }, .. } => {
                    notes.push((time, key.as_int(), false))
                }
                _ => {}
            }
        }
        let expected = [(0, 60, true), (4, 60, false), (4, 60, true), (6, 60, false), (8, 62, true), (9, 62, false)];
        assert_eq!(notes, expected);
    }

    #[test]
    fn sound_is_as_long_as_the_music_and_is_not_cut_off() {
        let sound = sound(&[vec![(0, 4, 69), (8, 4, 45)], vec![(0, 12, 57)]]);
        let seconds = sound.len() as f64 / f64::from(RATE);
        assert!((seconds - (12.0 * 60.0 / f64::from(TEMPO) + 0.08)).abs() < 1e-3, "{seconds}");
        let loudest = sound.iter().fold(0.0, |most: f64, sample| most.max(sample.abs()));
        assert!((loudest - 0.9).abs() < 1e-9, "{loudest}");
        assert!(sound.first() == Some(&0.0) && sound.last().unwrap().abs() < 0.01);
        // A sine's period: the note a' alone crosses zero upwards 440 times a second.
        let tone = super::sound(&[vec![(0, 16, 69)]]);
        let crossings = tone.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count() as f64;
        let expected = 440.0 * tone.len() as f64 / f64::from(RATE);
        assert!((crossings - expected).abs() < 3.0, "{crossings}, {expected}");
    }
}
