//! One GPU's share of a run.

use irene_tree::{Parallel, Size};

use super::ModelSpec;
use crate::{Result, Run};

const LARGEST_BATCH: usize = 1 << 24;

impl ModelSpec {
    /// The run with the sequences of one GPU. Refuses degrees that do not fit the run or the architecture.
    pub(crate) fn share(&self, run: Run) -> Result<Run> {
        let Run { size, parallel: Parallel { data, .. }, .. } = run;
        if size.sequences == 0 || size.sequences > LARGEST_BATCH {
            return Err(self.refuse(format!("batch size must be from 1 to {LARGEST_BATCH}, found {}", size.sequences)));
        }
        if size.new == 0 {
            return Err(self.refuse("sequence length must be at least 1, found 0".into()));
        }
        self.check_degrees(run.parallel)?;
        if !size.sequences.is_multiple_of(data) {
            let reason = format!("parallel.data {data} does not divide the batch of {} sequences", size.sequences);
            return Err(self.refuse(reason));
        }
        Ok(Run { size: Size { sequences: size.sequences / data, ..size }, ..run })
    }

    fn check_degrees(&self, parallel: Parallel) -> Result<()> {
        let Parallel { tensor, pipeline, expert, data } = parallel;
        let is_count = |degree: &usize| (1..=Parallel::MOST).contains(degree);
        if let Some(degree) = [tensor, pipeline, expert, data].into_iter().find(|degree| !is_count(degree)) {
            return Err(self.refuse(format!("a run is on 1 to {} GPUs, found {degree}", Parallel::MOST)));
        }
        let of_copy = [("tensor", tensor), ("pipeline", pipeline), ("expert", expert)];
        if let Some((name, _)) = of_copy.into_iter().find(|(_, degree)| *degree > 1)
            && !self.architecture.is_shared_by_gpus()
        {
            let reason = format!("parallel.{name} is not followed for {}; parallel.data is", self.model_type());
            return Err(self.refuse(reason));
        }
        let of_stage = parallel.gpus_of_stage();
        if !of_stage.is_multiple_of(expert) {
            return Err(self.refuse(format!(
                "parallel.expert {expert} does not divide the {of_stage} GPUs of a stage, over which experts are spread: they are \
                 parallel.tensor {tensor} x parallel.data {data}"
            )));
        }
        if !tensor.is_multiple_of(expert) && !expert.is_multiple_of(tensor) {
            return Err(self.refuse(format!(
                "parallel.expert {expert} must divide parallel.tensor {tensor} or be a multiple of it: experts are spread over GPUs of \
                 one copy of the model or over whole copies"
            )));
        }
        Ok(())
    }
}
