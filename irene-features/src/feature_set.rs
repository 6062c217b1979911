use std::fmt;

use irene_tree::{Level, NodeId, Quantity, Tree};

/// One column: a size of the input or a quantity of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Sequences in the batch.
    BatchSize,
    /// Tokens in a sequence.
    SeqLen,
    /// Tokens in the batch.
    InputSize,
    /// A number that the node carries.
    Node(Quantity),
}

impl Feature {
    /// The name, as in the interchange format.
    pub fn name(self) -> &'static str {
        match self {
            Self::BatchSize => "batch_size",
            Self::SeqLen => "seq_len",
            Self::InputSize => "input_size",
            Self::Node(quantity) => quantity.name(),
        }
    }

    /// The feature with this name.
    ///
    /// # Errors
    /// [`UnknownFeature`] if there is none.
    pub fn from_name(name: &str) -> Result<Self, UnknownFeature> {
        [Self::BatchSize, Self::SeqLen, Self::InputSize]
            .into_iter()
            .find(|feature| feature.name() == name)
            .or_else(|| Quantity::from_name(name).map(Self::Node))
            .ok_or_else(|| UnknownFeature(name.to_owned()))
    }

    /// The node's value, if it is known.
    pub fn of(self, tree: &Tree, id: NodeId) -> Option<f64> {
        match self {
            Self::BatchSize => Some(tree.size_of(id).sequences as f64),
            Self::SeqLen => Some(tree.size_of(id).new as f64),
            Self::InputSize => Some(tree.size_of(id).tokens() as f64),
            Self::Node(quantity) => tree.node(id).get(quantity),
        }
    }
}

/// A name that belongs to no feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a feature; there are batch_size, seq_len, input_size and the numbers of a node")]
pub struct UnknownFeature(pub String);

/// A node that lacks a feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tree}, node `{scope}`: feature `{feature}` is missing")]
pub struct MissingFeature {
    /// The tree.
    pub tree: String,
    /// The node's scope.
    pub scope: String,
    /// The feature's name.
    pub feature: &'static str,
}

/// Named columns in a fixed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSet {
    features: Vec<Feature>,
}

/// Features that the architecture and the input size alone decide, in the order of IrEne's code.
const SPECS: [Feature; 6] = [
    Feature::Node(Quantity::NumParameters),
    Feature::InputSize,
    Feature::BatchSize,
    Feature::SeqLen,
    Feature::Node(Quantity::Flops),
    Feature::Node(Quantity::MemBytes),
];

/// Features that a run on a machine shows.
const RESOURCES: [Feature; 8] = [
    Feature::Node(Quantity::Cpu),
    Feature::Node(Quantity::Mem),
    Feature::Node(Quantity::Gpu),
    Feature::Node(Quantity::GpuMem),
    Feature::Node(Quantity::GpuClk),
    Feature::Node(Quantity::GpuMemClk),
    Feature::Node(Quantity::Latency),
    Feature::Node(Quantity::GpuEnergy),
];

/// IrEne's code keeps these two in every ablation.
const ALWAYS: [Feature; 2] = [Feature::Node(Quantity::NumParameters), Feature::InputSize];

impl FeatureSet {
    /// The specs: num_parameters, input_size, batch_size, seq_len, flops, mem_bytes.
    pub fn specs() -> Self {
        Self { features: SPECS.to_vec() }
    }

    /// The resources: cpu, mem, gpu, gpu_mem, gpu_clk, gpu_mem_clk, times_mean, gpu_energy_mean; before them num_parameters
    /// and input_size, which IrEne's code adds to every set.
    pub fn resources() -> Self {
        Self { features: [&ALWAYS[..], &RESOURCES].concat() }
    }

    /// Specs and resources: the fourteen columns of the paper's main results.
    pub fn all() -> Self {
        Self { features: [&SPECS[..], &RESOURCES].concat() }
    }

    /// A set of these features, in this order.
    pub fn custom(features: impl Into<Vec<Feature>>) -> Self {
        Self { features: features.into() }
    }

    /// The set with these names.
    ///
    /// # Errors
    /// [`UnknownFeature`] for the first unknown name.
    pub fn from_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, UnknownFeature> {
        let features = names.into_iter().map(|name| Feature::from_name(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { features })
    }

    /// The columns in order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The columns that every node of these trees has, and the others. Single operations do not count.
    pub fn known_in(&self, trees: &[Tree]) -> (Self, Vec<Feature>) {
        let nodes = || trees.iter().flat_map(|tree| tree.ids().map(move |id| (tree, id)));
        let nodes = || nodes().filter(|&(tree, id)| tree.node(id).level() != Level::Math);
        let is_known = |feature: &Feature| nodes().all(|(tree, id)| feature.of(tree, id).is_some());
        let (known, missing) = self.features.iter().partition(|feature| is_known(feature));
        (Self { features: known }, missing)
    }

    /// Whether any column is from running on a machine.
    pub fn has_resources(&self) -> bool {
        self.features.iter().any(|feature| RESOURCES.contains(feature))
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there are no columns.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The node's values, column by column.
    ///
    /// # Errors
    /// [`MissingFeature`] for the first unknown value.
    pub fn row(&self, tree: &Tree, id: NodeId) -> Result<Vec<f64>, MissingFeature> {
        let value = |&feature: &Feature| {
            feature.of(tree, id).ok_or_else(|| MissingFeature {
                tree: tree.to_string(),
                scope: tree.node(id).scope().to_owned(),
                feature: feature.name(),
            })
        };
        self.features.iter().map(value).collect()
    }
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.features.iter().map(|feature| feature.name()).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Size, TreeBuilder};

    use super::*;

    /// A root with one measured part and a single operation below it.
    fn tree() -> Tree {
        let mut builder = TreeBuilder::new("m", Size::new(2, 5));
        builder.enter("root", "M", Level::Model).set(Quantity::Flops, 3.0);
        builder.enter("part", "Part", Level::Ml).set(Quantity::Flops, 2.0);
        builder.leaf("add", "add", Level::Math, None);
        builder.leave();
        builder.leave();
        builder.finish().unwrap()
    }

    /// The columns of IrEne's main results: six from the specs, eight from the run; an ablation keeps parameters and tokens.
    #[test]
    fn the_sets_are_those_of_irenes_code() {
        let names = |set: FeatureSet| set.to_string();
        let specs = "num_parameters, input_size, batch_size, seq_len, flops, mem_bytes";
        let resources = "cpu, mem, gpu, gpu_mem, gpu_clk, gpu_mem_clk, times_mean, gpu_energy_mean";
        assert_eq!(names(FeatureSet::specs()), specs);
        assert_eq!(names(FeatureSet::resources()), format!("num_parameters, input_size, {resources}"));
        assert_eq!(names(FeatureSet::all()), format!("{specs}, {resources}"));
        let has = [FeatureSet::specs(), FeatureSet::resources(), FeatureSet::all()].map(|set| set.has_resources());
        assert_eq!(has, [false, true, true]);
        assert_eq!((FeatureSet::all().len(), FeatureSet::all().is_empty()), (14, false));
        assert!(FeatureSet::custom([]).is_empty());
    }

    #[test]
    fn a_set_reads_back_from_its_names_and_refuses_others() {
        let all = FeatureSet::all();
        let again = FeatureSet::from_names(all.features().iter().map(|feature| feature.name()));
        assert_eq!(again, Ok(all));
        assert_eq!(FeatureSet::from_names(["flops", "colour"]), Err(UnknownFeature("colour".into())));
    }

    #[test]
    fn a_row_has_the_nodes_numbers_and_names_the_first_that_is_missing() {
        let tree = tree();
        let set = FeatureSet::from_names(["batch_size", "seq_len", "input_size", "flops"]).unwrap();
        assert_eq!(set.row(&tree, NodeId::ROOT), Ok(vec![2.0, 5.0, 10.0, 3.0]));
        let missing = FeatureSet::specs().row(&tree, NodeId::ROOT).unwrap_err();
        assert_eq!(missing.to_string(), "m 2x5, node `root`: feature `num_parameters` is missing");
    }

    #[test]
    fn a_column_is_known_if_every_node_but_single_operations_has_it() {
        let (known, missing) = FeatureSet::from_names(["cpu", "flops"]).unwrap().known_in(&[tree()]);
        assert_eq!((known.to_string().as_str(), missing), ("flops", vec![Feature::Node(Quantity::Cpu)]));
    }
}
