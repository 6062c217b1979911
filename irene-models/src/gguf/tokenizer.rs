//! A file's tokenizer, built from its tokens and merges.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
    models::{
        bpe::{BPE, Merges, Vocab},
        unigram::Unigram,
        wordpiece::WordPiece,
    },
    normalizers::Precompiled,
};

use super::{
    Gguf,
    ends::{CONTROL, KINDS, TOKENS},
};
use crate::Result;

/// Words with their endings, numbers by a pattern of their own, then signs, line ends and spaces.
macro_rules! words_and {
    ($numbers:literal) => {
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $numbers,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}
/// Words that begin anew at a capital, perhaps with their endings, numbers by a pattern of their own, then signs, line ends and spaces.
macro_rules! capitals_and {
    ($ending:literal, $numbers:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $ending,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $ending,
            "|",
            $numbers,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// GPT-2's pattern.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The ways to cut text into the pieces within which tokens merge, by the words of `tokenizer.ggml.pre`.
const PIECES: &[(&[&str], Pieces)] = &[
    (&["gpt-2", "gpt2", "phi-2", "olmo", "jais", "mpt", "exaone4", "modern-bert"], Pieces::Gpt2 { digits: false }),
    (&["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone"], Pieces::Gpt2 { digits: true }),
    (
        &["llama-bpe", "llama3", "llama-v3", "smaug-bpe", "falcon3", "dbrx", "pixtral", "glm4", "chatglm-bpe"],
        Pieces::Patterns(&[words_and!(r"\p{N}{1,3}")]),
    ),
    (&["qwen2", "deepseek-r1-qwen", "stablelm2"], Pieces::Patterns(&[words_and!(r"\p{N}")])),
    (&["bloom", "gpt3-finnish", "poro-chat"], Pieces::Patterns(&[r" ?[^(\s|[.,!?…。，、।۔،])]+"])),
    (
        &["qwen35"],
        Pieces::Patterns(&[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]),
    ),
    (
        &["gpt-4o", "llama4", "minimax-m2"],
        Pieces::Patterns(&[capitals_and!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}")]),
    ),
    (&["tekken"], Pieces::Patterns(&[capitals_and!("", r"\p{N}")])),
    (
        &["seed-coder"],
        Pieces::Patterns(&[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]),
    ),
    (
        &["deepseek-coder"],
        Pieces::Patterns(&[
            r"[\r\n]",
            r"\s?\p{L}+",
            r"\s?\p{P}+",
            r"[\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+",
            r"\p{N}",
        ]),
    ),
    (
        &["deepseek-v3"],
        Pieces::Patterns(&[
            r"\p{N}{1,3}",
            r"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+",
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ]),
    ),
    (&["falcon"], Pieces::Patterns(&[r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"])),
    (&["default"], Pieces::Patterns(&[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"])),
];

/// The words of tokenizers that take a piece that is a token whole, and begin every text, where the file does not say otherwise.
const BEGINNING: &[&str] = &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "tekken"];

#[derive(Clone, Copy)]
enum Pieces {
    /// GPT-2's own pattern, perhaps after cutting numbers into digits.
    Gpt2 { digits: bool },
    /// One pattern after another, each within the pieces of the one before.
    Patterns(&'static [&'static str]),
}

impl Pieces {
    fn json(self) -> Json {
        let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
        let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        let steps: Vec<Json> = match self {
            Self::Gpt2 { digits: false } => return bytes(true),
            Self::Gpt2 { digits: true } => vec![json!({"type": "Digits", "individual_digits": true}), bytes(true)],
            Self::Patterns(patterns) => patterns.iter().map(split).chain([bytes(false)]).collect(),
        };
        json!({"type": "Sequence", "pretokenizers": steps})
    }
}

/// The other values of `tokenizer.ggml.token_type`.
const NORMAL: f64 = 1.0;
const UNKNOWN: f64 = 2.0;
const USER_DEFINED: f64 = 4.0;

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";

/// SentencePiece's sign for a space.
const SPACE: &str = "▁";

/// A token that begins or ends texts: the word of the switch for it, its id, and whether it does where the file does not say.
type Edge = (&'static str, Option<u64>, bool);

impl Gguf {
    /// The tokenizer of the file.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if there is none, or one of another kind than byte-level BPE, SentencePiece's BPE
    /// and Unigram, and BERT's WordPiece.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer> {
        let kind = self.word(MODEL).ok_or_else(|| self.error(MODEL, "is missing: the file has no tokenizer"))?;
        let parts = || -> Result<Parts<'_>> {
            let kinds = self.numbers(KINDS).unwrap_or_default();
            Ok(Parts { file: self, tokens: self.texts(TOKENS)?, kinds })
        };
        match kind {
            "gpt2" => parts()?.byte_level(),
            "llama" => parts()?.sentence_piece(),
            "bert" => parts()?.word_pieces(),
            "t5" => parts()?.unigram(),
            other => {
                let reason =
                    format!("`{other}` tokenizers are not built from GGUF files: give token ids in place of text");
                Err(self.error(MODEL, reason))
            }
        }
    }

    /// The chat template of the file.
    pub(crate) fn chat_template(&self) -> Option<&str> {
        self.word("tokenizer.chat_template")
    }

    /// Special tokens by the names that chat templates have for them.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the file's tokens are no texts.
    pub(crate) fn special_tokens(&self) -> Result<Vec<(String, String)>> {
        let tokens = self.texts(TOKENS)?;
        let named = |(name, key): (&str, &str)| {
            Some((name.to_owned(), tokens.get(usize::try_from(self.token_id(key)?).ok()?)?.clone()))
        };
        Ok([("bos_token", "bos"), ("eos_token", "eos")].into_iter().filter_map(named).collect())
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let bytes = self.array(key).and_then(|array| array.texts(self.first()));
        let bytes = bytes.ok_or_else(|| self.error(key, "is no array of texts"))?;
        Ok(bytes.into_iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }
}

struct Parts<'a> {
    file: &'a Gguf,
    tokens: Vec<String>,
    kinds: Vec<f64>,
}

impl Parts<'_> {
    fn byte_level(self) -> Result<Tokenizer> {
        const MERGES: &str = "tokenizer.ggml.merges";
        let pre = self.file.word(PRE).unwrap_or("gpt-2");
        let Some((_, pieces)) = PIECES.iter().find(|(names, _)| names.contains(&pre)) else {
            let reason = format!("`{pre}` is unknown here: give token ids in place of text");
            return Err(self.file.error(PRE, reason));
        };
        let merges = self.file.texts(MERGES)?;
        let merges = merges.iter().map(|merge| merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())));
        let merges: Option<Merges> = merges.collect();
        let merges = merges.ok_or_else(|| self.file.error(MERGES, "has one without a space between its parts"))?;
        let begins = BEGINNING.contains(&pre);
        let model = BPE::builder().vocab_and_merges(self.vocabulary(), merges).ignore_merges(begins).build();
        let mut tokenizer = Tokenizer::new(model.map_err(|error| self.refuse(&error))?);
        tokenizer.with_pre_tokenizer(Some(self.part::<PreTokenizerWrapper>(pieces.json())?));
        let decoder = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        tokenizer.with_decoder(Some(self.part::<DecoderWrapper>(decoder)?));
        self.finished(tokenizer, self.usual_edges(begins, false))
    }

    fn sentence_piece(self) -> Result<Tokenizer> {
        let unknown = self.unknown().and_then(|id| self.tokens.get(id));
        let mut builder = BPE::builder().vocab_and_merges(self.vocabulary(), self.merges()?).byte_fallback(true);
        if let Some(unknown) = unknown {
            builder = builder.unk_token(unknown.clone()).fuse_unk(true);
        }
        let mut tokenizer = Tokenizer::new(builder.build().map_err(|error| self.refuse(&error))?);
        let has_prefix = self.file.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let mut steps = vec![spaces];
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if has_prefix {
            steps.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let normalizer = self.part::<NormalizerWrapper>(json!({"type": "Sequence", "normalizers": steps}))?;
        tokenizer.with_normalizer(Some(normalizer)).map_err(|error| self.refuse(&error))?;
        let decoder = self.part::<DecoderWrapper>(json!({"type": "Sequence", "decoders": decoders}))?;
        tokenizer.with_decoder(Some(decoder));
        self.finished(tokenizer, self.usual_edges(true, false))
    }

    /// BERT's. The file marks the pieces that begin a word, where BERT marks those that go on.
    fn word_pieces(mut self) -> Result<Tokenizer> {
        for (token, _) in self.tokens.iter_mut().zip(&self.kinds).filter(|(_, kind)| **kind != CONTROL) {
            *token = token.strip_prefix(SPACE).map_or_else(|| format!("##{token}"), str::to_owned);
        }
        let model = WordPiece::builder().vocab(self.vocabulary()).build();
        let mut tokenizer = Tokenizer::new(model.map_err(|error| self.refuse(&error))?);
        let option = |word: &str| self.file.flag(&format!("tokenizer.ggml.normalizer.{word}"));
        let normalizer = json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": option("strip_accents"), "lowercase": option("lowercase").unwrap_or(true),
        });
        let normalizer = self.part::<NormalizerWrapper>(normalizer)?;
        tokenizer.with_normalizer(Some(normalizer)).map_err(|error| self.refuse(&error))?;
        tokenizer.with_pre_tokenizer(Some(self.part::<PreTokenizerWrapper>(json!({"type": "BertPreTokenizer"}))?));
        let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
        tokenizer.with_decoder(Some(self.part::<DecoderWrapper>(decoder)?));
        let id = |text: &str| self.tokens.iter().position(|token| token == text).map(|id| id as u64);
        self.finished(tokenizer, [("bos", id("[CLS]"), true), ("sep", id("[SEP]"), true)])
    }

    /// SentencePiece's Unigram as XLM-RoBERTa has it.
    fn unigram(self) -> Result<Tokenizer> {
        const CHARACTERS: &str = "tokenizer.ggml.precompiled_charsmap";
        let vocabulary = self.tokens.iter().cloned().zip(self.scores()?).collect();
        let model = Unigram::from(vocabulary, self.unknown(), false).map_err(|error| self.refuse(&error))?;
        let mut tokenizer = Tokenizer::new(model);
        if let Some(map) = self.file.numbers(CHARACTERS) {
            let map: Vec<u8> = map.into_iter().map(|byte| byte as i64 as u8).collect();
            // Its first four bytes are the length of a table, for which memory would be taken.
            let table = map.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
            let damaged = || self.file.error(CHARACTERS, "is damaged: download the file again");
            if !(4..map.len().saturating_sub(3)).contains(&table) {
                return Err(damaged());
            }
            let normalizer = Precompiled::from(&map).map_err(|_| damaged())?;
            tokenizer.with_normalizer(Some(normalizer)).map_err(|error| self.refuse(&error))?;
        }
        let spaces = json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true});
        let pieces = json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]});
        tokenizer.with_pre_tokenizer(Some(self.part::<PreTokenizerWrapper>(pieces)?));
        tokenizer.with_decoder(Some(self.part::<DecoderWrapper>(spaces)?));
        self.finished(tokenizer, self.usual_edges(false, true))
    }

    /// The token for what no other one is.
    fn unknown(&self) -> Option<usize> {
        self.kinds.iter().position(|&kind| kind == UNKNOWN)
    }

    fn usual_edges(&self, begins: bool, ends: bool) -> [Edge; 2] {
        [("bos", begins), ("eos", ends)].map(|(word, by_default)| (word, self.file.token_id(word), by_default))
    }

    /// The score of every token.
    fn scores(&self) -> Result<Vec<f64>> {
        const SCORES: &str = "tokenizer.ggml.scores";
        let scores = self.file.numbers(SCORES).filter(|scores| scores.len() == self.tokens.len());
        scores.ok_or_else(|| self.file.error(SCORES, "does not give a number for every token"))
    }

    /// SentencePiece joins the two neighbours whose union has the best score: merges, in the order of those scores.
    fn merges(&self) -> Result<Merges> {
        /// Bytes of the longest token that is worth merging for.
        const LONGEST: usize = 256;
        let scores = self.scores()?;
        let is_normal = |id: usize| self.kinds.get(id).is_none_or(|&kind| kind == NORMAL);
        let ids: HashMap<&str, usize> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
        let mut merges = Vec::new();
        for (id, token) in self.tokens.iter().enumerate().filter(|(id, token)| is_normal(*id) && token.len() <= LONGEST)
        {
            for (place, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(place);
                if let (Some(&first), Some(&second)) = (ids.get(left), ids.get(right)) {
                    merges.push((scores[id], first, second));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let text = |id: usize| self.tokens[id].clone();
        Ok(merges.into_iter().map(|(_, first, second)| (text(first), text(second))).collect())
    }

    fn vocabulary(&self) -> Vocab {
        self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect()
    }

    /// Adds the tokens that stand for themselves, and those that begin and end every text.
    fn finished(&self, mut tokenizer: Tokenizer, edges: [Edge; 2]) -> Result<Tokenizer> {
        let of_kind = |kind: f64| self.tokens.iter().zip(&self.kinds).filter(move |(_, found)| **found == kind);
        let added =
            |(token, kind): (&String, &f64)| AddedToken::from(token.clone(), *kind == CONTROL).normalized(false);
        let specials = of_kind(CONTROL).chain(of_kind(USER_DEFINED)).filter(|(token, _)| !token.is_empty());
        tokenizer.add_tokens(specials.map(added)).map_err(|error| self.refuse(&error))?;

        let [begin, end] = edges.map(|(word, id, by_default)| {
            let is_on = self.file.flag(&format!("tokenizer.ggml.add_{word}_token")).unwrap_or(by_default);
            let id = usize::try_from(id.filter(|_| is_on)?).ok()?;
            Some((id, self.tokens.get(id)?))
        });
        let mut ids = serde_json::Map::new();
        for (id, token) in begin.iter().chain(&end) {
            ids.insert((*token).clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
        }
        if !ids.is_empty() {
            let special = |edge: &(usize, &String)| json!({"SpecialToken": {"id": edge.1, "type_id": 0}});
            let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
            let with_edges = |texts: &[&str]| -> Vec<Json> {
                let texts = texts.iter().map(|id| text(id));
                begin.iter().map(special).chain(texts).chain(end.iter().map(special)).collect()
            };
            let template = json!({
                "type": "TemplateProcessing", "single": with_edges(&["A"]), "pair": with_edges(&["A", "B"]),
                "special_tokens": ids,
            });
            tokenizer.with_post_processor(Some(self.part::<PostProcessorWrapper>(template)?));
        }
        Ok(tokenizer)
    }

    fn part<T: DeserializeOwned>(&self, json: Json) -> Result<T> {
        serde_json::from_value(json).map_err(|error| self.refuse(&error))
    }

    fn refuse(&self, error: &dyn std::fmt::Display) -> crate::Error {
        self.file.error(TOKENS, format!("makes no tokenizer ({error})"))
    }
}
