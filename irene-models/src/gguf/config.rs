//! A file's metadata as the config that Hugging Face has for the same model.

use irene_tree::Format;
use serde_json::{Map, Value as Json, json};

use super::{
    Gguf, Names,
    architectures::{KNOWN, Known},
    parse::Value,
};
use crate::{Config, Result};

pub(super) const HIDDEN: &str = "embedding_length";
pub(super) const LAYERS: &str = "block_count";
pub(super) const HEADS: &str = "attention.head_count";
pub(super) const GROUPS: &str = "attention.head_count_kv";
pub(super) const HEAD_WIDTH: &str = "attention.key_length";
pub(super) const INNER: &str = "feed_forward_length";
pub(super) const POSITIONS: &str = "context_length";
pub(super) const RMS_EPS: &str = "attention.layer_norm_rms_epsilon";
pub(super) const NORM_EPS: &str = "attention.layer_norm_epsilon";
pub(super) const THETA: &str = "rope.freq_base";
pub(super) const ROTATED: &str = "rope.dimension_count";
pub(super) const WINDOW: &str = "attention.sliding_window";
pub(super) const EXPERTS: &str = "expert_count";
pub(super) const USED: &str = "expert_used_count";
pub(super) const EXPERT_INNER: &str = "expert_feed_forward_length";
pub(super) const SHARED_INNER: &str = "expert_shared_feed_forward_length";

/// The table of segments.
pub(super) const SEGMENTS: &str = "token_types.weight";
/// A classifier's last product.
pub(super) const CLASSIFIER: &str = "cls.output.weight";

/// The sizes by the names that most families have.
pub(super) const USUAL: &[(&str, &str)] = &[
    ("hidden_size", HIDDEN),
    ("num_hidden_layers", LAYERS),
    ("num_attention_heads", HEADS),
    ("intermediate_size", INNER),
    ("max_position_embeddings", POSITIONS),
];

/// The architectures whose layers are of several kinds: a size of 0 says that a layer has none of it.
const MIXED: [&str; 3] = ["granitehybrid", "nemotron_h", "nemotron_h_moe"];

/// The key of the architecture's word.
const ARCHITECTURE: &str = "general.architecture";

impl Gguf {
    /// The config of the file's model.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an unknown architecture, or metadata that is missing or is not followed.
    pub(crate) fn config(&self) -> Result<Config> {
        let known = self.known()?;
        let mut fields = Fields { file: self, name: known.name, fields: Map::new() };
        fields.common()?;
        (known.fields)(&mut fields)?;
        Ok(Config::of_fields(self.origin(), fields.fields))
    }

    /// How its tensors are named.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub(crate) fn names(&self) -> Result<Names> {
        let name = self.known()?.name;
        let fields = Fields { file: self, name, fields: Map::new() };
        let heads = fields.size(HEADS)?;
        Ok(Names::of(name, heads, fields.size_or(GROUPS, heads)?))
    }

    fn known(&self) -> Result<&'static Known> {
        let word =
            self.word(ARCHITECTURE).ok_or_else(|| self.error(ARCHITECTURE, "is missing: the file holds no model"))?;
        let unknown = || {
            let all = KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
            let reason = format!(
                "`{word}` is not followed here; there are {all}; the config.json that the file was made from may be: give it with run.precision"
            );
            self.error(ARCHITECTURE, reason)
        };
        KNOWN.iter().find(|known| known.name == word).ok_or_else(unknown)
    }

    /// Refuses to run a file whose tensors are followed by shape alone.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the architecture.
    #[cfg(feature = "candle")]
    pub(crate) fn refuse_to_run(&self) -> Result<()> {
        let Known { name, runs, .. } = self.known()?;
        if *runs {
            return Ok(());
        }
        let reason =
            format!("a file of `{name}` is followed by shape and not run: take the model's safetensors in 16 bits");
        Err(self.error(ARCHITECTURE, reason))
    }

    /// The format that most numbers of the file are stored in.
    pub(crate) fn main_format(&self) -> Format {
        let mut counts = std::collections::BTreeMap::new();
        for stored in self.tensors() {
            *counts.entry(stored.format).or_insert(0) += stored.shape.elements();
        }
        counts.into_iter().max_by_key(|(_, numbers)| *numbers).map_or(Format::F32, |(format, _)| format)
    }
}

/// The fields so far.
pub(super) struct Fields<'a> {
    pub(super) file: &'a Gguf,
    name: &'static str,
    pub(super) fields: Map<String, Json>,
}

impl Fields<'_> {
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    pub(super) fn set(&mut self, field: &str, value: impl Into<Json>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// A whole number of the metadata.
    pub(super) fn size_if(&self, key: &str) -> Result<Option<usize>> {
        let key = self.key(key);
        match self.file.0.metadata.get(&key) {
            None => Ok(None),
            Some(Value::Whole(number)) => match usize::try_from(*number) {
                Ok(size) => Ok(Some(size)),
                Err(_) => Err(self.file.error(&key, format!("{number} is no size"))),
            },
            Some(Value::Array(array)) => {
                let mut numbers = array.numbers(self.file.first()).unwrap_or_default();
                let is_mixed = MIXED.contains(&self.name);
                numbers.retain(|number| !(is_mixed && *number == 0.0));
                match numbers.first() {
                    None if is_mixed => Ok(None),
                    Some(&first) if numbers.iter().all(|&number| number == first) => Ok(Some(first as usize)),
                    _ => Err(self.file.error(&key, "differs from layer to layer, which is not followed here")),
                }
            }
            Some(_) => Err(self.file.error(&key, "is no whole number")),
        }
    }

    pub(super) fn size(&self, key: &str) -> Result<usize> {
        self.size_if(key)?.ok_or_else(|| self.file.error(&self.key(key), "is missing"))
    }

    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.size_if(key)?.unwrap_or(default))
    }

    pub(super) fn number_if(&self, key: &str) -> Result<Option<f64>> {
        let key = self.key(key);
        match self.file.0.metadata.get(&key) {
            None => Ok(None),
            Some(Value::Number(number)) if number.is_finite() => Ok(Some(shortest(*number))),
            Some(Value::Whole(number)) => Ok(Some(*number as f64)),
            Some(_) => Err(self.file.error(&key, "is no finite number")),
        }
    }

    /// Sets fields where the metadata has their sizes.
    pub(super) fn sizes(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        for (field, key) in pairs {
            if let Some(size) = self.size_if(key)? {
                self.set(field, size);
            }
        }
        Ok(())
    }

    /// Sets fields where the metadata has their numbers.
    pub(super) fn numbers(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        for (field, key) in pairs {
            if let Some(number) = self.number_if(key)? {
                self.set(field, number);
            }
        }
        Ok(())
    }

    /// The dimensions of a tensor; none if the file does not have it.
    pub(super) fn dims(&self, tensor: &str) -> &[usize] {
        self.file.tensor(tensor).map_or(&[], |stored| stored.shape.dims())
    }

    pub(super) fn has(&self, tensor: &str) -> bool {
        self.file.has(tensor)
    }

    pub(super) fn head_width(&self) -> Result<usize> {
        self.size_or(HEAD_WIDTH, self.size(HIDDEN)? / self.size(HEADS)?.max(1))
    }

    /// The fields that every config has.
    fn common(&mut self) -> Result<()> {
        let Some(&vocabulary) = self.dims("token_embd.weight").first() else {
            return Err(self
                .file
                .error("token_embd.weight", "is missing among the tensors: the file holds no whole model"));
        };
        self.set("vocab_size", vocabulary);
        self.set("tie_word_embeddings", !self.has("output.weight"));
        for (field, key) in [("bos_token_id", "bos"), ("pad_token_id", "padding")] {
            if let Some(id) = self.file.token_id(key) {
                self.set(field, id);
            }
        }
        match self.file.end_tokens()[..] {
            [] => {}
            [end] => self.set("eos_token_id", end),
            ref ends => self.set("eos_token_id", ends.to_vec()),
        }
        let format = self.file.main_format();
        if format.holds_activations() {
            self.set("torch_dtype", format.name());
        } else {
            // llama.cpp keeps the cache in 16 bits.
            self.set("torch_dtype", Format::F16.name());
            self.set("quantization_config", json!({"quant_method": "gguf", "format": format.name()}));
        }
        Ok(())
    }

    /// The sizes of a decoder.
    pub(super) fn decoder(&mut self, model_type: &str) -> Result<()> {
        self.set("model_type", model_type);
        self.set("num_key_value_heads", self.size_or(GROUPS, self.size(HEADS)?)?);
        self.sizes(USUAL)?;
        // Layers that guess further tokens stand behind the model's own.
        let guessing = self.size_or("nextn_predict_layers", 0)?;
        if guessing > 0 {
            self.set("num_hidden_layers", self.size(LAYERS)?.saturating_sub(guessing));
        }
        self.pooling()?;
        self.numbers(&[("rope_theta", THETA)])
    }

    /// A decoder with RMS norms and a gated feed-forward part, whose heads are rotated whole.
    pub(super) fn gated(&mut self, model_type: &str, more: &[(&str, &str)]) -> Result<()> {
        let (width, rotated) = (self.head_width()?, self.size_if(ROTATED)?);
        if let Some(rotated) = rotated.filter(|rotated| *rotated != width) {
            let reason = format!("rotates {rotated} of the {width} numbers of a head, where {model_type} rotates all");
            return Err(self.file.error(&self.key(ROTATED), reason));
        }
        self.gated_in_part(model_type, more)
    }

    /// The same where a part of each head may be rotated.
    pub(super) fn gated_in_part(&mut self, model_type: &str, more: &[(&str, &str)]) -> Result<()> {
        self.decoder(model_type)?;
        self.set("head_dim", self.head_width()?);
        self.set("hidden_act", "silu");
        self.numbers(&[("rms_norm_eps", RMS_EPS)])?;
        self.numbers(more)?;
        self.rope_scaling()
    }

    /// Whether its attention has biases: all of them, if the file has one.
    pub(super) fn attention_bias(&mut self) {
        let has = |part: &&str| self.has(&format!("blk.0.attn_{part}.bias"));
        let is_biased = ["q", "k", "v", "output"].iter().any(has);
        self.set("attention_bias", is_biased);
    }

    /// An encoder with BERT's embeddings, and the way that its vectors become one.
    pub(super) fn encoder(&mut self, model_type: &str, activation: &str) -> Result<()> {
        self.set("model_type", model_type);
        self.set("hidden_act", activation);
        let segments = match self.dims(SEGMENTS) {
            [rows, _] => *rows,
            // A single row is stored without its first dimension.
            [_] => 1,
            _ => return Err(self.file.error(SEGMENTS, "is missing among the tensors: the file holds no whole model")),
        };
        self.set("type_vocab_size", segments);
        self.sizes(USUAL)?;
        self.numbers(&[("layer_norm_eps", NORM_EPS)])?;
        self.pooling()
    }

    /// The way that hidden states become one vector in files of embedding models, and the classes in those of rerankers.
    pub(super) fn pooling(&mut self) -> Result<()> {
        const WAYS: [(usize, &str); 3] = [(1, "mean"), (2, "cls"), (3, "lasttoken")];
        let pooling = self.size_if("pooling_type")?;
        if let Some((_, word)) = WAYS.iter().find(|(kind, _)| Some(*kind) == pooling) {
            self.set("sentence_modules", vec![*word]);
        }
        match *self.dims(CLASSIFIER) {
            [classes, _] => self.set("num_labels", classes),
            // A single row is stored without its first dimension.
            [_] => self.set("num_labels", 1),
            _ => {}
        }
        Ok(())
    }

    /// The widths of Qwen's experts, which older files leave to their tensors.
    pub(super) fn qwen_experts(&mut self, model_type: &str) -> Result<()> {
        self.gated(model_type, &[])?;
        self.sizes(&[("num_experts", EXPERTS), ("num_experts_per_tok", USED)])?;
        let of = |dims: &[usize], place: usize| dims.get(place).copied().unwrap_or(0);
        let inner = self.size_or(EXPERT_INNER, of(self.dims("blk.0.ffn_up_exps.weight"), 1))?;
        self.set("moe_intermediate_size", inner);
        let is_qwen3 = model_type == "qwen3_moe";
        self.set("norm_topk_prob", is_qwen3);
        if !is_qwen3 {
            let shared = of(self.dims("blk.0.ffn_up_shexp.weight"), 0);
            self.set("shared_expert_intermediate_size", self.size_or(SHARED_INNER, shared)?);
        }
        Ok(())
    }

    /// DeepSeek's mixtures, which other families have too.
    pub(super) fn deepseek_experts(&mut self, normalised: bool) -> Result<()> {
        self.set("first_k_dense_replace", self.size_or("leading_dense_block_count", 0)?);
        self.sizes(&[
            ("moe_intermediate_size", EXPERT_INNER),
            ("n_routed_experts", EXPERTS),
            ("n_shared_experts", "expert_shared_count"),
            ("num_experts_per_tok", USED),
            ("n_group", "expert_group_count"),
            ("topk_group", "expert_group_used_count"),
        ])?;
        let is_normalised = self.file.flag(&self.key("expert_weights_norm")).unwrap_or(normalised);
        self.set("norm_topk_prob", is_normalised);
        self.numbers(&[("routed_scaling_factor", "expert_weights_scale")])
    }

    /// The sliding window; null, which is none whatever the family's own, where its size is 0.
    pub(super) fn window(&mut self) -> Result<()> {
        if let Some(size) = self.size_if(WINDOW)? {
            self.set("sliding_window", Some(size).filter(|size| *size > 0));
        }
        Ok(())
    }

    /// The same for a family that has a window of its own, where files without a size have none.
    pub(super) fn window_or_none(&mut self) -> Result<()> {
        self.set("sliding_window", Json::Null);
        self.window()
    }

    /// The layers that slide, where the file says it of each or has their period, which is this field of the config.
    pub(super) fn sliding_layers(&mut self, period: &str) -> Result<()> {
        const PATTERN: &str = "attention.sliding_window_pattern";
        let Some(slides) = self.file.array(&self.key(PATTERN)) else { return self.sizes(&[(period, PATTERN)]) };
        if let Some(slides) = slides.numbers(self.file.first()) {
            let word = |slides: &f64| if *slides == 0.0 { "full_attention" } else { "sliding_attention" };
            self.set("layer_types", slides.iter().map(word).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The share of a head that is rotated, where it is not all.
    pub(super) fn rotated(&mut self, field: &str) -> Result<()> {
        let width = self.head_width()?;
        let rotated = self.size_or(ROTATED, width)?;
        self.set(field, rotated as f64 / width.max(1) as f64);
        Ok(())
    }

    pub(super) fn rope_scaling(&mut self) -> Result<()> {
        const TYPE: &str = "rope.scaling.type";
        // As llama.cpp takes files of 2023, which have no type, and the factor by another name.
        let kind = self.file.word(&self.key(TYPE)).unwrap_or("linear").to_owned();
        let newer = self.number_if("rope.scaling.factor")?;
        let factor = newer.map_or_else(|| self.number_if("rope.scale_linear"), |factor| Ok(Some(factor)))?;
        let original = self.size_if("rope.scaling.original_context_length")?;
        let scaling = match kind.as_str() {
            // From a header alone, the frequencies stay as they are: they cost the same.
            _ if self.file.holds("rope_freqs.weight") => self.llama3_scaling()?,
            _ if self.file.holds("rope_factors_long.weight") => return self.long_scaling(original),
            "none" | "longrope" => return Ok(()),
            "linear" => match factor.filter(|factor| *factor != 0.0) {
                Some(factor) => json!({"rope_type": "linear", "factor": factor}),
                None => return Ok(()),
            },
            "yarn" => self.yarn(factor.unwrap_or(1.0), original)?,
            other => return Err(self.file.error(&self.key(TYPE), format!("`{other}` is not followed here"))),
        };
        self.set("rope_scaling", scaling);
        Ok(())
    }

    fn yarn(&self, factor: f64, original: Option<usize>) -> Result<Json> {
        let mut yarn = json!({"rope_type": "yarn", "factor": factor});
        if let Some(original) = original {
            yarn["original_max_position_embeddings"] = original.into();
        }
        for (field, key) in [
            ("beta_fast", "rope.scaling.yarn_beta_fast"),
            ("beta_slow", "rope.scaling.yarn_beta_slow"),
            ("attention_factor", "rope.scaling.yarn_attn_factor"),
        ] {
            if let Some(number) = self.number_if(key)? {
                yarn[field] = number.into();
            }
        }
        // This one multiplies the growth that YaRN has without it.
        let more = self.number_if("rope.scaling.attn_factor")?.filter(|more| *more != 1.0);
        if let Some(more) = more.filter(|_| yarn.get("attention_factor").is_none()) {
            yarn["attention_factor"] = (more * (1.0 + 0.1 * factor.max(1.0).ln())).into();
        }
        Ok(yarn)
    }

    /// Llama 3's scaling. The file has what became of it, a divisor for each frequency.
    fn llama3_scaling(&self) -> Result<Json> {
        /// The values of every public model. Llama 4 has no ramp between low frequencies and high ones.
        const LOW: f64 = 1.0;
        const HIGH: [f64; 2] = [4.0, LOW];
        const ORIGINAL: f64 = 8192.0;
        let divisors = self.file.floats("rope_freqs.weight").unwrap_or_default();
        let factor = divisors.iter().copied().fold(1.0, f64::max);
        let (theta, count) = (self.number_if(THETA)?.unwrap_or(10_000.0), divisors.len() as f64);
        let expected = |place: usize, high: f64| {
            let turns = ORIGINAL / (std::f64::consts::TAU * theta.powf(place as f64 / count));
            let smooth = ((turns - LOW) / (high - LOW)).clamp(0.0, 1.0);
            1.0 / ((1.0 - smooth) / factor + smooth)
        };
        let is_it = |high: &f64| {
            let is_near = |(i, &found): (usize, &f64)| (found - expected(i, *high)).abs() <= 1e-3 * found;
            !divisors.is_empty() && divisors.iter().enumerate().all(is_near)
        };
        let Some(high) = HIGH.into_iter().find(is_it) else {
            let reason =
                "is not Llama 3's scaling of its rotary frequencies, and no other is followed from a GGUF file";
            return Err(self.file.error("rope_freqs.weight", reason));
        };
        Ok(json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": LOW, "high_freq_factor": high,
            "original_max_position_embeddings": ORIGINAL as u64,
        }))
    }

    fn long_scaling(&mut self, original: Option<usize>) -> Result<()> {
        let factors = |name: &str| {
            let found = self.file.floats(name).filter(|factors| factors.iter().all(|factor| factor.is_finite()));
            found.ok_or_else(|| self.file.error(name, "is no tensor of finite 32-bit floats"))
        };
        let (long, short) = (factors("rope_factors_long.weight")?, factors("rope_factors_short.weight")?);
        if let Some(original) = original {
            self.set("original_max_position_embeddings", original);
        }
        self.set("rope_scaling", json!({"rope_type": "longrope", "long_factor": long, "short_factor": short}));
        Ok(())
    }
}

/// The number as a config has it, from the 32-bit float of the file: 1e-5 and not 9.999999747378752e-6.
fn shortest(number: f64) -> f64 {
    let single = number as f32;
    if f64::from(single) == number { single.to_string().parse().unwrap_or(number) } else { number }
}
