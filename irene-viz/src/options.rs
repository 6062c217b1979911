use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use irene_predict::Calibration;
use irene_regress::DeviceProfile;

use crate::Profiling;

/// How the server works.
pub struct Options {
    /// Where it listens.
    pub address: SocketAddr,
    /// Predictors beside the bundled ones, by the name that requests give as `device`.
    pub devices: Vec<(String, DeviceProfile)>,
    /// Requests that were measured, each for the device that they ran on.
    pub calibrations: Vec<Arc<Calibration>>,
    /// An origin whose pages may use the API, or `*`; None for this server's page alone.
    pub allow_origin: Option<String>,
    /// Measures models for jobs; None refuses jobs.
    pub profiler: Option<Arc<dyn Profiling>>,
    /// The limits of requests.
    pub limits: Limits,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, devices, calibrations, allow_origin, profiler: _, limits } = self;
        let mut fields = f.debug_struct("Options");
        fields.field("address", address).field("devices", devices).field("calibrations", calibrations);
        fields.field("allow_origin", allow_origin).field("limits", limits).finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 7878)),
            devices: Vec::new(),
            calibrations: Vec::new(),
            allow_origin: None,
            profiler: None,
            limits: Limits::default(),
        }
    }
}

/// The limits of one request, and of requests and jobs at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a model's file that are read for what it says of the model.
    pub file_head: usize,
    /// Sequences in a batch.
    pub batch_size: usize,
    /// Tokens in a sequence.
    pub seq_len: usize,
    /// Nodes of a tree, single operations included.
    pub nodes: usize,
    /// Sizes of a sweep.
    pub cells: usize,
    /// Trees in a body.
    pub trees: usize,
    /// Connections that are open at the same time; others wait to be accepted.
    pub connections: usize,
    /// The time that a request may take once its body is there, its waiting included.
    pub time: Duration,
    /// The time that a client may take to send a body.
    pub body_time: Duration,
    /// The time that a client may take to read each 64 KiB of an answer.
    pub write_time: Duration,
    /// Bytes of all bodies that are in memory at the same time, and of all files' first bytes; further ones are refused.
    pub bodies: usize,
    /// Bytes of all answers that are in memory at the same time, kept or on their way; further ones are refused.
    pub answers: usize,
    /// The time that a client may take to send the head of a request.
    pub head_time: Duration,
    /// Answers that are kept.
    pub cached: usize,
    /// Jobs that wait for the one that runs.
    pub jobs_waiting: usize,
    /// Jobs that have ended and can still be asked for.
    pub jobs_kept: usize,
    /// Parameters of a model that is measured.
    pub job_parameters: u64,
    /// Bytes that a run of a measured model takes, about.
    pub job_bytes: u64,
    /// Floating point operations of a run of a measured model: a cancelled job ends after its current run.
    pub job_flops: u64,
    /// Clients that follow jobs at the same time.
    pub followers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 2 << 20,
            file_head: 16 << 20,
            batch_size: 4096,
            seq_len: 131_072,
            nodes: 20_000,
            cells: 256,
            trees: 256,
            connections: 2048,
            time: Duration::from_secs(30),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(10),
            bodies: 64 << 20,
            answers: 256 << 20,
            head_time: Duration::from_secs(10),
            cached: 256,
            jobs_waiting: 8,
            jobs_kept: 16,
            job_parameters: 500_000_000,
            job_bytes: 4 << 30,
            job_flops: 10_000_000_000_000,
            followers: 64,
        }
    }
}
