use irene_models::flexibert::{Head, LayerDesign};
use proptest::prelude::*;

use super::*;

/// The costs of the whole tree at once.
fn traced(design: &Design, seq_len: usize) -> DesignFeatures {
    let tree = trace(design, seq_len).unwrap();
    let mut all = DesignFeatures::NONE;
    tree.ids().for_each(|id| all.count(&tree, id));
    all
}

fn heads() -> impl Strategy<Value = Vec<Head>> {
    let head = prop::sample::select(vec![
        Head::ScaledDotProduct,
        Head::Weighted,
        Head::Dft,
        Head::Dct,
        Head::Convolution(5),
        Head::Convolution(13),
    ]);
    prop::sample::select(vec![2, 4, 8, 12]).prop_flat_map(move |count| prop::collection::vec(head.clone(), count))
}

fn designs() -> impl Strategy<Value = Design> {
    let widths = prop::collection::vec(prop::sample::select(vec![256usize, 1024, 4096]), 1..=3);
    let hidden = prop::sample::select(vec![128usize, 256, 768]);
    let layer =
        (hidden, heads(), widths).prop_map(|(hidden, heads, feed_forward)| LayerDesign { hidden, heads, feed_forward });
    prop::collection::vec(layer, 1..=6).prop_map(|layers| Design::new(layers).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn put_together_from_parts_they_are_those_of_the_whole_tree(design in designs(), lengths in prop::array::uniform2(1usize..=512)) {
        // One table for several lengths.
        let table = FeatureTable::default();
        for seq_len in lengths {
        let (whole, parts) = (traced(&design, seq_len), table.features(&design, seq_len).unwrap());
        for (index, (whole, parts)) in whole.values().iter().zip(parts.values()).enumerate() {
            prop_assert!((whole - parts).abs() <= 1e-9 * whole.abs(), "feature {index}: {whole} {parts}");
        }
        prop_assert_eq!(parts.get(DesignFeature::Layers), design.layers().len() as f64);
        }
    }
}
