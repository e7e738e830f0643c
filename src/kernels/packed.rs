//! The layout of a packed matrix, in one place.

/// A matrix of `rows` by `columns` as products read it: panels of `panel` rows, in which a column's elements lie
/// together as one vector; then one more panel with the bias in its first row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    pub rows: usize,
    pub columns: usize,
    pub panel: usize,
}

impl Packed {
    /// Panels before the bias.
    pub const fn panels(self) -> usize {
        self.rows.div_ceil(self.panel)
    }

    /// Vectors from one panel to the next. On the CPU, where a panel is a row, rows a multiple of 512 bytes apart would
    /// compete for a few sets of the cache: they get 64 bytes more, which makes small products up to twice as fast.
    pub const fn pitch(self) -> usize {
        if self.panel == 1 && self.columns.is_multiple_of(128) { self.columns + 16 } else { self.columns }
    }

    /// Vectors in all.
    pub const fn vectors(self) -> usize {
        (self.panels() + 1) * self.pitch()
    }

    /// Words in all.
    pub const fn words(self) -> usize {
        self.vectors() * self.panel
    }
}
