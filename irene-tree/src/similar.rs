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
