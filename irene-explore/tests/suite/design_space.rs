//! The design space: embeddings, hashes and types as published, laws of embeddings, samples and moves.

use std::{collections::HashSet, path::Path};

use irene_explore::space::{DesignSpace, Embedding, ModelHash, ModelType, Sampling};
use irene_models::flexibert::Design;
use proptest::prelude::*;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use serde::Deserialize;

/// A design as the published records have it.
#[derive(Deserialize)]
struct Record {
    hash: ModelHash,
    model_type: ModelType,
    model_dict: Design,
    embedding: Embedding,
}

fn assert_as_published(space: &DesignSpace, record: &Record) {
    let Record { hash, model_type, model_dict: design, embedding } = record;
    assert_eq!(&space.embed(design).unwrap(), embedding, "{hash}");
    assert_eq!(&space.design_of(embedding).unwrap(), design, "{hash}");
    assert_eq!(&space.canonical(design), design, "{hash}");
    assert_eq!(ModelHash::of(design), *hash);
    assert_eq!(space.model_type(design), *model_type, "{hash}");
}

fn published() -> Vec<Record> {
    serde_json::from_str(include_str!("../fixtures/flexibert_designs.json")).unwrap()
}

#[test]
fn four_published_designs_have_their_embedding_hash_and_type() {
    let records = published();
    assert_eq!(records.iter().map(|record| record.model_type).collect::<HashSet<_>>().len(), 4);
    let space = DesignSpace::published();
    for record in &records {
        assert_as_published(&space, record);
    }
}

/// Reads the public measurements: the seven files below a folder `protran`.
#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn every_measured_design_has_its_embedding_hash_and_type() {
    let data = std::env::var_os("IRENE_DATA").expect("IRENE_DATA is not set");
    let files = Path::new(&data).join("protran").read_dir().expect("a folder protran below IRENE_DATA");
    let space = DesignSpace::published();
    let mut checked = Vec::new();
    for path in files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "json")) {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let Some(records) = json.get("records") else { continue };
        let records = Vec::<Record>::deserialize(records).unwrap();
        for record in &records {
            assert_as_published(&space, record);
        }
        checked.push(records.len());
    }
    checked.sort_unstable();
    assert_eq!(checked, [15, 15, 57, 64, 73, 156, 167]);
}

#[test]
fn the_order_of_heads_does_not_change_the_hash() {
    for record in published() {
        let mut layers = record.model_dict.layers().to_vec();
        for layer in &mut layers {
            layer.heads.reverse();
        }
        assert_eq!(ModelHash::of(&Design::new(layers).unwrap()), record.hash);
    }
}

#[test]
fn samples_are_distinct_and_repeat_with_their_seed() {
    let space = DesignSpace::published();
    for sampling in Sampling::ALL {
        let designs = space.sample(sampling, 200, 7).unwrap();
        assert_eq!(designs.iter().collect::<HashSet<_>>().len(), 200);
        assert!(designs.iter().all(|design| &space.canonical(design) == design && space.embed(design).is_ok()));
        assert_eq!(space.sample(sampling, 200, 7).unwrap(), designs);
        assert_ne!(space.sample(sampling, 200, 8).unwrap(), designs, "{sampling}");
        let balanced = space.sample_balanced(sampling, 64, 0).unwrap();
        let types: HashSet<ModelType> = balanced.iter().map(|design| space.model_type(design)).collect();
        assert_eq!(types.len(), 4, "{sampling}");
    }
}

#[test]
fn all_depths_are_sampled_alike() {
    let space = DesignSpace::published();
    for sampling in Sampling::ALL {
        let designs = space.sample(sampling, 600, 1).unwrap();
        for layers in &space.layers {
            let found = designs.iter().filter(|design| design.layers().len() == *layers).count();
            assert!((70..=130).contains(&found), "{sampling}: {found} of 600 have {layers} layers");
        }
    }
}

/// Any embedding of the published space, and the seed of a draw.
fn embeddings() -> impl Strategy<Value = Embedding> {
    (0..6_u32, proptest::collection::vec((0..4_u32, 0..258_u32, 0..21_805_u32), 12)).prop_map(|(depth, layers)| {
        let used = layers.iter().take(2 * (depth as usize + 1)).flat_map(|layer| [layer.0, layer.1, layer.2]);
        let mut indices: Vec<u32> = [depth].into_iter().chain(used).collect();
        indices.resize(DesignSpace::published().embedding_len(), 0);
        indices.into()
    })
}

fn space_with_design() -> impl Strategy<Value = (DesignSpace, Design)> {
    embeddings().prop_map(|embedding| {
        let space = DesignSpace::published();
        let design = space.design_of(&embedding).unwrap();
        (space, design)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn an_embedding_is_that_of_its_design(embedding in embeddings()) {
        let space = DesignSpace::published();
        let design = space.design_of(&embedding).unwrap();
        prop_assert_eq!(space.embed(&design).unwrap(), embedding);
        prop_assert_eq!(space.canonical(&design), design);
    }

    #[test]
    fn neighbours_are_distinct_other_designs_of_the_space((space, design) in space_with_design()) {
        let neighbours: Vec<Design> = space.neighbours(&design).collect();
        let distinct: HashSet<Embedding> = neighbours.iter().map(|design| space.embed(design).unwrap()).collect();
        prop_assert_eq!(distinct.len(), neighbours.len());
        prop_assert!(!distinct.contains(&space.embed(&design).unwrap()));
        prop_assert!(neighbours.iter().all(|design| &space.canonical(design) == design));
    }

    #[test]
    fn mutants_are_neighbours((space, design) in space_with_design(), seed: u64) {
        let mutant = space.mutate(&design, &mut Pcg64Mcg::seed_from_u64(seed));
        prop_assert!(space.neighbours(&design).any(|neighbour| neighbour == mutant));
        prop_assert_eq!(space.mutate(&design, &mut Pcg64Mcg::seed_from_u64(seed)), mutant);
    }

    #[test]
    fn a_crossover_has_each_choice_of_a_parent((space, one) in space_with_design(), (_, other) in space_with_design(), seed: u64) {
        let child = space.crossover(&one, &other, &mut Pcg64Mcg::seed_from_u64(seed));
        prop_assert!(space.embed(&child).is_ok());
        prop_assert_eq!(&space.canonical(&child), &child);
        let parents = || [&one, &other].into_iter();
        prop_assert!(parents().any(|parent| parent.layers().len() == child.layers().len()));
        for (index, layer) in child.layers().iter().enumerate() {
            let layers = || parents().filter_map(|parent| parent.layers().get(index));
            prop_assert!(layers().any(|parent| parent.hidden == layer.hidden));
            prop_assert!(layers().any(|parent| parent.feed_forward == layer.feed_forward));
            prop_assert!(layers().any(|parent| parent.heads == layer.heads));
        }
    }

    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in ".{0,200}", cut in 0..600_usize) {
        let published = include_str!("../../spaces/flexibert.yaml");
        let architecture = &published[published.find("architecture").unwrap()..];
        let cut = cut.min(architecture.len());
        let spliced = format!("{}{text}{}", &architecture[..cut], &architecture[cut..]);
        for text in [text, spliced] {
            if let Err(error) = DesignSpace::from_yaml("space.yaml", &text) {
                let message = error.to_string();
                prop_assert!(message.starts_with("space.yaml: ") && message.lines().count() == 1, "{message}");
            }
        }
    }

    #[test]
    fn any_numbers_are_an_embedding_or_refused(
        indices in prop_oneof![
            proptest::collection::vec(any::<u32>(), 0..60),
            proptest::collection::vec(0..7_u32, 37),
        ],
    ) {
        let space = DesignSpace::published();
        let embedding = Embedding::from(indices);
        if let Ok(design) = space.design_of(&embedding) {
            prop_assert_eq!(space.embed(&design).unwrap(), embedding);
        }
    }
}
