//! Public measurements in the formats of those who made them: the rows are those of a sheet.
#![no_main]

use std::path::Path;

use irene_requests::{RequestReader, import_bytes, write};

irene_fuzz::fuzz_text!(|bytes| {
    let Ok(imported) = import_bytes("file", bytes, Path::new("/nowhere/file.json")) else { return };
    let mut written = Vec::new();
    write(&mut written, &imported.rows).expect("rows are written");
    if imported.rows.is_empty() {
        return;
    }
    let sheet = RequestReader::new("sheet", written.as_slice()).expect("a sheet");
    for row in sheet {
        row.unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&written)));
    }
});
