//! The architectures: one file each, or a folder where that would be long, top to bottom in the order data flows.

mod albert;
mod bert;
mod causal;
mod deberta_v2;
mod decoder;
mod distilbert;
mod electra;
pub mod flexibert;
mod gpt2;
mod heads;
mod modernbert;
mod mpnet;
mod nomic_bert;
mod openai_gpt;
mod roberta;
mod task_head;

pub(crate) use self::decoder::DECODERS;
use crate::Architecture;

/// The architectures with a file of their own. A new one is one file, one line here, and one row in the table of families.
const ARCHITECTURES: &[&dyn Architecture] = &[
    &bert::Bert,
    &electra::Electra,
    &roberta::ROBERTA,
    &roberta::XLM_ROBERTA,
    &roberta::CAMEMBERT,
    &distilbert::DistilBert,
    &albert::Albert,
    &mpnet::MpNet,
    &modernbert::ModernBert,
    &nomic_bert::NomicBert,
    &deberta_v2::DebertaV2,
    &gpt2::Gpt2,
    &openai_gpt::OpenAiGpt,
    &flexibert::FlexiBert,
];

/// Every architecture, by its config's `model_type`.
pub fn architectures() -> impl Iterator<Item = &'static dyn Architecture> {
    let decoders = DECODERS.iter().copied().map(|decoder| decoder as &dyn Architecture);
    ARCHITECTURES.iter().copied().chain(decoders)
}
