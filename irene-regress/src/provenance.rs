use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use irene_tree::{Node, Precision, Quantity, Size, Tree, jsonl};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Result, TreeSource, noise};

/// The device, sizes and precision that a predictor was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Whether energies that it learned from are a power model's estimates rather than a meter's readings.
    #[serde(skip_serializing_if = "is_false")]
    pub estimated: bool,
    /// Half the 95% interval of the training energies by their own measurement, as a share; None if the trees do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<f64>,
    /// The device's memory, GiB; None if nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gib: Option<f64>,
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

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes it like this
fn is_false(value: &bool) -> bool {
    !value
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
    fn of(Size { sequences, new, past }: Size) -> Self {
        Self { sequences: [sequences; 2], new: [new; 2], past: [past; 2] }
    }

    /// The ranges that hold both.
    fn union(&self, other: &Self) -> Self {
        let both = |a: [usize; 2], b: [usize; 2]| [a[0].min(b[0]), a[1].max(b[1])];
        Self {
            sequences: both(self.sequences, other.sequences),
            new: both(self.new, other.new),
            past: both(self.past, other.past),
        }
    }

    /// The ranges in the text of older files, which have no fields for them: `...; batch 8 to 32, sequence 32 to 256; ...`.
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
        let mut training = TrainingData::default();
        trees.iter().for_each(|tree| training.add(tree));
        training.provenance(device.into())
    }

    /// The same, of trees that memory may not hold.
    ///
    /// # Errors
    /// Those of the source.
    pub fn of(device: impl Into<String>, source: &dyn TreeSource) -> Result<Self> {
        let mut training = TrainingData::default();
        source.each(&mut |tree| {
            training.add(tree);
            Ok(())
        })?;
        Ok(training.provenance(device.into()))
    }

    /// The provenance of a predictor that was carried over to this device from these trees: it knows the sizes and formats of both, and rests
    /// on estimates if either does.
    pub(crate) fn carried_over(&self, device: impl Into<String>, trees: &[Tree]) -> Self {
        let mut here = Self::new(device, trees);
        let known = self.sizes.map_or_else(String::new, |sizes| format!(" ({sizes})"));
        here.training_data = format!("{}; carried over from {}{known}", here.training_data, self.device);
        here.sizes = here.sizes.map(|sizes| self.sizes.map_or(sizes, |before| sizes.union(&before))).or(self.sizes);
        here.precisions =
            here.precisions.iter().chain(&self.precisions).copied().collect::<BTreeSet<_>>().into_iter().collect();
        here.estimated |= self.estimated;
        here
    }

    /// The word for its figures: `predicted`, or what they rest on beside that.
    pub fn basis(&self) -> &'static str {
        if self.estimated { "predicted from estimated energies" } else { "predicted" }
    }

    /// How far off the training energies may be by their own measurement, and what would narrow it, if it is worth a warning.
    pub fn warning(&self) -> Option<String> {
        /// Half the 95% interval, as a share, up to which the quick protocol is content.
        const CONTENT: f64 = 0.05;
        let share = self.uncertainty.filter(|share| *share > CONTENT)?;
        Some(format!(
            "the training energies are known to ±{:.0}% only (95%), and so is what is predicted from them: longer rounds (irene profile \
             --round SECONDS), more rounds (--rounds N), or more trees narrow this",
            100.0 * share
        ))
    }
}

/// The figures of a provenance, gathered tree by tree.
#[derive(Default)]
struct TrainingData {
    trees: usize,
    models: BTreeMap<String, usize>,
    sizes: Option<SizeRanges>,
    precisions: BTreeSet<Precision>,
    is_estimated: bool,
    energies: noise::OfEnergies,
    hash: Sha256,
}

impl TrainingData {
    fn add(&mut self, tree: &Tree) {
        self.trees += 1;
        *self.models.entry(tree.model_name.clone()).or_default() += 1;
        self.sizes = self.sizes.into_iter().chain(sizes(tree).map(SizeRanges::of)).reduce(|a, b| a.union(&b));
        self.precisions.insert(tree.precision);
        // A predictor that learned from estimates predicts estimates.
        self.is_estimated |= tree.nodes().iter().any(Node::is_energy_estimated);
        self.energies.add(tree);
        self.hash.update(jsonl::to_json(tree));
        self.hash.update("\n");
    }

    /// The models with their numbers of trees, as far as a reader wants to know.
    fn models(&self) -> String {
        /// More are counted.
        const MOST: usize = 50;
        let named = if self.models.len() > MOST { MOST - 1 } else { MOST };
        let mut models: Vec<String> =
            self.models.iter().take(named).map(|(model, count)| format!("{model} ({count})")).collect();
        if self.models.len() > MOST {
            models.push(format!("{} more models", self.models.len() - named));
        }
        models.join(", ")
    }

    fn provenance(self, device: String) -> Provenance {
        let ranges = self.sizes.map_or_else(String::new, |sizes| format!("; {sizes}"));
        let estimated = if self.is_estimated { "; energies estimated" } else { "" };
        let count = if self.trees == 1 { "1 tree".to_owned() } else { format!("{} trees", self.trees) };
        Provenance {
            device,
            training_data: format!("{count}: {}{ranges}{estimated}", self.models()),
            sizes: self.sizes,
            precisions: self.precisions.into_iter().collect(),
            estimated: self.is_estimated,
            uncertainty: self.energies.share(),
            memory_gib: None,
            digest: self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            trained_by: concat!("irene-regress ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// `batch 8 to 32, sequence 32 to 512`.
impl fmt::Display for SizeRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequences: [a, b], new: [c, d], past } = *self;
        write!(f, "batch {a} to {b}, sequence {c} to {d}")?;
        if past == [0; 2] { Ok(()) } else { write!(f, " after {} to {}", past[0], past[1]) }
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
    /// Absent from older files, which have a word in their text.
    estimated: Option<bool>,
    uncertainty: Option<f64>,
    memory_gib: Option<f64>,
    digest: String,
    trained_by: String,
}

impl From<Stored> for Provenance {
    fn from(stored: Stored) -> Self {
        let Stored { device, training_data, sizes, precisions, estimated, uncertainty, memory_gib, digest, trained_by } =
            stored;
        let sizes = sizes.or_else(|| SizeRanges::from_text(&training_data));
        let estimated = estimated.unwrap_or_else(|| training_data.split("; ").any(|part| part == "energies estimated"));
        Self { device, training_data, sizes, precisions, estimated, uncertainty, memory_gib, digest, trained_by }
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
        assert!(older.estimated && !read("2 trees; batch 8 to 32, sequence 32 to 256", "").estimated);
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
