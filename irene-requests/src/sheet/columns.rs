use irene_tree::similar;

use super::Figure;

/// The content of a known column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Column {
    Model,
    Device,
    Engine,
    Weights,
    Cache,
    Kernels,
    Sequences,
    Concurrency,
    Rate,
    Prompt,
    Generated,
    Tensor,
    Pipeline,
    Expert,
    Data,
    Figure(Bound, Figure),
}

/// Which of a figure's three columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Value,
    Low,
    High,
}

impl Bound {
    pub(crate) const ALL: [Self; 3] = [Self::Value, Self::Low, Self::High];

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Value => "",
            Self::Low => "_low",
            Self::High => "_high",
        }
    }
}

/// The settings' columns in the order in which they are written, with other spellings of each.
pub(crate) const SETTINGS: [(Column, &str, &[&str]); 15] = [
    (Column::Model, "model", &["model_id", "model_name"]),
    (Column::Device, "device", &["accelerator", "gpu", "hardware"]),
    (Column::Engine, "engine", &["backend", "framework"]),
    (Column::Weights, "weights", &["dtype", "weight_format"]),
    (Column::Cache, "cache", &["cache_format", "kv_cache_dtype"]),
    (Column::Kernels, "kernels", &[]),
    (Column::Sequences, "sequences", &["batch", "batch_size", "static_batch"]),
    (Column::Concurrency, "concurrency", &["avg_batch", "mean_batch", "mean_concurrency"]),
    (Column::Rate, "rate", &["request_rate", "requests_per_s", "requests_per_second"]),
    (
        Column::Prompt,
        "prompt",
        &["prompt_tokens", "prompt_len", "prompt_length", "input_tokens", "input_len", "input_length"],
    ),
    (
        Column::Generated,
        "generated",
        &["generate", "generated_tokens", "output_tokens", "output_len", "output_length", "avg_out_tokens"],
    ),
    (Column::Tensor, "tensor_parallel", &["tp", "tp_size", "tensor_parallel_size"]),
    (Column::Pipeline, "pipeline_parallel", &["pp", "pp_size", "pipeline_parallel_size"]),
    (Column::Expert, "expert_parallel", &["ep", "ep_size", "expert_parallel_size"]),
    (Column::Data, "data_parallel", &["dp", "dp_size", "data_parallel_size"]),
];

/// Other words for a figure, without its unit, and how well each says it.
const FIGURE_ALIASES: [(&str, &str, Spelling); 6] = [
    ("energy_a_request", "energy_per_request", Spelling::Other),
    ("energy_a_token", "energy_per_token", Spelling::Other),
    ("mean_ttft", "ttft", Spelling::Other),
    ("median_itl", "itl", Spelling::Other),
    ("mean_itl", "itl", Spelling::Mean),
    ("tpot", "itl", Spelling::Mean),
];

/// Units that a title may end in, with their size in the unit of the sheet.
const UNITS: [(&str, &str, f64); 13] = [
    ("j", "j", 1.0),
    ("j", "mj", 1e-3),
    ("j", "kj", 1e3),
    ("j", "wh", 3.6e3),
    ("j", "kwh", 3.6e6),
    ("w", "w", 1.0),
    ("w", "mw", 1e-3),
    ("w", "kw", 1e3),
    ("s", "s", 1.0),
    ("s", "ms", 1e-3),
    ("s", "us", 1e-6),
    ("s", "ns", 1e-9),
    ("s", "seconds", 1.0),
];

/// A column that was recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) column: Column,
    /// Cells are multiplied by this.
    pub(crate) factor: f64,
    pub(crate) spelling: Spelling,
}

/// How a title says a column, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spelling {
    /// The sheet's own title.
    Own,
    /// Another title of the same.
    Other,
    /// The mean of what the column has the median of.
    Mean,
}

/// The column of a title; None for a further column.
pub(crate) fn find(title: &str) -> Option<Found> {
    let title = title.trim().to_lowercase().replace([' ', '-'], "_");
    let setting = SETTINGS.iter().find_map(|&(column, name, others)| {
        let spelling = if name == title { Spelling::Own } else { Spelling::Other };
        (name == title || others.contains(&title.as_str())).then_some(Found { column, factor: 1.0, spelling })
    });
    setting.or_else(|| find_figure(&title))
}

fn find_figure(title: &str) -> Option<Found> {
    let bound_of = |bound: &Bound| title.strip_suffix(bound.suffix()).map(|rest| (*bound, rest));
    // The bare value's suffix is empty, and so it is tried last.
    let (bound, rest) = Bound::ALL.iter().rev().find_map(bound_of)?;
    if rest == Figure::TokensPerS.name() {
        let column = Column::Figure(bound, Figure::TokensPerS);
        return Some(Found { column, factor: 1.0, spelling: Spelling::Own });
    }
    let (base, unit) = rest.rsplit_once('_')?;
    let alias = FIGURE_ALIASES.iter().find(|(other, ..)| *other == base);
    let (known, spelling) = alias.map_or((base, Spelling::Own), |(_, name, spelling)| (*name, *spelling));
    Figure::ALL.iter().find_map(|&figure| {
        let (name, own_unit) = figure.name().rsplit_once('_')?;
        let (.., factor) = UNITS.iter().find(|(own, other, _)| *own == own_unit && *other == unit)?;
        let spelling = if own_unit == unit { spelling } else { spelling.max(Spelling::Other) };
        (known == name).then_some(Found { column: Column::Figure(bound, figure), factor: *factor, spelling })
    })
}

/// The column of each title. If a title says a column better than others do, those are further columns.
///
/// # Errors
/// The reason why this is no line of titles.
pub(super) fn recognise(titles: &[String]) -> Result<Vec<Option<Found>>, String> {
    let mut found: Vec<Option<Found>> = titles.iter().map(|title| find(title)).collect();
    let all: Vec<Found> = found.iter().flatten().copied().collect();
    let is_said_better =
        |one: &Found| all.iter().any(|other| other.column == one.column && other.spelling < one.spelling);
    for column in &mut found {
        *column = column.filter(|one| !is_said_better(one));
    }
    for (place, column) in found.iter().enumerate() {
        let Some(column) = column else { continue };
        let same = |other: &Option<Found>| other.is_some_and(|other| other.column == column.column);
        if let Some(earlier) = found[..place].iter().position(same) {
            let (first, second) = (&titles[earlier], &titles[place]);
            return Err(format!("the columns `{first}` and `{second}` hold the same: rename or remove one"));
        }
    }
    if found.iter().any(Option::is_some) { Ok(found) } else { Err(not_a_sheet(titles)) }
}

fn not_a_sheet(titles: &[String]) -> String {
    let names: Vec<&str> = SETTINGS.iter().map(|(_, name, _)| *name).collect();
    let near = titles.iter().find_map(|title| Some((title, *similar(title, names.iter().copied()).first()?)));
    let near = near.map_or_else(String::new, |(title, name)| format!("; `{title}` may be meant for `{name}`"));
    format!(
        "no column of a request sheet: its first line has titles such as model,device,sequences,prompt,generated{near}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(titles: &str) -> Result<Vec<Option<(Column, f64)>>, String> {
        let titles: Vec<String> = titles.split(',').map(str::to_owned).collect();
        Ok(recognise(&titles)?.into_iter().map(|found| found.map(|found| (found.column, found.factor))).collect())
    }

    #[test]
    fn every_own_title_is_found_as_itself() {
        for (column, name, _) in SETTINGS {
            assert_eq!(find(name), Some(Found { column, factor: 1.0, spelling: Spelling::Own }));
        }
        for figure in Figure::ALL {
            for bound in Bound::ALL {
                let title = format!("{}{}", figure.name(), bound.suffix());
                assert_eq!(
                    find(&title),
                    Some(Found { column: Column::Figure(bound, figure), factor: 1.0, spelling: Spelling::Own })
                );
            }
        }
    }

    #[test]
    fn other_spellings_and_units_are_understood() {
        assert_eq!(
            columns("Model ID,Batch-Size,TP,latency_ms,energy_per_token_mj_low,tpot_us,note").unwrap(),
            [
                Some((Column::Model, 1.0)),
                Some((Column::Sequences, 1.0)),
                Some((Column::Tensor, 1.0)),
                Some((Column::Figure(Bound::Value, Figure::Latency), 1e-3)),
                Some((Column::Figure(Bound::Low, Figure::EnergyPerToken), 1e-3)),
                Some((Column::Figure(Bound::Value, Figure::Itl), 1e-6)),
                None
            ]
        );
        // A bound of the batch is no mean of what ran.
        assert_eq!(columns("model,max_batch,power_ms").unwrap()[1..], [None, None]);
        let itl = Some((Column::Figure(Bound::Value, Figure::Itl), 1e-3));
        assert_eq!(columns("mean_itl_ms,median_itl_ms").unwrap(), [None, itl]);
    }

    #[test]
    fn two_columns_of_one_thing_are_refused_unless_one_has_the_own_title() {
        assert_eq!(columns("sequences,batch_size").unwrap(), [Some((Column::Sequences, 1.0)), None]);
        let error = columns("model,batch,batch_size").unwrap_err();
        assert_eq!(error, "the columns `batch` and `batch_size` hold the same: rename or remove one");
        assert!(columns("model,model").unwrap_err().contains("hold the same"));
        assert!(columns("a,modle").unwrap_err().ends_with("; `modle` may be meant for `model`"));
    }
}
