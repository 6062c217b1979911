//! A sheet of requests: each of its rows is forecast in finite figures, or refused in an error.
#![no_main]

use irene_predict::ServiceOptions;
use irene_requests::{RequestReader, RequestRow};

irene_fuzz::fuzz_text!(|text| {
    let Ok(rows) = RequestReader::new("sheet", text) else { return };
    for row in rows.flatten().take(3) {
        irene_fuzz::forecast(ServiceOptions::default(), &RequestRow { model: Some("small".into()), ..row });
    }
});
