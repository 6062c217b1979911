use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Format, UnknownFormat};

/// The formats that a model is followed, run or measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Precision {
    /// Format of the parameters of matrix products and tables.
    pub weights: Format,
    /// Format of computed tensors.
    pub activations: Format,
    /// Format of cached keys and values.
    pub cache: Format,
}

impl Precision {
    /// 32-bit floats: the format of IrEne's measurements, and of files without a precision.
    pub const F32: Self = Self::of(Format::F32);

    /// One format for all.
    pub const fn of(format: Format) -> Self {
        Self { weights: format, activations: format, cache: format }
    }
}

impl FromStr for Precision {
    type Err = UnknownFormat;

    /// `bf16` for all; `q4_k,f16` for weights, then activations and cache; `q4_k,f16,f8_e4m3` for each. Alone, a format that only
    /// weights can have leaves activations and cache in `f16`.
    fn from_str(words: &str) -> Result<Self, UnknownFormat> {
        let refuse = || UnknownFormat(words.to_owned());
        let formats = words.split(',').map(|word| word.trim().parse()).collect::<Result<Vec<Format>, _>>()?;
        let (weights, activations, cache) = match formats[..] {
            [weights] if weights.holds_activations() => (weights, weights, weights),
            [weights] => (weights, Format::F16, Format::F16),
            [weights, activations] => (weights, activations, activations),
            [weights, activations, cache] => (weights, activations, cache),
            _ => return Err(refuse()),
        };
        let fits = weights.holds_weights() && activations.holds_activations() && cache.holds_weights();
        if fits { Ok(Self { weights, activations, cache }) } else { Err(refuse()) }
    }
}

impl Default for Precision {
    fn default() -> Self {
        Self::F32
    }
}

/// `f32`; `q4_k weights, f16 activations, f8_e4m3 cache` where they differ.
impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weights, activations, cache } = self;
        match (weights == activations, activations == cache) {
            (true, true) => write!(f, "{weights}"),
            (false, true) => write!(f, "{weights} weights, {activations} activations"),
            _ => write!(f, "{weights} weights, {activations} activations, {cache} cache"),
        }
    }
}

/// How a model's operations become kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernels {
    /// Operation by operation, as Hugging Face transformers runs them under PyTorch.
    #[default]
    Eager,
    /// As engines run them: one kernel for an attention, for a product with its bias and activation, for a sum with its norm.
    Fused,
}

impl Kernels {
    /// The word in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Fused => "fused",
        }
    }

    /// The kernels that a word stands for, in whatever case.
    pub fn find(word: &str) -> Option<Self> {
        [Self::Eager, Self::Fused].into_iter().find(|kernels| kernels.name().eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_read_from_one_to_three_words() {
        assert_eq!("bf16".parse(), Ok(Precision::of(Format::BF16)));
        let quantised = Precision { weights: Format::Q4K, ..Precision::of(Format::F16) };
        assert_eq!(("q4_k".parse(), "q4_k, f16".parse()), (Ok(quantised), Ok(quantised)));
        assert_eq!("q4_k,f16,f8_e4m3".parse(), Ok(Precision { cache: Format::F8E4M3, ..quantised }));
        assert!(["i64", "f16,q4_k", "f16,f16,f16,f16", ""].iter().all(|words| words.parse::<Precision>().is_err()));
    }

    #[test]
    fn a_precision_says_only_where_its_formats_differ() {
        let quantised = Precision { weights: Format::Q4K, ..Precision::of(Format::F16) };
        assert_eq!(Precision::of(Format::BF16).to_string(), "bf16");
        assert_eq!(quantised.to_string(), "q4_k weights, f16 activations");
        let cache = Precision { cache: Format::F8E4M3, ..quantised };
        assert_eq!(cache.to_string(), "q4_k weights, f16 activations, f8_e4m3 cache");
    }
}
