//! Narrower formats and fewer kernels.

use irene_tree::{Format, Kernels};

use super::{Accuracy, Advice, Idea, Kind};
use crate::Change;

/// Formats of weights that checkpoints and engines have.
const WEIGHTS: [Format; 3] = [Format::F8E4M3, Format::Int8, Format::Int4];

/// The format of a cache that engines have beside the activations'.
const CACHE: Format = Format::F8E4M3;

/// Bytes of as many numbers as a block of any format has.
fn bytes(format: Format) -> u64 {
    format.bytes(1 << 14)
}

impl Advice<'_> {
    pub(super) fn kernels(&mut self) {
        if self.a.kernels == Kernels::Fused {
            return self.leave_out(Kind::Kernels, "the kernels are fused already");
        }
        let why = "what one kernel leaves in memory for the next stays inside of one, and fewer are launched";
        self.try_out(Idea::new(Kind::Kernels, vec![Change::new("kernels", "fused")], "Run fused kernels", why));
    }

    pub(super) fn formats(&mut self) {
        self.weights();
        self.cache();
    }

    fn weights(&mut self) {
        if self.needs_sheet(Kind::Weights, "other formats of weights") {
            return;
        }
        let now = self.a.precision.weights;
        let narrower: Vec<Format> = WEIGHTS.into_iter().filter(|format| bytes(*format) < bytes(now)).collect();
        if narrower.is_empty() {
            self.leave_out(Kind::Weights, format!("{now} is as narrow as any that is tried"));
        }
        for format in narrower {
            let share = 100.0 * bytes(format) as f64 / bytes(now) as f64;
            let title = format!("Weights in {format} instead of {now}");
            let why = format!("each weight takes {share:.0}% of the bytes, which every step reads");
            let idea = Idea::new(Kind::Weights, vec![Change::new("weights", format.name())], title, why);
            self.try_out(Idea { accuracy: Accuracy::Unknown, ..idea });
        }
    }

    fn cache(&mut self) {
        let kind = Kind::CacheFormat;
        if self.needs_sheet(kind, "the format of a cache") {
            return;
        }
        let now = self.a.precision.cache;
        if self.a.selection.generated() == 0 {
            return self.leave_out(kind, "nothing is generated, and so no cache is read");
        }
        if bytes(CACHE) >= bytes(now) {
            return self.leave_out(kind, format!("the cache is in {now} already"));
        }
        let title = format!("The cache in {CACHE} instead of {now}");
        let why = "each step reads half the bytes of keys and values, and more sequences have room";
        let idea = Idea::new(kind, vec![Change::new("cache", CACHE.name())], title, why);
        self.try_out(Idea { accuracy: Accuracy::Unknown, ..idea });
    }
}
