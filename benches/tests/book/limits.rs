//! What the page of limits says of the code, the shipped profile and CI is so.

use irene_models::ARCHITECTURES;
use irene_regress::{DeviceProfile, SizeRanges};

use crate::{docs, read, root};

/// The page's words, whatever the lines.
fn limits() -> String {
    read(&docs().join("limits.md")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_shipped_profile_is_of_the_data_that_the_limits_name() {
    let names: Vec<&str> = DeviceProfile::bundled_names().collect();
    assert_eq!(names, ["gtx-1080-ti"], "the limits speak of one machine");
    let provenance = DeviceProfile::bundled(names[0]).unwrap().provenance;
    let SizeRanges { sequences: [least, most], new: [shortest, longest], .. } = provenance.sizes.unwrap();
    let trees = provenance.training_data.split(' ').next().unwrap();
    let models = provenance.training_data.matches('(').count();
    assert_eq!(models, 6, "{}", provenance.training_data);
    let claim = format!(
        "{trees} trees of six models, batches of {least} to {most}, sequences of {shortest} to {longest} tokens, 32-bit floats"
    );
    assert!(limits().contains(&claim), "{claim}");
}

#[test]
fn the_limits_name_every_architecture() {
    let plain = |text: &str| text.to_lowercase().replace('-', "");
    let text = limits();
    let start = text.find("The architectures are").unwrap();
    let sentence = plain(text[start..].split('.').next().unwrap());
    for architecture in ARCHITECTURES {
        let name = plain(architecture.model_type());
        assert!(sentence.split([' ', ',']).any(|word| word == name), "{name} is not in `{sentence}`");
    }
    assert_eq!(sentence.matches(',').count() + 2, ARCHITECTURES.len(), "`{sentence}` names others");
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
    assert!(!ci.contains("toolchain"), "CI chooses a Rust");
}
