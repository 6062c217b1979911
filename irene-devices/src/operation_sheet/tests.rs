use std::io::ErrorKind;

use super::*;

fn sheet(table: &str) -> Result<OperationSheet> {
    OperationSheet::read("ops.csv", table.as_bytes())
}

fn written(table: &str) -> String {
    let mut out = Vec::new();
    sheet(table).unwrap().write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A pipe that nobody reads.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_has_gone_is_told_from_other_faults() {
    // More than is kept back before it is written.
    let table = format!("op,device,m,n,k,note\nlinear,l4,2,2,2,{}\n", "m".repeat(1 << 16));
    let error = sheet(&table).unwrap().write(Gone).unwrap_err();
    assert!(matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe));
}

#[test]
fn rows_get_times_within_their_intervals_and_keep_their_columns() {
    let out = written(
        "note,op,device,dtype,b,m,n,k,h,timing\nmine,bmm,Tesla T4,,16.0,128,128,64,,\n,add,l4,f16,1024,,,,512,call\n",
    );
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0][10..], ADDED[..8]);
    assert_eq!(lines[1][0], "mine");
    for line in &lines[1..] {
        let [time, low, high]: [f64; 3] = std::array::from_fn(|at| line[10 + at].parse().unwrap());
        assert!(low < time && time < high && (1e-6..1e-2).contains(&time), "{line:?}");
        let [energy, low, high]: [f64; 3] = std::array::from_fn(|at| line[13 + at].parse().unwrap());
        assert!(low < energy && energy < high && (1.0..2000.0).contains(&(energy / time)), "{line:?}");
    }
}

#[test]
fn a_call_takes_longer_than_its_kernel() {
    let time = |row: &str| {
        written(&format!("op,device,dtype,timing,b,h\nadd,l4,{row},1024,512\n"))
            .lines()
            .nth(1)
            .unwrap()
            .split(',')
            .nth(6)
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert_eq!(time("f32,"), time("f32,call"));
    assert_eq!(time("f16,"), time("f16,kernel"));
    assert!(time("f16,call") > time("f16,kernel"));
}

#[test]
fn faults_name_their_lines_and_other_rows_go_on() {
    let table = "op,device,dtype,m,n,k\nlinear,l4,f8,2,2,2\nlinear,h1000,,2,2,2\nfft,l4,,2,2,2\nlinear,l4,f24,2,2,2\nlinear,l4,,2.5,2,2\nlinear,l4,,2\nlinear,p4,f16,2,2,2\n";
    let sheet = sheet(table).unwrap();
    let faults: Vec<String> = sheet.faults().collect();
    let expected =
        [("line 3", "`h1000`"), ("line 4", "`fft`"), ("line 5", "`f24`"), ("line 6", "`2.5`"), ("line 7", "found 4")];
    assert_eq!((sheet.len(), faults.len()), (7, expected.len()));
    for (fault, (line, what)) in faults.iter().zip(expected) {
        assert!(fault.starts_with("ops.csv, line ") && fault.contains(line) && fault.contains(what), "{fault}");
    }
    let out = written(table);
    assert!(out.lines().next().unwrap().ends_with(",error"));
    assert!(out.lines().last().unwrap().contains("f16 has no unit on p4: multiplied in f32"));
}

#[test]
fn a_table_without_operations_is_refused() {
    let fault = sheet("name,device\nx,l4\n").unwrap_err().to_string();
    assert!(fault.contains("`op`"), "{fault}");
}
