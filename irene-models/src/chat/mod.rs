//! Chat templates: a conversation as the prompt that a model was trained on.

mod python;

use std::{collections::BTreeMap, path::Path};

use minijinja::{Environment, Value, syntax::SyntaxConfig};
use serde_json::Value as Json;

use crate::{
    Error, ModelFiles, Result,
    error::reading,
    gguf::{Gguf, is_gguf},
};

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it: `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// The template that turns a conversation into a prompt, in Jinja's language as transformers runs it.
///
/// Beside Jinja's own words it has Python's methods of text, lists and maps, `raise_exception`, `strftime_now` (in UTC), `tojson`, `break`
/// and `continue`. A template takes a bounded number of steps.
///
/// ```
/// use irene_models::{ChatTemplate, Message};
/// # fn main() -> irene_models::Result<()> {
/// let source = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'].strip() }}{{ eos_token }}{% endfor %}<assistant>";
/// let template = ChatTemplate::new("chat_template.jinja", source, [("eos_token".into(), "</s>".into())])?;
/// let message = Message { role: "user".into(), content: " Hello ".into() };
/// assert_eq!(template.prompt(&[message])?, "<user>Hello</s><assistant>");
/// # Ok(())
/// # }
/// ```
pub struct ChatTemplate {
    origin: String,
    environment: Environment<'static>,
    /// Special tokens by the names that templates have for them: `bos_token`, `eos_token`.
    tokens: BTreeMap<String, String>,
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("origin", &self.origin).finish_non_exhaustive()
    }
}

const NAME: &str = "chat";
/// Steps that a template may take: templates in use take some hundred a message.
const MOST_STEPS: u64 = 10_000_000;
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const OWN_FILE: &str = "chat_template.jinja";
/// The field of the template, and the name of the one to take where there are several.
const FIELD: &str = "chat_template";
const DEFAULT: &str = "default";

impl ChatTemplate {
    /// A template, and special tokens by their names. `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Files`] if it is no template.
    pub fn new(
        origin: impl Into<String>,
        source: &str,
        tokens: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let origin = origin.into();
        let refuse = |error: minijinja::Error| fault(&origin, &error);
        let mut environment = Environment::new();
        // transformers sets both.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(refuse)?;
        environment.set_syntax(syntax);
        environment.set_fuel(Some(MOST_STEPS));
        python::add_to(&mut environment);
        environment.add_template_owned(NAME, python::without_marks(source)).map_err(refuse)?;
        Ok(Self { origin, environment, tokens: tokens.into_iter().collect() })
    }

    /// The template among a model's files: chat_template.jinja, or the field `chat_template` of tokenizer_config.json; of a GGUF file the
    /// one in its metadata.
    ///
    /// # Errors
    /// [`Error::Files`] if a file or the template in it is malformed; [`Error::Io`] if one cannot be read.
    pub fn find(files: &ModelFiles) -> Result<Option<Self>> {
        if let Some(path) = files.config().ok().filter(|path| is_gguf(path)) {
            let file = Gguf::open(&path)?;
            let Some(source) = file.chat_template() else { return Ok(None) };
            return Self::new(path.display().to_string(), source, file.special_tokens()?).map(Some);
        }
        let config_path = files.further(TOKENIZER_CONFIG)?;
        let config = config_path.as_deref().map(json).transpose()?.unwrap_or_default();
        let tokens: Vec<_> = special_tokens(&config).collect();
        if let Some(path) = files.further(OWN_FILE)? {
            return Self::new(path.display().to_string(), &text(&path)?, tokens).map(Some);
        }
        let Some(source) = source(&config) else { return Ok(None) };
        let origin = config_path.map(|path| path.display().to_string()).unwrap_or_default();
        Self::new(origin, source, tokens).map(Some)
    }

    /// The prompt for the answer to a conversation.
    ///
    /// # Errors
    /// [`Error::Files`] if the template refuses the conversation or fails.
    pub fn prompt(&self, messages: &[Message]) -> Result<String> {
        let message = |message: &Message| {
            Value::from_pairs([("role", message.role.as_str()), ("content", message.content.as_str())])
        };
        let messages: Vec<Value> = messages.iter().map(message).collect();
        let tokens = self.tokens.iter().map(|(name, token)| (name.as_str(), Value::from(token.as_str())));
        let context = tokens.chain([("messages", messages.into()), ("add_generation_prompt", true.into())]);
        let template = self.environment.get_template(NAME);
        let prompt = template.and_then(|template| template.render(Value::from_pairs(context)));
        prompt.map_err(|error| fault(&self.origin, &error))
    }
}

/// One line for a template that fails.
fn fault(origin: &str, error: &minijinja::Error) -> Error {
    let said = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let place = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    let said = said.lines().next().unwrap_or_default();
    let reason = format!("the chat template fails: {said}{place}; a prompt without it is given as it is");
    Error::Files { what: origin.to_owned(), reason }
}

/// The template in a tokenizer_config.json: a text, or the default among several by name.
fn source(config: &Json) -> Option<&str> {
    match &config[FIELD] {
        Json::Array(several) => several.iter().find(|one| one["name"] == DEFAULT)?["template"].as_str(),
        one => one.as_str(),
    }
}

/// Fields such as `bos_token`: a text, or an object with one.
fn special_tokens(config: &Json) -> impl Iterator<Item = (String, String)> {
    let fields = config.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_token"));
    fields.filter_map(|(name, token)| {
        let token = token.as_str().or_else(|| token["content"].as_str())?;
        Some((name.clone(), token.to_owned()))
    })
}

fn json(path: &Path) -> Result<Json> {
    let malformed =
        |error: serde_json::Error| Error::Files { what: path.display().to_string(), reason: error.to_string() };
    reading(path, |path| serde_json::from_str(&text(path)?).map_err(malformed))
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}
