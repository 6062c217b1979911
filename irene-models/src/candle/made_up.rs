use candle_core::{DType as CandleDType, Device, Tensor as Candle};
use irene_tree::Precision;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{Rng, SeedableRng},
};

use super::checkpoint::precision_of;
use crate::{ParameterKind, ParameterSpec, Result, Tensor, WeightSource};

/// Normally distributed weights of standard deviation 0.02, biases of 0, norms and factors of 1: a model as it is before training.
///
/// A tensor's values depend on the seed and its key alone. Use it to measure, where values do not matter but zeros and denormal
/// numbers might.
#[derive(Clone, Debug)]
pub struct RandomWeights {
    /// Decides every number.
    pub seed: u64,
    /// The element type.
    pub dtype: CandleDType,
    /// Where the tensors are.
    pub device: Device,
}

const DEVIATION: f64 = 0.02;

impl WeightSource for RandomWeights {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let ParameterSpec { key, shape, kind, .. } = *spec;
        let elements = shape.elements() as usize;
        // Only norms have a vector of weights.
        let is_factor = key.ends_with("weight") || key.ends_with("scale") || kind == ParameterKind::Buffer;
        let numbers: Vec<f32> = match (shape.rank(), is_factor, key.ends_with("bias")) {
            (1, true, _) => vec![1.0; elements],
            (1, ..) | (.., true) => vec![0.0; elements],
            _ => normal(self.seed ^ digest(key), elements),
        };
        let tensor = Candle::from_vec(numbers, shape.dims(), &self.device)?;
        Tensor::from_candle(tensor.to_dtype(self.dtype)?)
    }

    fn precision(&self) -> Precision {
        precision_of(self.dtype)
    }
}

/// Zeros, for uses that do not depend on values.
#[derive(Clone, Debug)]
pub(crate) struct ZeroWeights {
    /// The element type.
    pub(crate) dtype: CandleDType,
    /// Where the tensors are.
    pub(crate) device: Device,
}

impl WeightSource for ZeroWeights {
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        Tensor::from_candle(Candle::zeros(spec.shape.dims(), self.dtype, &self.device)?)
    }

    fn precision(&self) -> Precision {
        precision_of(self.dtype)
    }
}

/// FNV-1a: the same on every machine.
fn digest(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Normally distributed numbers, made in pairs (Box and Muller).
fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    // The upper 53 bits, from above 0 to 1.
    let mut uniform = || ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        let (radius, angle) = (DEVIATION * (-2.0 * uniform().ln()).sqrt(), std::f64::consts::TAU * uniform());
        numbers.extend([(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]);
    }
    numbers.truncate(count);
    numbers
}
