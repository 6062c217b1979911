use irene_tree::{Format, Level, OpKind, Operand, Operation, Role};

use crate::{Cx, Label, Module, Result, TaskHead, Tensor, labelled};

labelled!(CrossEntropyLoss);

/// The cross entropy of logits (.., classes) and the class that each row should have, followed by shape: the logarithm of the softmax in
/// 32 bits, the numbers of the right classes, their mean. A decoder classifies by the last token of each sequence.
pub(super) struct CrossEntropyLoss {
    label: Label,
    head: TaskHead,
}

impl CrossEntropyLoss {
    pub(super) fn new(head: TaskHead) -> Self {
        Self { label: Label { name: "loss".into(), instance_type: "CrossEntropyLoss", level: Level::Module }, head }
    }
}

impl Module for CrossEntropyLoss {
    type Input<'a> = &'a Tensor;
    type Output = Tensor;

    fn forward(&self, cx: &mut Cx<'_>, logits: &Tensor) -> Result<Tensor> {
        let mut logits = logits.clone();
        if self.head == TaskHead::Classification && logits.shape().rank() > 2 {
            let last = cx.narrow(&logits, 1, logits.dim(1).saturating_sub(1), 1)?;
            logits = cx.contiguous(&last)?;
        }
        let classes = logits.shape().last();
        let rows = (logits.shape().elements() / classes.max(1) as u64) as usize;
        let logits = cx.reshape(&logits, [rows, classes])?;
        let logits = cx.cast_up(&logits)?;
        let logarithms = cx.softmax(&logits)?;
        let labels = Tensor::of_shape([rows], Format::I64).with_role(Role::Ids);
        let picked = Operand::activation([rows], logarithms.format());
        let picking = Operation::new(OpKind::Gather, &[picked, labels.operand()], picked);
        let picked = cx.follow(picking, &[&logarithms, &labels])?;
        cx.sum(&picked)
    }
}
