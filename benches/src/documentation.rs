//! The Rust in the documentation, which the tests compile.

macro_rules! documents {
    ($($name:ident = $path:literal),*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../", $path))]
            struct $name;
        )*

        #[cfg(test)]
        const DOCUMENTS: &[&str] = &[$($path),*];
    };
}

documents!(
    AddingAMeter = "docs/adding-a-meter.md",
    AddingAPredictor = "docs/adding-a-predictor.md",
    AddingAnArchitecture = "docs/adding-an-architecture.md",
    Attribution = "docs/attribution.md",
    Exploring = "docs/exploring.md",
    MeasuringFromRust = "docs/measuring-from-rust.md",
    QuickStart = "docs/quick-start.md",
    WorkedExample = "docs/worked-example.md"
);

#[cfg(test)]
#[test]
fn every_document_with_rust_in_it_is_compiled() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for dir in [".", "docs"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let has_rust =
                text.lines().map(str::trim).any(|line| line.starts_with("```rust") && line != "```rust,ignore");
            let is_compiled = DOCUMENTS.iter().any(|document| path.ends_with(document));
            assert!(!has_rust || is_compiled, "{} is not among the documents above", path.display());
        }
    }
}
