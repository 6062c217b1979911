use super::fit::{GAP, columns_that_fit, words_in_lines};

/// The head of a column of a [`Grid`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    title: String,
    is_right: bool,
    rank: u8,
}

impl Heading {
    /// A column of words, aligned left.
    pub fn left(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_right: false, rank: 0 }
    }

    /// A column of figures, aligned right.
    pub fn right(title: impl Into<String>) -> Self {
        Self { title: title.into(), is_right: true, rank: 0 }
    }

    /// Its rank where there is not enough room: columns of rank 0 always stay, of the others the greatest ranks go first. Columns of
    /// one rank go together.
    #[must_use]
    pub fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// A table of text that fits a width: it leaves out the columns that do not fit, and breaks the words of those that stay into lines.
///
/// ```
/// use irene_tree::render::{Grid, Heading};
/// let mut grid = Grid::new([Heading::left("meter"), Heading::right("energy"), Heading::left("note").rank(1)]);
/// grid.row(["rapl", "1.2 J", "package"]);
/// grid.row(["nvml", "12 J", ""]);
/// assert_eq!(grid.text(80), "\
/// meter  energy  note
/// rapl    1.2 J  package
/// nvml     12 J
/// ");
/// assert_eq!(grid.text(14), "meter  energy\nrapl    1.2 J\nnvml     12 J\n");
/// ```
#[derive(Clone, Debug)]
pub struct Grid {
    headings: Vec<Heading>,
    rows: Vec<Vec<String>>,
}

/// The least width to which a column of words is narrowed.
const LEAST: usize = 12;

impl Grid {
    /// A table without rows. It shows no line of titles if all of them are empty.
    pub fn new(headings: impl IntoIterator<Item = Heading>) -> Self {
        Self { headings: headings.into_iter().collect(), rows: Vec::new() }
    }

    /// Two columns of words without titles: names and what belongs to them.
    pub fn pairs() -> Self {
        Self::new([Heading::left(""), Heading::left("")])
    }

    /// Adds a row; cells that are missing are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// The table as lines of at most `width` characters.
    pub fn text(&self, width: usize) -> String {
        let natural: Vec<usize> = (0..self.headings.len()).map(|column| self.natural_width(column)).collect();
        let ranks: Vec<u8> = self.headings.iter().map(|heading| heading.rank).collect();
        let stays = columns_that_fit(&natural, &ranks, width);
        let shown: Vec<usize> = (0..natural.len()).filter(|&column| stays[column]).collect();
        let widths = self.narrowed(&shown, natural, width);
        let mut out = String::new();
        if self.headings.iter().any(|heading| !heading.title.is_empty()) {
            let titles: Vec<&str> = self.headings.iter().map(|heading| heading.title.as_str()).collect();
            self.push_row(&mut out, &titles, &shown, &widths);
        }
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.push_row(&mut out, &cells, &shown, &widths);
        }
        out
    }

    fn natural_width(&self, column: usize) -> usize {
        let title = &self.headings[column].title;
        let cells = self.rows.iter().map(|row| &row[column]);
        cells.chain([title]).map(|text| text.chars().count()).max().unwrap_or(0)
    }

    /// The widths of the columns; where the shown ones are still too wide together, the widest become narrower.
    fn narrowed(&self, shown: &[usize], mut widths: Vec<usize>, width: usize) -> Vec<usize> {
        loop {
            let total: usize = shown.iter().map(|&column| widths[column] + GAP).sum();
            let excess = total.saturating_sub(width + GAP);
            let wide = shown.iter().filter(|&&column| widths[column] > LEAST);
            // Words break better than figures.
            let widest = wide.max_by_key(|&&column| (!self.headings[column].is_right, widths[column]));
            let Some(&widest) = widest.filter(|_| excess > 0) else { return widths };
            // Not below the next widest at once, so that two wide columns share what is missing.
            widths[widest] -= excess.div_ceil(2).min(widths[widest] - LEAST);
        }
    }

    fn push_row(&self, out: &mut String, cells: &[&str], shown: &[usize], widths: &[usize]) {
        // A cell that fits keeps its spaces.
        let lines_of = |&column: &usize| match cells[column] {
            cell if cell.chars().count() <= widths[column] => vec![cell.to_owned()],
            cell => words_in_lines(cell, widths[column], true),
        };
        let cells: Vec<Vec<String>> = shown.iter().map(lines_of).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut text = String::new();
            for (cell, &column) in cells.iter().zip(shown) {
                let (part, width) = (cell.get(line).map_or("", String::as_str), widths[column]);
                text +=
                    &if self.headings[column].is_right { format!("{part:>width$}") } else { format!("{part:width$}") };
                text += &" ".repeat(GAP);
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new([Heading::left("name"), Heading::right("J").rank(2), Heading::left("why")]);
        grid.row(["a", "1", "it cannot be read without permission"]);
        grid.row(["b", "22"]);
        grid
    }

    #[test]
    fn every_line_fits_and_words_go_on_below() {
        assert_eq!(grid().text(26), "name  why\na     it cannot be read\n      without permission\nb\n");
        for width in 18..60 {
            let text = grid().text(width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}\n{text}");
            assert!(text.contains("permission"), "{width}\n{text}");
        }
    }

    #[test]
    fn a_figure_that_is_too_long_is_broken_too() {
        let mut grid = Grid::new([Heading::left("name"), Heading::right("J")]);
        grid.row(["a name of some words".to_owned(), "9".repeat(300)]);
        assert!(grid.text(40).lines().all(|line| line.chars().count() <= 40), "{}", grid.text(40));
    }

    /// Columns of 30 and 40 letters, a figure of 20 and a short word: each of the long ones keeps 12 at least.
    #[test]
    fn columns_are_narrowed_to_the_width_and_no_further_and_figures_last() {
        let mut grid = Grid::new([Heading::left("a"), Heading::right("b"), Heading::left("c"), Heading::left("d")]);
        grid.row(["x".repeat(30), "9".repeat(20), "y".repeat(40), "short".to_owned()]);
        let natural = vec![30, 20, 40, 5];
        for width in 0..120 {
            let widths = grid.narrowed(&[0, 1, 2, 3], natural.clone(), width);
            let total = widths.iter().sum::<usize>() + 3 * GAP;
            assert_eq!(total, width.clamp(12 + 12 + 12 + 5 + 3 * GAP, 95 + 3 * GAP), "{width} {widths:?}");
            assert!(widths[1] == 20 || (widths[0], widths[2]) == (12, 12), "{width} {widths:?}");
            assert!(widths.iter().zip(&natural).all(|(width, natural)| width <= natural), "{width} {widths:?}");
            // Columns that are left out take no room.
            let few = grid.narrowed(&[0, 3], natural.clone(), width);
            assert_eq!(few[0] + few[3] + GAP, width.clamp(12 + 5 + GAP, 35 + GAP), "{width} {few:?}");
        }
    }

    #[test]
    fn a_cell_that_fits_keeps_its_spaces() {
        let mut grid = Grid::new([Heading::left(""), Heading::right("")]);
        grid.row(["a  b", "1"]);
        grid.row(["c", "22"]);
        assert_eq!(grid.text(80), "a  b   1\nc     22\n");
    }

    #[test]
    fn two_wide_columns_share_what_is_missing() {
        let mut grid = Grid::pairs();
        grid.row(["one two three four five six", "seven eight nine ten eleven twelve"]);
        let text = grid.text(40);
        assert!(text.lines().all(|line| line.chars().count() <= 40) && text.lines().count() == 2, "{text}");
    }
}
