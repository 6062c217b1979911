//! The machines and their trees.

use irene_regress::NODE_COUNTS;
use irene_tree::{Level, NodeId, Quantity, Tree};

use super::{MACHINES, Machine, NODES, NOT_MEASURED, NOT_PUBLISHED, OTHER_MACHINE, is_any_known};
use crate::commands::{
    evaluate::LEVELS,
    reproduce::markdown::{Cell, Section, Table},
};

/// Which card each machine has, by what the data shows.
pub(super) fn machines(machines: &[Machine<'_>]) -> Section {
    let mut table = Table::new([
        "data",
        "trees",
        "memory clock, MHz",
        "most of a Linear, TFLOP/s",
        "at a clock of, MHz",
        "so the card is",
        "the paper's name",
        "the card in its table 2",
        "shipped profile",
    ]);
    for machine in machines {
        let known = |of: fn(&irene_regress::PublicMachine) -> &'static str| {
            Cell::of(machine.known.map(|known| of(known).to_owned()), OTHER_MACHINE)
        };
        let fastest = fastest(machine.trees);
        table.row([
            machine.origin.into(),
            machine.trees.len().into(),
            Cell::of(range(machine.trees, Quantity::GpuMemClk), NOT_MEASURED),
            Cell::of(fastest.map(|(rate, _)| format!("{rate:.1}")), NOT_MEASURED),
            Cell::of(fastest.and_then(|(_, clock)| Some(format!("{:.0}", clock?))), NOT_MEASURED),
            known(|known| known.card),
            known(|known| known.paper),
            known(|known| known.printed_card),
            known(|known| known.device),
        ]);
    }
    let section = Section::new(MACHINES).table(table);
    if !is_any_known(machines) {
        return section;
    }
    section.text(
        "The memory of a GTX 1070 runs at 3802 MHz while it computes, that of a GTX 1080 Ti at 5005 MHz, and a Linear on the second is faster \
         at a lower clock. The paper's table 2 gives the cards the other way round; its tables of errors print device_1's as PC1's (table 7 to \
         0.04). The data decides how a machine and its profile are called here.",
    )
}

/// The least and the greatest of a quantity over all nodes, as one number where they are equal.
fn range(trees: &[Tree], quantity: Quantity) -> Option<String> {
    let values = trees.iter().flat_map(Tree::nodes).filter_map(|node| node.get(quantity));
    let (low, high) =
        values.map(|value| (value, value)).reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))?;
    Some(if low == high { format!("{low:.0}") } else { format!("{low:.0} to {high:.0}") })
}

/// TFLOP/s of the fastest Linear, and the clock at that.
fn fastest(trees: &[Tree]) -> Option<(f64, Option<f64>)> {
    let linears = trees.iter().flat_map(Tree::nodes).filter(|node| node.is_instance_of("Linear"));
    let rates = linears.filter_map(|node| {
        let rate = node.get(Quantity::Flops)? / node.get(Quantity::Latency)? / 1e6;
        Some((rate, node.get(Quantity::GpuClk)))
    });
    rates.max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Table 4.
pub(super) fn nodes(machines: &[Machine<'_>]) -> Section {
    let mut titles = vec!["ml / module / model nodes, depth".to_owned()];
    titles.extend(machines.iter().map(Machine::name));
    titles.push("published".into());
    let mut table = Table::new(titles);
    for model in super::energy::all_models(machines) {
        let ours = machines.iter().map(|machine| Cell::of(counts(&machine.measured(model)), NOT_MEASURED));
        let published = NODE_COUNTS.iter().find(|row| row.model == model);
        let published = published.map(|row| format!("{} / {} / {}, {}", row.ml, row.module, row.trees, row.depth));
        table.row([Cell::from(model)].into_iter().chain(ours).chain([Cell::of(published, NOT_PUBLISHED)]));
    }
    let section = Section::new(NODES).table(table);
    if !is_any_known(machines) {
        return section;
    }
    section.text(
        "Nodes of all sizes together. The published table is of device_1, where gpt2 has 27 sizes: the printed 2997 nodes are 27 times 111. \
         The FLOPs and bytes of these trees equal ours at every node, which a test holds.",
    )
}

fn counts(trees: &[&Tree]) -> Option<String> {
    let count = |level: Level| trees.iter().flat_map(|tree| tree.nodes()).filter(|node| node.level() == level).count();
    let depth = trees.iter().flat_map(|tree| tree.ids().map(|id| depth(tree, id))).max()?;
    Some(format!("{}, {depth}", LEVELS.map(|level| count(level).to_string()).join(" / ")))
}

/// Nodes from the root to this one.
fn depth(tree: &Tree, id: NodeId) -> usize {
    std::iter::successors(Some(id), |&id| tree.parent(id)).count()
}
