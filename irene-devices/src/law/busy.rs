use super::{EngineLaw, KernelTime, MakerLaw, Pass, PassLaw};
use crate::{Device, Work, WorkKind};

/// The times of kernels, s, and how many are started, in groups that engines change differently.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct BusyTimes {
    /// Products and the attention of prompts.
    pub(super) products: f64,
    /// Attention by one query of each sequence, which reads the cache.
    pub(super) queries: f64,
    /// Reading the cache for it at the bandwidth, which no engine is faster than.
    pub(super) cache_reads: f64,
    /// The time that exchanges between GPUs take to send their bytes at the link's bandwidth, s.
    pub(super) exchanges: f64,
    /// Starting exchanges.
    pub(super) exchange_starts: f64,
    /// Norms, element-wise kernels and moves.
    pub(super) elementwise: f64,
    /// Kernels other than norms, element-wise ones and moves.
    pub(super) launches: f64,
    /// Norms, element-wise kernels and moves.
    pub(super) elementwise_launches: f64,
    /// Kernels that libraries take beside a product of 8-bit integers; engines that join kernels need none.
    pub(super) library_launches: f64,
    /// All of them one after another, each with its own start, as a library alone runs them.
    pub(super) alone: f64,
}

impl BusyTimes {
    /// Those of a pass, from the time of each of its kernels alone.
    pub fn of(pass: &Pass, alone: &[KernelTime], law: &PassLaw, device: &Device) -> Self {
        let mut busy = Self::default();
        for ((work, times), alone) in pass.works.iter().zip(alone) {
            busy.add(work, *times, alone, law, device);
        }
        busy
    }

    /// Adds a kernel that runs so often, from its time alone.
    pub(super) fn add(&mut self, work: &Work, times: f64, alone: &KernelTime, law: &PassLaw, device: &Device) {
        let busy = times * law.busy(work, alone, device);
        self.alone += times * alone.seconds;
        let sum = match work.kind {
            WorkKind::None => return,
            WorkKind::Norm | WorkKind::Move | WorkKind::Elementwise => {
                self.elementwise_launches += times * work.kernels;
                self.elementwise += busy;
                return;
            }
            WorkKind::Exchange => {
                self.exchange_starts += times * alone.launch_s;
                &mut self.exchanges
            }
            WorkKind::Attention if work.reads_cache() => {
                // The first query of each sequence reads the cache; further ones cost only what they add.
                let one = times * law.one_query(work, device);
                self.cache_reads += times * work.bytes() / (device.bandwidth_gb_s * 1e9);
                self.queries += one;
                self.products += (busy - one).max(0.0);
                self.launches += times * work.kernels;
                return;
            }
            WorkKind::Attention | WorkKind::Product | WorkKind::Grouped => &mut self.products,
        };
        *sum += busy;
        self.launches += times * (work.kernels + law.narrow_kernels(work));
        self.library_launches += times * law.int8_kernels(work);
    }

    /// Adds what runs so often.
    pub(super) fn add_times(&mut self, of_one: &Self, times: f64) {
        self.products += times * of_one.products;
        self.queries += times * of_one.queries;
        self.cache_reads += times * of_one.cache_reads;
        self.exchanges += times * of_one.exchanges;
        self.exchange_starts += times * of_one.exchange_starts;
        self.elementwise += times * of_one.elementwise;
        self.launches += times * of_one.launches;
        self.elementwise_launches += times * of_one.elementwise_launches;
        self.library_launches += times * of_one.library_launches;
        self.alone += times * of_one.alone;
    }

    /// The same kernels if they did nothing but start; a library alone takes `alone` for that, s.
    pub(super) fn starts(&self, alone: f64) -> Self {
        let Self { exchange_starts, launches, elementwise_launches, .. } = *self;
        Self { exchange_starts, launches, elementwise_launches, alone, ..Self::default() }
    }

    /// The time of all on an engine that joins kernels or replays them, s.
    pub(super) fn seconds(&self, engine: &EngineLaw, maker: &MakerLaw) -> f64 {
        let busy = self.products
            + (engine.attention * self.queries).max(self.cache_reads)
            + self.exchanges
            + engine.elementwise * self.elementwise;
        let launches = self.launches + engine.elementwise * self.elementwise_launches;
        let starts = engine.launch_s * launches + engine.exchange_start * self.exchange_starts;
        maker.kernels.max(1.0) * engine.kernels * busy + maker.launches * starts
    }

    /// The time that the host takes to launch all kernels one by one, s.
    pub(super) fn started_by_host(&self, engine: &EngineLaw, maker: &MakerLaw) -> f64 {
        maker.launches * engine.launch_s * (self.launches + self.library_launches + self.elementwise_launches)
    }
}
