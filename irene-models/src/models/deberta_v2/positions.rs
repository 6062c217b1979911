use irene_tree::Format;

use crate::{Batch, Config, Result, Tensor, Tensors};

/// How relative positions take part in the scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct RelativePositions {
    is_on: bool,
    /// Buckets by logarithm on either side, if positions are put into buckets.
    buckets: Option<usize>,
    /// Distances from here on are one.
    farthest: usize,
    /// A query's content against a key's position.
    pub(super) content_to_position: bool,
    /// A key's content against a query's position.
    pub(super) position_to_content: bool,
    /// Whether positions are projected as content is.
    pub(super) shares_projections: bool,
    /// Whether the rows of positions are normalised.
    pub(super) is_normalised: bool,
}

impl RelativePositions {
    pub(super) fn read(config: &Config) -> Result<Self> {
        let positive = |field| config.value(field).and_then(serde_json::Value::as_i64).is_some_and(|number| number > 0);
        let size = |field| if positive(field) { config.size(field).map(Some) } else { Ok(None) };
        let buckets = size("position_buckets")?;
        let farthest = match size("max_relative_positions")? {
            Some(farthest) => farthest,
            None => config.size("max_position_embeddings")?,
        };
        if let Some(buckets) = buckets
            && (buckets < 4 || farthest <= buckets / 2 + 1)
        {
            let reason = format!("{buckets} leaves no buckets by logarithm below the farthest position, {farthest}");
            return Err(config.error("position_buckets", reason));
        }
        let kinds = kinds(config)?;
        let has = |kind: &str| kinds.iter().any(|known| known == kind);
        let norm = config.word_or("norm_rel_ebd", "none")?.to_lowercase();
        Ok(Self {
            is_on: config.flag_or("relative_attention", false)?,
            buckets,
            farthest,
            content_to_position: has("c2p"),
            position_to_content: has("p2c"),
            shares_projections: config.flag_or("share_att_key", false)?,
            is_normalised: norm.split('|').any(|word| word.trim() == "layer_norm"),
        })
    }

    /// Rows of positions on either side, if there are any.
    pub(super) fn span(&self) -> Option<usize> {
        self.is_on.then(|| self.buckets.unwrap_or(self.farthest))
    }

    /// Summands of a score, by whose number its root grows; the config's words count whether relative positions are on or not.
    pub(super) fn summands(&self) -> usize {
        1 + usize::from(self.content_to_position) + usize::from(self.position_to_content)
    }

    /// The row of a key seen from a query, and of a query seen from a key.
    pub(super) fn places(&self, batch: &Batch) -> Result<Places> {
        let Some(span) = self.span() else { return Ok(Places::default()) };
        let len = batch.new_tokens();
        let row = |position: i64| (position + span as i64).clamp(0, 2 * span as i64 - 1);
        let place = |one: usize, other: usize| self.bucket(one as i64 - other as i64);
        let of_keys = || batch.buffer([len, len], Format::I64, |query, key| row(place(query, key)));
        let of_queries = || batch.buffer([len, len], Format::I64, |key, query| row(-place(key, query)));
        Ok(Places {
            of_keys: self.content_to_position.then(of_keys).transpose()?,
            of_queries: self.position_to_content.then(of_queries).transpose()?,
        })
    }

    /// The bucket of a relative position: itself up to half of the buckets, beyond by logarithm.
    fn bucket(&self, position: i64) -> i64 {
        let Some(buckets) = self.buckets else { return position };
        let (middle, distance) = ((buckets / 2) as i64, position.abs());
        if distance <= middle {
            return position;
        }
        // In 32 bits, as PyTorch computes it: the ranges' ends depend on the rounding.
        let part = (distance as f32 / middle as f32).ln() / ((self.farthest - 1) as f32 / middle as f32).ln();
        position.signum() * ((part * (middle - 1) as f32).ceil() as i64 + middle)
    }
}

/// The words of `pos_att_type`, a list or a text with `|` between them.
fn kinds(config: &Config) -> Result<Vec<String>> {
    const FIELD: &str = "pos_att_type";
    let words: Vec<String> = match config.value(FIELD) {
        None => Vec::new(),
        Some(serde_json::Value::String(words)) => words.split('|').map(|word| word.trim().to_lowercase()).collect(),
        Some(_) => config.field::<Vec<String>>(FIELD)?,
    };
    match words.iter().find(|word| !["c2p", "p2c", ""].contains(&word.as_str())) {
        Some(other) => Err(config.error(FIELD, format!("`{other}` is not supported here; there are c2p, p2c"))),
        None => Ok(words),
    }
}

/// Rows of relative positions, (query, key) and (key, query), where the scores look them up.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) of_keys: Option<Tensor>,
    pub(super) of_queries: Option<Tensor>,
}

impl Tensors for Places {
    fn list<'t>(&'t self, tensors: &mut Vec<&'t Tensor>) {
        self.of_keys.list(tensors);
        self.of_queries.list(tensors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(buckets: usize, farthest: usize) -> RelativePositions {
        let config = format!(
            r#"{{"relative_attention":true,"position_buckets":{buckets},"max_relative_positions":{farthest}}}"#
        );
        RelativePositions::read(&Config::from_json("config.json", config.as_bytes()).unwrap()).unwrap()
    }

    /// As transformers puts positions into buckets (5.24, torch 2.15, in 32 bits).
    #[test]
    fn buckets_are_pytorchs() {
        let small = of(8, 64);
        let begins: Vec<i64> = (1..64).filter(|&place| small.bucket(place) != small.bucket(place - 1)).collect();
        assert_eq!((begins, small.bucket(63)), (vec![1, 2, 3, 4, 5, 11, 26], 7));
        let base = of(256, 512);
        let (sum, weighed) = (0..512).fold((0, 0), |(sum, weighed), place| {
            let bucket = base.bucket(place);
            assert_eq!(base.bucket(-place), -bucket);
            (sum + bucket, weighed + place * bucket)
        });
        assert_eq!((sum, weighed, base.bucket(511)), (87_297, 27_457_213, 255));
    }
}
