//! Predictions are held against measurements row by row, by the settings, in any unit.

use irene_requests::{Comparison, Error, Group, RequestReader, RequestRow, Table, compare};
use proptest::prelude::*;

fn table(name: &str, text: &str) -> Table {
    Table::read(name, text.as_bytes()).unwrap()
}

fn compared(truth: &str, predicted: &str, by: Option<&[&str]>) -> Result<Comparison, Error> {
    let by: Option<Vec<String>> = by.map(|by| by.iter().map(|&name| name.to_owned()).collect());
    compare(&table("truth.csv", truth), &table("out.csv", predicted), by.as_deref())
}

fn refused(truth: &str, predicted: &str, by: Option<&[&str]>) -> String {
    compared(truth, predicted, by).unwrap_err().to_string()
}

fn summary(group: &Group) -> (usize, Option<f64>, Option<f64>, Option<f64>) {
    (group.errors.count(), group.errors.median(), group.errors.mean(), group.errors.coverage())
}

fn group<'a>(comparison: &'a Comparison, figure: &str, value: &str) -> &'a Group {
    let is_it = |group: &&Group| group.figure == figure && group.by.as_ref().map_or("", |(_, value)| value) == value;
    comparison.groups.iter().find(is_it).unwrap()
}

const TRUTH: &str = "model,device,engine,concurrency,energy_per_token_j,itl_s
a,NVIDIA H100 80GB HBM3,vllm-0.11,8,1.0,0.010
a,NVIDIA H100 80GB HBM3,vllm-0.11,16,0.5,0.020
a,Tesla T4,vllm-0.11,8,2.0,
b,Tesla T4,vllm-0.5,8,4.0,0.1
";
const OUT: &str = "model,device,engine,weights,concurrency,energy_per_token_j,energy_per_token_j_low,energy_per_token_j_high,itl_ms,marks
a,h100-sxm,vllm-0.11,bf16,8.0,1.1,0.9,1.2,11,
a,h100-sxm,vllm-0.11,bf16,16,0.6,0.55,0.7,20,
a,t4,vllm-0.11,f16,8,2.0,1.5,2.5,30,
b,t4,vllm-0.5,f16,8,3.0,2.0,3.5,110,estimated
";

#[test]
fn rows_in_memory_are_compared_as_their_sheets() {
    let of = |name: &str, text: &str| {
        let rows: Vec<RequestRow> = RequestReader::new(name, text.as_bytes()).unwrap().map(Result::unwrap).collect();
        Table::of(name, &rows).unwrap()
    };
    let found = compare(&of("truth", TRUTH), &of("predicted", OUT), None).unwrap();
    assert_eq!(found, compared(TRUTH, OUT, None).unwrap());
    let nothing = Table::of("nothing", &[]).unwrap_err().to_string();
    assert!(nothing.starts_with("nothing, line 1: no column of a sheet"), "{nothing}");
}

#[test]
fn errors_are_given_for_all_and_by_device_model_and_engine() {
    let found = compared(TRUTH, OUT, None).unwrap();
    assert_eq!((found.rows, found.unpredicted), (4, None));
    let (count, median, mean, coverage) = summary(group(&found, "energy_per_token_j", ""));
    assert_eq!((count, coverage), (4, Some(0.5)));
    assert!((median.unwrap() - 15.0).abs() < 1e-9 && (mean.unwrap() - 13.75).abs() < 1e-9);
    let (count, _, mean, coverage) = summary(group(&found, "energy_per_token_j", "h100-sxm"));
    assert_eq!((count, coverage), (2, Some(0.5)));
    assert!((mean.unwrap() - 15.0).abs() < 1e-9);
    // Milliseconds are compared with seconds; a row without a measurement is not counted.
    let itl = group(&found, "itl_s", "");
    assert_eq!((itl.errors.count(), itl.errors.coverage()), (3, None));
    assert!((itl.errors.p90().unwrap() - 10.0).abs() < 1e-9);
    assert_eq!(found.groups.iter().filter(|group| group.figure == "itl_s").count(), 1 + 2 + 2 + 2);
    // One model has three configurations, in the same order.
    assert_eq!((found.ranks.len(), found.ranks[0].count, found.rank()), (1, 3, Some(1.0)));
    let by_load = compared(TRUTH, OUT, Some(&["concurrency"])).unwrap();
    assert_eq!(group(&by_load, "energy_per_token_j", "16").errors.count(), 1);
    assert_eq!(compared(TRUTH, OUT, Some(&[])).unwrap().groups.len(), 2);
}

#[test]
fn rows_in_another_order_or_left_out_are_matched_by_their_settings() {
    let lines: Vec<&str> = OUT.lines().collect();
    let reverse = [lines[0], lines[4], lines[3], lines[2], lines[1]].join("\n");
    let same = |one: &Comparison, other: &Comparison| {
        one.groups.iter().zip(&other.groups).all(|(one, other)| summary(one) == summary(other))
    };
    let whole = compared(TRUTH, OUT, None).unwrap();
    assert!(same(&compared(TRUTH, &reverse, None).unwrap(), &whole));
    let part = compared(TRUTH, &[lines[0], lines[1], lines[4]].join("\n"), None).unwrap();
    assert_eq!((part.unpredicted, part.groups[0].errors.count()), (Some((2, 3)), 2));
    // A row that could not be predicted stands without figures.
    let empty = compared(TRUTH, &OUT.replace("1.1,0.9,1.2,11,", ",,,,error"), None).unwrap();
    assert_eq!((empty.unpredicted, empty.groups[0].errors.count()), (Some((1, 2)), 3));
    // Repeated measurements of a setting take its predictions one after the other.
    let repeated = "model,latency_s\nx,1\nx,2\ny,4\n";
    let found = compared(repeated, "model,latency_ms\ny,4000\nx,1000\nx,1000\n", None).unwrap();
    assert_eq!((found.groups[0].errors.count(), found.groups[0].errors.mean()), (3, Some(50.0 / 3.0)));
}

#[test]
fn a_prediction_is_compared_with_the_measurement_of_its_own_setting() {
    let truth = "model,tp,concurrency,power_w\na,4,1,400\na,,1,100\na,1,8,200\na,4,8,800\n";
    // In another order and a part; one GPU is an empty cell or a 1.
    for out in
        ["model,tp,concurrency,power_w\na,,8,200\na,1,1,100\n", "model,tp,concurrency,power_w\na,,1,100\na,4,8,800\n"]
    {
        let found = compared(truth, out, None).unwrap();
        assert_eq!((found.groups[0].errors.count(), found.groups[0].errors.p90()), (2, Some(0.0)), "{out}");
    }
    // A flag filled the cells that were empty.
    let filled = "model,tp,concurrency,power_w\na,4,1,400\na,2,1,100\na,2,8,200\na,4,8,800\n";
    let empty = truth.replace("a,1,", "a,,");
    assert_eq!(compared(&empty, filled, None).unwrap().groups[0].errors.p90(), Some(0.0));
    let either = refused("model,engine,power_w\na,vllm-0.5,1\na,vllm-0.11,2\n", "model,engine,power_w\na,,1\n", None);
    assert!(
        either.ends_with("it may be of line 2 or of line 3 of truth.csv, which differ in `engine`: fill that in"),
        "{either}"
    );
}

#[test]
fn operations_are_compared_by_op_and_device() {
    let truth =
        "op,device,latency_ms,b,m,n,k,h\nlinear,Tesla P4,2.0,1,1024.0,512.0,512.0,\nln,Tesla T4,1.0,8,1024.0,,,64\n";
    let out = "op,device,dtype,b,m,n,k,h,latency_s,latency_s_low,latency_s_high,energy_j\nlinear,p4,f32,1,1024,512,512,,0.003,0.001,0.004,0.1\nln,t4,f32,8,1024,,,64,0.001,0.0005,0.0015,0.1\n";
    let found = compared(truth, out, None).unwrap();
    let by: Vec<_> = found
        .groups
        .iter()
        .map(|group| group.by.clone().map_or_else(String::new, |(column, value)| format!("{column} {value}")))
        .collect();
    assert_eq!(by, ["", "op linear", "op ln", "device p4", "device t4"]);
    assert_eq!((found.groups[0].errors.mean(), found.groups[0].errors.coverage()), (Some(25.0), Some(1.0)));
    assert!(found.ranks.is_empty());
}

#[test]
fn decimal_commas_are_compared_as_points() {
    let found = compared("model;prompt;power_w\na;512,0;1,5\n", "model,prompt,power_w\na,512,1.2\n", None).unwrap();
    let error = found.groups[0].errors.mean().unwrap();
    assert!((error - 20.0).abs() < 1e-9, "{error}");
}

#[test]
fn what_cannot_be_compared_says_where_and_why() {
    let strange = OUT.replace("b,t4", "c,t4");
    let fault = refused(TRUTH, &strange, None);
    assert!(
        fault.starts_with("out.csv, line 5: no row of truth.csv that is left has its settings (model c, device t4"),
        "{fault}"
    );
    let fault = refused(TRUTH, OUT, Some(&["task"]));
    assert_eq!(
        fault,
        "truth.csv and out.csv: neither has a column `task`; the first has model, device, engine, concurrency, energy_per_token_j, itl_s"
    );
    assert!(
        refused("model,power_w\na,1\n", "model,itl_s\na,1\n", None)
            .contains("no row has a figure in both: the first has power_w; the second itl_s")
    );
    assert!(refused("model,power_w\na,1\n", "power_w\n1\n2\n", None).contains("no column of a setting in common"));
    assert!(
        refused("model,power_w\na,1\n", "model,power_w\na,x\n", None)
            .contains("out.csv, line 2, column `power_w`: `x` is not a number")
    );
    let error = Table::read("t.csv", &b"model,b\n1\n"[..]).err().unwrap().to_string();
    assert_eq!(error, "t.csv, line 2: it has 1 cells where the first line has 2");
    assert!(
        Table::read("t.csv", &b""[..]).err().unwrap().to_string().starts_with("t.csv, line 1: no column of a sheet")
    );
}

proptest! {
    #[test]
    fn a_sheet_agrees_with_itself_in_any_order(energies in prop::collection::vec(1e-3..1e3_f64, 2..20), turn in any::<prop::sample::Index>()) {
        let line = |(place, energy): (usize, &f64)| format!("m{},h100-sxm,{place},{energy}", place % 3);
        let mut lines: Vec<String> = energies.iter().enumerate().map(line).collect();
        let head = "model,device,concurrency,energy_per_token_j".to_owned();
        // No sequence runs at a load of 0, which means nothing here.
        let sheet = |lines: &[String]| format!("{head}\n{}\n", lines.join("\n"));
        let truth = sheet(&lines);
        lines.rotate_left(turn.index(energies.len()));
        let found = compared(&truth, &sheet(&lines), None).unwrap();
        prop_assert_eq!((found.groups[0].errors.count(), found.groups[0].errors.p90(), found.unpredicted), (energies.len(), Some(0.0), None));
        prop_assert!(found.ranks.iter().all(|rank| rank.tau == 1.0));
    }

    #[test]
    fn no_bytes_panic_the_comparison(one in prop::collection::vec(any::<u8>(), 0..80), other in "(model|op|device|power_w|latency_ms)(,(b|itl_s|power_w_low|x)){0,3}\n[a-z0-9,.\n\"-]{0,60}") {
        let tables = [Table::read("a", &one[..]), Table::read("b", other.as_bytes()), Table::read("c", other.as_bytes())];
        let [one, other, same] = tables;
        if let (Ok(other), Ok(same)) = (&other, &same) {
            let _ = compare(other, same, None);
            if let Ok(one) = &one {
                let _ = compare(one, other, None);
            }
        }
    }
}
