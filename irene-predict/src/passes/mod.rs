//! The passes of one model, each followed once: many settings share them, and devices differ in the law alone.

mod series;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use irene_devices::{Pass, Work};
use irene_models::{CacheShape, ModelSpec, Run};
use irene_tree::{Kernels, Parallel, Size};

use self::series::{BatchSeries, Traced};
use crate::{Error, Load, Request};

/// The passes of one model that were followed. The figures of a forecast do not depend on what is kept here.
///
/// Three of the passes that differ in the number of their sequences alone are followed. Each count of each kernel grows by the same amount with every
/// sequence, so the others are computed from two; of a mixture's experts as many are read as routing leads to. Where the third shows something else,
/// each is followed.
#[derive(Default)]
pub struct Passes(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    passes: HashMap<Run, Arc<Traced>>,
    series: HashMap<Run, BatchSeries>,
    bytes: HashMap<Run, u64>,
    caches: HashMap<Kernels, Option<Arc<CacheShape>>>,
}

/// More of one model is forgotten: a plan of a mixture of experts follows as many.
const MOST: usize = 4096;

/// More of all models is forgotten, so that a server that is asked about every model at every length keeps some 100 MB.
const MOST_OF_ALL: usize = 1 << 15;

/// So many a model keeps even where others have filled that room: those of a few forecasts.
const OF_EACH: usize = 1 << 7;

/// Passes that are kept, of all models.
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

impl Drop for Passes {
    fn drop(&mut self) {
        self.kept(Kept::forget);
    }
}

impl Kept {
    fn forget(&mut self) {
        OF_ALL.fetch_sub(self.passes.len(), Ordering::Relaxed);
        *self = Self::default();
    }

    /// Makes room for one more.
    fn make_room(&mut self) {
        let most = self.passes.len().max(self.series.len()).max(self.bytes.len());
        if most >= MOST || most >= OF_EACH && OF_ALL.load(Ordering::Relaxed) >= MOST_OF_ALL {
            self.forget();
        }
    }
}

impl fmt::Debug for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passes")
    }
}

/// A model with the passes of it that were followed.
#[derive(Clone, Copy)]
pub(crate) struct Followed<'a> {
    pub(crate) spec: &'a ModelSpec,
    pub(crate) passes: &'a Passes,
}

impl Followed<'_> {
    /// A pass of one copy of the model, as one GPU has it.
    pub(crate) fn pass(self, request: &Request, size: Size) -> Result<Pass, Error> {
        Ok(Pass {
            works: self.works(self.run(request, size)?)?,
            sequences: size.sequences as f64,
            gpus: (request.parallel.tensor * request.parallel.pipeline) as f64,
            is_served: !matches!(request.load, Load::Sequences(_)),
            is_sampled: request.generated > 0,
        })
    }

    /// The run of a pass. Copies of a model that exchange no tokens run what one runs.
    fn run(self, request: &Request, size: Size) -> Result<Run, Error> {
        let Request { parallel, .. } = *request;
        let data = if parallel.exchanges_tokens() { parallel.data } else { 1 };
        let request = Request { parallel: Parallel { data, ..parallel }, ..*request };
        request.run(self, size)
    }

    fn works(self, run: Run) -> Result<Vec<(Work, f64)>, Error> {
        if let Some(known) = self.passes.known(&run) {
            return Ok(known);
        }
        let traced = Arc::new(Traced::of(&self.spec.launches(run)?, run.size));
        self.passes.keep(run, &traced);
        Ok(traced.works.clone())
    }

    /// Bytes of the weights that one GPU has.
    pub(crate) fn share_bytes(self, request: &Request, size: Size) -> Result<u64, Error> {
        let run = self.run(request, size)?;
        if let Some(known) = self.passes.kept(|kept| kept.bytes.get(&run).copied()) {
            return Ok(known);
        }
        let bytes = self.spec.share_bytes(run)?;
        self.passes.kept(|kept| {
            kept.make_room();
            kept.bytes.insert(run, bytes)
        });
        Ok(bytes)
    }

    /// The shape of the cache, if the model keeps one.
    pub(crate) fn cache(self, kernels: Kernels) -> Result<Option<Arc<CacheShape>>, Error> {
        if let Some(known) = self.passes.kept(|kept| kept.caches.get(&kernels).cloned()) {
            return Ok(known);
        }
        let shape = self.spec.cache(kernels)?.map(Arc::new);
        self.passes.kept(|kept| kept.caches.insert(kernels, shape.clone()));
        Ok(shape)
    }
}

/// The run with its sequences left out.
fn of_any_batch(run: &Run) -> Run {
    Run { size: Size { sequences: 0, ..run.size }, ..*run }
}

impl Passes {
    fn kept<T>(&self, of: impl FnOnce(&mut Kept) -> T) -> T {
        of(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn known(&self, run: &Run) -> Option<Vec<(Work, f64)>> {
        let (known, linear) = self.kept(|kept| {
            let linear = match kept.series.get(&of_any_batch(run)) {
                Some(BatchSeries::Linear(linear)) if run.size.sequences > 1 => Some(Arc::clone(linear)),
                _ => None,
            };
            (kept.passes.get(run).cloned(), linear)
        });
        known.map(|traced| traced.works.clone()).or_else(|| linear?.at(run.size.sequences))
    }

    fn keep(&self, run: Run, traced: &Arc<Traced>) {
        self.kept(|kept| {
            kept.make_room();
            if kept.passes.insert(run, Arc::clone(traced)).is_none() {
                OF_ALL.fetch_add(1, Ordering::Relaxed);
            }
            // Kernels of a single sequence may be equal that differ for more. Copies that exchange tokens share theirs unevenly.
            if run.size.sequences > 1 && !run.parallel.exchanges_tokens() {
                kept.series.entry(of_any_batch(&run)).or_insert_with(|| BatchSeries::Few(Vec::new())).add(traced);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use irene_models::TaskHead;
    use irene_tree::{Format, Precision};

    use super::*;

    fn request(parallel: Parallel) -> Request {
        Request {
            prompt: 300,
            generated: 20,
            load: Load::Concurrency(8.0),
            precision: Precision::of(Format::BF16),
            kernels: Kernels::Fused,
            parallel,
            head: None,
        }
    }

    #[test]
    fn passes_that_are_computed_are_those_that_are_followed() {
        for model in ["Llama-3.1-8B", "gpt2", "google/gemma-2-9b", "DeepSeek-V3", "openai/gpt-oss-20b", "Qwen3-30B-A3B"]
        {
            let spec = ModelSpec::find(model).unwrap();
            for parallel in [Parallel::default(), Parallel { tensor: 2, data: 3, ..Parallel::default() }] {
                if model == "gpt2" && parallel.tensor > 1 {
                    continue;
                }
                let request = request(parallel);
                let passes = Passes::default();
                let followed = Followed { spec: &spec, passes: &passes };
                for size in [Size::new(1, 300), Size::new(1, 1).after(310)] {
                    for sequences in [1, 7, 20, 33, 2, 64, 500, 1] {
                        let size = Size { sequences, ..size };
                        let anew = Passes::default();
                        let anew = Followed { spec: &spec, passes: &anew }.pass(&request, size).unwrap();
                        let known = followed.pass(&request, size).unwrap();
                        assert!(known == anew, "{model} {size} {parallel}");
                    }
                }
                let linear = |kept: &mut Kept| {
                    kept.series.values().filter(|series| matches!(series, BatchSeries::Linear(_))).count()
                };
                if model != "DeepSeek-V3" {
                    assert_eq!(passes.kept(linear), 2, "{model} {parallel}");
                }
            }
        }
    }

    #[test]
    fn what_is_kept_of_a_model_is_bounded() {
        let spec = ModelSpec::find("gpt2").unwrap();
        let passes = Passes::default();
        let followed = Followed { spec: &spec, passes: &passes };
        let request = request(Parallel::default());
        for new in 1..=MOST + 10 {
            let run = followed.run(&request, Size::new(2, new % 500 + 1)).unwrap();
            let run = Run { size: Size::new(2, new), ..run };
            passes.keep(run, &Arc::new(Traced::of(&[], run.size)));
        }
        let counts = passes.kept(|kept| [kept.passes.len(), kept.series.len(), kept.bytes.len()]);
        assert!(counts.iter().all(|count| (0..=MOST).contains(count)) && counts[0] > 0, "{counts:?}");
        assert!(OF_ALL.load(Ordering::Relaxed) <= MOST_OF_ALL + MOST);
    }

    #[test]
    fn a_model_keeps_the_passes_of_a_few_forecasts_where_others_have_filled_the_room() {
        let spec = ModelSpec::find("gpt2").unwrap();
        let request = request(Parallel::default());
        let run = Followed { spec: &spec, passes: &Passes::default() }.run(&request, Size::new(1, 1)).unwrap();
        let with = |count: usize| {
            let passes = Passes::default();
            for new in 1..=count {
                let run = Run { size: Size::new(1, new), ..run };
                passes.keep(run, &Arc::new(Traced::of(&[], run.size)));
            }
            passes
        };
        let others: Vec<Passes> = (0..=MOST_OF_ALL / MOST).map(|_| with(MOST)).collect();
        assert_eq!(with(OF_EACH).kept(|kept| kept.passes.len()), OF_EACH);
        drop(others);
    }

    #[test]
    fn copies_that_exchange_no_tokens_run_what_one_runs() {
        let spec = ModelSpec::find("Qwen3-30B-A3B").unwrap();
        let passes = Passes::default();
        let followed = Followed { spec: &spec, passes: &passes };
        for parallel in [
            Parallel { tensor: 2, data: 4, ..Parallel::default() },
            Parallel { tensor: 2, data: 4, expert: 2, ..Parallel::default() },
            Parallel { data: 4, expert: 4, ..Parallel::default() },
        ] {
            let run = |parallel: Parallel| Run {
                precision: Precision::of(Format::BF16),
                kernels: Kernels::Fused,
                parallel,
                head: TaskHead::Lm,
                keeps_cache: true,
                ..Size::new(4 * parallel.data, 1).after(64).into()
            };
            let direct = spec.launches(run(parallel)).unwrap();
            let direct: Vec<(Work, f64)> =
                direct.iter().map(|(operation, times)| (Work::of(operation), *times as f64)).collect();
            let size = Size::new(4, 1).after(64);
            assert!(followed.pass(&request(parallel), size).unwrap().works == direct, "{parallel}");
        }
    }
}
