use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run is spread over GPUs: a property of the run, not of the model.
///
/// The model has `tensor` x `pipeline` x `data` GPUs. The experts of a mixture have no GPUs of their own: they are spread over those of a
/// stage, which are `tensor` x `data`.
///
/// ```
/// use irene_tree::Parallel;
/// let two_nodes = Parallel { tensor: 8, pipeline: 2, ..Parallel::default() };
/// assert_eq!((two_nodes.gpus(), two_nodes.gpus_of_stage()), (16, 8));
/// assert_eq!(two_nodes.to_string(), "tensor parallel 8, pipeline parallel 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Parallel {
    /// GPUs that share every layer, each with a part of its heads and of its inner numbers.
    pub tensor: usize,
    /// Stages, each with a part of the layers.
    pub pipeline: usize,
    /// GPUs that the experts of a mixture are spread over.
    pub expert: usize,
    /// Copies of the model, each with a part of the sequences.
    pub data: usize,
}

/// One GPU.
impl Default for Parallel {
    fn default() -> Self {
        Self { tensor: 1, pipeline: 1, expert: 1, data: 1 }
    }
}

impl Parallel {
    /// More GPUs than any run has: what is beyond is a slip.
    pub const MOST: usize = 1 << 20;

    /// All GPUs.
    pub fn gpus(self) -> usize {
        self.gpus_of_stage().saturating_mul(self.pipeline)
    }

    /// The GPUs of one stage of the pipeline, in all copies of the model.
    pub fn gpus_of_stage(self) -> usize {
        self.tensor.saturating_mul(self.data)
    }

    /// Whether the run is on one GPU.
    pub fn is_single(self) -> bool {
        self == Self::default()
    }

    /// Whether experts are on more GPUs than share a layer: then the tokens of several copies of the model are exchanged between them.
    /// Otherwise every GPU that shares a layer has all of its tokens.
    pub fn exchanges_tokens(self) -> bool {
        self.expert > self.tensor
    }

    /// GPUs that share each expert: those that share a layer and have no experts of their own.
    pub fn gpus_of_expert(self) -> usize {
        (self.tensor / self.expert.max(1)).max(1)
    }

    /// Copies of each expert among the GPUs of a stage.
    pub fn copies_of_expert(self) -> usize {
        (self.gpus_of_stage() / self.expert.max(self.tensor).max(1)).max(1)
    }
}

/// `tensor parallel 8, data parallel 2`.
impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degrees =
            [("tensor", self.tensor), ("pipeline", self.pipeline), ("expert", self.expert), ("data", self.data)];
        let mut is_first = true;
        for (name, degree) in degrees.into_iter().filter(|(_, degree)| *degree != 1) {
            write!(f, "{}{name} parallel {degree}", if is_first { "" } else { ", " })?;
            is_first = false;
        }
        Ok(())
    }
}

/// The form in files.
#[derive(Deserialize)]
struct Stored {
    #[serde(default = "one")]
    tensor: usize,
    #[serde(default = "one")]
    pipeline: usize,
    #[serde(default = "one")]
    expert: usize,
    #[serde(default = "one")]
    data: usize,
}

fn one() -> usize {
    1
}

impl TryFrom<Stored> for Parallel {
    type Error = String;

    fn try_from(Stored { tensor, pipeline, expert, data }: Stored) -> Result<Self, String> {
        match [tensor, pipeline, expert, data].into_iter().find(|degree| !(1..=Self::MOST).contains(degree)) {
            Some(degree) => Err(format!("expected from 1 to {} GPUs, found {degree}", Self::MOST)),
            None => Ok(Self { tensor, pipeline, expert, data }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(tensor: usize, pipeline: usize, expert: usize, data: usize) -> Parallel {
        Parallel { tensor, pipeline, expert, data }
    }

    #[test]
    fn gpus_are_those_of_all_stages_and_copies() {
        let run = spread(4, 3, 1, 2);
        assert_eq!((run.gpus(), run.gpus_of_stage(), run.is_single()), (24, 8, false));
        assert!(Parallel::default().is_single());
        assert_eq!(spread(usize::MAX, 2, 1, 2).gpus(), usize::MAX);
    }

    #[test]
    fn experts_are_spread_over_the_gpus_of_a_stage() {
        // (tensor, expert, data): GPUs that share an expert, copies of it, whether tokens are exchanged.
        let table = [
            ((8, 4, 1), (2, 1, false)),
            ((8, 8, 1), (1, 1, false)),
            ((4, 8, 2), (1, 1, true)),
            ((4, 8, 6), (1, 3, true)),
            ((4, 1, 2), (4, 2, false)),
        ];
        for ((tensor, expert, data), expected) in table {
            let run = spread(tensor, 1, expert, data);
            let found = (run.gpus_of_expert(), run.copies_of_expert(), run.exchanges_tokens());
            assert_eq!(found, expected, "{run}");
            // Every GPU of a stage has a part of one expert.
            assert_eq!(run.gpus_of_stage(), expert * run.gpus_of_expert() * run.copies_of_expert(), "{run}");
        }
    }

    #[test]
    fn a_degree_of_one_is_not_said() {
        assert_eq!(spread(1, 2, 1, 1).to_string(), "pipeline parallel 2");
        assert_eq!(spread(8, 1, 16, 2).to_string(), "tensor parallel 8, expert parallel 16, data parallel 2");
        assert_eq!(Parallel::default().to_string(), "");
    }

    #[test]
    fn a_file_has_degrees_that_a_run_can_have_and_1_where_it_says_nothing() {
        let read = |json: &str| serde_json::from_str::<Parallel>(json).map_err(|error| error.to_string());
        assert_eq!(read("{}"), Ok(Parallel::default()));
        assert_eq!(read(r#"{"tensor": 1048576, "data": 2}"#), Ok(spread(1 << 20, 1, 1, 2)));
        for degree in [0, Parallel::MOST + 1] {
            for name in ["tensor", "pipeline", "expert", "data"] {
                let error = read(&format!("{{\"{name}\": {degree}}}")).unwrap_err();
                assert_eq!(error, format!("expected from 1 to 1048576 GPUs, found {degree}"), "{name}");
            }
        }
    }
}
