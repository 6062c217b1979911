/// The known names that a name may be a slip of, or the beginning of, best first, three at most.
///
/// ```
/// use irene_tree::similar;
/// assert_eq!(similar("gtx-1080", ["gtx-1070", "gtx-1080-ti", "h100"]), ["gtx-1080-ti", "gtx-1070"]);
/// assert_eq!(similar("dtpye", ["device", "dtype"]), ["dtype"]);
/// assert!(similar("tpu", ["gtx-1080-ti", "h100"]).is_empty());
/// ```
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const MOST: usize = 3;
    // Nobody misspells a longer name, and comparing takes time.
    const LONGEST: usize = 200;
    // Letters missing, added, changed or swapped: one in two, to two. A shorter beginning tells nothing.
    const SLIPS: usize = 2;
    let lower = name.to_lowercase();
    let length = lower.chars().count();
    if length > LONGEST {
        return Vec::new();
    }
    let slips = |known: &str| {
        let known = known.to_lowercase();
        let is_beginning = length > SLIPS && known.starts_with(&lower);
        let is_long = known.chars().count() > length + SLIPS;
        match (is_beginning, is_long) {
            (true, _) => Some(0),
            (false, true) => None,
            (false, false) => {
                Some(strsim::osa_distance(&known, &lower)).filter(|slips| *slips <= SLIPS.min(length / 2))
            }
        }
    };
    let mut near: Vec<(usize, &str)> = known.into_iter().filter_map(|known| Some((slips(known)?, known))).collect();
    near.sort_by_key(|(slips, _)| *slips);
    near.dedup_by_key(|(_, known)| *known);
    near.into_iter().take(MOST).map(|(_, known)| known).collect()
}

/// The part of an error that names what may have been meant: `` , did you mean `x`? ``, or nothing.
pub fn did_you_mean<S: AsRef<str>>(similar: &[S]) -> String {
    let names: Vec<&str> = similar.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!(", did you mean `{}`?", names.join("`, `")) }
}

/// The same for the known names that are like this one.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(&similar(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_two_letters_at_most_and_half_of_a_short_name() {
        assert_eq!(similar("dtpye", ["device", "dtype"]), ["dtype"]);
        assert_eq!(similar("a100", ["h100", "a10", "v200"]), ["h100", "a10", "v200"]);
        assert!(similar("abcd", ["abwxyz", "xyzd"]).is_empty());
        assert!(similar("abc", ["axx"]).is_empty());
        assert_eq!(similar("abc", ["axc"]), ["axc"]);
        assert!(similar("a", ["b"]).is_empty());
        assert_eq!(similar("BERT", ["bert"]), ["bert"]);
        assert_eq!(similar("bcde", ["abcdef"]), ["abcdef"]);
    }

    #[test]
    fn a_beginning_of_three_letters_comes_first_and_three_are_named() {
        let known = ["gpt2-xl", "gpt3", "gpt2-large", "gpt2-medium", "gpt2"];
        assert_eq!(similar("gpt2", known), ["gpt2-xl", "gpt2-large", "gpt2-medium"]);
        assert!(similar("gp", ["gpt2-xl"]).is_empty());
        assert_eq!(similar("gpt", ["gpt2-xl"]), ["gpt2-xl"]);
        assert_eq!(similar("gpt2-xxl", ["gpt2-xl", "gpt2-xl"]), ["gpt2-xl"]);
    }

    #[test]
    fn nobody_misspells_a_name_of_more_than_200_letters() {
        let (longest, longer) = ("x".repeat(200), "x".repeat(201));
        assert_eq!(similar(&longest, [longest.as_str()]), [longest.as_str()]);
        assert!(similar(&longer, [longer.as_str()]).is_empty());
    }

    #[test]
    fn what_may_have_been_meant_is_asked_for() {
        assert_eq!(did_you_mean(&["a", "b"]), ", did you mean `a`, `b`?");
        assert_eq!(did_you_mean::<&str>(&[]), "");
    }
}
