//! Text that fits a terminal: which columns of a table stay, and where long lines break.

/// Spaces between two columns.
pub(super) const GAP: usize = 2;

/// Which columns stay in `width` characters: all of rank 0, then by rank, each rank whole or not at all.
pub(super) fn columns_that_fit(widths: &[usize], ranks: &[u8], width: usize) -> Vec<bool> {
    let total = |rank: u8| -> usize {
        let of_rank = widths.iter().zip(ranks).filter(|(_, of)| **of == rank);
        of_rank.map(|(cell, _)| cell + GAP).sum()
    };
    // The first column has no gap before it.
    let mut taken = total(0);
    let mut by_rank: Vec<u8> = ranks.iter().copied().filter(|&rank| rank > 0).collect();
    by_rank.sort_unstable();
    by_rank.dedup();
    by_rank.retain(|&rank| {
        let fits = taken + total(rank) <= width + GAP;
        taken += if fits { total(rank) } else { 0 };
        fits
    });
    ranks.iter().map(|rank| *rank == 0 || by_rank.contains(rank)).collect()
}

/// Characters that a terminal shows: those of colours do not count.
pub(super) fn visible_len(text: &str) -> usize {
    let mut count = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(|&c| c.is_ascii_alphabetic());
        } else {
            count += 1;
        }
    }
    count
}

/// The text shortened to `width` characters, with an ellipsis where something is missing.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}

/// The text with every line that is longer than `width` broken between words and indented where it goes on. A longer word, such as a
/// path, stays whole; lines with colours stay as they are.
///
/// ```
/// use irene_tree::render::wrapped;
/// assert_eq!(wrapped("to be or not to be\nyes\n", 10), "to be or\n  not to\n  be\nyes\n");
/// ```
pub fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        if visible_len(content) <= width || content.contains('\u{1b}') {
            out += line;
            continue;
        }
        let indent = content.len() - content.trim_start_matches(' ').len();
        let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 2));
        for (number, part) in words_in_lines(content, width - width.min(indent + 2), false).into_iter().enumerate() {
            let start = if number == 0 { &first } else { &rest };
            out += &format!("{start}{part}\n");
        }
        if !line.ends_with('\n') {
            out.pop();
        }
    }
    out
}

/// The words in lines of at most `width` characters. A longer word has a line of its own; `breaks` cuts it.
pub(super) fn words_in_lines(text: &str, width: usize, breaks: bool) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        let word_len = word.chars().count();
        if line == 0 || line + 1 + word_len <= width {
            let last = lines.len() - 1;
            let space = if line == 0 { "" } else { " " };
            lines[last] += &format!("{space}{word}");
        } else {
            lines.push(word.to_owned());
        }
        while breaks && lines.last().is_some_and(|line| line.chars().count() > width.max(1)) {
            let long: Vec<char> = lines.pop().unwrap_or_default().chars().collect();
            let (start, rest) = long.split_at(width.max(1));
            lines.extend([start.iter().collect::<String>(), rest.iter().collect()]);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_by_rank_and_a_rank_is_whole() {
        let (widths, ranks) = ([10, 5, 5, 5, 2], [0, 2, 1, 2, 3]);
        assert_eq!(columns_that_fit(&widths, &ranks, 37), [true; 5]);
        // The rank 2 does not fit, the narrow column of rank 3 does.
        assert_eq!(columns_that_fit(&widths, &ranks, 30), [true, false, true, false, true]);
        assert_eq!(columns_that_fit(&widths, &ranks, 17), [true, false, true, false, false]);
        assert_eq!(columns_that_fit(&widths, &ranks, 3), [true, false, false, false, false]);
        // All of them take 35 characters with the gaps between them.
        assert_eq!(columns_that_fit(&widths, &ranks, 35), [true; 5]);
        assert_eq!(columns_that_fit(&widths, &ranks, 34), [true, true, true, true, false]);
    }

    #[test]
    fn lines_break_between_words_and_keep_their_indent() {
        assert_eq!(wrapped("  a b c d e f\n", 8), "  a b\n    c d\n    e f\n");
        assert_eq!(wrapped("see /a/long/path now", 9), "see\n  /a/long/path\n  now");
        assert_eq!(wrapped("\u{1b}[1mbold text\u{1b}[0m", 4), "\u{1b}[1mbold text\u{1b}[0m");
        assert_eq!(wrapped("short\n\nlines\n", 5), "short\n\nlines\n");
        assert_eq!(wrapped("to be or not to be", 10), "to be or\n  not to\n  be");
        // A width of no use gives each word a line of its own.
        assert_eq!(wrapped("  a b\n", 3), "  a\n    b\n");
    }

    #[test]
    fn words_of_a_cell_are_cut_where_they_must_be() {
        assert_eq!(words_in_lines("ab abcdefg", 3, true), ["ab", "abc", "def", "g"]);
        assert_eq!(words_in_lines("", 3, true), [""]);
        assert_eq!(words_in_lines("ab cd e", 5, false), ["ab cd", "e"]);
        assert_eq!(words_in_lines("ab cd e", 4, false), ["ab", "cd e"]);
        assert_eq!(words_in_lines("ab", 0, true), ["a", "b"]);
    }

    #[test]
    fn colours_have_no_width() {
        assert_eq!(visible_len("\u{1b}[1m\u{1b}[31mµJ\u{1b}[0m"), 2);
        assert_eq!((shortened("abcd", 4), shortened("abcde", 4)), ("abcd".into(), "abc…".into()));
    }
}
