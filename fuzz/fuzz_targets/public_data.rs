//! Public tables of language models' measurements, recognised by their columns: every figure that is accepted is in range.
#![no_main]

use irene_predict::{PublicData, PublicFile};

irene_fuzz::fuzz_text!(|text| {
    let path = irene_fuzz::file("table.csv", text);
    let Ok(Some(file)) = PublicFile::read(&path) else { return };
    if let PublicData::Kernels(measured) | PublicData::Passes(measured) = file.data {
        assert!(measured.iter().all(|measured| measured.seconds.is_finite() && measured.seconds > 0.0));
    }
});
