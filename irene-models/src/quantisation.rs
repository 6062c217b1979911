//! How a checkpoint of Hugging Face's is quantised, by the `quantization_config` of its config: in which format, and which parameters
//! are not.

use irene_tree::{Format, Precision};
use serde_json::Value;

use crate::{Config, ParameterKind, ParameterSpec, Result, Tensor, WeightSource};

const FIELD: &str = "quantization_config";

/// The method that the config of a GGUF file names.
const GGUF: &str = "gguf";

/// Modules that every method leaves as they are, beside tables: heads and routers.
const KEPT: [&str; 8] = [
    "lm_head",
    "embed_out",
    "score",
    "router",
    "mlp.gate",
    "block_sparse_moe.gate",
    "feed_forward.gate",
    "shared_expert_gate",
];

/// Fields that list further ones, by the method.
const LISTS: [&str; 4] = ["modules_to_not_convert", "llm_int8_skip_modules", "ignored_layers", "ignore"];

/// The format in which a config's quantisation stores weights, if it has one.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for one that is unknown here; `--dtype` says another.
pub(crate) fn format_of(config: &Config) -> Result<Option<Format>> {
    let Some(field) = config.value(FIELD) else { return Ok(None) };
    let word = |name: &str| field[name].as_str().unwrap_or_default();
    let is_on = |switch: &str| field[switch] == true;
    let method = method_of(field);
    // The second names are those of AutoAWQ's own configs.
    let either = |name: &str, other: &str| field.get(name).or_else(|| field.get(other));
    let format = match (method, either("bits", "w_bit").and_then(Value::as_u64)) {
        ("gptq" | "awq", None | Some(4)) => grouped(either("group_size", "q_group_size")),
        ("gptq" | "awq", Some(8)) => Some(Format::Int8),
        ("bitsandbytes", _) if is_on("load_in_4bit") => {
            Some(if is_on("bnb_4bit_use_double_quant") { Format::Nf4Dq } else { Format::Nf4 })
        }
        ("bitsandbytes", _) => Some(Format::Int8),
        ("fp8" | "fbgemm_fp8", _) => Some(Format::F8E4M3),
        ("compressed-tensors", _) => compressed(&field["config_groups"]),
        ("modelopt", _) if word("quant_algo") == "FP8" => Some(Format::F8E4M3),
        ("mxfp4", _) => Some(Format::Mxfp4),
        (GGUF, _) => word("format").parse().ok(),
        _ => None,
    };
    let unknown = || config.error(FIELD, format!("`{}` is unknown here; give --dtype", described(field, method)));
    format.map(Some).ok_or_else(unknown)
}

/// The parameters that a quantisation leaves in the format of the activations.
#[derive(Clone, Debug)]
pub(crate) struct Quantisation {
    /// Parts of the names of modules that are not quantised, with a dot before and behind.
    kept: Vec<String>,
    /// Only modules with this in their name are quantised, where the method says so.
    only: Option<&'static str>,
}

impl Quantisation {
    /// Reads a config's quantisation; None where there is none, and for GGUF files, whose tables and heads are in blocks as all else.
    pub(crate) fn read(config: &Config) -> Option<Self> {
        let field = config.value(FIELD)?;
        let method = method_of(field);
        if method == GGUF {
            return None;
        }
        let lists = LISTS.iter().filter_map(|list| field[*list].as_array()).flatten();
        let listed = lists.filter_map(Value::as_str).map(module_of);
        let has_head = field["lm_head"] == true;
        let always = KEPT.into_iter().filter(|kept| !(has_head && *kept == "lm_head")).map(str::to_owned);
        let only = (method == "mxfp4").then_some(".experts.");
        Some(Self::keeping(always.chain(listed), only))
    }

    /// The kind of a checkpoint with weights in fewer bits than its activations; None if that kind does not keep tables and heads as they are.
    pub(crate) fn of(precision: Precision) -> Option<Self> {
        let keeps_tables = matches!(
            precision.weights,
            Format::F8E4M3
                | Format::F8E5M2
                | Format::Int8
                | Format::Int4
                | Format::Int4G64
                | Format::Int4G32
                | Format::Nf4
                | Format::Nf4Dq
                | Format::Mxfp4
        );
        let differs = precision.weights != precision.activations;
        (keeps_tables && differs).then(|| Self::keeping(KEPT.into_iter().map(str::to_owned), None))
    }

    fn keeping(modules: impl Iterator<Item = String>, only: Option<&'static str>) -> Self {
        // With the dots around them: they are looked for in every key.
        let kept = modules.filter(|module| !module.is_empty()).map(|module| format!(".{module}.")).collect();
        Self { kept, only }
    }

    /// Whether the parameter with this key is quantised.
    fn stores(&self, key: &str) -> bool {
        let module = key.rsplit_once('.').map_or(key, |(module, _)| module);
        let module = format!(".{module}.");
        // Stacked experts are parameters of their module: their own names are the last part of the key.
        let is_among = |part: &str| module.contains(part);
        // Experts' biases are matrices, one row for each.
        !key.ends_with("bias") && self.only.is_none_or(is_among) && !self.kept.iter().any(|kept| is_among(kept))
    }

    /// The checkpoint's parameters as shapes.
    pub(crate) fn shapes(self, precision: Precision) -> QuantisedShapes {
        QuantisedShapes { quantisation: self, precision }
    }
}

/// Refuses to run weights that are followed only.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) naming the method.
#[cfg(feature = "candle")]
pub(crate) fn refuse_to_run(config: &Config) -> Result<()> {
    let Some(field) = config.value(FIELD) else { return Ok(()) };
    let reason = format!(
        "{} weights are followed by shape and not run: take a GGUF file of the model, or the checkpoint that was quantised",
        method_of(field)
    );
    Err(config.error(FIELD, reason))
}

fn method_of(field: &Value) -> &str {
    match field["quant_method"].as_str().unwrap_or_default() {
        "" if field["load_in_4bit"] == true || field["load_in_8bit"] == true => "bitsandbytes",
        method => method,
    }
}

/// 4-bit integers by the size of their groups.
fn grouped(size: Option<&Value>) -> Option<Format> {
    match size.and_then(Value::as_i64) {
        None | Some(128) => Some(Format::Int4),
        Some(64) => Some(Format::Int4G64),
        Some(32) => Some(Format::Int4G32),
        _ => None,
    }
}

/// The format of compressed-tensors' groups of modules, if it is one.
fn compressed(groups: &Value) -> Option<Format> {
    let of_group = |group: &Value| {
        let weights = &group["weights"];
        match (weights["type"].as_str()?, weights["num_bits"].as_u64()?) {
            ("float", 8) => Some(Format::F8E4M3),
            ("int", 8) => Some(Format::Int8),
            ("int", 4) => grouped(weights.get("group_size")),
            _ => None,
        }
    };
    let mut formats = groups.as_object()?.values().map(of_group);
    let first = formats.next()??;
    formats.all(|format| format == Some(first)).then_some(first)
}

/// The method with what makes it unknown.
fn described(field: &Value, method: &str) -> String {
    let shown = ["bits", "w_bit", "group_size", "q_group_size", "quant_algo", "format"].iter().filter_map(|name| {
        let value = field.get(*name).filter(|value| !value.is_null())?;
        Some(format!(", {name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    });
    std::iter::once(method.to_owned()).chain(shown).collect()
}

/// An entry of a list as a part of a parameter's key: pattern signs and the model's own name do not count.
fn module_of(entry: &str) -> String {
    let entry = entry.strip_prefix("re:").unwrap_or(entry);
    let entry = entry.trim_start_matches(".*").trim_end_matches('$').trim_end_matches(".*").replace("\\.", ".");
    entry.strip_prefix("model.").unwrap_or(&entry).trim_matches('.').to_owned()
}

/// The parameters of a quantised checkpoint as shapes: no memory, whatever the model's size.
#[derive(Clone, Debug)]
pub(crate) struct QuantisedShapes {
    quantisation: Quantisation,
    precision: Precision,
}

impl WeightSource for QuantisedShapes {
    /// Only the weights of products are quantised.
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let Precision { weights, activations, .. } = self.precision;
        let is_product = spec.kind == ParameterKind::Weight && spec.shape.rank() >= 2;
        let is_quantised = is_product && self.quantisation.stores(spec.key);
        Ok(Tensor::of_shape(spec.shape, if is_quantised { weights } else { activations }))
    }

    fn precision(&self) -> Precision {
        self.precision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(quantisation: &str) -> Config {
        let json = format!(r#"{{"torch_dtype":"bfloat16","quantization_config":{quantisation}}}"#);
        Config::from_json("config.json", json.as_bytes()).unwrap()
    }

    fn format(quantisation: &str) -> Result<Format> {
        Ok(format_of(&config(quantisation))?.unwrap())
    }

    #[test]
    fn methods_have_their_formats() {
        for (quantisation, expected) in [
            (r#"{"quant_method":"gptq","bits":4,"group_size":128}"#, Format::Int4),
            (r#"{"quant_method":"gptq","bits":4,"group_size":32}"#, Format::Int4G32),
            (r#"{"quant_method":"awq","bits":4,"group_size":64}"#, Format::Int4G64),
            (r#"{"quant_method":"awq","w_bit":4,"q_group_size":64}"#, Format::Int4G64),
            (r#"{"quant_method":"gptq","bits":8}"#, Format::Int8),
            (r#"{"quant_method":"gguf","format":"q4_k"}"#, Format::Q4K),
            (r#"{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_use_double_quant":true}"#, Format::Nf4Dq),
            (r#"{"load_in_8bit":true}"#, Format::Int8),
            (r#"{"quant_method":"fp8","weight_block_size":[128,128]}"#, Format::F8E4M3),
            (
                r#"{"quant_method":"compressed-tensors","config_groups":{"group_0":{"weights":{"num_bits":4,"type":"int","group_size":128}}}}"#,
                Format::Int4,
            ),
            (r#"{"quant_method":"modelopt","quant_algo":"FP8"}"#, Format::F8E4M3),
        ] {
            assert_eq!(format(quantisation).unwrap(), expected, "{quantisation}");
        }
        let unknown = format(r#"{"quant_method":"gptq","bits":3,"group_size":128}"#).unwrap_err().to_string();
        assert_eq!(
            unknown,
            "config.json, field `quantization_config`: `gptq, bits 3, group_size 128` is unknown here; give --dtype"
        );
        assert!(format(r#"{"quant_method":"modelopt","quant_algo":"NVFP4"}"#).is_err());
    }

    #[test]
    fn a_format_that_is_asked_for_is_followed_as_checkpoints_have_it() {
        let of = |words: &str| Quantisation::of(words.parse().unwrap()).is_some();
        assert!(["fp8,bf16", "int8", "int4", "nf4"].iter().all(|words| of(words)));
        assert!(["bf16", "fp8", "f32,bf16", "q4_k"].iter().all(|words| !of(words)));
        assert!(!Quantisation::of("int4".parse().unwrap()).unwrap().stores("lm_head.weight"));
    }

    #[test]
    fn heads_routers_biases_and_listed_modules_are_not_quantised() {
        let stores = |quantisation: &str, key: &str| Quantisation::read(&config(quantisation)).unwrap().stores(key);
        let gptq = r#"{"quant_method":"gptq","bits":4}"#;
        assert!(stores(gptq, "layers.0.self_attn.q_proj.weight"));
        for kept in ["lm_head.weight", "layers.3.mlp.gate.weight", "layers.3.self_attn.q_proj.bias"] {
            assert!(!stores(gptq, kept), "{kept}");
        }
        assert!(stores(gptq, "layers.3.mlp.gate_proj.weight"));
        assert!(stores(r#"{"quant_method":"gptq","lm_head":true}"#, "lm_head.weight"));
        let listed =
            r#"{"quant_method":"fp8","modules_to_not_convert":["model.layers.0.self_attn","re:.*down_proj$"]}"#;
        assert!(
            !stores(listed, "layers.0.self_attn.q_proj.weight") && !stores(listed, "layers.7.mlp.down_proj.weight")
        );
        assert!(stores(listed, "layers.10.self_attn.q_proj.weight"));
        let mxfp4 = r#"{"quant_method":"mxfp4"}"#;
        assert!(
            stores(mxfp4, "layers.0.mlp.experts.gate_up_proj") && !stores(mxfp4, "layers.0.self_attn.q_proj.weight")
        );
        assert!(!stores(mxfp4, "layers.0.mlp.experts.gate_up_proj_bias"));
        assert!(Quantisation::read(&config(r#"{"quant_method":"gguf","format":"q4_k"}"#)).is_none());
    }
}
