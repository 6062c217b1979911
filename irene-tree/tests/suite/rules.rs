//! Trees that break the rules, and the sizes and shapes of a tree's parts.

use irene_tree::{Level, Mark, Marks, Node, NodeId, Quantity, Shape, Size, Tree, TreeBuilder};

fn small() -> Tree {
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model);
    builder.leaf("a", "Linear", Level::Ml, None);
    builder.leaf("b", "Linear", Level::Ml, None);
    builder.leave();
    builder.finish().unwrap()
}

/// The error of a tree whose last leaf was changed.
fn refused(change: impl Fn(&mut Node)) -> String {
    let mut tree = small();
    tree.node_mut(NodeId::ROOT).id = Some("first".into());
    let last = tree.ids().last().unwrap();
    change(tree.node_mut(last));
    tree.check().map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn a_number_that_cannot_be_is_named_and_its_limits_are_allowed() {
    let set = |quantity: Quantity, value: f64| refused(|node| node.set(quantity, value));
    assert_eq!(set(Quantity::Flops, -1.0), "m 1x1, node `root.b`: flops must be finite and not negative, found -1");
    assert!(set(Quantity::PredictedEnergy, f64::INFINITY).contains("predicted_energy must be finite"));
    for (quantity, value) in [(Quantity::Flops, 0.0), (Quantity::PredictedEnergy, -1.0), (Quantity::Flops, f64::NAN)] {
        assert_eq!(set(quantity, value), "", "{quantity} {value}");
    }
    for times in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        assert!(refused(|node| node.set_times(times)).contains("a number of times above 0"), "{times}");
    }
    assert_eq!(refused(|node| node.set_times(0.5)), "");
    for (size, is_refused) in [((0, 1), true), ((1, 0), true), ((1, 1), false)] {
        let error = refused(|node| node.size = Some(Size::new(size.0, size.1)));
        assert_eq!(error.contains("at least one sequence of one token"), is_refused, "{error}");
    }
    assert!(refused(|node| node.id = Some("first".into())).contains("id `first` stands twice"));
    assert_eq!(refused(|node| node.id = Some("second".into())), "");
    // The one between them is written as that of its place.
    assert!(refused(|node| node.id = Some("m/1/1/1".into())).contains("id `m/1/1/1` stands twice"));
}

#[test]
fn a_node_stands_where_its_level_may() {
    let refused = |inner: Level, outer: Level, class: &'static str| {
        let mut builder = TreeBuilder::new("m", Size::new(1, 1));
        builder.enter("root", "M", outer);
        builder.leaf("a", class, inner, None);
        builder.leave();
        builder.finish().unwrap().check().map_or_else(|error| error.to_string(), |()| String::new())
    };
    let levels = [Level::Model, Level::Module, Level::Ml, Level::Math];
    assert_eq!(levels.map(|level| Level::from_name(level.name())), levels.map(Some));
    assert_eq!(refused(Level::Ml, Level::Model, "Linear"), "");
    assert_eq!(refused(Level::Math, Level::Module, "add"), "");
    assert!(refused(Level::Module, Level::Model, "Part").contains("a leaf must be a primitive"));
    assert!(refused(Level::Ml, Level::Ml, "Linear").contains("a node of type ml has no children"));
    assert!(refused(Level::Ml, Level::Model, "").contains("must not be empty"));
    let mut builder = TreeBuilder::new("m", Size::new(1, 1));
    builder.enter("root", "M", Level::Model);
    builder.enter("a", "M", Level::Model);
    builder.leaf("a", "Linear", Level::Ml, None);
    builder.leave();
    builder.leave();
    assert!(builder.finish().unwrap().check().unwrap_err().to_string().contains("only the root is of type model"));
}

#[test]
fn a_builder_that_is_used_out_of_order_says_so() {
    let error = |builder: TreeBuilder| builder.finish().unwrap_err().to_string();
    let empty = || TreeBuilder::new("m", Size::new(1, 1));
    assert_eq!(error(empty()), "building the tree of m: no node was entered");
    let mut left = empty();
    left.leave();
    assert!(error(left).contains("leave() without a matching enter()"));
    let mut two = empty();
    two.leaf("a", "Linear", Level::Ml, None);
    two.leaf("b", "Linear", Level::Ml, None);
    assert!(error(two).contains("a tree has one root"));
}

#[test]
fn a_mark_is_there_however_often_it_was_set() {
    let mut marks = Marks::default();
    assert!(marks.is_empty() && !marks.contains(Mark::Implausible));
    marks.extend([Mark::OtherPrecision, Mark::Implausible, Mark::OtherPrecision]);
    assert_eq!(marks.iter().collect::<Vec<_>>(), [Mark::Implausible, Mark::OtherPrecision]);
    assert!(!marks.is_empty() && !marks.contains(Mark::Extrapolated));
    let names = [Mark::Extrapolated, Mark::UnseenOperation, Mark::Implausible, Mark::OtherPrecision].map(Mark::name);
    assert_eq!(names, ["extrapolated", "unseen_operation", "implausible", "other_precision"]);
}

#[test]
fn a_size_knows_its_tokens_and_its_keys() {
    for (size, tokens, keys, text) in [
        (Size::new(8, 128), 1024, 128, "8x128"),
        (Size::new(8, 1), 8, 1, "8x1"),
        (Size::new(8, 1).after(128), 8, 129, "8x1+128"),
        (Size::new(2, 3).after(1), 6, 4, "2x3+1"),
    ] {
        assert_eq!((size.tokens(), size.keys(), size.to_string().as_str()), (tokens, keys, text));
    }
    let json = |size: Size| serde_json::to_string(&size).unwrap();
    assert_eq!(json(Size::new(2, 3)), r#"{"batch_size":2,"seq_len":3}"#);
    assert_eq!(json(Size::new(2, 3).after(1)), r#"{"batch_size":2,"seq_len":3,"past_len":1}"#);
    let most = Size::new(usize::MAX, usize::MAX).after(usize::MAX);
    assert_eq!((most.tokens(), most.keys()), (usize::MAX, usize::MAX));
}

#[test]
fn a_shape_has_six_dimensions_at_most() {
    assert_eq!(Shape::new(&[1, 2, 3, 4, 5, 6]).map(|shape| shape.elements()), Some(720));
    assert_eq!(Shape::new(&[1; 7]), None);
    let read = |json: &str| serde_json::from_str::<Shape>(json).map_err(|error| error.to_string());
    assert_eq!(read("[2,3]"), Ok(Shape::from([2, 3])));
    assert_eq!(read("[1,1,1,1,1,1,1]"), Err("a shape has at most 6 dimensions, found 7".to_owned()));
    assert_eq!(Shape::from([usize::MAX, 2]).elements(), u64::MAX);
}
