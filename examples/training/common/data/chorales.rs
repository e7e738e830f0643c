//! Chorales for four voices, sixteenth by sixteenth: a file of lines "name, upbeat, soprano, alto, tenor, bass", separated by tabs.
//!
//! A chorale is read as a sequence of events: at each sixteenth one for the soprano, one for the alto, the tenor and the bass. An event
//! says what a voice does there: it holds its note, it rests, or it sings a new one.

use super::{by_line, text};
use crate::baselines::Ngrams;
use crate::plots::Roll;
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array3};
use rand_mt::Mt;
use std::path::Path;
use wgrnn::{Device, IGNORED, Targets, Tensor};

/// Soprano, alto, tenor, bass.
pub const VOICES: usize = 4;
/// Sixteenths of a bar of 4/4.
pub const BAR: usize = 16;
/// A voice goes on with what it does.
pub const HOLD: u32 = 0;
/// A voice begins to rest.
pub const REST: u32 = 1;
/// The event that begins the lowest note.
const LOWEST: u32 = 2;
/// The MIDI numbers of the lowest and the highest note, A1 and A5.
const NOTES: [u32; 2] = [33, 81];
/// Different events.
pub const EVENTS: usize = (LOWEST + NOTES[1] - NOTES[0] + 1) as usize;
/// What each voice sings at its lowest and at its highest: copies in other keys stay within it.
pub const RANGES: [[u32; 2]; VOICES] = [[57, 81], [50, 76], [45, 71], [33, 65]];

/// The event that begins a note, by its MIDI number.
pub fn event(note: u32) -> Option<u32> {
    (NOTES[0]..=NOTES[1]).contains(&note).then(|| note - NOTES[0] + LOWEST)
}

/// The note that an event begins, by its MIDI number.
pub fn note(event: u32) -> Option<u32> {
    event.checked_sub(LOWEST).map(|above| above + NOTES[0])
}

/// A note's name, C4 being that in the middle of the piano.
fn letter(note: u32) -> String {
    let names = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"];
    format!("{}{}", names[note as usize % 12], note as i32 / 12 - 1)
}

/// A piece for four voices.
#[derive(Clone, Debug, PartialEq)]
pub struct Chorale {
    /// Its number among Bach's works.
    pub name: String,
    /// Sixteenths before the first bar line.
    pub upbeat: usize,
    /// Events: those of the four voices at the first sixteenth, then at the second one, and so on.
    pub events: Vec<u32>,
}

/// What is known when an event is due: how far the piece is, and what sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Whose event is due: 0 is the soprano.
    pub voice: usize,
    /// Sixteenths since the last bar line.
    pub place: usize,
    /// Whether no bar line follows.
    pub is_last_bar: bool,
    /// The event before, of another voice.
    pub before: u32,
    /// What each voice sings: the event that began its note, or [`REST`]. Of voices whose event is still due, it is what they sang
    /// a sixteenth ago.
    pub sung: [u32; VOICES],
}

/// Facts that a network is told of a moment.
pub const FACTS: usize = 9;
/// Different facts.
pub const SYMBOLS: usize = 2 * BAR * VOICES + (1 + VOICES) * EVENTS + (VOICES - 1) * APART;
/// Different distances between voices: 31 half tones down to 31 up, and none where one of them rests.
const APART: usize = 64;

impl Moment {
    /// What a network is told, as rows of one table: the place in the bar and the voice; the event before; what each voice sings; how
    /// many half tones the other voices are above the one whose event is due.
    pub fn facts(&self) -> [u32; FACTS] {
        let row = |block: usize, symbol: u32| (2 * BAR * VOICES + block * EVENTS) as u32 + symbol;
        let mut facts = [0; FACTS];
        facts[0] = ((self.place + BAR * usize::from(self.is_last_bar)) * VOICES + self.voice) as u32;
        facts[1] = row(0, self.before);
        for voice in 0..VOICES {
            facts[2 + voice] = row(1 + voice, self.sung[voice]);
        }
        for other in 1..VOICES {
            let distance = match [self.sung[(self.voice + other) % VOICES], self.sung[self.voice]].map(note) {
                [Some(other), Some(own)] => (31 + other).saturating_sub(own).min(62),
                _ => APART as u32 - 1,
            };
            facts[1 + VOICES + other] = row(1 + VOICES, (APART * (other - 1)) as u32 + distance);
        }
        facts
    }

    /// What n-grams know of it, what matters most first: voice and place in the beat, what the voice sings, and what the others do.
    pub fn context(&self) -> [u32; 1 + VOICES] {
        let sung = |voice: usize| self.sung[(self.voice + voice) % VOICES];
        [(self.voice + VOICES * (self.place % 4)) as u32, sung(0), sung(3), sung(2), sung(1)]
    }
}

/// Goes through a piece, event by event.
#[derive(Clone, Debug)]
pub struct Reader {
    upbeat: usize,
    steps: usize,
    read: usize,
    before: u32,
    sung: [u32; VOICES],
}

impl Reader {
    /// From the beginning of a piece of so many sixteenths.
    pub fn new(upbeat: usize, steps: usize) -> Self {
        Self { upbeat, steps, read: 0, before: HOLD, sung: [REST; VOICES] }
    }

    /// What is known of the event that is due.
    pub fn moment(&self) -> Moment {
        let step = self.read / VOICES;
        let place = (BAR - self.upbeat % BAR + step) % BAR;
        let is_last_bar = step + BAR - place >= self.steps;
        Moment { voice: self.read % VOICES, place, is_last_bar, before: self.before, sung: self.sung }
    }

    /// Reads the event that is due.
    pub fn read(&mut self, event: u32) {
        if event != HOLD {
            self.sung[self.read % VOICES] = event;
        }
        self.before = event;
        self.read += 1;
    }
}

impl Chorale {
    /// What is known at each event.
    pub fn moments(&self) -> Vec<Moment> {
        let mut reader = Reader::new(self.upbeat, self.events.len() / VOICES);
        let moment = |&event: &u32| {
            let moment = reader.moment();
            reader.read(event);
            moment
        };
        self.events.iter().map(moment).collect()
    }

    /// How many sixteenths it lasts.
    pub fn steps(&self) -> usize {
        self.events.len() / VOICES
    }

    /// All of its moments and events.
    pub fn whole(&self) -> (Vec<Moment>, Vec<u32>) {
        (self.moments(), self.events.clone())
    }

    /// As a picture.
    pub fn roll(&self, name: &str) -> Roll {
        Roll { name: name.to_owned(), bars: [self.upbeat, BAR], voices: self.voices().into() }
    }

    /// The lowest and the highest note of each voice, as a text.
    pub fn compass(&self) -> String {
        let names = ["soprano", "alto", "tenor", "bass"].into_iter().zip(self.ranges());
        let text = |(name, range): (&str, Option<[u32; 2]>)| match range {
            Some([low, high]) => format!("{name} {} to {}", letter(low), letter(high)),
            None => format!("{name} silent"),
        };
        names.map(text).collect::<Vec<_>>().join(", ")
    }

    /// How many notes begin.
    pub fn notes(&self) -> usize {
        self.events.iter().filter(|&&event| event >= LOWEST).count()
    }

    /// The lowest and the highest note of each voice; none of a voice that is silent.
    pub fn ranges(&self) -> [Option<[u32; 2]>; VOICES] {
        [0, 1, 2, 3].map(|voice| {
            let notes = || self.events.iter().skip(voice).step_by(VOICES).filter_map(|&event| note(event));
            Some([notes().min()?, notes().max()?])
        })
    }

    /// By how many half tones it can be moved, so that all voices stay within [`RANGES`].
    pub fn keys(&self) -> Vec<i32> {
        let fits = |by: i32| {
            let voices = self.ranges().into_iter().zip(RANGES);
            voices.into_iter().all(|(sung, range)| {
                sung.is_none_or(|sung| sung[0] as i32 + by >= range[0] as i32 && sung[1] as i32 + by <= range[1] as i32)
            })
        };
        (-6..6).filter(|&by| by == 0 || fits(by)).collect()
    }

    /// The same, higher by so many half tones out of [`keys`](Self::keys).
    pub fn transposed(&self, by: i32) -> Self {
        let moved = |&event: &u32| match note(event) {
            Some(note) => self::event(note.saturating_add_signed(by)).unwrap_or(event),
            None => event,
        };
        Self { events: self.events.iter().map(moved).collect(), ..self.clone() }
    }

    /// A part of so many sixteenths that begins anywhere on a beat, in any key: its moments and events.
    pub fn window(&self, length: usize, random: &mut Mt) -> (Vec<Moment>, Vec<u32>) {
        let keys = self.keys();
        let piece = self.transposed(keys[random.next_u32() as usize % keys.len()]);
        let beats = (self.events.len() / VOICES).saturating_sub(length) / 4 + 1;
        let first = random.next_u32() as usize % beats * 4 * VOICES;
        let moments = piece.moments().into_iter().skip(first).take(length * VOICES).collect();
        (moments, piece.events.into_iter().skip(first).take(length * VOICES).collect())
    }

    /// Each voice's notes: begin and length in sixteenths, and MIDI number.
    pub fn voices(&self) -> [Vec<(usize, usize, u32)>; VOICES] {
        [0, 1, 2, 3].map(|voice| {
            let mut notes: Vec<(usize, usize, u32)> = Vec::new();
            let mut sings = false;
            for (step, &event) in self.events.iter().skip(voice).step_by(VOICES).enumerate() {
                match (event, note(event)) {
                    (_, Some(note)) => notes.push((step, 1, note)),
                    (HOLD, _) if sings => notes.iter_mut().last().into_iter().for_each(|note| note.1 += 1),
                    _ => {}
                }
                sings = event >= LOWEST || (event == HOLD && sings);
            }
            notes
        })
    }
}

/// Pieces, or parts of them, on the device.
pub struct Batch {
    /// What is known at each event, [T, N, 9].
    pub facts: Tensor<u32>,
    /// The events, [T, N].
    pub events: Targets,
}

impl Batch {
    /// For N pieces of up to so many sixteenths.
    ///
    /// # Errors
    ///
    /// Memory that there is not.
    pub fn new(device: &Device, [steps, size]: [usize; 2]) -> Result<Self> {
        let events = Targets::new(device, &[steps * VOICES, size], EVENTS)?;
        Ok(Self { facts: Tensor::zeros(device, &[steps * VOICES, size, FACTS])?, events })
    }

    /// How many pieces.
    pub fn size(&self) -> usize {
        self.facts.shape()[1]
    }

    /// Writes the moments and events of pieces.
    ///
    /// # Errors
    ///
    /// Another number of pieces; pieces that are longer than there is room for.
    pub fn write(&self, pieces: &[(Vec<Moment>, Vec<u32>)]) -> Result<()> {
        let &[steps, size, _] = self.facts.shape() else { return Ok(()) };
        let longest = pieces.iter().map(|(moments, events)| moments.len().max(events.len())).max().unwrap_or(0);
        ensure!(pieces.len() == size && longest <= steps, "{} pieces of up to {longest} events", pieces.len());
        let facts: Vec<Vec<_>> =
            pieces.iter().map(|(moments, _)| moments.iter().map(Moment::facts).collect()).collect();
        let fact = |(t, n, k): (usize, usize, usize)| facts[n].get(t).map_or(0, |facts| facts[k]);
        self.facts.write(Array3::from_shape_fn((steps, size, FACTS), fact).view())?;
        let event = |(t, n): (usize, usize)| pieces[n].1.get(t).copied().unwrap_or(IGNORED);
        Ok(self.events.write(Array2::from_shape_fn((steps, size), event).view())?)
    }
}

/// Bits that n-grams take for all events of the pieces held out. They learn all keys.
pub fn ngrams(learned: &[Chorale], tested: &[Chorale]) -> f64 {
    let mut ngrams = Ngrams::new(EVENTS);
    for piece in learned.iter().flat_map(|piece| piece.keys().into_iter().map(|by| piece.transposed(by))) {
        piece.moments().iter().zip(&piece.events).for_each(|(moment, &event)| ngrams.learn(&moment.context(), event));
    }
    let bits = |piece: &Chorale| -> f64 {
        let both = piece.moments().into_iter().zip(&piece.events);
        both.map(|(moment, &event)| -ngrams.probability(&moment.context(), event).log2()).sum()
    };
    tested.iter().map(bits).sum()
}

/// What to learn from, and what to be tested on: no hymn is in both.
#[derive(Clone, Debug)]
pub struct Chorales {
    /// Chorales to learn from.
    pub learned: Vec<Chorale>,
    /// Chorales held out.
    pub tested: Vec<Chorale>,
}

impl Chorales {
    /// The lesson's own chorales, or those of train.tsv and test.tsv in a folder.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or has other lines than those.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let learned = text(folder, "train.tsv", include_str!("../../data/compose/train.tsv"))?;
        let tested = text(folder, "test.tsv", include_str!("../../data/compose/test.tsv"))?;
        Ok(Self { learned: by_line("train.tsv", &learned, chorale)?, tested: by_line("test.tsv", &tested, chorale)? })
    }
}

fn chorale(line: &str) -> Result<Chorale> {
    let columns: Vec<&str> = line.split('\t').collect();
    let &[name, upbeat, ref voices @ ..] = &columns[..] else {
        anyhow::bail!("expected name, upbeat and four voices, separated by tabs, got '{}'", start(line))
    };
    ensure!(voices.len() == VOICES, "expected four voices after name and upbeat, got {}", voices.len());
    let upbeat = upbeat.parse().ok().filter(|&upbeat| upbeat < BAR);
    let upbeat =
        upbeat.with_context(|| format!("an upbeat of '{}': expected 0 to 15 sixteenths", start(columns[1])))?;
    let names = ["soprano", "alto", "tenor", "bass"];
    let voices = voices.iter().zip(names).map(|(text, name)| voice(text).with_context(|| name.to_owned()));
    let voices: Vec<Vec<u32>> = voices.collect::<Result<_>>()?;
    let steps = voices[0].len();
    for (voice, name) in voices.iter().zip(names) {
        ensure!(voice.len() == steps, "the {name} has {} sixteenths, the soprano {steps}", voice.len());
    }
    let events = (0..steps).flat_map(|step| voices.iter().map(move |voice| voice[step])).collect();
    Ok(Chorale { name: name.to_owned(), upbeat, events })
}

/// The events of a voice, of notes "PITCH/LENGTH".
fn voice(text: &str) -> Result<Vec<u32>> {
    let mut events = Vec::new();
    for note in text.split(' ') {
        let parts = note.split_once('/').and_then(|(pitch, length)| {
            let event = if pitch == "r" { Some(REST) } else { event(pitch.parse().ok()?) };
            // No note is longer than 64 bars: a slip of the pen must not fill the memory.
            Some((event?, length.parse().ok().filter(|length| (1..=64 * BAR).contains(length))?))
        });
        let (event, length) = parts.with_context(|| {
            let [low, high] = NOTES;
            format!("the note '{}': expected PITCH/LENGTH: r or {low} to {high}, and sixteenths", start(note))
        })?;
        events.push(event);
        events.extend(std::iter::repeat_n(HOLD, length - 1));
    }
    Ok(events)
}

fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "x\t1\t72/2 74/1\t60/3\tr/1 55/2\t48/1 50/1 52/1\n";

    #[test]
    fn chorales_are_events_of_voices_in_turn() {
        let piece = &by_line("x", LINE, chorale).unwrap()[0];
        let [c5, d5, c4, g3] = [72, 74, 60, 55].map(|note| event(note).unwrap());
        let [c3, d3, e3] = [48, 50, 52].map(|note| event(note).unwrap());
        assert_eq!(piece.events, [c5, c4, REST, c3, HOLD, HOLD, g3, d3, d5, HOLD, HOLD, e3]);
        assert_eq!(piece.notes(), 7);
        let voices = piece.voices();
        assert_eq!(voices[0], [(0, 2, 72), (2, 1, 74)]);
        assert_eq!(voices[2], [(1, 2, 55)]);
        let moments = piece.moments();
        let expected = Moment { voice: 2, place: 0, is_last_bar: true, before: HOLD, sung: [c5, c4, REST, c3] };
        assert_eq!(moments[6], expected);
        assert_eq!((moments[0].place, moments[0].is_last_bar), (15, false));
        assert_eq!(moments[6].context(), [2, REST, c4, c5, c3]);
        // The bass is 12 half tones below the alto.
        assert_eq!(moments[5].facts()[7] as usize, 128 + 5 * EVENTS + APART + 31 - 12);
    }

    #[test]
    fn other_keys_keep_voices_within_their_ranges() {
        let chorales = Chorales::load(None).unwrap();
        for piece in chorales.learned.iter().chain(&chorales.tested) {
            assert!(piece.moments().iter().flat_map(Moment::facts).all(|fact| (fact as usize) < SYMBOLS));
            assert!(piece.keys().contains(&0), "{}", piece.name);
            for by in piece.keys() {
                for (sung, range) in piece.transposed(by).ranges().into_iter().zip(RANGES) {
                    let [low, high] = sung.unwrap();
                    assert!(range[0] <= low && high <= range[1], "{} by {by}", piece.name);
                }
            }
        }
        let piece = &by_line("x", LINE, chorale).unwrap()[0];
        assert_eq!(piece.transposed(2).transposed(-2), *piece);
    }

    #[test]
    fn errors_name_file_line_and_voice() {
        for (text, expected) in [
            ("", "f: no lines"),
            ("x\t1\t72/2", "f, line 1: expected four voices after name and upbeat, got 1"),
            ("PK\u{3}", "f, line 1: expected name, upbeat and four voices"),
            (&format!("{LINE}{}", LINE.replace("\t1\t", "\t16\t")), "f, line 2: an upbeat of '16'"),
            (&LINE.replace("60/3", "60/2"), "f, line 1: the alto has 2 sixteenths, the soprano 3"),
            (&LINE.replace("60/3", "20/3"), "f, line 1: alto: the note '20/3'"),
            (&LINE.replace("60/3", "60/9999999999"), "f, line 1: alto: the note '60/9999999999'"),
        ] {
            let error = format!("{:#}", by_line("f", text, chorale).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
        let error = format!("{:#}", Chorales::load(Some(Path::new("nowhere"))).unwrap_err());
        assert!(error.starts_with("nowhere/train.tsv: --data is the folder"), "{error}");
    }
}
