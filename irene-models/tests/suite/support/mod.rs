//! The things that tests of several files begin with: fixtures, folders of their own, models of a config, made-up weights.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use irene_models::{Config, ModelSpec, Result};
use irene_tree::{OpKind, Operation, Size};

/// A file or a folder of the fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder of a test's own, which goes with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("irene-models-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// Writes a file; its path.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// Writes what a fixture has.
    pub(crate) fn copy(&self, from: &str, name: &str) -> String {
        self.write(name, std::fs::read(fixture(from)).unwrap())
    }

    pub(crate) fn place(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The model of a config, unless it is refused.
pub(crate) fn taken(config: impl Display) -> Result<ModelSpec> {
    ModelSpec::from_config("mine", Config::from_json("config.json", config.to_string().as_bytes())?)
}

/// The model of a config.
pub(crate) fn spec(config: impl Display) -> ModelSpec {
    taken(config).unwrap()
}

/// The reason why a config is not followed, at once or when its model is built.
pub(crate) fn refused(config: impl Display) -> String {
    taken(config).and_then(|spec| spec.trace(Size::new(1, 8))).unwrap_err().to_string()
}

/// FLOPs of a matrix product: two for each output and each number along the summed axis.
pub(crate) fn product_flops(operation: &Operation) -> f64 {
    match operation.kind {
        OpKind::MatMul | OpKind::Linear | OpKind::Conv1D | OpKind::GroupedLinear => {
            2.0 * operation.output.shape.elements() as f64 * operation.inputs[0].shape.last() as f64
        }
        _ => 0.0,
    }
}

#[cfg(feature = "candle")]
pub(crate) use run::*;

#[cfg(feature = "candle")]
mod run {
    use std::{collections::HashMap, path::Path};

    use candle_core::{DType, Device, Tensor as Candle};
    use irene_models::{Batch, Model, ModelSpec, ParameterSpec, RandomWeights, Result, TaskHead, Tensor, WeightSource};
    use irene_tree::{Precision, Shape, Size};

    /// Made-up weights in 32 bits.
    pub(crate) fn random(seed: u64) -> RandomWeights {
        RandomWeights { seed, dtype: DType::F32, device: Device::Cpu }
    }

    /// Made-up weights large enough that every part of a model shows in its results.
    pub(crate) struct Large(pub(crate) RandomWeights);

    impl Large {
        /// Numbers of a deviation of `factor` / 50; a matrix draws them, where vectors would be zeros and ones.
        pub(crate) fn drawn(&self, spec: &ParameterSpec<'_>, factor: f64) -> Result<Candle> {
            let key = format!("{}.", spec.key);
            let matrix: Vec<usize> = [&[1], spec.shape.dims()].concat();
            let matrix = ParameterSpec { key: &key, shape: Shape::new(&matrix).unwrap(), ..*spec };
            let numbers = self.0.parameter(&matrix)?;
            Ok(numbers.candle().unwrap().reshape(spec.shape.dims())?.affine(factor, 0.0)?)
        }
    }

    impl WeightSource for Large {
        fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
            let is_norm = spec.shape.rank() == 1 && spec.key.ends_with("weight");
            Tensor::from_candle((self.drawn(spec, 10.0)? + if is_norm { 1.0 } else { 0.0 })?)
        }

        fn precision(&self) -> Precision {
            self.0.precision()
        }
    }

    /// The model at a path with its weights, on the CPU.
    pub(crate) fn loaded(place: &Path, head: TaskHead, dtype: DType) -> Result<(ModelSpec, Box<dyn Model>)> {
        let spec = ModelSpec::find(place.to_str().unwrap())?;
        let model = spec.load(&spec.files()?.weights()?, head, dtype, &Device::Cpu)?;
        Ok((spec, model))
    }

    /// The tensors of a file.
    pub(crate) fn tensors(path: &Path) -> HashMap<String, Candle> {
        candle_core::safetensors::load(path, &Device::Cpu).unwrap()
    }

    /// The input of a fixture.
    pub(crate) fn input(io: &HashMap<String, Candle>) -> Batch {
        let numbers = |name: &str| io[name].flatten_all().unwrap().to_vec1().unwrap();
        let (rows, columns) = io["input_ids"].dims2().unwrap();
        let mask = Some(numbers("attention_mask"));
        Batch::of_ids(numbers("input_ids"), mask, Size::new(rows, columns), &Device::Cpu).unwrap()
    }

    /// The largest absolute difference.
    pub(crate) fn difference(x: &Candle, y: &Candle) -> f32 {
        (x - y).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }
}
