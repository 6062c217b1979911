use super::Linear;
use crate::{Cx, Label, Labelled, Module, Result, Tensor, Weights};

/// The names of LoRA's adapters.
pub(crate) const ADAPTERS: [&str; 2] = ["lora_A", "lora_B"];

/// LoRA's `lora_alpha` over its rank, the factor of the adapters' result. Its value does not change the cost.
const SCALE: f64 = 1.0;

/// The name of the layer that they are beside, as PEFT has it.
const BASE: &str = "base_layer";

/// A layer that can stand under another name.
pub(super) trait Relabelled: Labelled {
    fn relabelled(self, label: Label) -> Self;
}

/// A layer that is not trained, and beside it two thin ones that are (Hu et al. 2021): W x + B A x.
#[derive(Clone, Debug)]
pub(super) struct Adapter<L> {
    base: L,
    /// To the rank, and back.
    thin: [Linear; 2],
}

impl<L: Relabelled> Adapter<L> {
    pub(super) fn load(weights: &Weights<'_>, base: L, [inputs, outputs]: [usize; 2], rank: usize) -> Result<Self> {
        let thin = |place: usize, sizes: [usize; 2]| Linear::adapter(&weights.child(ADAPTERS[place]), sizes);
        let label = Label { name: BASE.into(), ..base.label().clone() };
        Ok(Self { base: base.relabelled(label), thin: [thin(0, [inputs, rank])?, thin(1, [rank, outputs])?] })
    }
}

impl<L> Adapter<L>
where
    L: for<'a> Module<Input<'a> = &'a Tensor, Output = Tensor>,
{
    pub(super) fn run(&self, cx: &mut Cx<'_>, x: &Tensor) -> Result<Tensor> {
        let [down, up] = &self.thin;
        let based = cx.call(&self.base, x)?;
        let thin = cx.call(down, x)?;
        let adapted = cx.call(up, &thin)?;
        let scaled = cx.mul_scalar(&adapted, SCALE)?;
        cx.add(&based, &scaled)
    }
}
