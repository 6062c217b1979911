//! Manifold-constrained hyper-connections (DeepSeek-V4, section 2.2): several streams of hidden states, which every branch reads as one weighed
//! sum and is added to by weights, while a matrix mixes them. They are followed by shape alone.

use irene_tree::{Format, Kernels, Level, OpKind, Operand, Operation};

use super::{
    layer::{DecoderLayer, Kept},
    masks::Positions,
    recipe::{Recipe, Streams},
};
use crate::{Cx, Error, Label, Module, Norm, Past, Result, Tensor, Weights, labelled, layers::PlainRmsNorm};

labelled!(HyperConnection, HyperHead);

/// The product of all streams of a token that their weights are computed from, in 32 bits.
struct Products {
    norm: PlainRmsNorm,
    /// (weights, streams x hidden)
    matrix: Tensor,
    base: Tensor,
    scale: Tensor,
    streams: usize,
}

impl Products {
    fn load(
        weights: &Weights<'_>,
        names: [&str; 3],
        sizes: [usize; 2],
        streams: usize,
        recipe: &Recipe,
    ) -> Result<Self> {
        let [outputs, scales] = sizes;
        let place = weights.named("input_norm");
        let parameter = |name: &str, size: usize| weights.parameter(name, [size])?.kept_in_f32();
        let matrix = weights.parameter(names[0], [outputs, streams * recipe.hidden])?;
        Ok(Self {
            norm: PlainRmsNorm::new(&place, "DeepseekV4UnweightedRMSNorm", recipe.norm.eps()),
            matrix: matrix.kept_in_f32()?,
            base: parameter(names[1], outputs)?,
            scale: parameter(names[2], scales)?,
            streams,
        })
    }

    /// (batch, tokens, weights) of streams (batch, tokens, streams, hidden). Fused kernels sum the squares of the norm beside the product.
    fn run(&self, cx: &mut Cx<'_>, streams: &Tensor) -> Result<Tensor> {
        let [batch, tokens] = [streams.dim(0), streams.dim(1)];
        let mut flat = cx.reshape(streams, [batch, tokens, streams.dim(2) * streams.dim(3)])?;
        if cx.kernels() == Kernels::Eager {
            let wide = cx.cast_up(&flat)?;
            flat = cx.call(&self.norm, &wide)?;
        }
        let output = Operand::activation([batch, tokens, self.matrix.dim(0)], Format::F32);
        let product = Operation::new(OpKind::Linear, &[flat.operand(), self.matrix.operand()], output);
        cx.follow(product, &[&flat])
    }

    /// Scaled, with the bias: (batch, tokens, streams) or, for a matrix, (batch, tokens, streams, streams).
    fn scaled(&self, cx: &mut Cx<'_>, products: &Tensor, is_matrix: bool) -> Result<Tensor> {
        let [batch, tokens, count] = [products.dim(0), products.dim(1), self.streams];
        let output = if is_matrix {
            Operand::activation([batch, tokens, count, count], Format::F32)
        } else {
            Operand::activation([batch, tokens, count], Format::F32)
        };
        let scaled = cx.follow(Operation::new(OpKind::Mul, &[output, self.scale.operand()], output), &[products])?;
        cx.follow(Operation::new(OpKind::Add, &[output, self.base.operand()], output), &[&scaled])
    }

    /// The weighed sum of the streams (batch, tokens, hidden), by single operations.
    fn collapsed(&self, cx: &mut Cx<'_>, products: &Tensor, streams: &Tensor, eps: f64) -> Result<Tensor> {
        let weights = self.scaled(cx, products, false)?;
        let weights = cx.sigmoid(&weights)?;
        let weights = cx.add_scalar(&weights, eps)?;
        let weights = cx.reshape(&weights, [weights.dim(0), weights.dim(1), weights.dim(2), 1])?;
        let weighed = cx.mul(streams, &weights)?;
        let sum = Operand::activation([streams.dim(0), streams.dim(1), streams.dim(3)], streams.format());
        cx.follow(Operation::new(OpKind::Sum, &[weighed.operand()], sum), &[&weighed])
    }

    /// The same in one kernel with all other weights, whose few numbers count as nothing.
    fn operation(&self, [streams, products, collapsed]: [&Tensor; 3]) -> Operation {
        let inputs = [streams, products, &self.base, &self.scale].map(Tensor::operand);
        Operation::new(OpKind::Sum, &inputs, collapsed.operand()).fused_with(&[OpKind::Mul].repeat(self.streams))
    }
}

/// The streams around one branch of a layer.
pub(super) struct HyperConnection {
    label: Label,
    products: Products,
    rounds: usize,
    eps: f64,
}

impl HyperConnection {
    /// Those around attention and feed-forward part.
    pub(super) fn load_both(weights: &Weights<'_>, of: Streams, recipe: &Recipe) -> Result<[Self; 2]> {
        let load = |name| {
            let (place, count) = (weights.child(name), of.count);
            Ok::<_, Error>(Self {
                label: place.label("DeepseekV4HyperConnection", Level::Module),
                products: Products::load(&place, ["fn", "base", "scale"], [(2 + count) * count, 3], count, recipe)?,
                rounds: of.rounds,
                eps: of.eps,
            })
        };
        Ok([load("attn_hc")?, load("ffn_hc")?])
    }

    /// The weights of the branch for each stream (batch, tokens, streams, 1), the matrix that mixes the streams, and their weighed sum.
    fn by_operations(&self, cx: &mut Cx<'_>, streams: &Tensor, products: &Tensor) -> Result<[Tensor; 3]> {
        let collapsed = self.products.collapsed(cx, products, streams, self.eps)?;
        let added = self.products.scaled(cx, products, false)?;
        let added = cx.sigmoid(&added)?;
        let added = cx.mul_scalar(&added, 2.0)?;
        let added = cx.reshape(&added, [added.dim(0), added.dim(1), added.dim(2), 1])?;
        let mixing = self.products.scaled(cx, products, true)?;
        let mixing = cx.softmax(&mixing)?;
        let mut mixing = cx.add_scalar(&mixing, self.eps)?;
        // Columns, then rows and columns in turn; the last are columns, so that the matrix lies as it is read.
        for _ in 1..2 * self.rounds {
            let turned = cx.transpose(&mixing, 2, 3)?;
            let sums = cx.sum(&turned)?;
            let sums = cx.add_scalar(&sums, self.eps)?;
            mixing = cx.div(&turned, &sums)?;
        }
        if streams.format() == Format::F32 {
            return Ok([added, mixing, collapsed]);
        }
        Ok([cx.cast(&added, streams.format())?, cx.cast(&mixing, streams.format())?, collapsed])
    }
}

impl Module for HyperConnection {
    /// Streams (batch, tokens, streams, hidden).
    type Input<'a> = &'a Tensor;
    /// The weights of the branch (batch, tokens, streams, 1), the mixing matrix (batch, tokens, streams, streams), and what the branch reads
    /// (batch, tokens, hidden).
    type Output = [Tensor; 3];

    fn forward(&self, cx: &mut Cx<'_>, streams: &Tensor) -> Result<[Tensor; 3]> {
        let products = self.products.run(cx, streams)?;
        cx.in_one_kernel(
            OpKind::Sum,
            &[streams, &products],
            |cx| self.by_operations(cx, streams, &products),
            |[_, _, collapsed]| self.products.operation([streams, &products, collapsed]),
        )
    }
}

/// The streams, mixed, with a branch added to each by its weight.
fn with_branch(cx: &mut Cx<'_>, streams: &Tensor, branch: &Tensor, [added, mixing]: [&Tensor; 2]) -> Result<Tensor> {
    let count = streams.dim(2);
    cx.in_one_kernel(
        OpKind::Mul,
        &[branch, streams, added, mixing],
        |cx| {
            let branch = cx.reshape(branch, [branch.dim(0), branch.dim(1), 1, branch.dim(2)])?;
            let of_branch = cx.mul(added, &branch)?;
            let mixed = cx.matmul(mixing, streams)?;
            cx.add(&of_branch, &mixed)
        },
        |sum| {
            let inputs = [branch, streams, added, mixing].map(Tensor::operand);
            let others = [OpKind::Mul, OpKind::Add].repeat(count);
            Operation::new(OpKind::Mul, &inputs, sum.operand()).fused_with(&others)
        },
    )
}

impl DecoderLayer {
    /// The streams behind attention and feed-forward part, each of which reads the norm of a weighed sum.
    pub(super) fn connected(
        &self,
        cx: &mut Cx<'_>,
        streams: &Tensor,
        [first, second]: &[HyperConnection; 2],
        norms: [&Norm; 2],
        around: (&Positions, Past<'_>),
    ) -> Result<(Tensor, Kept)> {
        let [added, mixing, hidden] = cx.call(first, streams)?;
        let normed = cx.call(norms[0], &hidden)?;
        let (attended, kept) = self.attend(cx, ((&normed, None), around))?;
        let streams = with_branch(cx, streams, &attended, [&added, &mixing])?;
        let [added, mixing, hidden] = cx.call(second, &streams)?;
        let normed = cx.call(norms[1], &hidden)?;
        let fed = self.feed(cx, &normed, None)?;
        Ok((with_branch(cx, &streams, &fed, [&added, &mixing])?, kept))
    }
}

/// The streams before the first layer, and their weighed sum behind the last.
pub(super) struct HyperHead {
    label: Label,
    products: Products,
    eps: f64,
}

impl HyperHead {
    pub(super) fn load(weights: &Weights<'_>, of: Streams, recipe: &Recipe) -> Result<Self> {
        let place = weights.child("hc_head");
        let names = ["hc_fn", "hc_base", "hc_scale"];
        Ok(Self {
            label: place.label("DeepseekV4HyperHead", Level::Module),
            products: Products::load(&place, names, [of.count, 1], of.count, recipe)?,
            eps: of.eps,
        })
    }

    /// Hidden states (batch, tokens, hidden) once in each stream.
    pub(super) fn spread(&self, cx: &mut Cx<'_>, hidden: &Tensor) -> Result<Tensor> {
        let [batch, tokens, width] = [0, 1, 2].map(|dim| hidden.dim(dim));
        let one = cx.reshape(hidden, [batch, tokens, 1, width])?;
        let each = cx.expand(&one, [batch, tokens, self.products.streams, width])?;
        cx.contiguous(&each)
    }
}

impl Module for HyperHead {
    /// Streams (batch, tokens, streams, hidden).
    type Input<'a> = &'a Tensor;
    /// (batch, tokens, hidden)
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, streams: &Tensor) -> Result<Tensor> {
        let products = self.products.run(cx, streams)?;
        cx.in_one_kernel(
            OpKind::Sum,
            &[streams, &products],
            |cx| self.products.collapsed(cx, &products, streams, self.eps),
            |collapsed| self.products.operation([streams, &products, collapsed]),
        )
    }
}
