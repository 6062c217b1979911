//! The choice of model, weights and device, for every command that runs a model.

use anyhow::{Context, Result, anyhow};
use candle_core::{DType, Device};
use clap::ValueEnum;
use irene_models::{Model, ModelFiles, ModelSpec, RandomWeights, TaskHead, WeightSource};
use irene_tree::{Format, Precision};

#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// A directory with config.json and weights, a GGUF file, a model's id in the Hugging Face cache, or a built-in name
    pub(crate) model: String,
    /// Weights from another place: a safetensors or GGUF file, a directory, or an id in the cache
    #[arg(long, value_name = "PATH", conflicts_with = "random_weights")]
    pub(crate) weights: Option<String>,
    /// Made-up weights from this seed
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub(crate) random_weights: Option<u64>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number of at least 0".into())
}

/// Where models run, and in which number format.
#[derive(Clone, clap::Args)]
pub(crate) struct PlaceArgs {
    /// The number format of weights and activations
    #[arg(long, value_enum, default_value = "f32")]
    dtype: DTypeName,
    /// The device that the model runs on
    #[arg(long, value_enum, default_value = "cpu")]
    device: DeviceName,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeviceName {
    Cpu,
    /// Needs a build with --features cuda
    Cuda,
    /// Needs a build with --features metal
    Metal,
}

#[derive(Clone, Copy, ValueEnum)]
enum DTypeName {
    F32,
    F16,
    Bf16,
}

/// The error of a device that this build has no kernels for says how to get them.
fn lacking(device: &str, error: candle_core::Error) -> anyhow::Error {
    match error {
        candle_core::Error::NotCompiledWithCudaSupport | candle_core::Error::NotCompiledWithMetalSupport => {
            anyhow!("--device {device}: this build has none of it; build irene with --features {device}")
        }
        error => anyhow::Error::from(error).context(format!("--device {device}")),
    }
}

impl PlaceArgs {
    pub(crate) fn device(&self) -> Result<Device> {
        Ok(match self.device {
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Cuda => Device::new_cuda(0).map_err(|error| lacking("cuda", error))?,
            DeviceName::Metal => Device::new_metal(0).map_err(|error| lacking("metal", error))?,
        })
    }

    pub(crate) fn is_on_cpu(&self) -> bool {
        matches!(self.device, DeviceName::Cpu)
    }

    /// The names of the device and the type, for a record.
    pub(crate) fn names(&self) -> [String; 2] {
        let name =
            |value: Option<clap::builder::PossibleValue>| value.map_or(String::new(), |value| value.get_name().into());
        [name(self.device.to_possible_value()), name(self.dtype.to_possible_value())]
    }

    pub(crate) fn dtype(&self) -> DType {
        match self.dtype {
            DTypeName::F32 => DType::F32,
            DTypeName::F16 => DType::F16,
            DTypeName::Bf16 => DType::BF16,
        }
    }

    /// The same type as a format of ours.
    pub(crate) fn precision(&self) -> Precision {
        Precision::of(match self.dtype {
            DTypeName::F32 => Format::F32,
            DTypeName::F16 => Format::F16,
            DTypeName::Bf16 => Format::BF16,
        })
    }

    /// Made-up weights.
    pub(crate) fn made_up(&self, device: &Device, seed: u64) -> Box<dyn WeightSource> {
        Box::new(RandomWeights { seed, dtype: self.dtype(), device: device.clone() })
    }
}

impl ModelArgs {
    /// The model with its weights; if it has none, with made-up ones from `default_seed`, if there is one.
    pub(crate) fn load(
        &self,
        spec: &ModelSpec,
        head: TaskHead,
        device: &Device,
        default_seed: Option<u64>,
    ) -> Result<Box<dyn Model>> {
        Ok(spec.build_with_head(self.source(spec, head, device, default_seed)?.as_ref(), head)?)
    }

    /// The weights of [`load`](Self::load).
    pub(crate) fn source(
        &self,
        spec: &ModelSpec,
        head: TaskHead,
        device: &Device,
        default_seed: Option<u64>,
    ) -> Result<Box<dyn WeightSource>> {
        if let Some(seed) = self.random_weights {
            return Ok(self.place.made_up(device, seed));
        }
        let files = self.weights.as_ref().map_or_else(|| spec.files(), |place| ModelFiles::find(place));
        match (files.and_then(|files| files.weights()), default_seed) {
            (Ok(files), _) => Ok(spec.open_weights(&files, head, self.place.dtype(), device)?),
            (Err(_), Some(seed)) if self.weights.is_none() => Ok(self.place.made_up(device, seed)),
            (Err(error), _) => {
                Err(error).context("no weights; give --weights PATH, or --random-weights SEED to run without")
            }
        }
    }
}
