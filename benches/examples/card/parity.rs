//! Whether models compute on the device what transformers computed on a processor.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};

use super::setup::Setup;

/// A checkpoint in a format.
pub(crate) struct Row {
    checkpoint: String,
    dtype: &'static str,
    has_experts: bool,
    /// The difference, or why there is none.
    difference: Result<f64, String>,
}

const DTYPES: [&str; 2] = ["f32", "bf16"];

impl Row {
    /// In float32 the largest difference over the largest value is 1e-4 at most. bf16 has 8 bits, and layers add up their errors: the root mean
    /// square of the difference is 3% of that of the values, and 15% where a mixture may choose other experts.
    pub(crate) fn is_within(&self) -> bool {
        let most = match (self.dtype, self.has_experts) {
            ("f32", _) => 1e-4,
            (_, false) => 0.03,
            (_, true) => 0.15,
        };
        self.difference.as_ref().is_ok_and(|difference| *difference <= most)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checkpoint, dtype, difference, .. } = self;
        match difference {
            Ok(difference) => write!(f, "{checkpoint} in {dtype} is off by {difference:.1e}"),
            Err(reason) => write!(f, "{checkpoint} in {dtype}: {reason}"),
        }
    }
}

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../irene-models/tests/fixtures")
}

/// The folders with a checkpoint and what transformers computed.
fn checkpoints() -> Vec<PathBuf> {
    let folders =
        |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = folders(&fixtures())
        .chain(folders(&fixtures().join("llm")))
        .filter(|dir| dir.join("io.safetensors").exists())
        .collect();
    found.sort();
    found
}

/// Every checkpoint in every format, by `irene run` on the device.
pub(crate) fn check(setup: &Setup) -> Vec<Row> {
    let mut rows = Vec::new();
    for folder in checkpoints() {
        let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
        let has_experts = config.contains("experts");
        for dtype in DTYPES {
            let checkpoint = folder.file_name().unwrap().to_string_lossy().into_owned();
            rows.push(Row { checkpoint, dtype, has_experts, difference: difference(setup, &folder, dtype) });
        }
    }
    rows
}

fn difference(setup: &Setup, folder: &Path, dtype: &'static str) -> Result<f64, String> {
    let input = folder.join("io.safetensors");
    let output = setup.out.join("output.safetensors");
    let [folder, file, out] = [folder, &input, &output].map(|path| path.display().to_string());
    setup.irene(&[
        "run",
        &folder,
        "--input",
        &file,
        "--output",
        &out,
        "--device",
        setup.device_name(),
        "--dtype",
        dtype,
    ])?;
    let read = |path: &Path| candle_core::safetensors::load(path, &Device::Cpu).map_err(|error| error.to_string());
    let (theirs, ours) = (read(&input)?, read(&output)?);
    std::fs::remove_file(&output).map_err(|error| error.to_string())?;
    let hidden =
        |tensors: &HashMap<String, Tensor>| tensors.get("last_hidden_state").cloned().ok_or("no last_hidden_state");
    let size = if dtype == "f32" { largest } else { root_mean_square };
    let compared = compared(&hidden(&theirs)?, &hidden(&ours)?, theirs.get("attention_mask"), size);
    compared.map_err(|error| error.to_string())
}

fn largest(x: &Tensor) -> candle_core::Result<f32> {
    x.abs()?.flatten_all()?.max(0)?.to_scalar()
}

fn root_mean_square(x: &Tensor) -> candle_core::Result<f32> {
    Ok(x.sqr()?.mean_all()?.to_scalar::<f32>()?.sqrt())
}

/// The size of the difference over that of the values, at tokens that are no padding.
fn compared(
    theirs: &Tensor,
    ours: &Tensor,
    mask: Option<&Tensor>,
    size: fn(&Tensor) -> candle_core::Result<f32>,
) -> candle_core::Result<f64> {
    let [mut theirs, mut ours] = [theirs.to_dtype(DType::F32)?, ours.to_dtype(DType::F32)?];
    if let Some(mask) = mask {
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        (theirs, ours) = (theirs.broadcast_mul(&mask)?, ours.broadcast_mul(&mask)?);
    }
    Ok(f64::from(size(&(ours - &theirs)?)? / size(&theirs)?))
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("checkpoint,dtype,difference,is_within\n");
    for row in rows {
        let difference = row.difference.as_ref().map_or(String::new(), |difference| format!("{difference:.2e}"));
        text += &format!("{},{},{difference},{}\n", row.checkpoint, row.dtype, row.is_within());
    }
    text
}
