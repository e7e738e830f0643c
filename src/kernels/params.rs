//! The kernels' parameters, word for word as `struct Params` in their shaders; a test compares the two by reflection.

/// A parameter as the host has it, and as the 32-bit word that a shader reads.
pub(crate) trait Word: Copy {
    fn word(self) -> u32;
    fn of_word(word: u32) -> Self;
}

/// A size or an offset. What takes more than 32 bits becomes the largest word: that reaches beyond every buffer, so that the
/// plan's check refuses the dispatch.
impl Word for usize {
    fn word(self) -> u32 {
        u32::try_from(self).unwrap_or(u32::MAX)
    }

    fn of_word(word: u32) -> Self {
        word as Self
    }
}

impl Word for u32 {
    fn word(self) -> u32 {
        self
    }

    fn of_word(word: u32) -> Self {
        word
    }
}

/// By its bits.
impl Word for f32 {
    fn word(self) -> u32 {
        self.to_bits()
    }

    fn of_word(word: u32) -> Self {
        Self::from_bits(word)
    }
}

/// 1 or 0.
impl Word for bool {
    fn word(self) -> u32 {
        self.into()
    }

    fn of_word(word: u32) -> Self {
        word != 0
    }
}

/// Parameters that are made of the words of a dispatch.
pub(crate) trait Params: Sized {
    /// Names in the order of their words.
    const FIELDS: &'static [&'static str];

    /// Those whose words these are, the first ones of them taken; what is missing is 0.
    fn of_words(words: &mut impl Iterator<Item = u32>) -> Self;
}

/// The type of a parameter: `usize` where none is given.
macro_rules! word_type {
    () => {
        usize
    };
    ($type:ty) => {
        $type
    };
}

pub(super) use word_type;

/// Declares parameters. A field is a size or an offset, if no type is given.
macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($field:ident $(: $type:ty)?),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $name { $(pub $field: crate::kernels::params::word_type!($($type)?),)* }

        impl $name {
            /// The words as a dispatch carries them.
            pub fn words(&self) -> Vec<u32> {
                vec![$(crate::kernels::params::Word::word(self.$field)),*]
            }
        }

        impl crate::kernels::params::Params for $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn of_words(words: &mut impl Iterator<Item = u32>) -> Self {
                Self { $($field: crate::kernels::params::Word::of_word(words.next().unwrap_or(0)),)* }
            }
        }
    )*};
}

pub(super) use params;

params! {
    /// Which rows a recurrent dispatch works on: the parameters that such kernels begin with, as in `rows.wgsl`.
    ///
    /// A track is a recurrence of its own: a direction of a head; in a `wave`, a layer. `state_row` is the first row of the layer's states.
    /// `x_track` is the words from one track's rows to the next one's, `x_stride` those from row to row, and
    /// `map_track` those from one track to the next in the map. The map has the sequence of each rank from `order` on, the
    /// first row of the dispatch's first step at `offsets`, and the first row that the memory of rows holds at `chunk`.
    RowParams { batch, tracks, state_row, x_track, x_stride, map_track, order, offsets, chunk }
}

impl RowParams {
    /// These of a step: where the map has its first row, and where the first row that the memory of rows holds.
    pub const fn at(self, offsets: usize, chunk: usize) -> Self {
        Self { offsets, chunk, ..self }
    }
}

/// Declares parameters that begin with [`RowParams`], whose fields can be read as if they were their own.
macro_rules! params_of_rows {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $name {
            pub rows: crate::kernels::params::RowParams,
            $(pub $field: usize,)*
        }

        impl $name {
            /// The words as a dispatch carries them.
            pub fn words(&self) -> Vec<u32> {
                let mut words = self.rows.words();
                words.extend([$(crate::kernels::params::Word::word(self.$field)),*]);
                words
            }
        }

        impl crate::kernels::params::Params for $name {
            const FIELDS: &'static [&'static str] = &[
                "batch",
                "tracks",
                "state_row",
                "x_track",
                "x_stride",
                "map_track",
                "order",
                "offsets",
                "chunk",
                $(stringify!($field)),*
            ];

            fn of_words(words: &mut impl Iterator<Item = u32>) -> Self {
                Self {
                    rows: crate::kernels::params::Params::of_words(words),
                    $($field: crate::kernels::params::Word::of_word(words.next().unwrap_or(0)),)*
                }
            }
        }

        impl std::ops::Deref for $name {
            type Target = crate::kernels::params::RowParams;

            fn deref(&self) -> &Self::Target {
                &self.rows
            }
        }
    };
}

pub(super) use params_of_rows;

/// The sizes of a phase among the parameters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PhaseParams {
    pub units: usize,
    /// Vectors of the packed weights' columns.
    pub panels: usize,
    /// Its first vector among the weights.
    pub weights: usize,
    /// Vectors of a track.
    pub weights_track: usize,
    /// Its first column in a row of the gates: `gate` forwards, `fields` backwards.
    pub column: usize,
}

macro_rules! of_phases {
    ($name:ident, $first:ident, $second:ident) => {
        impl $name {
            /// Those of the phases, all else 0.
            pub fn of_phases([first, second]: [crate::kernels::params::PhaseParams; 2]) -> Self {
                Self {
                    units_0: first.units,
                    panels_0: first.panels,
                    weights_0: first.weights,
                    weights_track_0: first.weights_track,
                    $first: first.column,
                    units_1: second.units,
                    panels_1: second.panels,
                    weights_1: second.weights,
                    weights_track_1: second.weights_track,
                    $second: second.column,
                    ..Self::default()
                }
            }

            /// What the phases were given.
            pub fn phases(&self) -> [crate::kernels::params::PhaseParams; 2] {
                let phase = |[units, panels, weights, weights_track, column]: [usize; 5]| {
                    crate::kernels::params::PhaseParams { units, panels, weights, weights_track, column }
                };
                [
                    phase([self.units_0, self.panels_0, self.weights_0, self.weights_track_0, self.$first]),
                    phase([self.units_1, self.panels_1, self.weights_1, self.weights_track_1, self.$second]),
                ]
            }

            /// Units of the phases.
            pub fn units(&self) -> [u64; 2] {
                [self.units_0, self.units_1].map(|units| units as u64)
            }
        }
    };
}

pub(super) use of_phases;

#[cfg(test)]
mod tests {
    use super::*;

    params! {
        /// One of each type.
        EachParams { size, bits: u32, number: f32, flag: bool }
    }

    #[test]
    fn parameters_come_back_from_their_words_and_what_is_missing_is_zero() {
        let params = EachParams { size: 7, bits: u32::MAX, number: -1.5, flag: true };
        let words = params.words();
        assert_eq!(words, [7, u32::MAX, (-1.5_f32).to_bits(), 1]);
        let back = EachParams::of_words(&mut words.into_iter());
        assert_eq!((back.size, back.bits, back.number, back.flag), (7, u32::MAX, -1.5, true));
        assert_eq!(EachParams::of_words(&mut std::iter::once(3)).words(), [3, 0, 0, 0]);
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_size_beyond_a_word_becomes_the_largest_one_and_does_not_wrap() {
        for size in [1 << 32, (1 << 32) + 5, usize::MAX] {
            assert_eq!(EachParams { size, ..EachParams::default() }.words()[0], u32::MAX);
        }
    }
}
