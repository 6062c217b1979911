use anyhow::{Result, bail};
use irene_models::{Architecture, BuiltinModel, ModelSpec, architectures};
use irene_tree::{Precision, Quantity, suggestion};

use super::FormatArgs;
use crate::{
    output,
    sheet::{Field, Format, Sheet},
};

/// Lists the built-in models, by family
///
/// Instruct, chat and dated releases have the shape of the model that is listed, and are found by their own names.
/// Columns: parameters, and those of them that are active for a token (mixtures of experts); the numbers of layers, of
/// features of a token (width) and inside the feed-forward part (inner); the number format of the config.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  irene models
  irene models gpt2
  irene models --family bert --format csv > models.csv")]
pub(crate) struct Args {
    /// List the models with all of these words in their names, series or family
    words: Vec<String>,
    /// List one family: a config's `model_type`
    #[arg(long, value_name = "TYPE")]
    family: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let models = asked(args)?;
    let format = args.format.format();
    if format != Format::Text {
        return output::print(&sheet(&models)?.printed(format, "models"));
    }
    let mut families: Vec<&str> = models.iter().map(|model| model.family()).collect();
    families.dedup();
    let mut out = String::new();
    for family in families {
        let of_family: Vec<_> = models.iter().copied().filter(|model| model.family() == family).collect();
        out += &format!("{family}\n{}\n", sheet(&of_family)?.text());
    }
    if args.words.is_empty() && args.family.is_none() {
        let types: Vec<_> = architectures().map(Architecture::model_type).collect();
        out +=
            &format!("A directory or file with a config.json works too; its model_type may be {}.\n", types.join(", "));
    }
    output::print_text(&out)
}

/// The models that were asked for, families in the order of the first of each.
fn asked(args: &Args) -> Result<Vec<&'static BuiltinModel>> {
    let all = BuiltinModel::all();
    let mut families: Vec<&str> = Vec::new();
    for family in all.iter().map(BuiltinModel::family) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    if let Some(family) = args.family.as_deref().filter(|family| !families.contains(family)) {
        let near = suggestion(family, families.iter().copied());
        bail!("--family: no built-in model is of the family `{family}`{near}; there are {}", families.join(", "));
    }
    // A release is not listed by its own name.
    let words: Vec<_> = args.words.iter().map(|word| (word.to_lowercase(), BuiltinModel::find(word))).collect();
    let is_asked = |model: &&BuiltinModel| {
        let has = |(word, found): &(String, Option<&BuiltinModel>)| {
            found.is_some_and(|found| found.name() == model.name()) || has_word(model, word)
        };
        args.family.as_deref().is_none_or(|family| model.family() == family) && words.iter().all(has)
    };
    let mut models: Vec<_> = all.iter().filter(is_asked).collect();
    if models.is_empty() {
        let near = suggestion(&args.words.join(" "), all.iter().flat_map(BuiltinModel::names));
        bail!("no built-in model has `{}` in its name{near}; `irene models` lists them all", args.words.join("`, `"));
    }
    models.sort_by_key(|model| families.iter().position(|family| *family == model.family()));
    Ok(models)
}

fn has_word(model: &BuiltinModel, word: &str) -> bool {
    model.names().chain([model.series(), model.family()]).any(|text| text.to_lowercase().contains(word))
}

fn sheet(models: &[&BuiltinModel]) -> Result<Sheet> {
    let mut rows = Vec::new();
    for model in models {
        let Some(spec) = ModelSpec::builtin(model.name()) else { continue };
        rows.push((*model, dtype(spec.config().precision()?)));
    }
    Ok(Sheet::of(
        &rows,
        [
            (Field::word("model_name", "model"), |(model, _)| model.name().into()),
            (Field::of(Quantity::NumParameters), |(model, _)| (model.parameters() as f64).into()),
            (Field::figure("num_active_parameters", "active", ""), |(model, _)| {
                model.active_parameters().map(|active| active as f64).into()
            }),
            (Field::word("model_type", "type").only_data(), |(model, _)| model.family().into()),
            (Field::word("series", "series").only_data(), |(model, _)| model.series().into()),
            (Field::figure("layers", "layers", ""), |(model, _)| model.layers().into()),
            (Field::figure("hidden_size", "width", ""), |(model, _)| model.width().into()),
            (Field::figure("intermediate_size", "inner", ""), |(model, _)| model.inner_width().into()),
            (Field::word("dtype", "format"), |(_, dtype)| dtype.as_str().into()),
            (Field::word("source", "source").only_data(), |(model, _)| model.source().into()),
        ],
    ))
}

/// The formats as `--dtype` reads them.
fn dtype(Precision { weights, activations, .. }: Precision) -> String {
    if weights == activations { weights.to_string() } else { format!("{weights},{activations}") }
}
