//! How weights are quantised, as a config says it.

use std::collections::BTreeMap;

use irene_tree::Format;
use serde_json::Value;

use super::modules::Modules;
use crate::{Config, Error, Result};

pub(super) const FIELD: &str = "quantization_config";
/// The field of MLX's configs, of which older ones have no other.
const MLX_FIELD: &str = "quantization";
/// Where the fields are from, if that is a file beside the config.
pub(super) const FILE: &str = "file";

/// The method that the config of a GGUF file names.
const GGUF: &str = "gguf";
/// The method of MLX's configs, which name none.
const MLX: &str = "mlx";
/// The method with a switch for each of its formats.
const BITSANDBYTES: &str = "bitsandbytes";

/// Modules that every method but MLX's leaves as they are, beside tables: heads, routers, the weights of an indexer's heads, and what makes the
/// entries of DeepSeek-V4.
pub(super) const KEPT: [&str; 15] = [
    "lm_head",
    "embed_out",
    "score",
    "router",
    "mlp.gate",
    "mixer.gate",
    "block_sparse_moe.gate",
    "feed_forward.gate",
    "shared_expert_gate",
    "compressor.kv_proj",
    "compressor.gate_proj",
    "indexer.kv_proj",
    "indexer.gate_proj",
    "scorer.weights_proj",
    "indexer.weights_proj",
];

/// Fields that list further ones, by the method.
const LISTS: [&str; 5] =
    ["modules_to_not_convert", "llm_int8_skip_modules", "ignored_layers", "ignore", "exclude_modules"];

/// Fields that a refusal shows.
const SHOWN: [&str; 8] = ["bits", "w_bit", "group_size", "q_group_size", "quant_algo", "format", "mode", "data_type"];

/// Modules and the format that they are stored in; those of no list where there is none.
pub(super) type Group = (Option<Modules>, Format);

/// The quantisation of a config.
pub(super) struct Stated<'c> {
    config: &'c Config,
    field: &'static str,
    fields: &'c Value,
    pub(super) method: &'c str,
}

impl<'c> Stated<'c> {
    /// None where the config says nothing, or nothing is switched on.
    pub(super) fn of(config: &'c Config) -> Option<Self> {
        let mlx = || Some((MLX_FIELD, config.value(MLX_FIELD).filter(|fields| fields.get("bits").is_some())?));
        let own = config.value(FIELD).filter(|fields| quantises(fields));
        let (field, fields) = own.map(|fields| (FIELD, fields)).or_else(mlx)?;
        Some(Self { config, field, fields, method: method_of(fields) })
    }

    pub(super) fn is_gguf(&self) -> bool {
        self.method == GGUF
    }

    /// Whether tables, heads and routers are quantised as all else.
    pub(super) fn has_tables(&self) -> bool {
        self.method == MLX
    }

    /// The modules that are left as they are.
    ///
    /// # Errors
    /// [`Error::Config`] naming an entry of its lists that cannot be read.
    pub(super) fn kept(&self) -> Result<Modules> {
        let has_head = self.fields["lm_head"] == true;
        let always = KEPT.into_iter().filter(|kept| !(self.has_tables() || has_head && *kept == "lm_head"));
        let mut entries: Vec<String> = always.map(str::to_owned).collect();
        entries.extend(LISTS.iter().flat_map(|list| words(&self.fields[*list])));
        // GPTQModel's expressions of what it skips, AutoRound's modules of 16 bits, and MLX's that are not quantised.
        let skipped = |(entry, _): (&String, &Value)| Some(format!("re:{}", entry.strip_prefix("-:")?));
        entries.extend(members(&self.fields["dynamic"]).filter_map(skipped));
        let is_wide = |way: &Value| way["bits"].as_u64().is_some_and(|bits| bits >= 16);
        let wide = members(&self.fields["extra_config"]).filter(|(_, way)| is_wide(way));
        entries.extend(wide.map(|(module, _)| module.clone()));
        let plain = members(self.fields).filter(|(_, way)| self.has_tables() && **way == false);
        entries.extend(plain.map(|(module, _)| module.clone()));
        self.modules(&entries)
    }

    /// The formats of all others, those of a list first.
    ///
    /// # Errors
    /// [`Error::Config`] for a format that is unknown here, and for a list that cannot be read.
    pub(super) fn groups(&self) -> Result<Vec<Group>> {
        match self.method {
            // gpt-oss has its experts in it, and nothing else.
            "mxfp4" => Ok(vec![(Some(Modules::named(["experts"])), Format::Mxfp4)]),
            // DeepSeek-V4's experts have fewer bits than all else.
            "fp8" if self.has_experts_of_4_bits() => {
                Ok(vec![(Some(Modules::named(["experts"])), Format::Mxfp4), (None, Format::F8E4M3)])
            }
            MLX => self.of_mlx(),
            "compressed-tensors" => self.compressed(),
            _ => {
                let whole = self.format().ok_or_else(|| self.unknown(self.fields))?;
                // AutoRound's modules of 8 bits.
                let eight = members(&self.fields["extra_config"]).filter(|(_, way)| way["bits"].as_u64() == Some(8));
                let eight: Vec<String> = eight.map(|(module, _)| module.clone()).collect();
                let listed = (!eight.is_empty()).then(|| self.modules(&eight)).transpose()?;
                let listed = listed.map(|modules| (Some(modules), Format::Int8));
                Ok(listed.into_iter().chain([(None, whole)]).collect())
            }
        }
    }

    /// Whether the config, or its quantisation, gives the experts a format of their own.
    fn has_experts_of_4_bits(&self) -> bool {
        const FIELD: &str = "expert_dtype";
        self.config.value(FIELD).or(self.fields.get(FIELD)).is_some_and(|word| word == "fp4")
    }

    /// The format of a method that has one for all modules.
    fn format(&self) -> Option<Format> {
        let fields = self.fields;
        let word = |name: &str| fields[name].as_str().unwrap_or_default();
        let is_on = |switch: &str| fields[switch] == true;
        // The second names are those of AutoAWQ's own configs.
        let either = |name: &str, other: &str| fields.get(name).or_else(|| fields.get(other));
        match (self.method, either("bits", "w_bit").and_then(Value::as_u64)) {
            ("auto-round" | "auto_round" | "intel/auto-round", _) if !matches!(word("data_type"), "" | "int") => None,
            ("gptq" | "awq" | "auto-round" | "auto_round" | "intel/auto-round", bits) => match bits {
                None | Some(4) => grouped(either("group_size", "q_group_size"), false),
                Some(8) => Some(Format::Int8),
                Some(_) => None,
            },
            (BITSANDBYTES, _) if is_on("load_in_4bit") => {
                Some(if is_on("bnb_4bit_use_double_quant") { Format::Nf4Dq } else { Format::Nf4 })
            }
            (BITSANDBYTES, _) => Some(Format::Int8),
            ("fp8" | "fbgemm_fp8", _) => Some(Format::F8E4M3),
            ("modelopt" | "modelopt_fp4", _) => modelopt(word("quant_algo"), fields.get("group_size")),
            (GGUF, _) => word("format").parse().ok(),
            _ => None,
        }
    }

    /// MLX's modules of another way than most.
    fn of_mlx(&self) -> Result<Vec<Group>> {
        let whole = mlx(self.fields).ok_or_else(|| self.unknown(self.fields))?;
        let mut others: BTreeMap<Format, Vec<String>> = BTreeMap::new();
        for (module, way) in members(self.fields).filter(|(_, way)| way.is_object()) {
            let format = mlx(way).ok_or_else(|| self.unknown(way))?;
            others.entry(format).or_default().push(module.clone());
        }
        let listed =
            |(format, modules): (Format, Vec<String>)| Ok::<Group, Error>((Some(self.modules(&modules)?), format));
        others.into_iter().map(listed).chain([Ok((None, whole))]).collect()
    }

    /// The groups of compressed-tensors' config; one whose targets are classes has every product.
    fn compressed(&self) -> Result<Vec<Group>> {
        let unknown = || self.unknown(self.fields);
        let group = |group: &Value| {
            let targets: Vec<String> = words(&group["targets"]).collect();
            let is_module = |target: &String| target.starts_with("re:") || target.contains('.');
            let are_modules = !targets.is_empty() && targets.iter().all(is_module);
            let modules = are_modules.then(|| self.modules(&targets)).transpose()?;
            Ok::<Group, Error>((modules, of_group(group).ok_or_else(unknown)?))
        };
        let groups = members(&self.fields["config_groups"]).filter(|(_, group)| !group["weights"].is_null());
        let mut groups = groups.map(|(_, of)| group(of)).collect::<Result<Vec<Group>>>()?;
        groups.sort_by_key(|(modules, _)| modules.is_none());
        let mut of_all = groups.iter().filter(|(modules, _)| modules.is_none()).map(|(_, format)| *format);
        let first = of_all.next();
        if groups.is_empty() || of_all.any(|format| Some(format) != first) {
            return Err(unknown());
        }
        Ok(groups)
    }

    fn modules(&self, entries: &[String]) -> Result<Modules> {
        let refuse =
            |entry: String| format!("`{entry}` is no pattern of modules that is read here; give run.precision");
        Modules::read(entries).map_err(|entry| self.error(refuse(entry)))
    }

    /// The error of a way that is unknown, by the fields that say it.
    fn unknown(&self, way: &Value) -> Error {
        if self.method.is_empty() {
            return self.error("names no `quant_method`; give run.precision".to_owned());
        }
        let shown = SHOWN.iter().filter_map(|name| {
            let value = way.get(*name).filter(|value| !value.is_null())?;
            Some(format!(", {name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        });
        let said: String = std::iter::once(self.method.to_owned()).chain(shown).collect();
        let file = self.fields[FILE].as_str().map_or_else(String::new, |file| format!(" of {file}"));
        self.error(if way["format"] == "nvfp4-pack-quantized" {
            format!(
                "`{said}` beside activations of 16 bits is not followed; run.precision int4_sym_g32,bf16 has as many bytes, and is multiplied \
                 in 16 bits too"
            )
        } else {
            format!("`{said}`{file} is unknown here; give run.precision")
        })
    }

    pub(super) fn error(&self, reason: String) -> Error {
        self.config.error(self.field, reason)
    }
}

/// The format of most numbers among groups.
pub(super) fn main_format(groups: &[Group]) -> Option<Format> {
    let of_all = groups.iter().find(|(modules, _)| modules.is_none());
    of_all.or(groups.first()).map(|(_, format)| *format)
}

/// The members of an object; none of anything else.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The words in a list; none in anything else.
fn words(value: &Value) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

/// Whether fields quantise anything: an empty object does not, nor does bitsandbytes with both switches off.
fn quantises(fields: &Value) -> bool {
    let is_empty = fields.as_object().is_some_and(serde_json::Map::is_empty);
    !is_empty && (method_of(fields) != BITSANDBYTES || has_switch_on(fields))
}

/// Whether one of bitsandbytes' switches is on.
fn has_switch_on(fields: &Value) -> bool {
    fields["load_in_4bit"] == true || fields["load_in_8bit"] == true
}

fn method_of(fields: &Value) -> &str {
    match fields["quant_method"].as_str().unwrap_or_default() {
        "" if has_switch_on(fields) => BITSANDBYTES,
        "" if fields.get("bits").is_some() && fields.get("group_size").is_some() => MLX,
        method => method,
    }
}

/// 4-bit integers by the size of their groups, with a zero point in each or without.
fn grouped(size: Option<&Value>, is_symmetric: bool) -> Option<Format> {
    Some(match (size.and_then(Value::as_i64), is_symmetric) {
        // A group that is a whole row, -1, has next to no scales: the widest is the nearest.
        (None | Some(-1 | 128), false) => Format::Int4,
        (None | Some(-1 | 128), true) => Format::Int4Sym,
        (Some(64), false) => Format::Int4G64,
        (Some(64), true) => Format::Int4SymG64,
        (Some(32), false) => Format::Int4G32,
        (Some(32), true) => Format::Int4SymG32,
        _ => return None,
    })
}

/// The format of one of ModelOpt's algorithms.
fn modelopt(algorithm: &str, group_size: Option<&Value>) -> Option<Format> {
    match algorithm {
        "W4A16_AWQ" | "W4A8_AWQ" => grouped(group_size, true),
        "INT8_SQ" => Some(Format::Int8),
        "MXFP4" => Some(Format::Mxfp4),
        _ if algorithm.starts_with("W8A8_SQ") => Some(Format::Int8),
        _ if algorithm.starts_with("FP8") => Some(Format::F8E4M3),
        _ if algorithm.starts_with("NVFP4") => Some(Format::Nvfp4),
        _ => None,
    }
}

/// The format of a way of MLX's.
fn mlx(way: &Value) -> Option<Format> {
    match (way["mode"].as_str().unwrap_or("affine"), way["bits"].as_u64()?, way["group_size"].as_u64()?) {
        ("affine", 4, 64) => Some(Format::Mlx4),
        ("affine", 8, 64) => Some(Format::Mlx8),
        ("mxfp4", 4, 32) => Some(Format::Mxfp4),
        ("nvfp4", 4, 16) => Some(Format::Nvfp4),
        _ => None,
    }
}

/// The format of one of compressed-tensors' groups.
fn of_group(group: &Value) -> Option<Format> {
    let weights = &group["weights"];
    let size = weights.get("group_size");
    match (weights["type"].as_str()?, weights["num_bits"].as_u64()?, size.and_then(Value::as_u64)) {
        ("float", 8, _) => Some(Format::F8E4M3),
        ("int", 8, _) => Some(Format::Int8),
        // Without scales of their own, activations stay in 16 bits, and weights are widened to these.
        ("float", 4, Some(16)) if group["input_activations"].is_object() => Some(Format::Nvfp4),
        ("float", 4, Some(32)) => Some(Format::Mxfp4),
        ("int", 4, _) => grouped(size, weights["symmetric"] != false),
        _ => None,
    }
}
