use std::collections::{BTreeMap, BTreeSet};

use irene_features::FeatureSet;
use irene_numerics::StandardScaler;
use irene_tree::{Level, Node, NodeId, Tree};

use super::{measured_energy, rows::Rows};
use crate::{Error, Result, Store, Term, TreeSource, gpus::on_one_gpu};

/// One ordinary least squares regressor per primitive, on standardised features (equation 1).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaves {
    /// By instance type in lower case.
    regressors: BTreeMap<String, Regressor>,
    /// Instance types of which the training trees have nodes and no energy.
    unmeasured: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Regressor {
    scaler: StandardScaler,
    coefficients: Vec<f64>,
    intercept: f64,
}

/// The header field of the instance types without energies.
const UNMEASURED: &str = "unmeasured";

impl Leaves {
    pub(super) fn fit(trees: &dyn TreeSource, features: &FeatureSet) -> Result<Self> {
        // Rows of features and energy.
        let mut rows: BTreeMap<String, Rows> = BTreeMap::new();
        let (mut unmeasured, mut is_empty) = (BTreeSet::new(), true);
        trees.each(&mut |tree| {
            is_empty = false;
            on_one_gpu(tree)?;
            for id in tree.ids().filter(|&id| tree.node(id).level() == Level::Ml) {
                let mut row = features.row(tree, id)?;
                let instance_type = tree.node(id).instance_type().to_ascii_lowercase();
                let Some(joules) = measured_energy(tree, id)? else {
                    unmeasured.insert(instance_type);
                    continue;
                };
                row.push(joules);
                rows.entry(instance_type).or_insert_with(|| Rows::new(row.len())).insert(&row, 1);
            }
            Ok(())
        })?;
        if is_empty {
            return Err(Error::Training("no trees".into()));
        }
        unmeasured.retain(|instance_type| !rows.contains_key(instance_type));
        let regressors = rows.into_iter().map(|(primitive, rows)| {
            let (scaler, coefficients, intercept) = rows.regression(features.len());
            (primitive, Regressor { scaler, coefficients, intercept })
        });
        Ok(Self { regressors: regressors.collect(), unmeasured })
    }

    /// Whether no primitive was measured.
    pub(super) fn is_empty(&self) -> bool {
        self.regressors.is_empty()
    }

    /// The instance types, in lower case, of which the training trees have nodes and no energy.
    pub(super) fn unmeasured(&self) -> impl Iterator<Item = &str> {
        self.unmeasured.iter().map(String::as_str)
    }

    pub(super) fn is_unmeasured(&self, node: &Node) -> bool {
        self.unmeasured.contains(&node.instance_type().to_ascii_lowercase())
    }

    fn regressor(&self, tree: &Tree, id: NodeId) -> Result<&Regressor> {
        let node = tree.node(id);
        let regressor = self.regressors.get(&node.instance_type().to_ascii_lowercase());
        regressor.ok_or_else(|| Error::UnseenOperation {
            tree: tree.to_string(),
            scope: node.scope().to_owned(),
            instance_type: node.instance_type().to_owned(),
            known: self.regressors.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The energy of a leaf with these features, J; None if nothing was measured of its kind.
    pub(super) fn predict(&self, tree: &Tree, id: NodeId, row: &[f64]) -> Result<Option<f64>> {
        if self.is_unmeasured(tree.node(id)) {
            return Ok(None);
        }
        Ok(Some(self.regressor(tree, id)?.predict(row)))
    }

    /// The terms of that energy: the mean, and each feature by its distance from its mean.
    pub(super) fn terms(&self, tree: &Tree, id: NodeId, row: &[f64], features: &FeatureSet) -> Result<Vec<Term>> {
        if self.is_unmeasured(tree.node(id)) {
            return Ok(Vec::new());
        }
        let regressor = self.regressor(tree, id)?;
        let of_features =
            features.features().iter().zip(regressor.scaler.transformed(row)).zip(&regressor.coefficients);
        let of_features = of_features.map(|((feature, deviations), coefficient)| {
            Term::new(feature.name(), deviations, "standard deviation", *coefficient)
        });
        Ok([Term::new("mean of its kind", 1.0, "node", regressor.intercept)].into_iter().chain(of_features).collect())
    }

    pub(super) fn write(&self, store: &mut Store) {
        store.set_list("primitives", self.regressors.keys());
        if !self.unmeasured.is_empty() {
            store.set_list(UNMEASURED, self.unmeasured.iter());
        }
        for (primitive, regressor) in &self.regressors {
            store.put_scaler(&format!("leaf.{primitive}"), &regressor.scaler);
            store.put(&format!("leaf.{primitive}.coefficients"), &regressor.coefficients);
            store.put(&format!("leaf.{primitive}.intercept"), &[regressor.intercept]);
        }
    }

    pub(super) fn read(store: &Store, columns: usize) -> Result<Self> {
        let read = |primitive: String| {
            let regressor = Regressor {
                scaler: store.take_scaler(&format!("leaf.{primitive}"), columns)?,
                coefficients: store.take(&format!("leaf.{primitive}.coefficients"), columns)?,
                intercept: store.take(&format!("leaf.{primitive}.intercept"), 1)?[0],
            };
            Ok((primitive, regressor))
        };
        let regressors = store.get_list("primitives")?.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Self { regressors, unmeasured: store.get_list_if_any(UNMEASURED)?.into_iter().collect() })
    }
}

impl Regressor {
    fn predict(&self, row: &[f64]) -> f64 {
        self.intercept
            + self.scaler.transformed(row).zip(&self.coefficients).map(|(x, coefficient)| x * coefficient).sum::<f64>()
    }
}
