/// The known names that look most like this one, best first, three at most.
///
/// ```
/// use irene_tree::similar;
/// assert_eq!(similar("gtx-1080", ["gtx-1070", "gtx-1080-ti", "h100"]), ["gtx-1080-ti", "gtx-1070"]);
/// assert!(similar("tpu", ["gtx-1080-ti", "h100"]).is_empty());
/// ```
pub fn similar<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    const ALIKE: f64 = 0.8;
    const MOST: usize = 3;
    // Names are short; nobody misspells a longer one, and comparing takes time.
    const LONGEST: usize = 200;
    if name.len() > LONGEST {
        return Vec::new();
    }
    // So much of a name, if it is the beginning, tells more than a likeness.
    const BEGINNING: usize = 3;
    let lower = name.to_lowercase();
    let score = |known: &'a str| {
        let other = known.to_lowercase();
        let is_beginning = lower.len() >= BEGINNING && other.starts_with(&lower);
        (if is_beginning { 1.0 } else { strsim::jaro_winkler(&other, &lower) }, known)
    };
    let mut scored: Vec<(f64, &str)> = known.into_iter().map(score).filter(|(score, _)| *score > ALIKE).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, known)| *known);
    scored.into_iter().take(MOST).map(|(_, known)| known).collect()
}

/// The part of an error that names what may have been meant: `` , did you mean `x`? ``, or nothing.
pub fn did_you_mean<S: AsRef<str>>(similar: &[S]) -> String {
    let names: Vec<&str> = similar.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { String::new() } else { format!(", did you mean `{}`?", names.join("`, `")) }
}
