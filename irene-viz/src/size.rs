/// A model at a size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) batch_size: usize,
    pub(crate) seq_len: usize,
}
