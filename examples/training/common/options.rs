//! What every lesson can be told on its command line.

use crate::every::{Choice, check_place, make_folder};
use anyhow::Result;
use clap::{Args, value_parser};
use std::path::{Path, PathBuf};
use wgrnn::Device;

/// What every lesson can be told. `STEPS` are the training steps that it takes by default.
#[derive(Args, Clone, Debug)]
pub struct Common<const STEPS: u32> {
    /// Training steps in all, those before --resume included.
    #[arg(long, default_value_t = STEPS, value_parser = value_parser!(u32).range(1..))]
    pub steps: u32,
    /// For the first weights and the order of the data; a resumed training keeps its own.
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    pub device: Choice,
    /// A folder with data files of the same names and form, in place of the lesson's own.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// A folder for pictures.
    #[arg(long, value_name = "FOLDER")]
    pub plot: Option<PathBuf>,
    /// Where to save the training, every 100 steps and at its end. Ctrl-C saves it too.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Go on from that file. A training that is complete is only tested.
    #[arg(long, requires = "save")]
    pub resume: bool,
}

impl<const STEPS: u32> Common<STEPS> {
    /// The device, after a look at whether pictures and checkpoints can be written: training takes minutes.
    ///
    /// # Errors
    ///
    /// A folder that can't be made, a file that can't be written, no such device.
    pub fn start(&self) -> Result<Device> {
        make_folder(self.plot.as_deref())?;
        self.save.as_deref().map_or(Ok(()), check_place)?;
        self.device.device()
    }

    /// The folder of `--data`.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Lets `draw` write a picture, if pictures are asked for, and says where it is if there is one then.
    ///
    /// # Errors
    ///
    /// Those of `draw`.
    pub fn draw(&self, file: &str, draw: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let Some(path) = self.plot.as_ref().map(|folder| folder.join(file)) else { return Ok(()) };
        draw(&path)?;
        if path.is_file() {
            eprintln!("drew {}", path.display());
        }
        Ok(())
    }
}
