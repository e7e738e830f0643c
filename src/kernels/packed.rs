//! The layout of a packed matrix, in one place.

/// Columns that lie together on the CPU: what its products keep in registers.
pub(crate) const BLOCK: usize = 16;

/// A matrix of `rows` by `columns` as products read it. In shaders: panels of `panel` rows, in which a column's elements
/// lie together as one vector; then one more panel with the bias in its first row. On the CPU, where `panel` is 1: blocks
/// of [`BLOCK`] columns, each with its rows and then the bias.
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

    /// Vectors from one panel to the next; on the CPU the columns of all blocks.
    pub const fn pitch(self) -> usize {
        if self.panel == 1 { self.columns.next_multiple_of(BLOCK) } else { self.columns }
    }

    /// Vectors in all.
    pub const fn vectors(self) -> usize {
        (self.panels() + 1) * self.pitch()
    }

    /// Words in all.
    pub const fn words(self) -> usize {
        self.vectors() * self.panel
    }

    /// The word of an element.
    pub const fn index(self, row: usize, column: usize) -> usize {
        if self.panel == 1 {
            (column / BLOCK * (self.rows + 1) + row) * BLOCK + column % BLOCK
        } else {
            (row / self.panel * self.pitch() + column) * self.panel + row % self.panel
        }
    }

    /// The word of a column's bias.
    pub const fn bias(self, column: usize) -> usize {
        self.index(self.panels() * self.panel, column)
    }
}
