//! Entries that stand for several tokens each: sums of their values, weighed by a softmax over their gates (DeepSeek-V4, section 2.3).

use irene_tree::{Format, Kernels, OpKind, Operand, Operation, Role, Size};

use super::super::recipe::Compression;
use crate::{Cx, Linear, Past, Result, Tensor, Weights};

/// The tokens of a pass, and what it keeps of them.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    size: Size,
    /// The format of the cache, if one is kept.
    kept: Option<Format>,
}

impl Pass {
    pub(super) fn of(cx: &Cx<'_>, size: Size, past: Past<'_>, own: Format) -> Self {
        let kept = match past {
            Past::NotKept => None,
            Past::Empty => Some(cx.cache_format().unwrap_or(own)),
            Past::Tokens(earlier) => Some(earlier.key.format()),
        };
        Self { size, kept }
    }
}

/// Makes one entry of every `rate` tokens; where entries overlap, of as many tokens before them too.
pub(super) struct Pool {
    kv_proj: Linear,
    gate_proj: Linear,
    position_bias: Tensor,
    norm: Tensor,
    rate: usize,
    /// Numbers of an entry.
    width: usize,
    overlaps: bool,
}

impl Pool {
    pub(super) fn load(weights: &Weights<'_>, of: Compression, hidden: usize, width: usize) -> Result<Self> {
        let overlaps = of.indexer.is_some();
        let outputs = if overlaps { 2 * width } else { width };
        let linear = |name| Linear::load_with(&weights.child(name), [hidden, outputs], None);
        Ok(Self {
            kv_proj: linear("kv_proj")?,
            gate_proj: linear("gate_proj")?,
            position_bias: weights.parameter("position_bias", [of.rate, outputs])?.kept_in_f32()?,
            norm: weights.child("kv_norm").parameter("weight", [width])?,
            rate: of.rate,
            width,
            overlaps,
        })
    }

    /// Tokens that an entry is made of.
    fn summed(&self) -> usize {
        if self.overlaps { 2 * self.rate } else { self.rate }
    }

    /// All entries so far, (batch, 1, entries, width), with those that the new tokens complete.
    pub(super) fn run(&self, cx: &mut Cx<'_>, hidden: &Tensor, pass: Pass) -> Result<Tensor> {
        let [values, gates] = cx.call_joint("kv_gate_proj", [&self.kv_proj, &self.gate_proj], hidden)?;
        let (batch, own) = (hidden.dim(0), hidden.format());
        let Size { past, .. } = pass.size;
        let (before, all) = (past / self.rate, pass.size.keys() / self.rate);
        let of_entries =
            |entries: usize, format: Format, role: Role| Operand::new([batch, 1, entries, self.width], format, role);
        let kept = pass.kept.map(|format| of_entries(all - before, format, Role::Cache));
        let made = kept.unwrap_or(of_entries(all - before, own, Role::Activation));
        let completed = cx.in_one_kernel(
            OpKind::Softmax,
            &[&values, &gates],
            |cx| self.by_operations(cx, [&values, &gates], made),
            |_| self.operation([&values, &gates], made, pass),
        )?;
        if pass.kept.is_none() {
            return Ok(completed);
        }
        // Entries that this pass made are activations to its own attention.
        let (format, role) = match pass.kept.filter(|_| past > 0) {
            Some(format) => (format, Role::Cache),
            None => (own, Role::Activation),
        };
        let tensor = |entries: usize| Tensor::of_shape([batch, 1, entries, self.width], format).with_role(role);
        // Eager kernels copy the entries with new ones behind them.
        if cx.kernels() == Kernels::Eager && before > 0 && all > before {
            return Ok(cx.join(&tensor(before), &tensor(all - before), 2)?.with_role(role));
        }
        Ok(tensor(all))
    }

    /// The one kernel: it reads the new tokens' values and gates, keeps those that wait for their entry, and writes the entries that are
    /// complete. The gates stand for its output, because the work is done for each of them.
    fn operation(&self, [values, gates]: [&Tensor; 2], made: Operand, pass: Pass) -> Operation {
        let Size { past, new, .. } = pass.size;
        let is_completed = made.shape.elements() > 0 && past > 0;
        let read = if is_completed { self.rate } else { 0 };
        let waiting =
            Operand::new([values.dim(0), 2, read + new.min(self.rate), values.dim(2)], values.format(), Role::Cache);
        let own = [values.operand(), self.position_bias.operand(), self.norm.operand(), made];
        let inputs: Vec<Operand> = own.into_iter().chain(pass.kept.map(|_| waiting)).collect();
        let others = [OpKind::Add, OpKind::Mul, OpKind::Add];
        Operation::new(OpKind::Softmax, &inputs, gates.operand()).fused_with(&others)
    }

    fn by_operations(&self, cx: &mut Cx<'_>, [values, gates]: [&Tensor; 2], made: Operand) -> Result<Tensor> {
        let of_windows = [values.dim(0), made.shape.dims()[2], self.summed(), self.width];
        if made.shape.elements() == 0 {
            cx.unused_table("position_bias", &self.position_bias)?;
            cx.unused_table("kv_norm", &self.norm)?;
            return Ok(Tensor::of_shape(made.shape, made.format));
        }
        let windows = Operand::activation(of_windows, values.format());
        let made = Operand { role: Role::Activation, ..made };
        let mut step = |kind: OpKind, inputs: &[Operand], output: Operand, from: &[&Tensor]| {
            cx.follow(Operation::new(kind, inputs, output), from)
        };
        let biased = [gates.operand(), self.position_bias.operand()];
        let mut gates = step(OpKind::Add, &biased, gates.operand(), &[gates])?;
        let mut values = values.clone();
        if self.overlaps {
            // Beside the tokens of each window lie those of the one before it.
            values = step(OpKind::Copy, &[values.operand()], windows, &[&values])?;
            gates = step(OpKind::Copy, &[gates.operand()], windows, &[&gates])?;
        }
        let weights = step(OpKind::Softmax, &[windows], windows, &[&gates])?;
        let weighed = step(OpKind::Mul, &[windows, windows], windows, &[&values, &weights])?;
        let sums = step(OpKind::Sum, &[windows], made, &[&weighed])?;
        let normed = step(OpKind::RmsNorm, &[made, self.norm.operand()], made, &[&sums])?;
        step(OpKind::Rotary, &[made], made, &[&normed])
    }
}

/// Pairs of a new token and an entry that it sees: those of the tokens up to its own, or as many as are chosen.
pub(super) fn entries_seen(size: Size, of: Compression) -> u64 {
    let most = of.indexer.map_or(u64::MAX, |indexer| indexer.chosen as u64);
    let up_to = |tokens: usize| seen_up_to(tokens as u64, of.rate as u64, most);
    up_to(size.keys()).saturating_sub(up_to(size.past))
}

/// The pairs of the first tokens: the sum of min(token / rate, most) over them, counted from 1.
fn seen_up_to(tokens: u64, rate: u64, most: u64) -> u64 {
    let growing = tokens.min(rate.saturating_mul(most));
    let (whole, rest) = (growing / rate, growing % rate);
    let of_whole = rate.saturating_mul(whole.saturating_mul(whole.saturating_sub(1)) / 2);
    let grown = of_whole.saturating_add(whole.saturating_mul(rest + 1));
    grown.saturating_add((tokens - growing).saturating_mul(most))
}

#[cfg(test)]
mod tests {
    use super::seen_up_to;

    #[test]
    fn tokens_see_the_entries_that_are_complete() {
        for (rate, most) in [(4, u64::MAX), (4, 3), (1, 2), (128, 1)] {
            for tokens in 0..300 {
                let by_token: u64 = (1..=tokens).map(|token: u64| (token / rate).min(most)).sum();
                assert_eq!(seen_up_to(tokens, rate, most), by_token, "{tokens} tokens, {rate}, {most}");
            }
        }
    }
}
