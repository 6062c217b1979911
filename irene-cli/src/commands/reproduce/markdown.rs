//! A report as Markdown with pictures, in which no cell is empty: what is not there has its reason below the table.

use std::fmt::Write;

/// A part of a report under a title of its own.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
    /// Whether it stands below one that has a title of the same rank as the overview.
    is_below: bool,
}

pub(super) enum Block {
    Text(String),
    Table(Table),
    Picture(Picture),
}

pub(super) struct Table {
    titles: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A figure or a word; or why there is none.
#[derive(Clone)]
pub(super) enum Cell {
    Shown(String),
    Missing(String),
}

/// An SVG in a file of its own beside the text.
pub(super) struct Picture {
    /// The file's name.
    pub(super) file: String,
    /// The picture described in words.
    pub(super) alt: String,
    pub(super) svg: String,
}

impl Section {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), blocks: Vec::new(), is_below: false }
    }

    /// As a part of the section before it.
    pub(super) fn below(self) -> Self {
        Self { is_below: true, ..self }
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    pub(super) fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// A table under a line of text.
    pub(super) fn titled(self, title: &str, table: Table) -> Self {
        self.text(format!("**{title}**")).table(table)
    }

    pub(super) fn picture(mut self, picture: Picture) -> Self {
        self.blocks.push(Block::Picture(picture));
        self
    }

    pub(super) fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.blocks.iter().filter_map(|block| if let Block::Picture(picture) = block { Some(picture) } else { None })
    }

    /// Pictures are looked for in a folder beside the text.
    pub(super) fn to_markdown(&self, folder: &str) -> String {
        let mut out = format!("{} {}\n", if self.is_below { "###" } else { "##" }, self.title);
        for block in &self.blocks {
            out.push('\n');
            match block {
                Block::Text(text) => out += &format!("{text}\n"),
                Block::Table(table) => out += &table.to_markdown(),
                Block::Picture(Picture { file, alt, .. }) => out += &format!("![{alt}]({folder}/{file})\n"),
            }
        }
        out
    }
}

impl Table {
    pub(super) fn new<T: Into<String>>(titles: impl IntoIterator<Item = T>) -> Self {
        Self { titles: titles.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().collect();
        row.resize(self.titles.len(), Cell::missing("nothing was computed"));
        self.rows.push(row);
    }

    fn to_markdown(&self) -> String {
        let mut reasons: Vec<&str> = Vec::new();
        let mut out = String::new();
        let mut line = |cells: &[String]| {
            // Writing to a text cannot fail.
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        line(&self.titles);
        line(&vec!["---".to_owned(); self.titles.len()]);
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| match cell {
                    Cell::Shown(text) => text.replace('|', "\\|").replace('\n', " "),
                    Cell::Missing(reason) => {
                        let known = reasons.iter().position(|known| known == reason);
                        let place = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        format!("({})", place + 1)
                    }
                })
                .collect();
            line(&cells);
        }
        if !reasons.is_empty() {
            out.push('\n');
            let numbered = reasons.iter().enumerate().map(|(place, reason)| format!("({}) {reason}", place + 1));
            out += &format!("{}.\n", numbered.collect::<Vec<_>>().join("; "));
        }
        out
    }
}

impl Cell {
    pub(super) fn missing(reason: impl Into<String>) -> Self {
        Self::Missing(reason.into())
    }

    /// The text, or the reason why there is none.
    pub(super) fn of(text: Option<String>, reason: &str) -> Self {
        text.map_or_else(|| Self::missing(reason), Self::from)
    }

    /// Figures in one cell, a dash for one that is not there; the reason where none is.
    pub(super) fn slashed(figures: impl IntoIterator<Item = Option<String>>, reason: &str) -> Self {
        let figures: Vec<Option<String>> = figures.into_iter().collect();
        let is_any = figures.iter().any(Option::is_some);
        let shown =
            || figures.into_iter().map(|figure| figure.unwrap_or_else(|| "-".into())).collect::<Vec<_>>().join(" / ");
        Self::of(is_any.then(shown), reason)
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Self {
        match value.to_string() {
            text if text.trim().is_empty() => Self::missing("there is nothing to say"),
            text => Self::Shown(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_its_reason_once() {
        let mut table = Table::new(["a", "b", "c"]);
        table.row(["1|2".into(), Cell::missing("not measured"), Cell::missing("not published")]);
        table.row([3.into(), Cell::missing("not measured"), "".into()]);
        table.row([4.into()]);
        let picture = Picture { file: "p.svg".into(), alt: "curves".into(), svg: "<svg/>".into() };
        let section = Section::new("T").text("Why.").table(table).picture(picture);
        let expected = "## T\n\nWhy.\n\n| a | b | c |\n| --- | --- | --- |\n| 1\\|2 | (1) | (2) |\n| 3 | (1) | (3) |\n| 4 | (4) | (4) |\n\n\
                        (1) not measured; (2) not published; (3) there is nothing to say; (4) nothing was computed.\n\n\
                        ![curves](reproduction/p.svg)\n";
        assert_eq!(section.to_markdown("reproduction"), expected);
        assert_eq!(section.pictures().count(), 1);
    }
}
