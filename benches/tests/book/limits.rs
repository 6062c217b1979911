//! The page of limits is right about the code, the shipped profile and CI.

use irene_regress::{DeviceProfile, SizeRanges};

use crate::{docs, read, root};

/// The page's words, whatever the lines.
fn limits() -> String {
    read(&docs().join("limits.md")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_shipped_profiles_are_of_the_data_that_the_limits_name() {
    let text = limits();
    let says = |claim: String| assert!(text.contains(&claim), "{claim}");
    assert_eq!(DeviceProfile::bundled_names().count(), 2, "the limits speak of two machines");
    for (name, models) in DeviceProfile::bundled_names().zip(["six models", "the same six"]) {
        let provenance = DeviceProfile::bundled(name).unwrap().provenance;
        assert_eq!(provenance.training_data.matches('(').count(), 6, "{}", provenance.training_data);
        let trees = provenance.training_data.split(' ').next().unwrap();
        says(format!("`{name}` on {trees} trees of {models}"));
        let SizeRanges { sequences: [least, most], new: [shortest, longest], .. } = provenance.sizes.unwrap();
        says(format!("batches of {least} to {most}, sequences of {shortest} to {longest} tokens, 32-bit floats"));
    }
}

#[test]
fn what_the_limits_say_of_ci_is_so() {
    let (text, ci) = (limits(), read(&root().join(".ci/run")) + &read(&root().join(".github/workflows/ci.yml")));
    assert!(text.contains("features `cuda` and `metal` pass candle's on; CI neither builds nor runs them"));
    assert!(!ci.contains("features cuda") && !ci.contains("features metal"), "CI builds them");
    assert!(text.contains("CI runs on Linux alone"));
    let runners: Vec<&str> = ci.lines().filter_map(|line| line.trim().strip_prefix("runs-on: ")).collect();
    assert!(!runners.is_empty() && runners.iter().all(|runner| runner.starts_with("ubuntu")), "{runners:?}");
    let manifest = read(&root().join("Cargo.toml"));
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(text.contains(&format!("Rust {rust} is what the manifests ask for")), "{rust}");
    assert!(text.contains("CI checks that no dependency asks for a newer one") && ci.contains("tiers: least-Rust"));
    assert!(
        ci.contains("cargo check -p irene-cli -p irene-attribution --no-default-features --locked"),
        "CI does not compile with the least Rust"
    );
}
