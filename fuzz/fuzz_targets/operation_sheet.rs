//! A table of operations: what is predicted lies in its interval, and the table with its predictions is read as the same table.
#![no_main]

use irene_devices::OperationSheet;

fn written(text: &[u8]) -> Option<(OperationSheet, Vec<u8>)> {
    let sheet = OperationSheet::read("sheet", text).ok()?;
    let mut written = Vec::new();
    sheet.write(&mut written).expect("a sheet is written");
    Some((sheet, written))
}

irene_fuzz::fuzz_text!(|text| {
    let Some((sheet, first)) = written(text) else { return };
    let shown = String::from_utf8_lossy(&first);
    let (again, second) = written(&first).unwrap_or_else(|| panic!("what is written is read: {shown}"));
    assert_eq!(again.len(), sheet.len(), "{shown}");
    // A row of too many or too few cells is one of the right number when it was written.
    if sheet.faults().all(|fault| !fault.contains("this row:")) {
        assert_eq!(again.faults().count(), sheet.faults().count(), "{shown}");
    }
    if sheet.faults().count() == 0 {
        assert_eq!(String::from_utf8_lossy(&second), shown);
    }
    assert!(!shown.contains("NaN") || String::from_utf8_lossy(text).contains("NaN"), "{shown}");
});
