//! The batch that a model runs on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor as Candle, safetensors::Load};
use irene_models::{Batch, ChatTemplate, Message, ModelFiles, ModelSpec, Tensor, TextEncoder};
use irene_tree::{Size, file_fault};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    commands::{numbers::size, refuse, text, usage},
    output,
};

#[derive(clap::Args)]
pub(super) struct InputArgs {
    /// A text, or the prompt of a generation; give it again for a batch. Needs the model's tokenizer.json
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["text_file", "seq_len"])]
    text: Vec<String>,
    /// A file with a text a line
    #[arg(long, value_name = "FILE", conflicts_with = "seq_len")]
    text_file: Option<PathBuf>,
    /// A file with input_ids (whole numbers) and, if there is padding, attention_mask
    #[arg(long, value_name = "IN.safetensors", conflicts_with_all = ["text", "text_file", "batch_size", "seq_len"])]
    input: Option<PathBuf>,
    /// Made-up sequences, or copies of each text [default: 1]
    #[arg(short, long, visible_alias = "sequences", value_name = "B", value_parser = size)]
    batch_size: Option<usize>,
    /// Tokens in made-up sequences
    #[arg(short, long, visible_alias = "prompt", value_name = "S", value_parser = tokens)]
    seq_len: Option<usize>,
    /// Give each prompt as a user's message in the model's chat template
    #[arg(long, requires = "generate", conflicts_with_all = ["input", "seq_len"])]
    chat: bool,
    /// The system's message before it
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
}

impl InputArgs {
    /// Refuses a system's message without a template to put it into.
    pub(super) fn check(&self) -> Result<()> {
        refuse(!self.chat, "--chat", &[("--system", self.system.is_some())])
    }
}

/// Tokens in a sequence; a text in their place belongs to another flag.
fn tokens(text: &str) -> Result<usize, String> {
    size(text).map_err(|error| format!("{error}; give a text with --text"))
}

/// A batch, and the tokenizer that it came from if it was text.
pub(super) struct Input {
    pub(super) batch: Batch,
    pub(super) encoder: Option<TextEncoder>,
}

/// The use of an input.
pub(super) struct Reader<'a> {
    pub(super) spec: &'a ModelSpec,
    /// The model's other files.
    pub(super) files: irene_models::Result<ModelFiles>,
    pub(super) device: &'a Device,
    /// Whether a generation goes on from it.
    pub(super) is_prompt: bool,
}

impl InputArgs {
    /// Whether the tokens are made up, so that what is generated means nothing.
    pub(super) fn is_made_up(&self) -> bool {
        self.seq_len.is_some()
    }

    /// The batch of a pass over whole sequences, or the prompts of a generation. `check` refuses sizes that do not fit.
    pub(super) fn read(&self, reader: Reader<'_>, check: impl Fn(Size) -> Result<()>) -> Result<Input> {
        let Reader { spec, device, .. } = reader;
        if let Some(seq_len) = self.seq_len {
            let size = Size::new(self.copies(), seq_len);
            // Before there are tokens of it.
            check(size)?;
            return Ok(Input { batch: Batch::made_up(spec, size, device)?, encoder: None });
        }
        let input = match &self.input {
            Some(path) => Input { batch: in_file(path, spec, device)?, encoder: None },
            None => self.encoded(reader)?,
        };
        check(input.batch.size())?;
        input.batch.check_ids(spec.name(), spec.vocab_size()?)?;
        Ok(input)
    }

    fn copies(&self) -> usize {
        self.batch_size.unwrap_or(1)
    }

    /// The batch of the texts.
    fn encoded(&self, reader: Reader<'_>) -> Result<Input> {
        let Reader { spec, files, device, is_prompt } = reader;
        if self.text.is_empty() && self.text_file.is_none() {
            return usage("a model runs on an input: give --text, --text-file, --input, or --batch-size and --seq-len");
        }
        let texts = text::texts(&self.text, self.text_file.as_deref())?;
        let texts: Vec<String> = texts.into_iter().flat_map(|text| std::iter::repeat_n(text, self.copies())).collect();
        let files = files.context(text::NEEDS)?;
        let encoder = text::encoder(&files)?;
        let batch = if is_prompt {
            self.prompts(&texts, &encoder, &files, device)?
        } else {
            let encoded = text::encode(spec, &encoder, &texts)?;
            Batch::of_ids(encoded.ids, encoded.mask, encoded.size, device)?
        };
        Ok(Input { batch, encoder: Some(encoder) })
    }

    fn prompts(&self, texts: &[String], encoder: &TextEncoder, files: &ModelFiles, device: &Device) -> Result<Batch> {
        let template = ChatTemplate::find(files);
        if !self.chat {
            if matches!(template, Ok(Some(_))) {
                output::tell("the model has a chat template, which --chat applies");
            }
            let prompts: Vec<_> = texts.iter().map(|text| encoder.ids(text, true)).collect::<Result<_, _>>()?;
            return Ok(Batch::of_prompts(&prompts, device)?);
        }
        let template = template?.context(
            "no chat template in tokenizer_config.json or chat_template.jinja; without --chat it needs none",
        )?;
        let message = |role: &str, text: &str| Message { role: role.into(), content: text.into() };
        let prompt = |text: &String| {
            let system = self.system.iter().map(|text| message("system", text));
            let messages: Vec<_> = system.chain([message("user", text)]).collect();
            // The template writes the special tokens.
            encoder.ids(&template.prompt(&messages)?, false)
        };
        let prompts: Vec<_> = texts.iter().map(prompt).collect::<Result<_, _>>()?;
        Ok(Batch::of_prompts(&prompts, device)?)
    }
}

/// The numbers of each token's segment.
const SEGMENTS: &str = "token_type_ids";

/// Inputs that transformers knows and nothing here reads.
const UNREAD: [&str; 3] = [SEGMENTS, "position_ids", "inputs_embeds"];

/// The batch in a safetensors file. A decoder's positions skip padding on the left, as `generate` of transformers counts them.
fn in_file(path: &Path, spec: &ModelSpec, device: &Device) -> Result<Batch> {
    let origin = || path.display().to_string();
    let fault = || file_fault(path).map_or_else(origin, |fault| format!("{}: {fault}", origin()));
    let bytes = std::fs::read(path).with_context(fault)?;
    let file = SafeTensors::deserialize(&bytes).with_context(fault)?;
    let take = |name: &str| -> Result<Option<(Vec<i64>, Tensor)>> {
        let Ok(view) = file.tensor(name) else { return Ok(None) };
        let dims = view.shape().to_vec();
        ensure!(dims.len() == 2, "{}, tensor `{name}`: expected (batch, sequence), found {dims:?}", origin());
        let numbers = whole(&view).with_context(|| format!("{}, tensor `{name}`", origin()))?;
        let tensor = Tensor::from_candle(Candle::from_slice(&numbers, dims, device)?)?;
        Ok(Some((numbers, tensor)))
    };
    let (_, input_ids) = take("input_ids")?.with_context(|| format!("{}: no tensor `input_ids`", origin()))?;
    for name in UNREAD.into_iter().filter(|name| file.tensor(name).is_ok()) {
        // Where nothing is said of segments, every token is of the first.
        let is_of_first =
            name == SEGMENTS && take(name)?.is_some_and(|(numbers, _)| numbers.iter().all(|number| *number == 0));
        ensure!(
            is_of_first,
            "{}, tensor `{name}`: it is not read, so what it asks for would not be computed; leave it out",
            origin()
        );
    }
    let attention_mask = take("attention_mask")?;
    if let Some((numbers, mask)) = &attention_mask {
        let other = numbers.iter().find(|number| !matches!(number, 0 | 1));
        ensure!(
            other.is_none(),
            "{}, tensor `attention_mask`: expected 0 and 1, found {}",
            origin(),
            other.unwrap_or(&0)
        );
        ensure!(
            mask.shape() == input_ids.shape(),
            "{}, tensor `attention_mask`: expected {}, found {}",
            origin(),
            input_ids.shape(),
            mask.shape()
        );
    }
    let batch = Batch { attention_mask: attention_mask.map(|(_, mask)| mask), ..Batch::of(input_ids) };
    let counts = spec.cache(irene_tree::Kernels::Fused)?.is_some() && batch.is_padded_left()?;
    Ok(if counts { batch.with_counted_positions()? } else { batch })
}

/// The numbers of a tensor of any type, which have to be whole.
fn whole(view: &TensorView<'_>) -> Result<Vec<i64>> {
    let tensor = match view.dtype() {
        // Bytes of 0 and 1.
        Dtype::BOOL => Candle::from_raw_buffer(view.data(), DType::U8, view.shape(), &Device::Cpu)?,
        _ => view.load(&Device::Cpu)?,
    }
    .flatten_all()?;
    if tensor.dtype() == DType::I64 {
        return Ok(tensor.to_vec1()?);
    }
    let numbers = tensor.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    match numbers.iter().find(|number| number.fract() != 0.0) {
        Some(number) => bail!("expected whole numbers, found {number}"),
        None => Ok(numbers.into_iter().map(|number| number as i64).collect()),
    }
}
