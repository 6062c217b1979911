//! A build without NVIDIA's library shares out no GPU.

use super::Idle;
use crate::sensors::{Places, Unavailable};

pub(super) struct GpuShare;

impl GpuShare {
    pub(super) fn open(_: &Places, _indices: impl Iterator<Item = u32>) -> Result<Option<Self>, Unavailable> {
        Ok(None)
    }

    pub(super) fn share(&mut self, _: u32, _time: f64, _: Idle, _: &mut dyn FnMut(u32) -> bool) -> Option<f64> {
        None
    }
}
