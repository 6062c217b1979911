use super::{LawOn, WorkCost};
use crate::{Work, WorkKind};

/// The parts of the cost of one kernel on one GPU, without the power limit: all of them together are [`LawOn::work`]. Arithmetic and traffic
/// overlap, so that the longer of both has the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkParts {
    /// Starting it, s.
    pub launch_s: f64,
    /// Its floating point operations.
    pub arithmetic: WorkCost,
    /// Bytes between the device's memory and its processor.
    pub traffic: WorkCost,
    /// Bytes between GPUs.
    pub link: WorkCost,
}

impl LawOn<'_> {
    /// The parts of the cost of one kernel on one GPU.
    pub fn parts(&self, work: &Work) -> WorkParts {
        let alone = self.kernels.time(work, self.device);
        let busy = self.busy(work, &alone);
        let seconds = self.on_device(&busy);
        let launch_s = self.on_device(&busy.starts(alone.launch_s)).min(seconds);
        let rest = seconds - launch_s;
        let [arithmetic_s, traffic_s, link_s] = match work.kind {
            WorkKind::Exchange => [0.0, 0.0, rest],
            _ if alone.arithmetic_s > alone.memory_s => [rest, 0.0, 0.0],
            _ => [0.0, rest, 0.0],
        };
        let without_bytes = Work { weight_bytes: 0.0, cache_bytes: 0.0, other_bytes: 0.0, ..*work };
        let part =
            |seconds: f64, work: Work| WorkCost { seconds, joules: self.law.power.dynamic_joules(&work, self.device) };
        WorkParts {
            launch_s,
            arithmetic: part(arithmetic_s, Work { link_bytes: 0.0, ..without_bytes }),
            traffic: part(traffic_s, Work { flops: 0.0, link_bytes: 0.0, ..*work }),
            link: part(link_s, Work { flops: 0.0, ..without_bytes }),
        }
    }
}
