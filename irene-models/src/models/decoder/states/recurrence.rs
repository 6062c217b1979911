//! How tokens change states: a prompt in chunks, a later token in one kernel.

use irene_tree::{Format, OpKind, Operand, Operation};

use super::StateMixer;
use crate::{
    Cx, Result, Tensor,
    models::decoder::recipe::{StateKind, States},
};

impl States {
    /// Numbers of a token's decays: one for each head, or for each number of its key.
    fn decays(&self) -> usize {
        if self.kind == StateKind::KimiDelta { self.heads * self.size } else { self.heads }
    }
}

impl StateMixer {
    /// One token of each sequence: its state decays, takes what the token brings, and gives the result. In gated DeltaNet what the state had
    /// under the token's key gives way.
    pub(super) fn step(&self, cx: &mut Cx<'_>, convolved: &[Tensor; 3]) -> Result<Tensor> {
        let [queries, keys, values] = convolved;
        let (batch, format) = (values.dim(0), values.format());
        let States { heads, kind, .. } = self.states;
        // Numbers that a token brings beside its channels, and products and sums for each number of the state: for what is under the token's
        // key (gated DeltaNet), for what the token brings, and for the result.
        let (strengths, rounds) = if kind == StateKind::Mamba2 { (0, 2) } else { (heads, 3) };
        let of_token = |numbers: usize| Operand::activation([batch, numbers], format);
        let brought = of_token(self.states.channels() + self.states.decays() + strengths);
        let (state, result) = (self.states.operand(batch), of_token(self.states.inner()));
        let heads = self.of_heads.iter().map(Tensor::operand);
        let inputs: Vec<Operand> = [state, brought, result].into_iter().chain(heads).collect();
        let others = [OpKind::Mul, OpKind::Add].repeat(rounds);
        cx.follow(Operation::new(OpKind::Mul, &inputs, state).fused_with(&others), &[queries, keys, values])
    }

    /// A prompt in chunks (section 6 of Dao and Gu): the decays; the products of ways out and in within a chunk; each chunk's state; the
    /// states from chunk to chunk; and the results, from the chunk's own tokens and from the state before it.
    pub(super) fn scan_mamba2(&self, cx: &mut Cx<'_>, convolved: &Tensor, steps: &Tensor) -> Result<Tensor> {
        let States { heads, width, groups, size, chunk, .. } = self.states;
        let (batch, tokens, format) = (convolved.dim(0), convolved.dim(2), convolved.format());
        let chunk = chunk.min(tokens);
        let parts = batch * tokens.div_ceil(chunk);
        let of_group = heads / groups * width;
        let narrow = |shape: [usize; 3]| Operand::activation(shape, format);
        let wide = |shape: [usize; 3]| Operand::activation(shape, Format::F32);
        let [bias, decay, direct] = [0, 1, 2].map(|place| self.of_heads[place].operand());
        let decays = wide([batch, heads, tokens]);
        let ways = narrow([parts * groups, chunk, size]);
        let within = wide([parts * groups, chunk, chunk]);
        let brought = narrow([parts * groups, of_group, chunk]);
        let states = wide([parts * groups, of_group, size]);
        let results = narrow([parts * groups, chunk, of_group]);
        let both = narrow([parts * groups, chunk, chunk + size]);
        let sources = narrow([parts * groups, chunk + size, of_group]);
        let cumulated = Operation::new(OpKind::CumSum, &[narrow([batch, tokens, heads]), bias, decay], decays);
        let cumulated = cx.follow(cumulated, &[steps])?;
        let within = cx.follow(Operation::new(OpKind::MatMul, &[ways, ways], within), &[convolved, convolved])?;
        let of_chunk = Operation::new(OpKind::MatMul, &[brought, ways, decays], states);
        let of_chunk = cx.follow(of_chunk, &[convolved, convolved, &cumulated])?;
        let passed =
            Operation::new(OpKind::Mul, &[states, self.states.operand(batch)], states).fused_with(&[OpKind::Add]);
        let passed = cx.follow(passed, &[&of_chunk])?;
        // The ways out stand beside the products within the chunk, and what the tokens bring above the states.
        cx.follow(
            Operation::new(OpKind::MatMul, &[both, sources, decays, direct], results),
            &[&within, &passed, &cumulated],
        )
    }

    /// A prompt in chunks (section 3.3 of Yang et al.): the decays; the products of the keys within a chunk, and the values and keys that they
    /// make of each other's; what a chunk leaves of them beside the state before it; the state after it; and the results, from the chunk's
    /// own tokens and from the state before it. The products are the same where each number of a key decays on its own (section 3 of Kimi
    /// Team): the decays are wider, and scale what the products read.
    pub(super) fn scan_delta(
        &self,
        cx: &mut Cx<'_>,
        [queries, keys, values]: &[Tensor; 3],
        [steps, strengths]: &[Tensor; 2],
    ) -> Result<Tensor> {
        let States { heads, width, size, chunk, .. } = self.states;
        let (batch, tokens, format) = (values.dim(0), values.dim(2), values.format());
        let chunk = chunk.min(tokens);
        let parts = batch.saturating_mul(tokens.div_ceil(chunk)).saturating_mul(heads);
        let narrow = |rows: usize, columns: usize| Operand::activation([parts, rows, columns], format);
        let wide = |rows: usize, columns: usize| Operand::activation([parts, rows, columns], Format::F32);
        let of_token = |numbers: usize| Operand::activation([batch, tokens, numbers], format);
        let [bias, decay] = [0, 1].map(|place| self.of_heads[place].operand());
        let decays = Operand::activation([batch, self.states.decays(), tokens], Format::F32);
        let (key, within, value) = (narrow(chunk, size), wide(chunk, chunk), narrow(chunk, width));
        let cumulated = Operation::new(OpKind::CumSum, &[of_token(self.states.decays()), bias, decay], decays);
        let cumulated = cx.follow(cumulated, &[steps])?;
        let products = Operation::new(OpKind::MatMul, &[key, key, decays], within);
        let products = cx.follow(products, &[keys, keys, &cumulated])?;
        // The inverse of the triangle, whose products are few.
        let inverse =
            cx.follow(Operation::new(OpKind::Mul, &[within], within).fused_with(&[OpKind::Add]), &[&products])?;
        let both = narrow(chunk, width + size);
        let made = Operation::new(OpKind::MatMul, &[within, both, of_token(heads)], both);
        let made = cx.follow(made, &[&inverse, values, strengths])?;
        let state = self.states.operand(batch);
        let left = Operation::new(OpKind::MatMul, &[key, state, value], value).fused_with(&[OpKind::Sub]);
        let left = cx.follow(left, &[&made])?;
        let states = narrow(size, width);
        let passed = Operation::new(OpKind::MatMul, &[narrow(size, chunk), value, state], states);
        let passed = cx.follow(passed.fused_with(&[OpKind::Mul, OpKind::Add]), &[keys, &left])?;
        let scores = Operation::new(OpKind::MatMul, &[key, key, decays], within);
        let scores = cx.follow(scores, &[queries, keys, &cumulated])?;
        // The queries stand beside the products within the chunk, and the states above what it leaves.
        let (beside, sources) = (narrow(chunk, chunk + size), narrow(chunk + size, width));
        cx.follow(Operation::new(OpKind::MatMul, &[beside, sources, decays], value), &[&scores, &passed, &left])
    }
}
