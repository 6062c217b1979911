//! Public formats are recognised by what they hold, and read as request sheets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use irene_devices::Catalogue;
use irene_requests::{Imported, Load, METER, RequestReader, RequestRow, import, import_bytes, write};
use irene_tree::{Format, Parallel};
use proptest::prelude::*;

mod runs;
mod tables;

use self::{
    runs::{LLAMA_BENCH, OPTIMUM_REPORT, VLLM},
    tables::{ML_ENERGY, SPL},
};

fn of(text: &str) -> Imported {
    import_bytes("in", text.as_bytes(), Path::new("nowhere/in")).unwrap()
}

/// The only row.
fn row(text: &str) -> RequestRow {
    let Imported { rows, left_out, .. } = of(text);
    assert!(left_out.is_empty(), "{left_out:?}");
    let [row] = &rows[..] else { panic!("{} rows", rows.len()) };
    row.clone()
}

fn refused(text: &str) -> String {
    import_bytes("in", text.as_bytes(), Path::new("in")).unwrap_err().to_string()
}

fn near(found: Option<f64>, expected: f64) -> bool {
    found.is_some_and(|found| (found / expected - 1.0).abs() < 1e-9)
}

fn names(row: &RequestRow) -> [&str; 3] {
    [&row.model, &row.device, &row.engine].map(|name| name.as_deref().unwrap_or_default())
}

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("irene-requests-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_not_recognised_says_what_was_looked_for() {
    for text in ["", "a,b\n1,2\n", "{}", "[1, 2]", "just words", "{\"prompt\": 1}"] {
        let reason = refused(text);
        assert!(reason.starts_with("in: not recognised; looked for ML.ENERGY (energy_per_token_j"), "{reason}");
        assert!(reason.contains("llama-bench (n_prompt") && reason.lines().count() == 1);
    }
    assert!(refused("{\"completed\": 1,\n").starts_with("in, line 2: is not JSON: EOF"));
    // A wrong line keeps no other from being read.
    let broken = ML_ENERGY.replace("mlenergy-v2,llm-code,", "mlenergy-v2,");
    let Imported { rows, left_out, .. } = of(&broken);
    assert_eq!(
        (rows.len(), left_out[0].to_string()),
        (2, "in, line 3: has 19 cells where the first line has 20".to_owned())
    );
}

/// Every row can be written and read back.
fn round_trip(rows: &[RequestRow]) {
    let mut text = Vec::new();
    write(&mut text, rows).unwrap();
    let mut read = RequestReader::new("a", &text[..]).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(read.len(), rows.len());
    for (read, row) in read.iter_mut().zip(rows) {
        read.line = row.line;
        read.further.retain(|(title, _)| row.further(title).is_some());
        let further = |row: &RequestRow| row.further.iter().cloned().collect::<BTreeMap<_, _>>();
        assert_eq!(further(read), further(row));
        read.further.clone_from(&row.further);
    }
    assert_eq!(read, rows);
}

#[test]
fn what_is_imported_is_written_and_read_back() {
    let all = [ML_ENERGY, VLLM, LLAMA_BENCH];
    all.iter().for_each(|text| round_trip(&of(text).rows));
}

#[test]
#[ignore = "needs the public data (IRENE_DATA)"]
fn the_public_files_are_read_whole() {
    let data = PathBuf::from(std::env::var_os("IRENE_DATA").unwrap()).join("llm");
    for (file, count) in [
        ("mlenergy.csv", 563),
        ("llm_inference_bench.csv", 3077),
        ("mlperf_power.csv", 96),
        ("splitwise.csv", 630),
        ("ecocompute_a800.csv", 70),
    ] {
        let Imported { rows, left_out, .. } = import(&data.join(file)).unwrap();
        assert_eq!((rows.len(), left_out.len()), (count, 0), "{file}");
        let is_known = |name: &str| Catalogue::find(name).is_ok_and(|device| device.name == name);
        let unknown: BTreeSet<&str> =
            rows.iter().filter_map(|row| row.device.as_deref()).filter(|name| !is_known(name)).collect();
        assert!(unknown.is_subset(&BTreeSet::from(["SambaNova SN40L"])), "{file}: {unknown:?}");
        assert!(
            rows.iter().all(|row| row.model.is_some() && row.device.is_some() && !row.figures.is_empty()),
            "{file}"
        );
        round_trip(&rows);
    }
}

#[test]
fn a_row_on_more_gpus_than_a_sheet_can_say_is_left_out() {
    let Imported { rows, left_out, .. } = of(&ML_ENERGY.replace(",8,1,1.0,8.0,1.0,", ",8,16777216,1.0,8.0,1.0,"));
    let fault = "in, line 2, column `tensor_parallel`: 16777216 is not a whole number from 1 to 1048576";
    assert_eq!((rows.len(), left_out[0].to_string().as_str()), (2, fault));
    let negative = VLLM.replace("\"total_input_tokens\": 51200", "\"total_input_tokens\": -51200");
    assert_eq!(row(&negative).prompt, None);
}

#[test]
fn a_ratio_that_is_no_number_is_no_setting() {
    let of = |text: &str| import_bytes("in", text.as_bytes(), Path::new("nowhere/in")).unwrap().rows.remove(0);
    let few = VLLM.replace("\"completed\": 100", "\"completed\": 1.8e-309");
    assert_ne!(few, VLLM);
    assert_eq!((of(VLLM).prompt, of(&few).prompt), (Some(512.0), None));
    let pairs = [
        ("\"max_concurrency\": 16", "\"max_concurrency\": null"),
        ("\"output_throughput\": 256.0", "\"output_throughput\": 1e308"),
        ("\"mean_tpot_ms\": 50.0", "\"mean_tpot_ms\": 1e300"),
    ];
    let swift = pairs.iter().fold(VLLM.to_owned(), |text, (old, new)| text.replace(old, new));
    assert_eq!(of(&swift).load, None);
}

proptest! {
    #[test]
    fn no_bytes_panic_the_formats(seed in prop::sample::select(vec![ML_ENERGY, VLLM, LLAMA_BENCH, OPTIMUM_REPORT, SPL]), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..12), cut in any::<bool>()) {
        let mut text = seed.as_bytes().to_vec();
        let at = at.index(text.len());
        let end = if cut { text.len() } else { (at + bytes.len()).min(text.len()) };
        text.splice(at..end, bytes);
        if let Ok(imported) = import_bytes("in", &text, Path::new("nowhere/in")) {
            let mut written = Vec::new();
            write(&mut written, &imported.rows).unwrap();
        }
    }

    #[test]
    fn no_values_panic_the_formats(number in prop_oneof![any::<f64>().prop_map(|value| serde_json::json!(value)), any::<i64>().prop_map(|value| serde_json::json!(value)), "\\PC{0,8}".prop_map(|value| serde_json::json!(value)), Just(serde_json::json!([[]])), Just(serde_json::json!({"a": null}))], field in any::<prop::sample::Index>(), seed in prop::sample::select(vec![VLLM, OPTIMUM_REPORT])) {
        let mut value: serde_json::Value = serde_json::from_str(seed).unwrap();
        let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        value[field.get(&fields)] = number;
        if let Ok(imported) = import_bytes("in", value.to_string().as_bytes(), Path::new("nowhere/in")) {
            let mut written = Vec::new();
            write(&mut written, &imported.rows).unwrap();
            // Each figure and count that is written is one that is read.
            let read: Vec<_> = RequestReader::new("a", &written[..]).unwrap().collect();
            prop_assert!(read.iter().all(Result::is_ok), "{:?}", read);
        }
    }
}
