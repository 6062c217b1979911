use std::{fmt, str::FromStr};

use irene_models::flexibert::{Design, LayerDesign};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// The published name of a design: MD5 of its graph of operations, its hidden sizes and its feed-forward widths. Designs that
/// differ only in the order of a layer's heads have the same.
///
/// The graph has a node for the input, each head with its width, the two sums of a layer, each feed-forward linear, and the
/// output. A node starts as the digest of its degrees and its label, and takes in its neighbours' for five rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelHash([u8; 16]);

/// How often a node takes in its neighbours.
const ROUNDS: usize = 5;

impl ModelHash {
    /// The hash of a design.
    pub fn of(design: &Design) -> Self {
        let layers = design.layers();
        let hidden: Vec<usize> = layers.iter().map(|layer| layer.hidden).collect();
        let feed_forward: Vec<&[usize]> = layers.iter().map(|layer| &layer.feed_forward[..]).collect();
        let fingerprint = Graph::of(layers).fingerprint();
        // Lists of numbers print as Python's do.
        Self::of_text(&format!("{fingerprint}{hidden:?}{feed_forward:?}"))
    }

    fn of_text(text: &str) -> Self {
        Self(Md5::digest(text).into())
    }
}

#[derive(Default)]
struct Graph {
    labels: Vec<String>,
    predecessors: Vec<Vec<usize>>,
    successors: Vec<Vec<usize>>,
}

impl Graph {
    fn of(layers: &[LayerDesign]) -> Self {
        let mut graph = Self::default();
        let mut last = graph.add("input".into(), &[]);
        for layer in layers {
            let width = layer.head_width();
            let mut summed = vec![last];
            summed.extend(layer.heads.iter().map(|head| graph.add(format!("{head}_{width}"), &[last])));
            let attended = graph.add("add_norm".into(), &summed);
            let linear = |last, width: &usize| graph.add(format!("f{width}"), &[last]);
            let expanded = layer.feed_forward.iter().fold(attended, linear);
            last = graph.add("add_norm".into(), &[attended, expanded]);
        }
        graph.add("output".into(), &[last]);
        graph
    }

    fn add(&mut self, label: String, predecessors: &[usize]) -> usize {
        let node = self.labels.len();
        for &predecessor in predecessors {
            self.successors[predecessor].push(node);
        }
        self.labels.push(label);
        self.predecessors.push(predecessors.to_vec());
        self.successors.push(Vec::new());
        node
    }

    fn fingerprint(&self) -> ModelHash {
        let nodes = 0..self.labels.len();
        let start = |node: usize| {
            let (out, into) = (self.successors[node].len(), self.predecessors[node].len());
            ModelHash::of_text(&format!("({out}, {into}, '{}')", self.labels[node]))
        };
        let digits = |hash: ModelHash| hash.to_string();
        let mut hashes: Vec<String> = nodes.clone().map(start).map(digits).collect();
        for _ in 0..ROUNDS {
            let joined = |neighbours: &[usize]| {
                let mut found: Vec<&str> = neighbours.iter().map(|&node| &hashes[node][..]).collect();
                found.sort_unstable();
                found.concat()
            };
            let next = |node: usize| {
                let (before, after) = (joined(&self.predecessors[node]), joined(&self.successors[node]));
                ModelHash::of_text(&[&before, "|", &after, "|", &hashes[node]].concat())
            };
            hashes = nodes.clone().map(next).map(digits).collect();
        }
        hashes.sort_unstable();
        let quoted: Vec<String> = hashes.iter().map(|hash| format!("'{hash}'")).collect();
        ModelHash::of_text(&format!("[{}]", quoted.join(", ")))
    }
}

/// 32 digits, as published.
impl fmt::Display for ModelHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for ModelHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let number = Some(text).filter(|text| text.len() == 32 && text.bytes().all(digits));
        let number = number.and_then(|text| u128::from_str_radix(text, 16).ok());
        let number = number.ok_or_else(|| format!("`{text}` is no hash of 32 digits from 0 to 9 and a to f"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl TryFrom<String> for ModelHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ModelHash> for String {
    fn from(hash: ModelHash) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let text = "0d6c5c40c770e4f787c78b43a2a09d78";
        let hash: ModelHash = text.parse().unwrap();
        assert_eq!(hash.to_string(), text);
        assert_eq!(serde_json::from_value::<ModelHash>(serde_json::to_value(hash).unwrap()).unwrap(), hash);
        for wrong in
            ["", "0d6c", "+d6c5c40c770e4f787c78b43a2a09d78", "0D6C5c40c770e4f787c78b43a2a09d78", "äääääääääääääääa"]
        {
            let error = wrong.parse::<ModelHash>().unwrap_err();
            assert_eq!(error, format!("`{wrong}` is no hash of 32 digits from 0 to 9 and a to f"));
        }
    }
}
