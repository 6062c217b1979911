//! A sheet of requests: its rows come back from a file, and it compares with itself without an error.
#![no_main]

use irene_requests::{RequestReader, RequestRow, Table, compare, write};

fn rows(text: &[u8]) -> Option<Vec<RequestRow>> {
    let rows = RequestReader::new("sheet", text).ok()?;
    // Where a row stands is no part of it.
    rows.map(|row| Some(RequestRow { line: 0, ..row.ok()? })).collect()
}

irene_fuzz::fuzz_text!(|text| {
    if let Some(read) = rows(text) {
        let mut written = Vec::new();
        write(&mut written, &read).expect("rows are written");
        let shown = String::from_utf8_lossy(&written);
        if !read.is_empty() {
            let again = rows(&written).unwrap_or_else(|| panic!("what is written is read: {shown}"));
            // A row without a cell is an empty line, which is skipped.
            let said =
                |rows: Vec<RequestRow>| rows.into_iter().filter(|row| !is_empty(row)).map(sorted).collect::<Vec<_>>();
            assert_eq!(said(again), said(read), "{shown}");
        }
    }
    let Ok(table) = Table::read("sheet", text) else { return };
    let Ok(comparison) = compare(&table, &table, None) else { return };
    assert!(comparison.groups.iter().all(|group| group.errors.p90().is_none_or(|error| error >= 0.0)));
});

fn is_empty(row: &RequestRow) -> bool {
    let settings = RequestRow { further: Vec::new(), ..row.clone() };
    settings == RequestRow::default() && row.further.iter().all(|(_, cell)| cell.trim().is_empty())
}

/// Rows have the further columns in the order in which the sheet first has them; an empty cell says nothing.
fn sorted(mut row: RequestRow) -> RequestRow {
    row.further.retain(|(_, cell)| !cell.is_empty());
    row.further.sort();
    row
}
