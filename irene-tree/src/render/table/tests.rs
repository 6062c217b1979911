use super::*;
use crate::{Level, Size, TreeBuilder};

fn tree() -> Tree {
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    let root = builder.enter("root", "Model", Level::Model);
    for (quantity, value) in [
        (Quantity::PredictedEnergy, 4.0),
        (Quantity::PredictedLow, 3.5),
        (Quantity::PredictedHigh, 5.0),
        (Quantity::PredictedLatency, 0.1),
        (Quantity::OwnEnergy, 0.0),
    ] {
        root.set(quantity, value);
    }
    root.marks.extend([Mark::Extrapolated, Mark::OtherPrecision]);
    for place in ["0", "1"] {
        builder.leaf(place, "ALinearLayerWithALongName", Level::Ml, None).set(Quantity::PredictedEnergy, 2.0);
    }
    builder.leave();
    builder.finish().unwrap()
}

fn table(tree: &Tree) -> Table {
    let energy = Quantity::PredictedEnergy;
    let columns = vec![
        Column::Value(energy),
        Column::Share(energy),
        Column::Bar(energy),
        Column::Value(Quantity::OwnEnergy),
        Column::Interval,
        Column::Value(Quantity::PredictedLatency),
        Column::Marks,
    ];
    Table::new(tree, &TableOptions { columns, max_depth: usize::MAX })
}

#[test]
fn every_line_fits_and_warnings_are_not_lost() {
    let tree = tree();
    for width in 44..140 {
        let text = table(&tree).fitted(width).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}\n{text}");
        assert!(text.contains("extrapolate") && text.contains("100.0%"), "{width}\n{text}");
    }
    let wide = table(&tree).fitted(200);
    assert_eq!(wide.columns.len(), 7);
    assert!(wide.to_string().contains("3.50 to 5 J") && wide.to_string().contains("extrapolated, other_precision"));
    assert!(!table(&tree).fitted(110).columns.contains(&Column::Bar(Quantity::PredictedEnergy)));
}

fn widest(table: &Table) -> usize {
    table.to_string().lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[test]
fn only_a_column_that_does_not_fit_is_left_out() {
    let whole = table(&tree());
    let (label, widths) = whole.widths();
    assert_eq!(label + widths.iter().map(|width| width + GAP).sum::<usize>(), 120);
    for width in 77..130 {
        let fitted = whole.clone().fitted(width);
        for (column, cell) in whole.columns.iter().zip(&widths) {
            let is_shown = fitted.columns.contains(column);
            assert!(is_shown || widest(&fitted) + cell + GAP > width, "{width} {column:?}\n{fitted}");
        }
    }
    assert_eq!(whole.clone().fitted(120).columns, whole.columns);
}

/// Names of 30 characters, figures of 8 twice and warnings of 31 with their gaps; of names and warnings 12 characters always stay.
#[test]
fn what_is_shortened_fills_the_width_and_nothing_else_is_shortened() {
    for width in 0..130 {
        let fitted = table(&tree()).fitted(width);
        assert_eq!(fitted.to_string().contains('…'), width < 77, "{width}\n{fitted}");
        assert!(width > 77 || widest(&fitted) == width.max(42), "{width}\n{fitted}");
        // Names are shortened where warnings cannot be any more.
        let (label, cells) = fitted.widths();
        assert!(label == 30 || cells.last() == Some(&12), "{width}\n{fitted}");
    }
}

#[test]
fn a_table_is_as_wide_as_its_widest_cells_and_titles() {
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.leaf("r", "M", Level::Ml, None).set(Quantity::Kernels, 12_345_678.0);
    let columns = vec![Column::Value(Quantity::Kernels), Column::Value(Quantity::Flops)];
    let table = Table::new(&builder.finish().unwrap(), &TableOptions { columns, max_depth: 0 });
    assert_eq!(table.widths(), (4, vec![8, 5]));
    assert_eq!(table.to_string(), "node   kernels  flops\nr M   12345678\n");
}

#[test]
fn a_warning_says_what_lies_farthest_outside_the_training_range() {
    let mut tree = tree();
    let extra = tree.node_mut(NodeId::ROOT).extra.get_or_insert_default();
    extra.insert(Node::EXTRAPOLATED_FIELD.into(), serde_json::json!({"flops": 2.0, "moved_bytes": 3.5}));
    let cell = table(&tree).rows[0].cells[6].clone();
    assert_eq!(cell, "extrapolated: moved_bytes x3.50, other_precision");
}

#[test]
fn a_folded_node_has_the_figures_of_all_its_layers() {
    let text = table(&tree().layers_folded()).to_string();
    let line = text.lines().find(|line| line.contains("0-1 ALinearLayerWithALongName x2")).unwrap();
    assert!(line.contains(" 4 J ") && line.contains("100.0%"), "{text}");
}

#[test]
fn a_column_has_a_title_and_a_share_a_bar_of_eighths() {
    let titles = [Quantity::NumParameters, Quantity::MemBytes, Quantity::MovedBytes, Quantity::LinkBytes];
    assert_eq!(
        titles.map(|quantity| Column::Value(quantity).title()),
        ["parameters", "memory traffic", "bytes moved", "bytes sent"]
    );
    let titles = [Quantity::CopiedBytes, Quantity::Latency, Quantity::GroundTruthEnergy, Quantity::Kernels];
    assert_eq!(titles.map(|quantity| Column::Value(quantity).title()), ["copied", "latency", "measured", "kernels"]);
    let titles = [Quantity::PredictedEnergy, Quantity::OwnEnergy, Quantity::PredictedLatency];
    assert_eq!(titles.map(|quantity| Column::Value(quantity).title()), ["energy", "own part", "latency"]);
    assert_eq!((Column::Interval.title(), Column::Marks.title()), ("90% interval", ""));
    assert_eq!(
        [0.0, 1.0 / 64.0, 0.5, 0.55, 2.0].map(bar),
        ["        ", "▏       ", "████    ", "████▍   ", "████████"]
    );
}

#[test]
fn a_share_is_of_the_root_and_unknown_beside_a_root_of_nothing() {
    let energy = Quantity::PredictedEnergy;
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model).set(energy, 8.0);
    let leaf = builder.leaf("a", "Linear", Level::Ml, None);
    leaf.set(energy, 1.0);
    leaf.set_times(2.0);
    builder.leave();
    let mut tree = builder.finish().unwrap();
    let leaf = tree.ids().last().unwrap();
    assert_eq!((tree.share(leaf, energy), tree.share(NodeId::ROOT, energy)), (Some(0.25), Some(1.0)));
    assert_eq!(tree.share(leaf, Quantity::Latency), None);
    tree.node_mut(NodeId::ROOT).set(energy, 0.0);
    assert_eq!(tree.share(leaf, energy), None);
}

#[test]
fn a_table_is_as_deep_as_it_is_asked_to_be() {
    let tree = tree();
    let rows = |max_depth| Table::new(&tree, &TableOptions { columns: Vec::new(), max_depth }).rows.len();
    let within = |depth| tree.nodes().iter().filter(|node| node.depth() <= depth).count();
    for depth in 0..3 {
        assert_eq!(rows(depth), within(depth), "{depth}");
    }
}
