//! A design space in YAML: it comes back from its JSON, and its designs are in it.
#![no_main]

use irene_explore::space::{DesignSpace, Sampling};

irene_fuzz::fuzz_text!(|text| {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(space) = DesignSpace::from_yaml("file", text) else { return };
    let json = serde_json::to_string(&space).expect("a space is written");
    assert_eq!(serde_json::from_str::<DesignSpace>(&json).expect("and read"), space, "{json}");
    assert!(space.count().log10() >= 0.0);
    let Ok(designs) = space.sample(Sampling::Sobol, 2, 0) else { return };
    for design in designs {
        let embedding = space.embed(&design).expect("a design of the space");
        assert_eq!(space.design_of(&embedding).expect("and back"), design);
        let _ = space.neighbours(&design).take(8).count();
    }
});
