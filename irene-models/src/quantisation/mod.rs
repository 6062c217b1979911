//! How a checkpoint of Hugging Face's is quantised, by its config or a file beside it: in which format, and which parameters are not.

mod beside;
mod modules;
mod stated;

use irene_tree::{Format, Precision};

pub(crate) use self::beside::with_file_beside;
use self::{
    modules::{Modules, names_of},
    stated::{Group, KEPT, Stated, main_format},
};
use crate::{Config, ParameterKind, ParameterSpec, Result, Tensor, WeightSource};

/// Whether a config says that its weights are quantised.
pub(crate) fn is_stated(config: &Config) -> bool {
    Stated::of(config).is_some()
}

/// The format in which a config's quantisation stores most weights, if it has one.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for one that is unknown here; [`Run::precision`](crate::Run::precision) says another.
pub(crate) fn format_of(config: &Config) -> Result<Option<Format>> {
    let Some(stated) = Stated::of(config) else { return Ok(None) };
    let groups = stated.groups()?;
    // A list that cannot be read is named here; nobody hears of it where parameters are asked for.
    stated.kept()?;
    Ok(main_format(&groups))
}

/// The parameters that a quantisation leaves in the format of the activations, and the formats of the others.
#[derive(Clone, Debug)]
pub(crate) struct Quantisation {
    kept: Modules,
    groups: Vec<Group>,
    /// Whether tables are quantised as products are.
    has_tables: bool,
}

impl Quantisation {
    /// Reads a config's quantisation; None where there is none, and for GGUF files, whose tables and heads are in blocks as all else.
    pub(crate) fn read(config: &Config) -> Option<Self> {
        let stated = Stated::of(config).filter(|stated| !stated.is_gguf())?;
        Some(Self { kept: stated.kept().ok()?, groups: stated.groups().ok()?, has_tables: stated.has_tables() })
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
                | Format::Int4Sym
                | Format::Int4SymG64
                | Format::Int4SymG32
                | Format::Nf4
                | Format::Nf4Dq
                | Format::Mxfp4
                | Format::Nvfp4
        );
        let differs = precision.weights != precision.activations;
        let groups = vec![(None, precision.weights)];
        (keeps_tables && differs).then(|| Self { kept: Modules::named(KEPT), groups, has_tables: false })
    }

    /// The format of the parameter with this key, if it is quantised.
    fn format(&self, key: &str) -> Option<Format> {
        // Experts' biases are matrices, one row for each. Convolutions of states are no products.
        if key.ends_with("bias") || key.ends_with("conv1d.weight") {
            return None;
        }
        let names = names_of(key);
        if self.kept.has(&names) {
            return None;
        }
        let is_in = |(modules, _): &&Group| modules.as_ref().is_none_or(|modules| modules.has(&names));
        self.groups.iter().find(is_in).map(|(_, format)| *format)
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
    let Some(stated) = Stated::of(config) else { return Ok(()) };
    let method = Some(stated.method).filter(|method| !method.is_empty()).unwrap_or("quantised");
    let reason = format!(
        "{method} weights are followed by shape and not run: take a GGUF file of the model, or the checkpoint that was quantised"
    );
    Err(stated.error(reason))
}

/// The parameters of a quantised checkpoint as shapes: no memory, whatever the model's size.
#[derive(Clone, Debug)]
pub(crate) struct QuantisedShapes {
    quantisation: Quantisation,
    precision: Precision,
}

impl WeightSource for QuantisedShapes {
    /// Only matrices are quantised.
    fn parameter(&self, spec: &ParameterSpec<'_>) -> Result<Tensor> {
        let may_be = match spec.kind {
            ParameterKind::Weight => spec.shape.rank() >= 2,
            ParameterKind::Table => self.quantisation.has_tables,
            ParameterKind::Adapter | ParameterKind::Buffer => false,
        };
        let format = if may_be { self.quantisation.format(spec.key) } else { None };
        Ok(Tensor::of_shape(spec.shape, format.unwrap_or(self.precision.activations)))
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
            (r#"{"quant_method":"gptq","bits":4,"group_size":-1}"#, Format::Int4),
            (r#"{"quant_method":"auto-round","bits":4,"group_size":128,"data_type":"int"}"#, Format::Int4),
            (r#"{"quant_method":"awq","bits":4,"group_size":64}"#, Format::Int4G64),
            (r#"{"quant_method":"awq","w_bit":4,"q_group_size":64}"#, Format::Int4G64),
            (r#"{"quant_method":"gptq","bits":8}"#, Format::Int8),
            (r#"{"quant_method":"gguf","format":"q4_k"}"#, Format::Q4K),
            (r#"{"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_use_double_quant":true}"#, Format::Nf4Dq),
            (r#"{"load_in_8bit":true}"#, Format::Int8),
            (r#"{"quant_method":"fp8","weight_block_size":[128,128]}"#, Format::F8E4M3),
            (r#"{"quant_method":"modelopt","quant_algo":"FP8"}"#, Format::F8E4M3),
            (r#"{"quant_method":"modelopt","quant_algo":"NVFP4"}"#, Format::Nvfp4),
            (r#"{"quant_method":"modelopt","quant_algo":"NVFP4_AWQ"}"#, Format::Nvfp4),
            (r#"{"quant_method":"modelopt","quant_algo":"W4A16_AWQ","group_size":128}"#, Format::Int4Sym),
            (r#"{"group_size":64,"bits":4}"#, Format::Mlx4),
            (r#"{"group_size":64,"bits":8,"mode":"affine"}"#, Format::Mlx8),
        ] {
            assert_eq!(format(quantisation).unwrap(), expected, "{quantisation}");
        }
        let compressed = |weights: &str, activations: &str| {
            let group = format!(r#"{{"weights":{weights},"input_activations":{activations},"targets":["Linear"]}}"#);
            format(&format!(
                r#"{{"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized","config_groups":{{"group_0":{group}}}}}"#
            ))
        };
        for (weights, expected) in [
            (r#"{"num_bits":4,"type":"int","group_size":128}"#, Format::Int4Sym),
            (r#"{"num_bits":4,"type":"int","group_size":32,"symmetric":true}"#, Format::Int4SymG32),
            (r#"{"num_bits":4,"type":"int","group_size":64,"symmetric":false}"#, Format::Int4G64),
            (r#"{"num_bits":4,"type":"float","group_size":32}"#, Format::Mxfp4),
            (r#"{"num_bits":8,"type":"float"}"#, Format::F8E4M3),
        ] {
            assert_eq!(compressed(weights, "null").unwrap(), expected, "{weights}");
        }
        let nvfp4 = r#"{"num_bits":4,"type":"float","group_size":16,"symmetric":true}"#;
        assert_eq!(compressed(nvfp4, r#"{"num_bits":4}"#).unwrap(), Format::Nvfp4);
        let alone = compressed(nvfp4, "null").unwrap_err().to_string();
        assert!(
            alone.contains("beside activations of 16 bits is not followed; run.precision int4_sym_g32,bf16 has"),
            "{alone}"
        );
    }

    #[test]
    fn a_quantisation_that_is_switched_off_is_none() {
        for off in [
            "{}",
            r#"{"quant_method":"bitsandbytes","load_in_4bit":false,"load_in_8bit":false}"#,
            r#"{"quant_method":"bitsandbytes","_load_in_4bit":false,"_load_in_8bit":false}"#,
        ] {
            assert!(!is_stated(&config(off)), "{off}");
            assert_eq!(config(off).precision().unwrap().to_string(), "bf16", "{off}");
        }
        assert_eq!(format(r#"{"quant_method":"bitsandbytes","load_in_8bit":true}"#).unwrap(), Format::Int8);
    }

    #[test]
    fn a_way_that_is_unknown_is_named_with_the_way_out() {
        let refused = |quantisation: &str| format(quantisation).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"quant_method":"gptq","bits":3,"group_size":128}"#),
            "config.json, field `quantization_config`: `gptq, bits 3, group_size 128` is unknown here; give run.precision"
        );
        for (quantisation, part) in [
            (r#"{"bits":6,"group_size":64}"#, "`mlx, bits 6, group_size 64` is unknown here; give run.precision"),
            (r#"{"quant_algo":"FP8"}"#, "names no `quant_method`; give run.precision"),
            (
                r#"{"quant_method":"modelopt","quant_algo":"MIXED_PRECISION"}"#,
                "`modelopt, quant_algo MIXED_PRECISION` is",
            ),
            (
                r#"{"quant_method":"auto-round","bits":4,"data_type":"nv_fp"}"#,
                "`auto-round, bits 4, data_type nv_fp` is",
            ),
            (
                r#"{"quant_method":"fp8","ignored_layers":["re:(a"]}"#,
                "`re:(a` is no pattern of modules that is read here",
            ),
        ] {
            assert!(refused(quantisation).contains(part), "{}", refused(quantisation));
        }
    }

    #[test]
    fn a_format_that_is_asked_for_is_followed_as_checkpoints_have_it() {
        let of = |words: &str| Quantisation::of(words.parse().unwrap());
        assert!(
            ["fp8,bf16", "int8", "int4", "nf4", "nvfp4", "int4_sym_g32,bf16"].iter().all(|words| of(words).is_some())
        );
        assert!(["bf16", "fp8", "f32,bf16", "q4_k", "mlx4"].iter().all(|words| of(words).is_none()));
        let int4 = of("int4").unwrap();
        assert_eq!(
            (int4.format("lm_head.weight"), int4.format("layers.0.mlp.down_proj.weight")),
            (None, Some(Format::Int4))
        );
    }

    fn stored(quantisation: &str, key: &str) -> Option<Format> {
        Quantisation::read(&config(quantisation)).unwrap().format(key)
    }

    #[test]
    fn heads_routers_biases_and_listed_modules_are_not_quantised() {
        let stores = |quantisation: &str, key: &str| stored(quantisation, key).is_some();
        let gptq = r#"{"quant_method":"gptq","bits":4}"#;
        assert!(stores(gptq, "layers.0.self_attn.q_proj.weight"));
        for kept in [
            "lm_head.weight",
            "layers.3.mlp.gate.weight",
            "layers.3.mixer.gate.weight",
            "layers.3.mixer.conv1d.weight",
            "layers.3.self_attn.q_proj.bias",
        ] {
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
        for listed in [
            r#"{"quant_method":"modelopt","quant_algo":"NVFP4","exclude_modules":["model.layers.4.self_attn*"]}"#,
            r#"{"quant_method":"gptq","dynamic":{"-:.*self_attn":{}}}"#,
            r#"{"quant_method":"auto-round","bits":4,"extra_config":{"model.layers.4.self_attn.q_proj":{"bits":16}}}"#,
        ] {
            assert!(!stores(listed, "layers.4.self_attn.q_proj.weight"), "{listed}");
            assert!(stores(listed, "layers.4.mlp.up_proj.weight"), "{listed}");
        }
        let mxfp4 = r#"{"quant_method":"mxfp4"}"#;
        assert!(
            stores(mxfp4, "layers.0.mlp.experts.gate_up_proj") && !stores(mxfp4, "layers.0.self_attn.q_proj.weight")
        );
        assert!(!stores(mxfp4, "layers.0.mlp.experts.gate_up_proj_bias"));
        assert!(Quantisation::read(&config(r#"{"quant_method":"gguf","format":"q4_k"}"#)).is_none());
    }

    #[test]
    fn modules_may_have_formats_of_their_own() {
        let mlx = r#"{"bits":4,"group_size":64,"model.layers.1.mlp.gate":{"bits":8,"group_size":64},"lm_head":false}"#;
        assert_eq!(stored(mlx, "layers.0.mlp.gate.weight"), Some(Format::Mlx4));
        assert_eq!(stored(mlx, "layers.1.mlp.gate.weight"), Some(Format::Mlx8));
        assert_eq!((stored(mlx, "embed_tokens.weight"), stored(mlx, "lm_head.weight")), (Some(Format::Mlx4), None));
        assert_eq!(stored(mlx, "layers.0.linear_attn.conv1d.weight"), None);
        let mixed = r#"{"quant_method":"auto-round","bits":4,"group_size":128,"extra_config":{
            "model.layers.0.self_attn.q_proj":{"bits":8},"model.layers.0.self_attn.k_proj":{"bits":16}}}"#;
        assert_eq!(format(mixed).unwrap(), Format::Int4);
        assert_eq!(stored(mixed, "layers.0.self_attn.q_proj.weight"), Some(Format::Int8));
        assert_eq!(stored(mixed, "layers.0.self_attn.k_proj.weight"), None);
        assert_eq!(stored(mixed, "layers.0.mlp.experts.down_proj"), Some(Format::Int4));
        let two = r#"{"quant_method":"compressed-tensors","config_groups":{
            "group_0":{"targets":["Linear"],"weights":{"type":"int","num_bits":4,"group_size":128,"symmetric":false}},
            "group_1":{"targets":["re:.*self_attn.*"],"weights":{"type":"float","num_bits":8}}}}"#;
        assert_eq!(format(two).unwrap(), Format::Int4);
        assert_eq!(stored(two, "layers.0.mlp.up_proj.weight"), Some(Format::Int4));
        assert_eq!(stored(two, "layers.0.self_attn.q_proj.weight"), Some(Format::F8E4M3));
    }
}
