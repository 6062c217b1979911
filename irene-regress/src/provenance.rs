use std::collections::{BTreeMap, BTreeSet};

use irene_tree::{Node, Precision, Quantity, Size, Tree, jsonl};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The device, sizes and precision that a predictor was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Provenance {
    /// The machine, as its user names it.
    pub device: String,
    /// How many trees of which models and sizes, for people to read.
    pub training_data: String,
    /// The sizes of the training trees; None if a file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<SizeRanges>,
    /// The number formats that the training trees ran in, each once.
    pub precisions: Vec<Precision>,
    /// SHA-256 of the training trees' interchange lines.
    pub digest: String,
    /// The program that trained it.
    pub trained_by: String,
}

/// Least and greatest of the training trees' sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeRanges {
    /// Sequences in the batch; `batch_size` in files.
    #[serde(rename = "batch_size")]
    pub sequences: [usize; 2],
    /// Tokens of each sequence that go in; `seq_len` in files.
    #[serde(rename = "seq_len")]
    pub new: [usize; 2],
    /// Tokens of each sequence that are in the cache already; `past_len` in files, absent for none.
    #[serde(rename = "past_len", default, skip_serializing_if = "is_zero")]
    pub past: [usize; 2],
}

fn is_zero(range: &[usize; 2]) -> bool {
    *range == [0; 2]
}

/// The size of a tree, or those of a generation's passes.
pub(crate) fn sizes(tree: &Tree) -> impl Iterator<Item = Size> {
    let of_nodes: Vec<Size> = tree.nodes().iter().filter_map(|node| node.size).collect();
    let own = of_nodes.is_empty().then_some(tree.size);
    own.into_iter().chain(of_nodes)
}

impl SizeRanges {
    /// Those of some trees; None of none.
    fn of(trees: &[Tree]) -> Option<Self> {
        let sizes: Vec<Size> = trees.iter().flat_map(sizes).collect();
        let range = |of: fn(&Size) -> usize| Some([sizes.iter().map(of).min()?, sizes.iter().map(of).max()?]);
        let [sequences, new] = [range(|size| size.sequences)?, range(|size| size.new)?];
        Some(Self { sequences, new, past: range(|size| size.past)? })
    }

    /// Those that the text of older files tells, which have no fields for them: `...; batch 8 to 32, sequence 32 to 256; ...`.
    fn from_text(training_data: &str) -> Option<Self> {
        let sizes = training_data.split("; ").find_map(|part| part.strip_prefix("batch "))?;
        let (sequences, new) = sizes.split_once(", sequence ")?;
        let range = |text: &str| {
            let (least, greatest) = text.split_once(" to ")?;
            Some([least.parse().ok()?, greatest.parse().ok()?])
        };
        Some(Self { sequences: range(sequences)?, new: range(new)?, past: [0; 2] })
    }
}

impl Provenance {
    /// Whether training trees were in these formats; a cache without tokens says nothing.
    pub(crate) fn knows(&self, tree: &Tree) -> bool {
        let Precision { weights, activations, cache } = tree.precision;
        let has_cache = tree.root().get(Quantity::CacheBytes).is_some_and(|mib| mib > 0.0);
        let is_known = |known: &Precision| {
            (known.weights, known.activations) == (weights, activations) && (!has_cache || known.cache == cache)
        };
        self.precisions.iter().any(is_known)
    }

    /// The provenance of a predictor trained on these trees, measured on this device.
    pub fn new(device: impl Into<String>, trees: &[Tree]) -> Self {
        let mut models: BTreeMap<&str, usize> = BTreeMap::new();
        let mut hash = Sha256::new();
        for tree in trees {
            *models.entry(&tree.model_name).or_default() += 1;
            hash.update(jsonl::to_json(tree));
            hash.update("\n");
        }
        let counts = models.iter().map(|(model, count)| format!("{model} ({count})")).collect::<Vec<_>>().join(", ");
        let sizes = SizeRanges::of(trees);
        let ranges = sizes.map_or_else(String::new, |SizeRanges { sequences: [a, b], new: [c, d], .. }| {
            format!("; batch {a} to {b}, sequence {c} to {d}")
        });
        // A predictor that learned from estimates predicts estimates.
        let is_estimated = trees.iter().flat_map(Tree::nodes).any(Node::is_energy_estimated);
        let estimated = if is_estimated { "; energies estimated" } else { "" };
        Self {
            device: device.into(),
            training_data: format!("{} trees: {counts}{ranges}{estimated}", trees.len()),
            sizes,
            precisions: trees.iter().map(|tree| tree.precision).collect::<BTreeSet<_>>().into_iter().collect(),
            digest: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            trained_by: concat!("irene-regress ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

fn only_f32() -> Vec<Precision> {
    vec![Precision::F32]
}

/// A provenance as files have it.
#[derive(Deserialize)]
struct Stored {
    device: String,
    training_data: String,
    sizes: Option<SizeRanges>,
    /// Absent from older files, which are about 32-bit floats.
    #[serde(default = "only_f32")]
    precisions: Vec<Precision>,
    digest: String,
    trained_by: String,
}

impl From<Stored> for Provenance {
    fn from(Stored { device, training_data, sizes, precisions, digest, trained_by }: Stored) -> Self {
        let sizes = sizes.or_else(|| SizeRanges::from_text(&training_data));
        Self { device, training_data, sizes, precisions, digest, trained_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(training_data: &str, more: &str) -> Provenance {
        let fields =
            format!(r#""device": "x", "digest": "", "trained_by": "", "training_data": "{training_data}"{more}"#);
        serde_json::from_str(&format!("{{{fields}}}")).unwrap()
    }

    #[test]
    fn older_files_tell_the_ranges_in_their_text_and_mean_32_bit_floats() {
        let text = "166 trees: bert (166); batch 8 to 32, sequence 32 to 256; energies estimated; carried over from a machine; batch ?";
        let older = read(text, "");
        assert_eq!(older.sizes, Some(SizeRanges { sequences: [8, 32], new: [32, 256], past: [0, 0] }));
        assert_eq!(older.precisions, [Precision::F32]);
        for text in ["", "batch 1", "2 trees; batch 1 to 2", "2 trees; batch 1 to x, sequence 1 to 2"] {
            assert_eq!(read(text, "").sizes, None, "{text}");
        }
    }

    #[test]
    fn fields_of_their_own_come_before_the_text() {
        let more = r#", "sizes": {"batch_size": [1, 2], "seq_len": [3, 4], "past_len": [0, 9]},
            "precisions": [{"weights": "q4_k", "activations": "bf16", "cache": "bf16"}]"#;
        let newer = read("2 trees; batch 8 to 32, sequence 32 to 256", more);
        assert_eq!(newer.sizes, Some(SizeRanges { sequences: [1, 2], new: [3, 4], past: [0, 9] }));
        assert_eq!(newer.precisions[0].to_string(), "q4_k weights, bf16 activations");
        let again: Provenance = serde_json::from_value(serde_json::to_value(&newer).unwrap()).unwrap();
        assert_eq!(again, newer);
    }
}
