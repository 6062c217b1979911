//! `irene operations`.

use crate::command::{Folder, fed, good, refused};

const OPS: &str =
    "op,device,b,m,n,k,h\nlinear,NVIDIA H100 80GB HBM3,1,2048.0,4096.0,4096.0,\nsoftmax,t4,4096,,,,1024\n";

#[test]
fn a_table_of_operations_gets_times_with_intervals() {
    let folder = Folder::new("operations");
    let out = folder.path("out.csv");
    good(&["operations", &folder.write("ops.csv", OPS), "-o", &out]);
    let written = std::fs::read_to_string(out).unwrap();
    assert!(written.starts_with("op,device,b,m,n,k,h,latency_s,latency_s_low,latency_s_high,energy_j,energy_j_low,energy_j_high,provenance,marks\n"));
    let rows: Vec<Vec<&str>> = written.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        for figure in [7, 10] {
            let [value, low, high] = [0, 1, 2].map(|at| row[figure + at].parse::<f64>().unwrap());
            assert!(low < value && value < high);
        }
        assert!(row[13] == "estimated from its data sheet");
    }
}

#[test]
fn a_wrong_row_is_named_and_the_others_go_on() {
    let table = format!("{OPS}linear,h9000,1,2,2,2,\nadd,t4,1024,,,,\n");
    let out = fed(&["operations", "-"], &table);
    assert_eq!(out.status.code(), Some(1));
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(stdout.lines().count(), 5);
    assert!(stderr.contains("stdin, line 4: unknown device `h9000`"), "{stderr}");
    assert!(stderr.contains("stdin, line 5: operation `add` needs `h`"), "{stderr}");
    assert!(stderr.contains("2 of 4 rows without a prediction"), "{stderr}");
}

#[test]
fn what_is_no_table_of_operations_writes_nothing() {
    let folder = Folder::new("operations-none");
    let out = folder.path("out.csv");
    let fault = refused(1, &["operations", &folder.write("ops.csv", "model,device\nx,t4\n"), "-o", &out]);
    assert!(fault.contains("`op`") && !std::path::Path::new(&out).exists(), "{fault}");
    refused(1, &["operations", &folder.write("empty.csv", "op,device\n")]);
}

#[test]
fn an_old_error_goes_when_a_table_is_predicted_again() {
    let folder = Folder::new("operations-mended");
    let table = "op,device,b,h,error\nsoftmax,t4,4096,1024,unknown device `t44`\n";
    let written = good(&["operations", &folder.write("ops.csv", table)]);
    assert!(!written.contains("t44") && !written.lines().next().unwrap().contains("error"), "{written}");
}
