//! The names of a selection: how each is read from a change, and written.

use irene_devices::Engine;
use irene_models::TaskHead;
use irene_requests::Load;
use irene_tree::{Kernels, Parallel, Precision};
use serde_json::Value;

use crate::{Change, Error, Result, Selection};

/// A setting of the selection.
struct Setting {
    name: &'static str,
    /// Other names that it goes by.
    also: &'static [&'static str],
    /// Sets it; `None` stands for the usual value.
    set: fn(&mut Selection, Option<&str>) -> Result<(), String>,
    /// Its value, unless it is the usual.
    get: fn(&Selection) -> Option<String>,
}

/// The words that stand for the usual value.
const USUAL: [&str; 2] = ["default", "usual"];

const SETTINGS: &[Setting] = &[
    Setting {
        name: "model",
        also: &[],
        set: |to, value| {
            to.own = None;
            to.config.clear();
            to.row.model = Some(value.ok_or("a model has no usual one: give a name")?.to_owned());
            Ok(())
        },
        get: |of| of.row.model.clone(),
    },
    Setting {
        name: "device",
        also: &[],
        set: |to, value| put(&mut to.row.device, value.map(str::to_owned)),
        get: |of| of.row.device.clone(),
    },
    Setting {
        name: "batch_size",
        also: &["batch", "sequences"],
        set: |to, value| set_load(to, value, |text| Ok(Load::Sequences(whole(text, 1)?))),
        get: |of| if let Load::Sequences(sequences) = of.row.load? { Some(sequences.to_string()) } else { None },
    },
    Setting {
        name: "concurrency",
        also: &[],
        set: |to, value| set_load(to, value, |text| Ok(Load::Concurrency(positive(text)?))),
        get: |of| if let Load::Concurrency(running) = of.row.load? { Some(running.to_string()) } else { None },
    },
    Setting {
        name: "rate",
        also: &[],
        set: |to, value| set_load(to, value, |text| Ok(Load::Rate(positive(text)?))),
        get: |of| if let Load::Rate(rate) = of.row.load? { Some(rate.to_string()) } else { None },
    },
    Setting {
        name: "seq_len",
        also: &["prompt", "seq"],
        set: |to, value| {
            let value = value.ok_or("there is no usual length: give the tokens of the prompt")?;
            put(&mut to.row.prompt, Some(whole(value, 1)? as f64))
        },
        get: |of| of.row.prompt.map(|tokens| tokens.to_string()),
    },
    Setting {
        name: "generate",
        also: &["generated"],
        set: |to, value| {
            let tokens = value.map(|text| whole(text, 0)).transpose()?;
            put(&mut to.row.generated, tokens.map(|tokens| tokens as f64))
        },
        get: |of| of.row.generated.filter(|tokens| *tokens > 0.0).map(|tokens| tokens.to_string()),
    },
    Setting {
        name: "past_len",
        also: &["past"],
        set: |to, value| put(&mut to.past, value.map_or(Ok(0), |text| whole(text, 0))?),
        get: |of| Some(of.past).filter(|past| *past > 0).map(|past| past.to_string()),
    },
    Setting {
        name: "math",
        also: &[],
        set: |to, value| match value {
            Some("true") => put(&mut to.shows_math, true),
            None | Some("false") => put(&mut to.shows_math, false),
            Some(other) => Err(format!("expected true or false, found `{other}`")),
        },
        get: |of| of.shows_math.then(|| "true".to_owned()),
    },
    Setting {
        name: "dtype",
        also: &["precision"],
        set: |to, value| {
            (to.row.weights, to.row.cache) = (None, None);
            put(&mut to.precision, parsed(value)?)
        },
        get: |of| of.precision.map(formats),
    },
    Setting {
        name: "weights",
        also: &[],
        set: |to, value| put(&mut to.row.weights, parsed(value)?),
        get: |of| of.row.weights.map(|format| format.name().to_owned()),
    },
    Setting {
        name: "cache",
        also: &["cache_format"],
        set: |to, value| put(&mut to.row.cache, parsed(value)?),
        get: |of| of.row.cache.map(|format| format.name().to_owned()),
    },
    Setting {
        name: "kernels",
        also: &[],
        set: |to, value| put(&mut to.row.kernels, value.map(kernels).transpose()?),
        get: |of| of.row.kernels.map(|kernels| kernels.name().to_owned()),
    },
    Setting {
        name: "head",
        also: &[],
        set: |to, value| put(&mut to.head, value.map(head).transpose()?),
        get: |of| of.head.map(|head| head.name().to_owned()),
    },
    Setting {
        name: "engine",
        also: &[],
        set: |to, value| {
            let name = value.map(|name| Engine::find(name).map(|engine| engine.name.to_owned()));
            put(&mut to.row.engine, name.transpose().map_err(|error| error.to_string())?)
        },
        get: |of| of.row.engine.clone(),
    },
    Setting {
        name: "tensor_parallel",
        also: &["tp"],
        set: |to, value| gpus(value, &mut to.row.parallel.tensor),
        get: |of| degree(of.row.parallel.tensor),
    },
    Setting {
        name: "pipeline_parallel",
        also: &["pp"],
        set: |to, value| gpus(value, &mut to.row.parallel.pipeline),
        get: |of| degree(of.row.parallel.pipeline),
    },
    Setting {
        name: "expert_parallel",
        also: &["ep"],
        set: |to, value| gpus(value, &mut to.row.parallel.expert),
        get: |of| degree(of.row.parallel.expert),
    },
    Setting {
        name: "data_parallel",
        also: &["dp"],
        set: |to, value| gpus(value, &mut to.row.parallel.data),
        get: |of| degree(of.row.parallel.data),
    },
    Setting {
        name: "power_limit_w",
        also: &["power_limit", "power"],
        set: |to, value| put(&mut to.power_limit_w, value.map(positive).transpose()?),
        get: |of| of.power_limit_w.map(|watts| watts.to_string()),
    },
];

impl Selection {
    /// The names that a change may have beside fields of the config.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.name)
    }

    /// The value of a setting or of a changed field, as a change would write it; None for the usual one.
    pub fn value(&self, name: &str) -> Option<String> {
        match find(name) {
            Some(setting) => (setting.get)(self),
            None => self.config.get(name).map(written),
        }
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name || setting.also.contains(&name))
}

/// The name that a setting has here, whatever it was called; None for a field of the config.
pub(crate) fn setting_name(name: &str) -> Option<&'static str> {
    find(name).map(|setting| setting.name)
}

/// Applies a change. A name that is none of the selection's is a field of the config.
pub(crate) fn apply(selection: &mut Selection, change: &Change) -> Result<()> {
    let Change { name, value } = change;
    if name == "set" {
        return Change::list(value)?.iter().try_for_each(|change| apply(selection, change));
    }
    let usual = USUAL.contains(&value.as_str());
    match find(name) {
        Some(setting) => {
            let value = Some(value.as_str()).filter(|_| !usual);
            (setting.set)(selection, value).map_err(|reason| Error::setting(setting.name, reason))
        }
        None if usual => {
            selection.config.shift_remove(name);
            Ok(())
        }
        None => {
            selection.config.insert(name.clone(), typed(value));
            Ok(())
        }
    }
}

/// A number, a switch, a list or an object where the text is one in JSON, else a word.
pub(crate) fn typed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// The text that [`typed`] reads.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(word) if typed(word) == *value => word.clone(),
        value => value.to_string(),
    }
}

fn put<T>(place: &mut T, value: T) -> Result<(), String> {
    *place = value;
    Ok(())
}

fn set_load(to: &mut Selection, value: Option<&str>, read: fn(&str) -> Result<Load, String>) -> Result<(), String> {
    let value = value.ok_or("how many run at once has no usual value: give a number")?;
    put(&mut to.row.load, Some(read(value)?))
}

/// More than any selection has: what is beyond is a slip.
const MOST: usize = 1 << 24;

fn whole(text: &str, least: usize) -> Result<usize, String> {
    let found = text.parse().ok().filter(|number| (least..=MOST).contains(number));
    found.ok_or_else(|| format!("expected a whole number from {least} to {MOST}, found `{text}`"))
}

fn positive(text: &str) -> Result<f64, String> {
    /// A figure over less, or by more, may be infinite.
    const RANGE: std::ops::RangeInclusive<f64> = 1e-9..=1e9;
    let found = text.parse().ok().filter(|number: &f64| RANGE.contains(number));
    found.ok_or_else(|| format!("expected a number above 0, from 1e-9 to 1e9, found `{text}`"))
}

fn parsed<T: std::str::FromStr<Err: ToString>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(|text| text.parse().map_err(|error: T::Err| error.to_string())).transpose()
}

fn kernels(text: &str) -> Result<Kernels, String> {
    Kernels::find(text).ok_or_else(|| format!("`{text}` is neither eager nor fused"))
}

fn head(text: &str) -> Result<TaskHead, String> {
    let found = TaskHead::ALL.into_iter().find(|head| head.name() == text);
    found.ok_or_else(|| format!("`{text}` is none of none, lm and classification"))
}

fn gpus(value: Option<&str>, degree: &mut usize) -> Result<(), String> {
    *degree = value.map_or(Ok(1), |text| whole(text, 1))?;
    if *degree > Parallel::MOST {
        return Err(format!("expected at most {} GPUs, found {degree}", Parallel::MOST));
    }
    Ok(())
}

fn degree(degree: usize) -> Option<String> {
    (degree != 1).then(|| degree.to_string())
}

/// The formats as `--dtype` takes them.
pub(crate) fn formats(precision: Precision) -> String {
    let Precision { weights, activations, cache } = precision;
    if precision == Precision::of(weights) {
        return weights.name().to_owned();
    }
    format!("{},{},{}", weights.name(), activations.name(), cache.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> Result<Selection> {
        Selection::batch("gpt2", 1, 8).changed(&Change::list(text)?)
    }

    #[test]
    fn words_for_a_selection_name_the_tokens_in_its_cache() {
        let words = |changes: &str| changed(changes).unwrap().to_string();
        assert_eq!(words("device=l4;seq_len=1;past_len=100"), "gpt2 on l4, batch 1, 1 token after 100 in the cache");
        assert_eq!(words("generate=2"), "gpt2, batch 1, 8 tokens and 2 generated");
    }

    #[test]
    fn every_setting_is_written_as_it_is_read() {
        for (name, value) in [
            ("model", "gpt2-large"),
            ("device", "l4"),
            ("batch_size", "3"),
            ("concurrency", "2.5"),
            ("rate", "0.5"),
            ("seq_len", "77"),
            ("generate", "9"),
            ("past_len", "4"),
            ("math", "true"),
            ("dtype", "int4,bf16,f8_e4m3"),
            ("weights", "int8"),
            ("cache", "f8_e4m3"),
            ("kernels", "fused"),
            ("head", "lm"),
            ("engine", "vllm-0.5"),
            ("tensor_parallel", "2"),
            ("pipeline_parallel", "4"),
            ("expert_parallel", "8"),
            ("data_parallel", "16"),
            ("power_limit_w", "200"),
        ] {
            assert!(Selection::names().any(|known| known == name));
            let found = changed(&format!("{name}={value}")).unwrap();
            assert_eq!(found.value(name).as_deref(), Some(value), "{name}");
            if let Ok(usual) = found.changed(&[Change::new(name, "default")]) {
                assert_eq!(usual.value(name), changed("").unwrap().value(name).filter(|_| name != "device"), "{name}");
            }
        }
    }

    #[test]
    fn a_selection_has_one_load() {
        let found = changed("concurrency=4;batch_size=2").unwrap();
        assert_eq!((found.value("batch_size").as_deref(), found.value("concurrency")), (Some("2"), None));
    }

    #[test]
    fn fields_of_the_config_have_types() {
        let found = changed("n_layer=6;activation_function=relu;flag=true;n_layer=7").unwrap();
        let values: Vec<&Value> = found.config.values().collect();
        assert_eq!(values, [&Value::from(7), &Value::from("relu"), &Value::from(true)]);
        assert_eq!(Change::join(&found.fields()), "n_layer=7;activation_function=relu;flag=true");
        assert!(found.changed(&[Change::new("model", "gpt2-xl")]).unwrap().config.is_empty());
        assert_eq!(changed("set=n_layer=6").unwrap().config.len(), 1);
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_setting() {
        for text in ["batch_size=0", "rate=-1", "dtype=f7", "kernels=fast", "engine=triton", "tp=0", "power=x", "seq=a"]
        {
            let error = changed(text).unwrap_err();
            assert!(error.field().is_some() && !error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn more_gpus_than_any_run_has_are_refused_and_not_made_fewer() {
        for name in ["tensor_parallel", "pipeline_parallel", "expert_parallel", "data_parallel"] {
            let most = changed(&format!("{name}={}", Parallel::MOST)).unwrap();
            assert_eq!(most.value(name), Some(Parallel::MOST.to_string()));
            let error = changed(&format!("{name}={}", Parallel::MOST + 1)).unwrap_err().to_string();
            assert_eq!(error, format!("{name}: expected at most 1048576 GPUs, found 1048577"));
        }
    }
}
