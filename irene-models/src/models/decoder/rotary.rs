//! Rotary embeddings of positions (Su et al., 2021) with the scalings of public configs.

mod embedding;

use std::f64::consts::PI;

use serde_json::Value;

pub(crate) use self::embedding::RotaryEmbedding;
use crate::{Config, Pairing, Result};

/// The frequencies of a rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rotary {
    /// Numbers of a head that are rotated.
    pub(crate) rotated: usize,
    pub(crate) pairing: Pairing,
    gives: Gives,
    theta: f64,
    scaling: Scaling,
    /// The factor of cosines and sines.
    factor: f64,
    /// Tokens of the longest sequence.
    positions: usize,
}

/// The form in which the module that computes angles hands them to the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// All angles, and all of them once more.
    Both,
    /// Each angle twice in turn (Command R).
    InPairs,
    /// Each angle once (gpt-oss).
    One,
    /// The same, sines before cosines (GPT-J).
    SinesFirst,
}

/// How frequencies are changed for sequences longer than those of the training.
#[derive(Clone, Debug, PartialEq)]
enum Scaling {
    None,
    /// Positions divided (Chen et al., 2023).
    Linear(f64),
    /// A base that grows with the sequence.
    Dynamic(f64),
    /// A share of the pairs turns, at the frequencies of a whole head divided by a factor; the others do not (Gemma 4).
    Proportional {
        factor: f64,
        pairs: usize,
    },
    /// Low frequencies divided, high ones kept (Llama 3.1).
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Between both by a ramp over the dimensions (Peng et al., 2023).
    Yarn {
        factor: f64,
        fast: f64,
        slow: f64,
        original: f64,
        truncate: bool,
    },
    /// A factor for each frequency, one list up to the original length and one beyond (Ding et al., 2024).
    LongRope {
        short: Vec<f64>,
        long: Vec<f64>,
        original: usize,
        /// The factor of cosines and sines beyond the original length.
        factor_beyond: f64,
    },
}

/// The defaults of a family, where a config says nothing.
#[derive(Clone, Copy)]
pub(crate) struct RotaryDefaults {
    /// Numbers in a head.
    pub(crate) width: usize,
    pub(crate) theta: f64,
    /// The share of a head that is rotated.
    pub(crate) share: f64,
    pub(crate) pairing: Pairing,
    pub(crate) gives: Gives,
    pub(crate) positions: usize,
}

/// The fields of `rope_parameters`, or those of older configs.
struct Fields<'c> {
    config: &'c Config,
    /// The field that holds the object.
    place: &'static str,
    object: Option<&'c Value>,
}

impl<'c> Fields<'c> {
    /// Those of all layers.
    fn of(config: &'c Config) -> Self {
        let place = if config.value("rope_parameters").is_some() { "rope_parameters" } else { "rope_scaling" };
        Self { config, place, object: config.value(place) }
    }

    fn value(&self, name: &str) -> Option<&'c Value> {
        self.object.and_then(|object| object.get(name)).filter(|value| !value.is_null())
    }

    fn error(&self, name: &str, reason: &str) -> crate::Error {
        self.config.error(&format!("{}.{name}", self.place), reason.to_owned())
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        let number = |value: &Value| value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
        let positive = |value| number(value).ok_or_else(|| self.error(name, "expected a positive number"));
        self.value(name).map(positive).transpose()
    }

    /// A number that 0 leaves out, as if it were missing.
    fn unless_zero(&self, name: &str) -> Result<Option<f64>> {
        match self.value(name).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => self.number(name),
        }
    }

    fn needed(&self, name: &str) -> Result<f64> {
        self.number(name)?.ok_or_else(|| self.error(name, "is missing"))
    }

    fn numbers(&self, name: &str, count: usize) -> Result<Vec<f64>> {
        let list = self.value(name).and_then(Value::as_array);
        let numbers: Option<Vec<f64>> = list.map(|list| list.iter().filter_map(Value::as_f64).collect());
        match numbers {
            Some(numbers) if numbers.len() == count && numbers.iter().all(|number| *number > 0.0) => Ok(numbers),
            Some(_) => Err(self.error(name, &format!("expected {count} positive numbers"))),
            None => Err(self.error(name, "is missing")),
        }
    }
}

impl Rotary {
    /// The rotary embedding of a config: of all layers, or of those of one kind (`full_attention`, `sliding_attention`) where it names
    /// kinds. `theta_field` is the base's name in older configs.
    pub(crate) fn read(
        config: &Config,
        kind: &str,
        theta_field: &'static str,
        defaults: RotaryDefaults,
    ) -> Result<Self> {
        const NEW: &str = "rope_parameters";
        const OLD: &str = "rope_scaling";
        let new = config.value(NEW);
        let of_kind = new.and_then(|new| new.get(kind)).filter(|value| value.is_object());
        let has_kinds = new.is_some_and(|new| new.as_object().is_some_and(|new| new.values().any(Value::is_object)));
        let (place, object) = match (of_kind, new) {
            (Some(object), _) => (NEW, Some(object)),
            (None, Some(_)) if has_kinds => (NEW, None),
            (None, Some(object)) => (NEW, Some(object)),
            (None, None) => (OLD, config.value(OLD)),
        };
        let fields = Fields { config, place, object };
        let theta = match fields.number("rope_theta")? {
            Some(theta) => theta,
            None => config.number_or(theta_field, defaults.theta)?,
        };
        let share = match fields.number("partial_rotary_factor")? {
            Some(share) => share,
            None => config.number_or("partial_rotary_factor", defaults.share)?,
        };
        let is_proportional = fields.value("rope_type").is_some_and(|word| word == "proportional");
        let rotated = if is_proportional { defaults.width } else { (defaults.width as f64 * share) as usize };
        if rotated == 0 || !rotated.is_multiple_of(2) || rotated > defaults.width {
            let reason = format!("rotates {rotated} of {} numbers of a head; expected an even number", defaults.width);
            // GPT-NeoX has a word of its own.
            let word = if config.has_field("rotary_pct") { "rotary_pct" } else { "partial_rotary_factor" };
            return Err(config.error(word, reason));
        }
        let (scaling, factor) = if is_proportional {
            let pairs = (defaults.width as f64 * share / 2.0) as usize;
            (Scaling::Proportional { factor: fields.number("factor")?.unwrap_or(1.0), pairs }, 1.0)
        } else {
            Scaling::read(&fields, rotated, defaults.positions)?
        };
        let RotaryDefaults { pairing, gives, positions, .. } = defaults;
        Ok(Self { rotated, pairing, gives, theta, scaling, factor, positions })
    }

    /// The same for the layers of a sliding window: a base of their own, and no scaling unless `rope_parameters` has one for them.
    pub(crate) fn read_local(config: &Config, theta_field: &'static str, defaults: RotaryDefaults) -> Result<Self> {
        if config.value("rope_parameters").is_some() {
            return Self::read(config, "sliding_attention", theta_field, defaults);
        }
        let theta = config.number_or(theta_field, defaults.theta)?;
        let RotaryDefaults { width, share, pairing, gives, positions, .. } = defaults;
        let rotated = (width as f64 * share) as usize;
        Ok(Self { rotated, pairing, gives, theta, scaling: Scaling::None, factor: 1.0, positions })
    }

    /// Hunyuan's dynamic scaling with an `alpha`, which stretches the base once for all lengths.
    pub(crate) fn stretch_by_alpha(&mut self, config: &Config) -> Result<()> {
        let is_dynamic = matches!(self.scaling, Scaling::Dynamic(_));
        if let (true, Some(alpha)) = (is_dynamic, Fields::of(config).unless_zero("alpha")?) {
            self.theta = stretched(self.theta, alpha, self.rotated as f64);
            self.scaling = Scaling::None;
        }
        Ok(())
    }

    /// The growth of DeepSeek's scores: that of YaRN by `mscale_all_dim`.
    pub(crate) fn yarn_growth_of_all(&self, config: &Config) -> Result<f64> {
        let Scaling::Yarn { factor, .. } = self.scaling else { return Ok(1.0) };
        let all = Fields::of(config).unless_zero("mscale_all_dim")?;
        Ok(all.map_or(1.0, |all| yarn_growth(factor, all)))
    }

    /// The growth of Ministral 3's queries with their position, if there is one: its scale, and the tokens over which there is none.
    pub(crate) fn growth_of_queries(config: &Config) -> Result<Option<[f64; 2]>> {
        let fields = Fields::of(config);
        let Some(scale) = fields.unless_zero("llama_4_scaling_beta")? else { return Ok(None) };
        Ok(Some([scale, fields.needed("original_max_position_embeddings")?]))
    }

    /// The factor of cosines and sines, where the longest sequence has `len` tokens.
    fn factor(&self, len: usize) -> f64 {
        match self.scaling {
            Scaling::LongRope { original, factor_beyond, .. } if len > original => factor_beyond,
            _ => self.factor,
        }
    }

    /// The angle of each pair for a step of one position, where the longest sequence has `len` tokens; in 32 bits, as transformers
    /// computes it.
    fn frequencies(&self, len: usize) -> Vec<f32> {
        let dim = self.rotated as f64;
        let theta = match self.scaling {
            Scaling::Dynamic(factor) if len > self.positions => {
                let growth = factor * len as f64 / self.positions as f64 - (factor - 1.0);
                stretched(self.theta, growth, dim)
            }
            _ => self.theta,
        };
        let plain = |pair: usize| 1.0 / (theta as f32).powf(2.0 * pair as f32 / dim as f32);
        (0..self.rotated / 2)
            .map(|pair| self.scaling.scaled(pair, plain(pair), self.rotated, self.theta, len))
            .collect()
    }
}

impl Scaling {
    fn read(fields: &Fields<'_>, rotated: usize, positions: usize) -> Result<(Self, f64)> {
        let word = fields.value("rope_type").or_else(|| fields.value("type")).and_then(Value::as_str);
        let original = || match fields.number("original_max_position_embeddings")? {
            Some(original) => Ok(original),
            None => fields.config.number_or("original_max_position_embeddings", positions as f64),
        };
        Ok(match word.unwrap_or("default") {
            // The three positions of a token of text in a model that sees are one.
            "default" | "mrope" => (Self::None, 1.0),
            "linear" => (Self::Linear(fields.needed("factor")?), 1.0),
            "dynamic" => (Self::Dynamic(fields.needed("factor")?), 1.0),
            "llama3" => {
                let (factor, low) = (fields.needed("factor")?, fields.needed("low_freq_factor")?);
                let high = fields.needed("high_freq_factor")?;
                (Self::Llama3 { factor, low, high, original: original()? }, 1.0)
            }
            "yarn" => {
                let factor = fields.needed("factor")?;
                let fast = fields.number("beta_fast")?.unwrap_or(32.0);
                let slow = fields.number("beta_slow")?.unwrap_or(1.0);
                let truncate = fields.value("truncate").and_then(Value::as_bool).unwrap_or(true);
                let scaling = Self::Yarn { factor, fast, slow, original: original()?, truncate };
                (scaling, yarn_factor(fields, factor)?)
            }
            "longrope" | "su" => {
                let [short, long] = ["short_factor", "long_factor"].map(|name| fields.numbers(name, rotated / 2));
                let original = original()?;
                let ratio = match positions as f64 / original {
                    ratio if ratio > 1.0 => ratio,
                    _ => fields.number("factor")?.unwrap_or(1.0),
                };
                let grown = if ratio <= 1.0 { 1.0 } else { (1.0 + ratio.ln() / original.ln()).sqrt() };
                let of_both = fields.number("attention_factor")?.unwrap_or(grown);
                // Phi-3.5-MoE has one for each list.
                let factor = fields.number("short_mscale")?.unwrap_or(of_both);
                let factor_beyond = fields.number("long_mscale")?.unwrap_or(of_both);
                (Self::LongRope { short: short?, long: long?, original: original as usize, factor_beyond }, factor)
            }
            other => {
                let known = "default, linear, dynamic, llama3, yarn, longrope, proportional";
                return Err(fields.error("rope_type", &format!("`{other}` is not supported here; there are {known}")));
            }
        })
    }

    /// The frequency of a pair after scaling.
    fn scaled(&self, pair: usize, plain: f32, rotated: usize, theta: f64, len: usize) -> f32 {
        match self {
            Self::None | Self::Dynamic(_) => plain,
            Self::Linear(factor) => plain / *factor as f32,
            Self::Proportional { factor, pairs } if pair < *pairs => plain / *factor as f32,
            Self::Proportional { .. } => 0.0,
            Self::Llama3 { factor, low, high, original } => {
                let wave = 2.0 * PI / f64::from(plain);
                let slowed = f64::from(plain) / factor;
                if wave < original / high {
                    plain
                } else if wave > original / low {
                    slowed as f32
                } else {
                    let smooth = (original / wave - low) / (high - low);
                    ((1.0 - smooth) * slowed + smooth * f64::from(plain)) as f32
                }
            }
            Self::Yarn { factor, fast, slow, original, truncate } => {
                let dim = rotated as f64;
                // The dimension whose waves turn so often over the original length.
                let dimension = |turns: f64| dim * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
                let (first, last) = (dimension(*fast), dimension(*slow));
                let (first, last) = if *truncate { (first.floor(), last.ceil()) } else { (first, last) };
                let (first, last) = (first.max(0.0), last.min(dim - 1.0));
                let last = if first == last { last + 0.001 } else { last };
                let ramp = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                (f64::from(plain) / factor * ramp + f64::from(plain) * (1.0 - ramp)) as f32
            }
            Self::LongRope { short, long, original, .. } => {
                let factors = if len > *original { long } else { short };
                plain / factors.get(pair).copied().unwrap_or(1.0) as f32
            }
        }
    }
}

/// A base under which the slowest of these dimensions turn so many times slower, and the fastest as before.
fn stretched(theta: f64, growth: f64, dim: f64) -> f64 {
    theta * growth.powf(dim / (dim - 2.0))
}

/// The factor that YaRN gives cosines and sines, so that scores grow with the length.
fn yarn_factor(fields: &Fields<'_>, factor: f64) -> Result<f64> {
    if let Some(given) = fields.number("attention_factor")? {
        return Ok(given);
    }
    let [scale, all] = ["mscale", "mscale_all_dim"].map(|name| fields.unless_zero(name));
    Ok(match (scale?, all?) {
        (Some(scale), Some(all)) => yarn_growth(factor, scale) / yarn_growth(factor, all),
        _ => yarn_growth(factor, 1.0),
    })
}

/// YaRN's growth of the scores' root.
fn yarn_growth(factor: f64, scale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alpha_stretches_the_base_where_the_family_says_so() {
        let config = |alpha: &str| {
            let fields = format!(r#"{{"rope_scaling":{{"type":"dynamic","factor":4.0{alpha}}}}}"#);
            Config::from_json("config.json", fields.as_bytes()).unwrap()
        };
        let read = |config: &Config| {
            let (pairing, gives) = (Pairing::Halves, Gives::Both);
            let defaults = RotaryDefaults { width: 8, theta: 10_000.0, share: 1.0, pairing, gives, positions: 16 };
            Rotary::read(config, "full_attention", "rope_theta", defaults).unwrap()
        };
        let stretched = |config: &Config| {
            let mut rotary = read(config);
            rotary.stretch_by_alpha(config).unwrap();
            rotary
        };
        let [plain, some, none] = ["", r#","alpha":2.0"#, r#","alpha":0"#].map(config);
        assert_eq!(read(&some), read(&plain));
        assert_eq!([&plain, &none].map(stretched), [&plain, &none].map(read));
        assert_eq!(stretched(&some).scaling, Scaling::None);
        assert!(stretched(&some).theta > 20_000.0);
    }
}
