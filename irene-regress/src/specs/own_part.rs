use irene_features::MissingFeature;
use irene_tree::{NodeId, Quantity, Tree};

use crate::{Result, Store, nnls, paper::ground_truth, table::Table};

/// What a module spends itself, beside its children, J:
///
/// | coefficient | unit | what for |
/// |---|---|---|
/// | `per_call` | J/call | entering the module: the host's work while the device waits |
/// | `per_kernel` | J/kernel | launching its own operations |
/// | `per_mib_moved` | J/MiB | what they move, element by element |
/// | `per_mib_copied` | J/MiB | what they copy between layouts, which runs against the grain of memory |
///
/// None is negative, so that no own part is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OwnPart {
    coefficients: [f64; TERMS],
}

const TERMS: usize = 4;

impl OwnPart {
    /// The non-negative least squares of the relative error of each module, given what its children were measured at.
    /// The trees are without their math level.
    pub(super) fn fit(trees: &[&Tree]) -> Result<Self> {
        // Layers repeat their measurement.
        let mut table = Table::new(TERMS + 1);
        for tree in trees {
            let mut of_tree = std::collections::HashSet::new();
            for id in tree.ids().filter(|&id| !tree.is_leaf(id)) {
                let total = ground_truth(tree, id)?;
                let mut rest = total;
                for child in tree.children(id) {
                    rest -= ground_truth(tree, child)?;
                }
                let mut row = terms(tree, id)?.map(|term| term / total).to_vec();
                row.push(rest / total);
                if of_tree.insert(row.iter().map(|x| x.to_bits()).collect::<Vec<_>>()) {
                    table.insert(&row);
                }
            }
        }
        let rows: Vec<[f64; TERMS]> = table.all().map(|row| std::array::from_fn(|term| row[term])).collect();
        let targets: Vec<f64> = table.all().map(|row| row[TERMS]).collect();
        Ok(Self { coefficients: nnls::solve(&rows, &targets) })
    }

    /// Joules that the node spends itself: a module beside its children, or a single operation.
    pub(super) fn energy(&self, tree: &Tree, id: NodeId) -> Result<f64> {
        Ok(terms(tree, id)?.iter().zip(&self.coefficients).map(|(term, coefficient)| term * coefficient).sum())
    }

    pub(super) fn write(&self, store: &mut Store) {
        store.put("own_part", &self.coefficients);
    }

    pub(super) fn read(store: &Store) -> Result<Self> {
        let numbers = store.take("own_part", TERMS)?;
        if numbers.iter().any(|coefficient| *coefficient < 0.0) {
            return Err(store.error("`own_part` must not be negative".into()));
        }
        Ok(Self { coefficients: std::array::from_fn(|term| numbers[term]) })
    }
}

fn is_math(tree: &Tree, id: NodeId) -> bool {
    tree.node(id).level() == irene_tree::Level::Math
}

/// Calls, kernels, MiB moved and MiB copied of the node itself; where the tree shows the math level, a module's operations
/// are nodes of their own.
fn terms(tree: &Tree, id: NodeId) -> Result<[f64; TERMS]> {
    let own = |quantity: Quantity| {
        tree.own(id, quantity).map(|own| own.max(0.0)).ok_or_else(|| MissingFeature {
            tree: tree.to_string(),
            scope: tree.node(id).scope().to_owned(),
            feature: quantity.name(),
        })
    };
    let calls = f64::from(u8::from(!is_math(tree, id)));
    let copied = own(Quantity::CopiedBytes)?;
    Ok([calls, own(Quantity::Kernels)?, (own(Quantity::MovedBytes)? - copied).max(0.0), copied])
}
