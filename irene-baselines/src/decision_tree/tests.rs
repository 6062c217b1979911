use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn figures_of_distinct_records_come_back_exactly(
        figures in prop::collection::vec(-1e3..1e3f64, 1..60), seed in 0u64..100,
    ) {
        // A permutation and a coarse copy: distinct rows with many ties.
        let rows: Vec<Vec<f64>> =
            (0..figures.len()).map(|i| vec![(i * 7919 % 61) as f64, (i % 4) as f64, 3.0]).collect();
        let tree = DecisionTree::fit(&rows, &figures, seed).unwrap();
        for (row, figure) in rows.iter().zip(&figures) {
            prop_assert_eq!(tree.value(row), *figure);
        }
    }
}

#[test]
fn the_split_with_the_least_squared_error_comes_first() {
    // Column 0 parts {1, 2} from {9, 10}; column 1 parts {1, 9} from {2, 10}.
    let rows = [vec![0.0, 0.0], vec![1.0, 5.0], vec![6.0, 1.0], vec![7.0, 6.0]];
    for seed in 0..8 {
        let tree = DecisionTree::fit(&rows, &[1.0, 2.0, 9.0, 10.0], seed).unwrap();
        assert_eq!((tree.nodes[0].feature, tree.nodes[0].number), (0, 3.5));
    }
}

/// scikit-learn 1.9.1, `DecisionTreeRegressor().fit(x, y).tree_.threshold` with `i = np.arange(12)`, `x = i * 7 % 12` as a column,
/// `y = i * i * 13 % 37`.
#[test]
fn splits_are_those_of_scikit_learn() {
    let rows: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from(i * 7 % 12)]).collect();
    let figures: Vec<f64> = (0..12).map(|i| f64::from(i * i * 13 % 37)).collect();
    let tree = DecisionTree::fit(&rows, &figures, 0).unwrap();
    let splits: Vec<f64> = tree.nodes.iter().filter(|node| node.right > 0).map(|node| node.number).collect();
    assert_eq!(splits, [1.5, 0.5, 10.5, 8.5, 6.5, 3.5, 2.5, 5.5, 4.5, 7.5, 9.5]);
}

#[test]
fn ties_are_broken_by_the_seed_and_the_same_seed_gives_the_same_tree() {
    let rows: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from(i); 6]).collect();
    let figures: Vec<f64> = (0..12).map(|i| f64::from(i * i)).collect();
    let fit = |seed| DecisionTree::fit(&rows, &figures, seed).unwrap();
    assert_eq!(fit(3), fit(3));
    assert!((1..10).any(|seed| fit(seed) != fit(0)));
}

#[test]
fn records_that_nothing_tells_apart_give_their_mean() {
    let tree = DecisionTree::fit(&[vec![1.0], vec![1.0], vec![1.0]], &[1.0, 2.0, 6.0], 0).unwrap();
    assert_eq!(tree.at(&[1.0]), PredictedValue { value: 3.0, deviation: 0.0 });
    assert_eq!(DecisionTree::fit(&[vec![1.0], vec![2.0]], &[4.0, 4.0], 0).unwrap().nodes.len(), 1);
    assert_eq!(DecisionTree::fit(&[vec![1.0]], &[4.0], 0).unwrap().value(&[f64::NAN]), 4.0);
}

#[test]
fn counts_are_repeated_records() {
    let rows: Vec<Vec<f64>> = [0.0, 1.0, 1.0, 2.0].map(|x| vec![x]).to_vec();
    let figures = [1.0, 2.0, 5.0, 9.0];
    let random = &mut Pcg64Mcg::seed_from_u64(0);
    let counted = Columns::new(Records::new(&rows, &figures).unwrap()).grow(&figures, &[1, 3, 1, 0], random);
    assert_eq!(counted.value(&[1.0]), 11.0 / 4.0);
    assert_eq!(counted.value(&[2.0]), 11.0 / 4.0);
    assert_eq!(counted.value(&[0.0]), 1.0);
}

#[test]
fn a_file_gives_the_same_tree_and_a_broken_one_is_refused() {
    let tree = DecisionTree::fit(&[vec![0.0], vec![1.0], vec![2.0]], &[1.0, 3.0, 8.0], 0).unwrap();
    let text = serde_json::to_string(&tree).unwrap();
    assert_eq!(serde_json::from_str::<DecisionTree>(&text).unwrap(), tree);
    for nodes in
        ["[]", "[[0,1.0,1],[0,1.0,0]]", "[[0,1.0,9],[0,1.0,0]]", "[[7,1.0,2],[0,1.0,0],[0,1.0,0]]", "[[0,1e200,0]]"]
    {
        let text = format!(r#"{{"width":1,"nodes":{nodes}}}"#);
        assert!(serde_json::from_str::<DecisionTree>(&text).is_err(), "{nodes}");
    }
}
