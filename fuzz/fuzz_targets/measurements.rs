//! A list of columns on the first line and measurements below it: figures are in range, and the trees that they join are sound.
#![no_main]

use irene_tree::measurements::{self, Columns, Given};

irene_fuzz::fuzz_text!(|text| {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let Ok(columns) = std::str::from_utf8(&text[..end]) else { return };
    let Ok(columns) = Columns::parse(columns) else { return };
    let Ok(table) = measurements::read([("file".to_owned(), &text[end..])], &columns) else { return };
    let values = || table.rows.iter().flat_map(|row| &row.values);
    assert!(values().all(|(_, value)| value.is_finite() && *value >= 0.0));
    let model = irene_fuzz::small_model();
    let given = Given { model_name: Some("small".into()), batch_size: Some(1), seq_len: Some(2) };
    let mut trace = |_: &str, size| model.trace(size).map_err(|error| error.to_string());
    measurements::join(table.rows, &given, &mut trace).trees.iter().for_each(irene_fuzz::is_sound);
});
