//! Records of measured designs, and designs alone: both come back from a file, and are described or refused.
#![no_main]

use irene_explore::{Dataset, Describer, parse_designs, space::DesignSpace};

irene_fuzz::fuzz_text!(|text| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(designs) = parse_designs("file", text) {
        let lines: Vec<String> =
            designs.iter().map(|design| serde_json::to_string(design).expect("a design")).collect();
        let lines = lines.join("\n");
        assert_eq!(parse_designs("written", &lines).expect("what is written is read"), designs, "{lines}");
    }
    let Ok(data) = Dataset::parse("file", "device", text) else { return };
    let lines: Vec<String> =
        data.records.iter().map(|record| serde_json::to_string(record).expect("a record")).collect();
    let lines = lines.join("\n");
    assert_eq!(Dataset::parse("written", &data.device, &lines).expect("what is written is read"), data, "{lines}");
    if let Ok(candidates) = Describer::new(DesignSpace::published()).describe_all(&data) {
        assert!(candidates.iter().all(|candidate| candidate.coordinates().iter().all(|at| at.is_finite())));
    }
});
