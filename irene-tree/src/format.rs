mod precision;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::precision::{Kernels, Precision};

/// How numbers are stored: one by one, or in blocks that share scales.
///
/// The bytes of a block include its scales and zero points:
///
/// | format | numbers in a block | bytes of a block |
/// |---|---|---|
/// | f64, i64 | 1 | 8 |
/// | f32, i32 | 1 | 4 |
/// | f16, bf16 | 1 | 2 |
/// | f8_e4m3, f8_e5m2, int8, u8 | 1 | 1 |
/// | int4 (GPTQ, AWQ; 16-bit scale, 4-bit zero point a group) | 128 | 66.5 |
/// | int4_g64, int4_g32 (the same in smaller groups) | 64, 32 | 34.5, 18.5 |
/// | int4_sym, int4_sym_g64, int4_sym_g32 (compressed-tensors; without zero points) | 128, 64, 32 | 66, 34, 18 |
/// | mlx4, mlx8 (MLX; 16-bit scale and bias a group) | 64 | 36, 68 |
/// | nf4 (bitsandbytes; 32-bit scale a block) | 64 | 36 |
/// | nf4_dq (its scales quantised too) | 16384 | 8452 |
/// | mxfp4 (OCP microscaling; 8-bit exponent a block) | 32 | 17 |
/// | nvfp4 (NVIDIA; 8-bit scale a block) | 16 | 9 |
/// | q4_0, q4_1, q5_0, q5_1, q8_0 (GGUF) | 32 | 18, 20, 22, 24, 34 |
/// | q2_k, q3_k, q4_k, q5_k, q6_k (GGUF) | 256 | 84, 110, 144, 176, 210 |
/// | iq4_nl (GGUF) | 32 | 18 |
/// | iq4_xs, iq3_s, iq3_xxs, iq2_s, iq2_xs, iq2_xxs, iq1_m, iq1_s (GGUF) | 256 | 136, 110, 98, 82, 74, 66, 56, 50 |
/// | tq2_0, tq1_0 (GGUF, three values) | 256 | 66, 54 |
///
/// ```
/// use irene_tree::Format;
/// assert_eq!(Format::F32.bytes(1000), 4000);
/// assert_eq!(Format::Q4K.bytes(4096 * 4096), 4096 * 4096 * 144 / 256);
/// assert_eq!("bfloat16".parse(), Ok(Format::BF16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[non_exhaustive]
#[allow(missing_docs)] // the table above says it
pub enum Format {
    F64,
    F32,
    F16,
    #[serde(rename = "bf16")]
    BF16,
    #[serde(rename = "f8_e4m3")]
    F8E4M3,
    #[serde(rename = "f8_e5m2")]
    F8E5M2,
    I64,
    I32,
    #[serde(rename = "int8")]
    Int8,
    U8,
    #[serde(rename = "int4")]
    Int4,
    #[serde(rename = "int4_g64")]
    Int4G64,
    #[serde(rename = "int4_g32")]
    Int4G32,
    #[serde(rename = "int4_sym")]
    Int4Sym,
    #[serde(rename = "int4_sym_g64")]
    Int4SymG64,
    #[serde(rename = "int4_sym_g32")]
    Int4SymG32,
    Mlx4,
    Mlx8,
    Nf4,
    #[serde(rename = "nf4_dq")]
    Nf4Dq,
    Mxfp4,
    Nvfp4,
    #[serde(rename = "q4_0")]
    Q4_0,
    #[serde(rename = "q4_1")]
    Q4_1,
    #[serde(rename = "q5_0")]
    Q5_0,
    #[serde(rename = "q5_1")]
    Q5_1,
    #[serde(rename = "q8_0")]
    Q8_0,
    #[serde(rename = "q2_k")]
    Q2K,
    #[serde(rename = "q3_k")]
    Q3K,
    #[serde(rename = "q4_k")]
    Q4K,
    #[serde(rename = "q5_k")]
    Q5K,
    #[serde(rename = "q6_k")]
    Q6K,
    #[serde(rename = "iq4_nl")]
    Iq4Nl,
    #[serde(rename = "iq4_xs")]
    Iq4Xs,
    #[serde(rename = "iq3_s")]
    Iq3S,
    #[serde(rename = "iq3_xxs")]
    Iq3Xxs,
    #[serde(rename = "iq2_s")]
    Iq2S,
    #[serde(rename = "iq2_xs")]
    Iq2Xs,
    #[serde(rename = "iq2_xxs")]
    Iq2Xxs,
    #[serde(rename = "iq1_m")]
    Iq1M,
    #[serde(rename = "iq1_s")]
    Iq1S,
    #[serde(rename = "tq2_0")]
    Tq2_0,
    #[serde(rename = "tq1_0")]
    Tq1_0,
}

struct Definition {
    format: Format,
    name: &'static str,
    /// Names in configs and in other tools.
    aliases: &'static [&'static str],
    /// Numbers in a block.
    block: u64,
    /// Bits of a block.
    bits: u64,
}

const fn define(
    format: Format,
    name: &'static str,
    aliases: &'static [&'static str],
    block: u64,
    bits: u64,
) -> Definition {
    Definition { format, name, aliases, block, bits }
}

/// In the order of the enum.
const DEFINITIONS: [Definition; 43] = [
    define(Format::F64, "f64", &["float64", "fp64", "double"], 1, 64),
    define(Format::F32, "f32", &["float32", "fp32", "float"], 1, 32),
    define(Format::F16, "f16", &["float16", "fp16", "half"], 1, 16),
    define(Format::BF16, "bf16", &["bfloat16"], 1, 16),
    define(Format::F8E4M3, "f8_e4m3", &["fp8", "float8_e4m3fn"], 1, 8),
    define(Format::F8E5M2, "f8_e5m2", &["float8_e5m2"], 1, 8),
    define(Format::I64, "i64", &["int64"], 1, 64),
    define(Format::I32, "i32", &["int32"], 1, 32),
    define(Format::Int8, "int8", &["i8"], 1, 8),
    define(Format::U8, "u8", &["uint8"], 1, 8),
    define(Format::Int4, "int4", &["gptq", "awq"], 128, 128 * 4 + 16 + 4),
    define(Format::Int4G64, "int4_g64", &[], 64, 64 * 4 + 16 + 4),
    define(Format::Int4G32, "int4_g32", &[], 32, 32 * 4 + 16 + 4),
    define(Format::Int4Sym, "int4_sym", &[], 128, 128 * 4 + 16),
    define(Format::Int4SymG64, "int4_sym_g64", &[], 64, 64 * 4 + 16),
    define(Format::Int4SymG32, "int4_sym_g32", &[], 32, 32 * 4 + 16),
    define(Format::Mlx4, "mlx4", &[], 64, 64 * 4 + 16 + 16),
    define(Format::Mlx8, "mlx8", &[], 64, 64 * 8 + 16 + 16),
    define(Format::Nf4, "nf4", &[], 64, 64 * 4 + 32),
    define(Format::Nf4Dq, "nf4_dq", &[], 64 * 256, 64 * 256 * 4 + 256 * 8 + 32),
    define(Format::Mxfp4, "mxfp4", &[], 32, 32 * 4 + 8),
    define(Format::Nvfp4, "nvfp4", &[], 16, 16 * 4 + 8),
    define(Format::Q4_0, "q4_0", &[], 32, 18 * 8),
    define(Format::Q4_1, "q4_1", &[], 32, 20 * 8),
    define(Format::Q5_0, "q5_0", &[], 32, 22 * 8),
    define(Format::Q5_1, "q5_1", &[], 32, 24 * 8),
    define(Format::Q8_0, "q8_0", &[], 32, 34 * 8),
    define(Format::Q2K, "q2_k", &[], 256, 84 * 8),
    define(Format::Q3K, "q3_k", &[], 256, 110 * 8),
    define(Format::Q4K, "q4_k", &[], 256, 144 * 8),
    define(Format::Q5K, "q5_k", &[], 256, 176 * 8),
    define(Format::Q6K, "q6_k", &[], 256, 210 * 8),
    define(Format::Iq4Nl, "iq4_nl", &[], 32, 18 * 8),
    define(Format::Iq4Xs, "iq4_xs", &[], 256, 136 * 8),
    define(Format::Iq3S, "iq3_s", &[], 256, 110 * 8),
    define(Format::Iq3Xxs, "iq3_xxs", &[], 256, 98 * 8),
    define(Format::Iq2S, "iq2_s", &[], 256, 82 * 8),
    define(Format::Iq2Xs, "iq2_xs", &[], 256, 74 * 8),
    define(Format::Iq2Xxs, "iq2_xxs", &[], 256, 66 * 8),
    define(Format::Iq1M, "iq1_m", &[], 256, 56 * 8),
    define(Format::Iq1S, "iq1_s", &[], 256, 50 * 8),
    define(Format::Tq2_0, "tq2_0", &[], 256, 66 * 8),
    define(Format::Tq1_0, "tq1_0", &[], 256, 54 * 8),
];

impl Format {
    /// Every format.
    pub fn all() -> impl Iterator<Item = Self> {
        DEFINITIONS.iter().map(|definition| definition.format)
    }

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The name, and those in configs and in other tools.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let Definition { name, aliases, .. } = self.definition();
        std::iter::once(*name).chain(aliases.iter().copied())
    }

    /// Bytes of this many numbers. Saturates rather than wraps.
    pub fn bytes(self, numbers: u64) -> u64 {
        let Definition { block, bits, .. } = *self.definition();
        // In proportion to the numbers: none of these formats pads a row that does not fill its last block.
        let bits = u128::from(numbers) * u128::from(bits);
        u64::try_from(bits.div_ceil(u128::from(block) * 8)).unwrap_or(u64::MAX)
    }

    /// Numbers in a block, which share scales; 1 where each stands alone.
    pub fn block(self) -> u64 {
        self.definition().block
    }

    /// The lowest number that scores in this format can have, which outweighs any other: a softmax of nothing else stays finite.
    pub fn lowest(self) -> f64 {
        match self {
            Self::F16 => -65504.0,
            // bfloat16 has the exponents of 32 bits and fewer digits.
            Self::BF16 => -3.389e38,
            _ => f64::from(f32::MIN),
        }
    }

    /// Whether activations can have this format: numbers with a fraction, stored one by one.
    pub fn holds_activations(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16 | Self::F8E4M3 | Self::F8E5M2)
    }

    /// Whether weights and caches can have this format: all but the integers of ids and masks.
    pub fn holds_weights(self) -> bool {
        !matches!(self, Self::I64 | Self::I32 | Self::U8)
    }

    fn definition(self) -> &'static Definition {
        &DEFINITIONS[self as usize]
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number format; there are {known}", known = known())]
pub struct UnknownFormat(pub String);

fn known() -> String {
    Format::all().map(Format::name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;

    /// Reads a name, an alias, or PyTorch's word (`torch.float16`).
    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        let lower = word.to_ascii_lowercase();
        let lower = lower.strip_prefix("torch.").unwrap_or(&lower);
        DEFINITIONS
            .iter()
            .find(|definition| definition.name == lower || definition.aliases.contains(&lower))
            .map(|definition| definition.format)
            .ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum_and_names_read_back() {
        for (place, definition) in DEFINITIONS.iter().enumerate() {
            assert_eq!(definition.format as usize, place, "{}", definition.name);
            assert_eq!(definition.name.parse(), Ok(definition.format));
            assert_eq!(serde_json::to_value(definition.format).unwrap(), definition.name);
        }
        assert!("float31".parse::<Format>().unwrap_err().to_string().contains("f32"));
    }

    #[test]
    fn a_block_has_as_many_bytes_as_the_table_of_the_documentation_says() {
        let list = |cell: &str| -> Vec<String> {
            cell.split('(').take(1).flat_map(|words| words.split(',')).map(|word| word.trim().to_owned()).collect()
        };
        let mut told = 0;
        for row in include_str!("format.rs").lines().filter_map(|line| line.strip_prefix("/// | ")).skip(1) {
            let cells: Vec<Vec<String>> = row.split('|').map(list).collect();
            for (place, name) in cells[0].iter().enumerate() {
                // A number alone is that of all in its row.
                let of = |column: usize| cells[column].get(place).unwrap_or(&cells[column][0]).parse::<f64>().unwrap();
                let format: Format = name.parse().unwrap();
                assert_eq!(
                    (format.block() as f64, format.bytes(2 * format.block()) as f64),
                    (of(1), 2.0 * of(2)),
                    "{name}"
                );
                told += 1;
            }
        }
        assert_eq!(told, DEFINITIONS.len());
        assert_eq!(Format::F32.bytes(u64::MAX), u64::MAX);
    }

    #[test]
    fn the_lowest_score_is_finite_in_its_format() {
        assert_eq!(Format::F16.lowest(), -65504.0);
        assert_eq!(Format::F32.lowest(), f64::from(f32::MIN));
        // The greatest number of bfloat16: 255/256 of 2 to the 128th.
        let greatest = 255.0 / 256.0 * 2f64.powi(128);
        assert!((-Format::BF16.lowest() / greatest - 1.0).abs() < 1e-3 && -Format::BF16.lowest() <= greatest);
    }
}
