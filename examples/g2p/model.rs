//! g2p-en's network on a device: a GRU reads a word's letters, another one writes its phonemes, both in one plan.

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Array3};
use safetensors::SafeTensors;
use wgrnn::{
    Cell, Device, Lengths, Linear, Output, PlanBuilder, Program, Reset, Rnn, RnnCall, RnnConfig, RnnWeights, Tensor,
};

/// The longest pronunciation that the network is asked for.
pub const STEPS: usize = 20;

/// The longest word that is pronounced.
pub const LONGEST: usize = 100;

/// Whether a word can be read, and why not.
#[derive(Debug, PartialEq, Eq)]
pub enum Readable {
    /// All of it.
    Yes,
    /// Some of it.
    InPart(String),
    /// Nothing of it.
    No(String),
}

/// Weights and symbols, as the file has them.
pub struct Weights {
    pub config: RnnConfig,
    pub encoder: RnnWeights,
    pub decoder: RnnWeights,
    pub encoder_embedding: Array2<f32>,
    pub decoder_embedding: Array2<f32>,
    pub head: Array2<f32>,
    pub head_bias: Array1<f32>,
    graphemes: Vec<String>,
    phonemes: Vec<String>,
}

impl Weights {
    /// From a safetensors file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().as_ref().context("no metadata")?;
        let symbols = |key: &str| -> Result<Vec<String>> {
            Ok(metadata.get(key).with_context(|| format!("no {key}"))?.split(' ').map(str::to_owned).collect())
        };
        let numbers = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
            let tensor = file.tensor(name)?;
            ensure!(tensor.dtype() == safetensors::Dtype::F32, "{name} is not f32");
            Ok((tensor.shape().to_vec(), bytemuck::pod_collect_to_vec(tensor.data())))
        };
        let matrix = |name: &str| -> Result<Array2<f32>> {
            let (shape, numbers) = numbers(name)?;
            ensure!(shape.len() == 2, "{name} is no matrix");
            Ok(Array2::from_shape_vec((shape[0], shape[1]), numbers)?)
        };
        let encoder_embedding = matrix("encoder_embedding.weight")?;
        let config = RnnConfig::new(Cell::Gru(Reset::After), encoder_embedding.ncols(), encoder_embedding.ncols());
        Ok(Self {
            encoder: RnnWeights::from_safetensors(bytes, &config, "encoder.")?,
            decoder: RnnWeights::from_safetensors(bytes, &config, "decoder.")?,
            decoder_embedding: matrix("decoder_embedding.weight")?,
            head: matrix("head.weight")?,
            head_bias: numbers("head.bias")?.1.into(),
            graphemes: symbols("graphemes")?,
            phonemes: symbols("phonemes")?,
            encoder_embedding,
            config,
        })
    }

    /// A word's letters as indices, with the end mark. Letters are taken in lower case; others are unknown.
    pub fn letters(&self, word: &str) -> Vec<u32> {
        let index = |symbol: &str| self.graphemes.iter().position(|known| known == symbol);
        let unknown = index("<unk>").unwrap_or(1);
        let letters = word.to_lowercase();
        let letters = letters.chars().map(|letter| index(letter.encode_utf8(&mut [0; 4])).unwrap_or(unknown));
        letters.chain([index("</s>").unwrap_or(2)]).map(|index| index as u32).collect()
    }

    /// The characters of a word that the network has never seen, each once: all but letters.
    pub fn unread(&self, word: &str) -> Vec<char> {
        let known = |letter: char| self.graphemes.iter().any(|known| known == letter.encode_utf8(&mut [0; 4]));
        let mut unread: Vec<char> = Vec::new();
        for letter in word.to_lowercase().chars().filter(|&letter| !known(letter)) {
            if !unread.contains(&letter) {
                unread.push(letter);
            }
        }
        unread
    }

    /// Says of a word whether the network can read it, and what it can't read of it.
    pub fn check(&self, word: &str) -> Readable {
        let (letters, unread) = (word.to_lowercase().chars().count(), self.unread(word));
        let list = || unread.iter().map(|letter| format!("'{letter}'")).collect::<Vec<_>>().join(", ");
        if word.is_empty() {
            Readable::No("an empty word can't be pronounced".to_owned())
        } else if letters > LONGEST {
            Readable::No(format!("a word of {letters} characters can't be pronounced: expected {LONGEST} at most"))
        } else if word.to_lowercase().chars().all(|letter| unread.contains(&letter)) {
            Readable::No(format!("'{word}' can't be pronounced: the network knows the letters a to z, not {}", list()))
        } else if !unread.is_empty() {
            Readable::InPart(format!("'{word}': the network can't read {}, and takes it for an unknown letter", list()))
        } else {
            Readable::Yes
        }
    }

    /// The phoneme that each pronunciation begins with.
    pub fn start(&self) -> u32 {
        self.phonemes.iter().position(|phoneme| phoneme == "<s>").unwrap_or(2) as u32
    }

    /// Phonemes up to the end mark.
    pub fn spell(&self, phonemes: impl Iterator<Item = u32>) -> String {
        let names = phonemes.map(|index| self.phonemes.get(index as usize).map_or("?", String::as_str));
        names.take_while(|name| *name != "</s>").collect::<Vec<_>>().join(" ")
    }
}

/// What the network gives for some words.
pub struct Answer {
    /// Phonemes of each word.
    pub phonemes: Vec<String>,
    /// Indices of the phonemes, [STEPS, N].
    pub indices: Array2<u32>,
    /// Scores of all phonemes, [STEPS, N, phonemes].
    pub logits: Array3<f32>,
}

/// The network on a device.
pub struct G2p {
    pub weights: Weights,
    device: Device,
    encoder: Rnn,
    decoder: Rnn,
    encoder_embedding: Tensor,
    decoder_embedding: Tensor,
    head: Linear,
}

impl G2p {
    pub fn new(device: &Device, weights: Weights) -> Result<Self> {
        Ok(Self {
            encoder: Rnn::new(device, &weights.config, weights.encoder.clone())?,
            decoder: Rnn::new(device, &weights.config, weights.decoder.clone())?,
            encoder_embedding: Tensor::from_array(device, weights.encoder_embedding.view())?,
            decoder_embedding: Tensor::from_array(device, weights.decoder_embedding.view())?,
            head: Linear::new(device, weights.head.view(), Some(weights.head_bias.view()))?,
            device: device.clone(),
            weights,
        })
    }

    /// Pronounces words, all at once. Nothing comes back from the device before the last phoneme is there.
    pub async fn pronounce(&self, words: &[&str]) -> Result<Answer> {
        let letters: Vec<_> = words.iter().map(|word| self.weights.letters(word)).collect();
        let lengths: Vec<_> = letters.iter().map(Vec::len).collect();
        let steps = lengths.iter().copied().max().context("no words")?;
        let mut input = Array2::<u32>::zeros((steps, words.len()));
        for (n, letters) in letters.iter().enumerate() {
            for (t, &letter) in letters.iter().enumerate() {
                input[[t, n]] = letter;
            }
        }
        let input = Tensor::from_array(&self.device, input.view())?;
        // Row 0 is the start mark, row s + 1 the phoneme of step s.
        let mut phonemes = Array2::<u32>::zeros((STEPS + 1, words.len()));
        phonemes.row_mut(0).fill(self.weights.start());
        let phonemes = Tensor::from_array(&self.device, phonemes.view())?;
        let logits = Tensor::<f32>::zeros(&self.device, &[STEPS, words.len(), self.weights.head.nrows()])?;
        self.program(lengths, &input, &phonemes, &logits)?.run()?;

        let indices =
            phonemes.read_async().await?.into_dimensionality::<ndarray::Ix2>()?.slice_move(ndarray::s![1.., ..]);
        let spell = |n: usize| self.weights.spell(indices.column(n).iter().copied());
        let phonemes = (0..words.len()).map(spell).collect();
        Ok(Answer { phonemes, indices, logits: logits.read_async().await?.into_dimensionality()? })
    }

    /// Letters [T, N] to phonemes [STEPS + 1, N] and logits [STEPS, N, phonemes].
    fn program(
        &self,
        lengths: Vec<usize>,
        letters: &Tensor<u32>,
        phonemes: &Tensor<u32>,
        logits: &Tensor,
    ) -> Result<Program> {
        let batch = lengths.len();
        let width = self.weights.config.input_size();
        let mut plan = PlanBuilder::new(&self.device);
        let state = self.encoder.device_state(batch)?;
        let [letters, phonemes] = [plan.tensor(letters)?, plan.tensor(phonemes)?];
        let logits = plan.tensor(logits)?;
        let [letter_table, phoneme_table] =
            [plan.tensor(&self.encoder_embedding)?, plan.tensor(&self.decoder_embedding)?];

        let x = plan.embedding(&letter_table, &letters)?;
        let read = RnnCall::default().lengths(Lengths::Fixed(lengths)).output(Output::Last);
        plan.rnn(&self.encoder, &x, &state, &read)?;
        // The decoder goes on from the encoder's state, and reads what it wrote.
        let write = RnnCall::default().carry(true).output(Output::Last);
        for step in 0..STEPS {
            let x = plan.embedding(&phoneme_table, &phonemes.at(step)?)?.reshape(&[1, batch, width])?;
            let h = plan.rnn(&self.decoder, &x, &state, &write)?;
            plan.linear_into(&self.head, &h, &logits.at(step)?)?;
            plan.argmax(&logits.at(step)?, &phonemes.at(step + 1)?)?;
        }
        Ok(plan.build()?)
    }
}
