//! A file of surrogates: it comes back from its own text, and predicts.
#![no_main]

use irene_explore::{learning::Surrogates, space::Sampling};

irene_fuzz::fuzz_text!(|text| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(surrogates) = Surrogates::parse_with("file", text, &[]) else { return };
    let written = surrogates.to_json().expect("surrogates are written");
    let again = Surrogates::parse_with("written", &written, &[]).expect("what is written is read");
    assert_eq!(again.to_json().expect("and written again"), written);
    let Ok(designs) = surrogates.space.sample(Sampling::Sobol, 1, 0) else { return };
    let Ok(candidate) = surrogates.describer().describe(designs[0].clone()) else { return };
    for &measure in surrogates.measures.keys() {
        let _ = surrogates.predict(measure, &candidate).map(|predicted| predicted.later(measure).interval());
    }
});
