//! What came of a lesson, as a table.

use std::fmt::{Display, Formatter};

/// Figures by name, which print as a table, and lines of text below.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    title: String,
    columns: Vec<(String, Unit)>,
    rows: Vec<(String, Vec<f64>)>,
    notes: Vec<String>,
}

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Percent,
    Number,
}

impl Outcome {
    /// A table without columns yet; the title says what was tested.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A column of parts of 1, written as percent.
    pub fn percent(mut self, column: &str) -> Self {
        self.columns.push((column.to_owned(), Unit::Percent));
        self
    }

    /// A column of numbers, written to two digits after the point.
    pub fn number(mut self, column: &str) -> Self {
        self.columns.push((column.to_owned(), Unit::Number));
        self
    }

    /// A row with a figure for each column; NaN is written as a dash.
    pub fn row(mut self, name: impl Into<String>, figures: &[f64]) -> Self {
        self.rows.push((name.into(), figures.to_vec()));
        self
    }

    /// A line below the table.
    pub fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }

    /// Lines below the table.
    pub fn notes(self, lines: impl IntoIterator<Item = String>) -> Self {
        lines.into_iter().fold(self, Self::note)
    }

    /// A row's figure in a column; NaN if there is none.
    pub fn figure(&self, row: &str, column: &str) -> f64 {
        let place = self.columns.iter().position(|(name, _)| name == column);
        let row = self.rows.iter().find(|(name, _)| name == row);
        row.zip(place).and_then(|((_, figures), place)| figures.get(place)).copied().unwrap_or(f64::NAN)
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let names = self.rows.iter().map(|(name, _)| name).chain([&self.title]);
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        write!(f, "{:width$}", self.title)?;
        self.columns.iter().try_for_each(|(column, _)| write!(f, "  {column:>9}"))?;
        for (name, figures) in &self.rows {
            write!(f, "\n{name:width$}")?;
            for (figure, (column, unit)) in figures.iter().zip(&self.columns) {
                let text = match unit {
                    _ if figure.is_nan() => "-".to_owned(),
                    Unit::Percent => format!("{:.1} %", 100.0 * figure),
                    Unit::Number => format!("{figure:.2}"),
                };
                write!(f, "  {text:>0$}", column.chars().count().max(9))?;
            }
        }
        self.notes.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_in_columns_and_found_by_name() {
        let outcome = Outcome::new("2 tested").percent("right").number("bits per letter");
        let outcome = outcome.row("baseline", &[0.5, f64::NAN]).row("LSTM", &[0.975, 2.0]).note("done");
        let lines = [
            "2 tested      right  bits per letter",
            "baseline     50.0 %                -",
            "LSTM         97.5 %             2.00",
            "done",
        ];
        assert_eq!(outcome.to_string(), lines.join("\n"));
        assert_eq!(outcome.figure("LSTM", "right"), 0.975);
        assert!(outcome.figure("LSTM", "left").is_nan());
    }
}
