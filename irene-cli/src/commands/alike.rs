//! Whether the trees of a file look like measurements of one machine by one meter.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use irene_numerics::median;
use irene_tree::{Level, Quantity, Tree};

use super::trees::count;

/// The field of a tree that has the settings of its measurement.
pub(crate) const MEASURING_FIELD: &str = "measuring";

/// Settings that all trees of a machine have in common. Number formats may differ: each is learned apart.
const SETTINGS: [&str; 3] = ["meters", "tdp_watts", "device"];

/// The settings and powers of a file's trees, gathered tree by tree.
#[derive(Default)]
pub(crate) struct Alike {
    trees: Vec<String>,
    settings: BTreeMap<&'static str, BTreeSet<String>>,
    /// For each class, the places of trees and the mean power of its nodes there, W.
    powers: BTreeMap<String, Vec<(usize, f64)>>,
    /// Trees with the bits of their energies, to find copies.
    energies: HashSet<(String, u64)>,
    copies: usize,
}

impl Alike {
    pub(crate) fn add(&mut self, tree: &Tree) {
        let (place, name) = (self.trees.len(), tree.to_string());
        if let Some(joules) = tree.root().get(Quantity::GroundTruthEnergy) {
            self.copies += usize::from(!self.energies.insert((name.clone(), joules.to_bits())));
        }
        self.trees.push(name);
        let settings = tree.extra.get(MEASURING_FIELD);
        for (name, value) in SETTINGS.iter().filter_map(|name| Some((*name, settings?.get(*name)?))) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.settings.entry(name).or_default().insert(value);
        }
        let mut sums = BTreeMap::<&str, [f64; 2]>::new();
        for node in tree.nodes().iter().filter(|node| node.level() != Level::Math) {
            let known = node.get(Quantity::GroundTruthEnergy).zip(node.get(Quantity::Latency));
            let Some((joules, seconds)) = known else { continue };
            let sum = sums.entry(node.instance_type()).or_default();
            *sum = [sum[0] + joules, sum[1] + seconds];
        }
        for (class, [joules, seconds]) in sums {
            let watts = joules / seconds;
            if watts.is_finite() && watts > 0.0 {
                self.powers.entry(class.to_owned()).or_default().push((place, watts));
            }
        }
    }

    /// A sentence for each thing that does not look like one machine.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let several = self.settings.iter().filter(|(_, values)| values.len() > 1).map(|(name, values)| {
            let values = values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("trees of several `{MEASURING_FIELD}.{name}` ({values}); what is learned is of one machine and one meter")
        });
        let copies = (self.copies > 0).then(|| {
            let copies = count(self.copies, "tree");
            format!("{copies} with exactly the energy of another of the same model and size: drop copies, each counts as measured")
        });
        several.chain(copies).chain(self.of_other_power()).collect()
    }

    /// The trees in which a class draws another power than in the others. Units go wrong easily.
    fn of_other_power(&self) -> Vec<String> {
        /// The factor: an idle machine draws a fifth of a busy one, or more.
        const FAR: f64 = 5.0;
        /// Trees that tell what is usual.
        const LEAST: usize = 4;
        /// Trees that are named; further ones are only counted.
        const MOST: usize = 5;
        let mut odd: BTreeMap<usize, Vec<(&str, f64)>> = BTreeMap::new();
        for (class, powers) in self.powers.iter().filter(|(_, powers)| powers.len() >= LEAST) {
            let Some(usual) = median(powers.iter().map(|(_, watts)| *watts)) else { continue };
            for (place, watts) in powers {
                if (watts / usual).ln().abs() > FAR.ln() {
                    odd.entry(*place).or_default().push((class, watts / usual));
                }
            }
        }
        let remark = |(place, classes): (&usize, &Vec<(&str, f64)>)| {
            let (class, ratio) = classes.first()?;
            let times = if *ratio > 1.0 { format!("{ratio:.1}") } else { format!("1/{:.1}", ratio.recip()) };
            let more = match classes.len() {
                1 => String::new(),
                2 => " (and of another class)".to_owned(),
                classes => format!(" (and of {} more classes)", classes - 1),
            };
            let tree = &self.trees[*place];
            Some(format!(
                "{tree}: the power of {class}{more} is {times} times that in the other trees; check its units, or measure it again"
            ))
        };
        let mut remarks: Vec<String> = odd.iter().take(MOST).filter_map(remark).collect();
        if odd.len() > MOST {
            remarks.push(format!("{} like these", count(odd.len() - MOST, "more tree")));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::jsonl;

    use super::*;

    /// A module of one primitive, both of which draw so many watts.
    fn tree(watts: f64) -> Tree {
        let json = r#"{"model_name":"m","batch_size":1,"seq_len":1,"frontend_tree":{"scope":"root","instance_type":"Outer","type":"module",
            "child_nodes_obj":[{"scope":"root.0","instance_type":"Linear","type":"ml"}]}}"#;
        let mut tree = jsonl::parse_tree(json.as_bytes(), "t", 1).unwrap();
        for node in tree.nodes_mut() {
            node.set(Quantity::GroundTruthEnergy, watts);
            node.set(Quantity::Latency, 1.0);
        }
        tree
    }

    #[test]
    fn copies_are_told_and_one_tree_beyond_those_that_are_named_and_one_further_class_in_the_singular() {
        let mut alike = Alike::default();
        (0..26).for_each(|place| alike.add(&tree(if place < 20 { 1.0 } else { 100.0 })));
        let remarks = alike.remarks();
        assert_eq!((remarks.len(), remarks[6].as_str()), (7, "1 more tree like these"));
        assert!(remarks[0].starts_with("24 trees with exactly the energy of another"), "{}", remarks[0]);
        assert!(remarks[1].contains("the power of Linear (and of another class) is 100.0 times"), "{}", remarks[1]);
    }
}
