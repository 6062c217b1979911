use irene_tree::{Quantity, Tree};

use crate::{Error, Result};

/// Refuses to learn from a run on several GPUs: its energies are sums over them, while a predictor learns those of one GPU, which
/// [`sum_over_gpus`] multiplies.
pub(crate) fn on_one_gpu(tree: &Tree) -> Result<()> {
    if tree.parallel.is_single() {
        return Ok(());
    }
    let gpus = tree.parallel.gpus();
    let reason = format!("{tree} ran on {gpus} GPUs, and predictors learn from runs on one; leave the tree out");
    Err(Error::Training(reason))
}

/// Turns the energies of a tree that was predicted as if on one GPU into those of all GPUs that run its nodes. A pipeline counts as full,
/// as serving engines keep it: while one stage has this batch, the others have other batches.
pub(crate) fn sum_over_gpus(tree: &mut Tree) {
    if tree.parallel.is_single() {
        return;
    }
    let of_stage = tree.parallel.gpus_of_stage() as f64;
    let energy = |tree: &Tree, id| tree.node(id).get(Quantity::PredictedEnergy).unwrap_or_default();
    let before: Vec<f64> = tree.ids().map(|id| energy(tree, id)).collect();
    for id in tree.ids().rev() {
        let one = before[id.index()];
        let (mut on_one, mut on_all) = (0.0, 0.0);
        for child in tree.children(id) {
            let times = tree.node(child).times();
            on_one += times * before[child.index()];
            on_all += times * energy(tree, child);
        }
        let all =
            if tree.is_leaf(id) { one * f64::from(tree.node(id).gpus) } else { (one - on_one) * of_stage + on_all };
        let factor = if one == 0.0 { of_stage } else { all / one };
        let node = tree.node_mut(id);
        for quantity in [
            Quantity::PredictedEnergy,
            Quantity::PredictedLow,
            Quantity::PredictedHigh,
            Quantity::PredictedPower,
            Quantity::PredictedGpuEnergy,
        ] {
            if let Some(value) = node.get(quantity) {
                node.set(quantity, value * factor);
            }
        }
        if let Some(own) = node.get(Quantity::OwnEnergy) {
            node.set(Quantity::OwnEnergy, own * of_stage);
        }
    }
}

#[cfg(test)]
mod tests {
    use irene_tree::{Format, Level, NodeId, OpKind, Operand, Operation, Parallel, Size, TreeBuilder};

    use super::*;

    /// Two stages of 4 GPUs: a part on each, and what is sent between them.
    fn tree() -> Tree {
        let hidden = Operand::activation([1, 8], Format::F32);
        let operation = |kind| Some(Operation::new(kind, &[hidden], hidden));
        let parallel = Parallel { tensor: 4, pipeline: 2, ..Parallel::default() };
        let mut builder = TreeBuilder::new("m", Size::new(1, 1)).spread_over(parallel);
        builder.enter("root", "M", Level::Model).set(Quantity::PredictedEnergy, 10.0);
        builder.leaf("a", "Linear", Level::Ml, operation(OpKind::Linear)).set(Quantity::PredictedEnergy, 3.0);
        builder
            .leaf("send_recv", "SendRecv", Level::Ml, operation(OpKind::SendRecv))
            .set(Quantity::PredictedEnergy, 1.0);
        builder.leaf("b", "Linear", Level::Ml, operation(OpKind::Linear)).set(Quantity::PredictedEnergy, 2.5);
        builder.leave();
        let mut tree = builder.finish().unwrap();
        tree.node_mut(tree.find("root.b").unwrap()).set_times(2.0);
        tree
    }

    #[test]
    fn energies_are_those_of_all_gpus_that_run_a_node() {
        let mut tree = tree();
        let gpus: Vec<u32> = tree.nodes().iter().map(|node| node.gpus).collect();
        assert_eq!(gpus, [8, 4, 8, 4]);
        tree.node_mut(NodeId::ROOT).set(Quantity::PredictedHigh, 20.0);
        sum_over_gpus(&mut tree);
        let energies: Vec<f64> = tree.nodes().iter().filter_map(|node| node.get(Quantity::PredictedEnergy)).collect();
        // 4 GPUs run the root's own 1 J.
        assert_eq!(energies, [4.0 * 1.0 + 12.0 + 8.0 + 2.0 * 10.0, 12.0, 8.0, 10.0]);
        assert_eq!(tree.root().get(Quantity::PredictedHigh), Some(88.0));
    }

    #[test]
    fn a_tree_on_one_gpu_stays() {
        let mut tree = tree();
        tree.parallel = Parallel::default();
        let before = tree.clone();
        sum_over_gpus(&mut tree);
        assert_eq!(tree, before);
    }
}
