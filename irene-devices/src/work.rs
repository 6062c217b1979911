use irene_features::cost::{self, parameter_and_cache_bytes};
use irene_tree::{Format, OpKind, Operand, Operation, Role, Shape};

/// The work of one run of an operation on a device: all that the law knows of the operation.
///
/// A product multiplies `batch` matrices (rows x inner) by (inner x columns). An attention has `batch` heads of all sequences, `rows`
/// queries in each, `columns` keys and heads `inner` numbers wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// The family of kernels that does it.
    pub kind: WorkKind,
    /// The operation.
    pub op: OpKind,
    /// Floating point operations, without rounding up to tiles.
    pub flops: f64,
    /// Bytes of parameters that are read.
    pub weight_bytes: f64,
    /// Bytes of cached keys and values that are read or written.
    pub cache_bytes: f64,
    /// Bytes of all other operands and of the result.
    pub other_bytes: f64,
    /// Bytes that each GPU sends to others.
    pub link_bytes: f64,
    /// Kernels that are launched.
    pub kernels: f64,
    /// Independent products, or heads.
    pub batch: f64,
    /// Rows of each product, or queries.
    pub rows: f64,
    /// Numbers that are multiplied and summed for each result, or the width of a head.
    pub inner: f64,
    /// Columns of each result, or keys.
    pub columns: f64,
    /// Query heads for each head of keys and values, of an attention.
    pub group: f64,
    /// Whether it is the gradient of the operation.
    pub is_gradient: bool,
    /// The format in which weights are stored; that of the activations where there are none.
    pub weights: Format,
    /// The format of the activations; of an attention, that of its queries.
    pub activations: Format,
}

/// The families of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkKind {
    /// Nothing runs on the device.
    None,
    /// A dense product.
    Product,
    /// A product whose rows go to the weights of different experts; `batch` are the experts that some row goes to.
    Grouped,
    /// Attention in one kernel.
    Attention,
    /// A softmax, or a norm over the last dimension.
    Norm,
    /// Rows that are looked up, copied or reordered.
    Move,
    /// Work on each number by itself.
    Elementwise,
    /// Tensors exchanged between GPUs.
    Exchange,
}

impl WorkKind {
    fn of(op: &Operation) -> Self {
        match op.kind {
            _ if op.on_host => Self::None,
            OpKind::Linear | OpKind::Conv1D | OpKind::MatMul | OpKind::Convolution => Self::Product,
            OpKind::GroupedLinear => Self::Grouped,
            OpKind::Attention => Self::Attention,
            OpKind::LayerNorm | OpKind::RmsNorm | OpKind::Softmax | OpKind::Sum | OpKind::TopK => Self::Norm,
            OpKind::AllReduce | OpKind::AllGather | OpKind::SendRecv | OpKind::AllToAll => Self::Exchange,
            OpKind::Embedding
            | OpKind::Gather
            | OpKind::Scatter
            | OpKind::Copy
            | OpKind::Concat
            | OpKind::Cast
            | OpKind::Fill
            | OpKind::Unfold
            | OpKind::CacheWrite => Self::Move,
            _ => Self::Elementwise,
        }
    }
}

/// Rows, inner and columns of the matrices, and how many there are.
struct Extents {
    batch: u64,
    rows: u64,
    inner: u64,
    columns: u64,
}

impl Extents {
    fn of(op: &Operation, kind: WorkKind) -> Self {
        let dims = |place: usize| op.inputs.get(place).map_or(&[][..], |operand| operand.shape.dims());
        let from_end = |dims: &[usize], place: usize| dims.iter().rev().nth(place).map_or(1, |&dim| dim as u64);
        let output = op.output.shape;
        let (columns, elements) = (output.last() as u64, output.elements());
        let rows = elements / columns.max(1);
        match kind {
            WorkKind::Grouped | WorkKind::Product if is_of_weight(op) => Self::of_weight_gradient(op),
            WorkKind::Product if op.kind == OpKind::MatMul => {
                let rows = from_end(output.dims(), 1);
                let batch = elements / (rows * columns).max(1);
                Self { batch, rows, inner: from_end(dims(0), 0), columns }
            }
            WorkKind::Product if op.kind == OpKind::Convolution => {
                let inner = dims(1).iter().skip(1).fold(1, |product: u64, &dim| product.saturating_mul(dim as u64));
                Self { batch: 1, rows, inner, columns }
            }
            WorkKind::Product => Self { batch: 1, rows, inner: from_end(dims(0), 0), columns },
            WorkKind::Grouped => {
                let inner = from_end(dims(0), 0);
                let batch = op.touched.div_ceil((inner * columns).max(1)).max(1);
                Self { batch, rows: rows.div_ceil(batch), inner, columns }
            }
            WorkKind::Attention => {
                let (tokens, keys) = (from_end(dims(0), 1), from_end(dims(1), 1));
                let heads =
                    dims(0).iter().rev().skip(2).fold(1, |product: u64, &dim| product.saturating_mul(dim as u64));
                Self { batch: heads, rows: tokens, inner: from_end(dims(0), 0), columns: keys }
            }
            // A gradient may have several results beside each other: its rows are those of what came in.
            _ if op.is_gradient => Self::rows_of(op.inputs.last().map_or(output, |g| g.shape)),
            _ => Self::rows_of(output),
        }
    }

    /// The rows of a kernel that multiplies nothing.
    fn rows_of(shape: Shape) -> Self {
        let columns = shape.last() as u64;
        Self { batch: 1, rows: shape.elements() / columns.max(1), inner: 1, columns }
    }

    /// Outputs by inputs, summed over the tokens: of each expert that has some, or of a convolution's places.
    fn of_weight_gradient(op: &Operation) -> Self {
        let tokens = |place: usize| {
            let x = op.inputs.get(place).map(|operand| operand.shape);
            x.map_or(1, |x| x.elements() / (x.last() as u64).max(1))
        };
        let weight = op.output.shape.dims();
        if op.kind == OpKind::GroupedLinear {
            let [rows, columns] = [1, 0].map(|place| weight.iter().rev().nth(place).map_or(1, |&dim| dim as u64));
            let batch = op.touched.div_ceil((rows * columns).max(1)).max(1);
            return Self { batch, rows, inner: tokens(0).div_ceil(batch), columns };
        }
        let rows = weight.first().map_or(1, |&dim| dim as u64);
        let places = op.inputs.last().map_or(1, |g| g.shape.elements() / rows.max(1));
        Self { batch: 1, rows, inner: places, columns: op.output.shape.elements() / rows.max(1) }
    }
}

/// Whether it is the gradient of a weight by a kernel of its own; that of a dense weight is a plain product.
fn is_of_weight(op: &Operation) -> bool {
    op.is_gradient && matches!(op.kind, OpKind::GroupedLinear | OpKind::Convolution)
}

impl Work {
    /// The work of one run of an operation on one GPU.
    pub fn of(op: &Operation) -> Self {
        let kind = WorkKind::of(op);
        let Extents { batch, rows, inner, columns } = Extents::of(op, kind);
        let physical = cost::physical(op);
        let (weight_bytes, cache_bytes) = parameter_and_cache_bytes(op);
        let is_weight = |operand: &&Operand| matches!(operand.role, Role::Parameter(_)) && operand.shape.rank() > 1;
        let activations = match (kind, op.inputs.first()) {
            // An indexer's scores have 32 bits, and are products of narrower numbers.
            (WorkKind::Attention, Some(queries)) => queries.format,
            _ => op.output.format,
        };
        let heads = |place: usize| op.inputs.get(place).and_then(|operand| operand.shape.dims().iter().rev().nth(2));
        let group = match (kind, heads(0), heads(1)) {
            (WorkKind::Attention, Some(&queries), Some(&keys)) => queries as f64 / keys.max(1) as f64,
            _ => 1.0,
        };
        Self {
            kind,
            op: op.kind,
            flops: flops(op, kind),
            weight_bytes: weight_bytes as f64,
            cache_bytes: cache_bytes as f64,
            other_bytes: physical.bytes.saturating_sub(weight_bytes).saturating_sub(cache_bytes) as f64,
            link_bytes: cost::link_bytes(op) as f64,
            kernels: physical.kernels as f64,
            batch: batch as f64,
            rows: rows as f64,
            inner: inner as f64,
            columns: columns as f64,
            group,
            is_gradient: op.is_gradient,
            weights: op.inputs.iter().find(is_weight).map_or(activations, |weight| weight.format),
            activations,
        }
    }

    /// Whether an attention reads a cache, or would, for one token.
    pub(crate) fn reads_cache(&self) -> bool {
        self.rows <= 1.0 || self.cache_bytes > 0.0
    }

    /// Whether an attention has few queries of each sequence, as in a step that reads the whole cache for a token, or for the tokens of a draft.
    pub(crate) fn has_few_queries(&self) -> bool {
        /// The least rows that units for matrices multiply at a time.
        const TILE: f64 = 16.0;
        self.reads_cache() && self.rows <= TILE
    }

    /// Whether both read the same weights, so that one kernel can do both.
    pub fn shares_weights(&self, other: &Self) -> bool {
        let is_product = matches!(self.kind, WorkKind::Product | WorkKind::Grouped) && self.weight_bytes > 0.0;
        let shape = |work: &Self| (work.op, work.inner, work.columns, work.weights);
        is_product && shape(self) == shape(other)
    }

    /// The work of both in one kernel, which reads the weights once.
    pub fn joined(&self, other: &Self) -> Self {
        let batch = self.batch.max(other.batch);
        Self {
            flops: self.flops + other.flops,
            weight_bytes: self.weight_bytes.max(other.weight_bytes),
            cache_bytes: self.cache_bytes + other.cache_bytes,
            other_bytes: self.other_bytes + other.other_bytes,
            link_bytes: self.link_bytes + other.link_bytes,
            batch,
            rows: (self.batch * self.rows + other.batch * other.rows) / batch,
            ..*self
        }
    }

    /// Bytes that move between the device's memory and its processor.
    pub fn bytes(&self) -> f64 {
        self.weight_bytes + self.cache_bytes + self.other_bytes
    }
}

fn flops(op: &Operation, kind: WorkKind) -> f64 {
    match kind {
        WorkKind::None => 0.0,
        WorkKind::Product | WorkKind::Grouped if !is_of_weight(op) => {
            let inner = op.inputs.first().map_or(0, |input| input.shape.last());
            let inner = if op.kind == OpKind::Convolution { Extents::of(op, kind).inner } else { inner as u64 };
            2.0 * op.output.shape.elements() as f64 * inner as f64
        }
        _ => cost::irene(op).flops as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_the_extents_of_its_matrices() {
        let of = |shape: &[usize]| Operand::activation(irene_tree::Shape::new(shape).unwrap(), Format::F16);
        let scores =
            Operation::new(OpKind::MatMul, &[of(&[8, 12, 40, 64]), of(&[8, 12, 64, 50])], of(&[8, 12, 40, 50]));
        let work = Work::of(&scores);
        assert_eq!((work.batch, work.rows, work.inner, work.columns), (96.0, 40.0, 64.0, 50.0));
        assert_eq!(work.flops, 2.0 * 96.0 * 40.0 * 64.0 * 50.0);
        let experts = Operand::parameter([16, 32, 64], Format::Mxfp4);
        let mut sent = Operation::new(OpKind::GroupedLinear, &[of(&[24, 64]), experts], of(&[24, 32]));
        sent.touched = 6 * 32 * 64;
        let work = Work::of(&sent);
        assert_eq!((work.batch, work.rows, work.weights), (6.0, 4.0, Format::Mxfp4));
        assert_eq!(work.weight_bytes, Format::Mxfp4.bytes(6 * 32 * 64) as f64);
    }

    #[test]
    fn an_attention_multiplies_in_the_format_of_its_queries() {
        let of = |shape: &[usize]| Operand::activation(irene_tree::Shape::new(shape).unwrap(), Format::BF16);
        let inputs = [of(&[1, 64, 40, 128]), of(&[1, 1, 40, 128]), of(&[1, 64, 40, 1])];
        let scores = Operation::new(OpKind::Attention, &inputs, Operand::activation([1, 1, 40, 40], Format::F32));
        assert_eq!(Work::of(&scores).activations, Format::BF16);
    }

    #[test]
    fn the_gradient_of_experts_sums_over_the_rows_of_each() {
        let of = |shape: &[usize]| Operand::activation(irene_tree::Shape::new(shape).unwrap(), Format::BF16);
        let mut gradient = Operation::new(OpKind::GroupedLinear, &[of(&[24, 64]), of(&[24, 32])], of(&[16, 32, 64]));
        (gradient.is_gradient, gradient.touched) = (true, 6 * 32 * 64);
        let work = Work::of(&gradient);
        assert_eq!((work.batch, work.rows, work.inner, work.columns), (6.0, 32.0, 4.0, 64.0));
        assert_eq!((work.flops, work.weight_bytes), (2.0 * 24.0 * 64.0 * 32.0, 0.0));
    }

    #[test]
    fn the_gradient_of_a_dense_weight_is_a_product_over_the_tokens() {
        let of = |shape: &[usize]| Operand::activation(irene_tree::Shape::new(shape).unwrap(), Format::F32);
        let work = Work::of(&Operation::new(OpKind::MatMul, &[of(&[64, 300]), of(&[300, 32])], of(&[64, 32])));
        assert_eq!((work.batch, work.rows, work.inner, work.columns), (1.0, 64.0, 300.0, 32.0));
    }

    #[test]
    fn a_gradient_has_the_rows_of_what_came_in() {
        let of = |shape: &[usize]| Operand::activation(irene_tree::Shape::new(shape).unwrap(), Format::BF16);
        // The gradients of a gate and of the tensor that it multiplies.
        let mut gradient = Operation::new(OpKind::Silu, &[of(&[2, 9, 64]); 3], of(&[2 * 2 * 9 * 64]));
        gradient.is_gradient = true;
        let work = Work::of(&gradient);
        assert_eq!((work.kind, work.rows, work.columns), (WorkKind::Elementwise, 18.0, 64.0));
    }

    #[test]
    fn updates_and_dropout_are_element_wise() {
        let weight = Operand::parameter([32, 64], Format::F32);
        let of = Operand::activation([32, 64], Format::F32);
        for kind in [OpKind::AdamW, OpKind::Sgd, OpKind::Adafactor, OpKind::Dropout] {
            assert_eq!(Work::of(&Operation::new(kind, &[weight, of], of)).kind, WorkKind::Elementwise);
        }
    }
}
