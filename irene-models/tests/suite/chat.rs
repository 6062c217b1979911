//! Chat templates against Jinja2 with transformers' settings, and where they are found; text from tokens as they come.

use std::collections::BTreeMap;

use irene_models::{ChatTemplate, Message, ModelFiles, TextEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::Folder;

fn user(content: &str) -> [Message; 1] {
    [Message { role: "user".into(), content: content.into() }]
}

#[test]
fn templates_that_would_fill_memory_or_stack_are_refused_in_one_line() {
    let nested =
        "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x | tojson }}";
    for (source, reason) in [
        ("{{ messages | tojson(indent=9999999999) }}", "at most 16 spaces, not 9999999999"),
        (nested, "at most 64 lists and maps"),
    ] {
        let error = ChatTemplate::new("t", source, []).unwrap().prompt(&user("x")).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn templates_give_what_jinja2_gives() {
    let golden: Value = serde_json::from_str(include_str!("../fixtures/chat/golden.json")).unwrap();
    let tokens: BTreeMap<String, String> = serde_json::from_value(golden["tokens"].clone()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let message = |message: &Value| Message {
            role: message["role"].as_str().unwrap().into(),
            content: message["content"].as_str().unwrap().into(),
        };
        let messages: Vec<Message> = case["messages"].as_array().unwrap().iter().map(message).collect();
        let template = ChatTemplate::new(name, case["template"].as_str().unwrap(), tokens.clone()).unwrap();
        match case["error"].as_str() {
            None => assert_eq!(template.prompt(&messages).unwrap(), case["prompt"].as_str().unwrap(), "{name}"),
            Some(said) => {
                let error = template.prompt(&messages).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{name}: the chat template fails: {said}")), "{error}");
            }
        }
    }
}

#[test]
fn a_template_that_fails_is_one_line() {
    let fault = |source: &str| {
        let template = ChatTemplate::new("chat_template.jinja", source, []);
        let error = template.and_then(|template| template.prompt(&user("Hi"))).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("chat_template.jinja: the chat template fails: "), "{error}");
        error
    };
    assert!(fault("{% if %}").contains("(line 1)"));
    assert!(fault("\n{{ messages[0].content.no_such_method() }}").contains("(line 2)"));
    fault("{{ raise_exception('one\\ntwo') }}");
    fault("{{ strftime_now('%Q') }}");
    fault("{{ no_such_function() }}");
    fault("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}");
    // It would run for hours.
    fault(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
    );
}

#[test]
fn the_date_is_todays() {
    let template = ChatTemplate::new("date", "{{ strftime_now('%Y %B %d') }}", []).unwrap();
    let prompt = template.prompt(&[]).unwrap();
    let mut words = prompt.split(' ');
    assert!(words.next().unwrap().parse::<u32>().unwrap() >= 2025, "{prompt}");
    assert!(words.next().unwrap().len() >= 3, "{prompt}");
    assert!((1..=31).contains(&words.next().unwrap().parse::<u32>().unwrap()), "{prompt}");
}

#[test]
fn a_template_is_found_in_either_file() {
    let folder = Folder::new("places");
    let found = || ChatTemplate::find(&ModelFiles::find(&folder.place())?);
    let prompt = || found().unwrap().map(|template| template.prompt(&user("Hi")).unwrap());
    assert_eq!(prompt(), None);
    folder.write("tokenizer_config.json", r#"{"bos_token": "<s>"}"#);
    assert_eq!(prompt(), None);
    let config = |template: Value| {
        let config = json!({"bos_token": {"content": "<s>", "lstrip": false}, "chat_template": template});
        folder.write("tokenizer_config.json", config.to_string())
    };
    config("{{ bos_token }}{{ messages[0].content }}".into());
    assert_eq!(prompt().unwrap(), "<s>Hi");
    config(
        json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "{{ bos_token }}default"}]),
    );
    assert_eq!(prompt().unwrap(), "<s>default");
    folder.write("chat_template.jinja", "{{ bos_token }}of its own");
    assert_eq!(prompt().unwrap(), "<s>of its own");
    folder.write("tokenizer_config.json", "{");
    assert!(found().unwrap_err().to_string().contains("tokenizer_config.json: EOF"));
}

/// A tokenizer of these tokens, the first of which is special.
fn encoder(name: &str, vocabulary: &[String], decoder: Value) -> TextEncoder {
    let ids: serde_json::Map<String, Value> = vocabulary.iter().cloned().zip((0..).map(Value::from)).collect();
    let special = json!({"id": 0, "content": vocabulary[0], "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true});
    let tokenizer = json!({"version": "1.0", "added_tokens": [special], "normalizer": null, "post_processor": null,
        "decoder": decoder, "truncation": null, "padding": null, "pre_tokenizer": null,
        "model": {"type": "BPE", "vocab": ids, "merges": []}});
    let folder = Folder::new(name);
    TextEncoder::read(folder.write("tokenizer.json", tokenizer.to_string()).as_ref()).unwrap()
}

/// The text of the tokens, piece by piece, and at last what was left.
fn pieces(encoder: &TextEncoder, tokens: &[i64]) -> Vec<String> {
    let mut stream = encoder.stream();
    let mut pieces: Vec<String> = tokens.iter().map(|&token| stream.push(token).unwrap()).collect();
    pieces.push(stream.finish().unwrap());
    pieces
}

#[test]
fn spaces_and_split_characters_come_out_whole() {
    let tokens = ["<s>", "▁Hello", "▁world", "<0xC3>", "<0xA9>", "!", "▁"].map(String::from);
    // As Llama's tokenizer has it.
    let decoder = json!({"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    let encoder = encoder("spaces", &tokens, decoder);
    assert_eq!(pieces(&encoder, &[0, 1, 2, 3, 4, 5, 0, 2]), ["", "Hello", " world", "", "é", "!", "", " world", ""]);
    // Half a character is given as such when nothing follows, and does not hold up what does.
    assert_eq!(pieces(&encoder, &[1, 3]).concat(), "Hello\u{fffd}");
    assert!(pieces(&encoder, &[1, 3, 3, 3, 3, 3, 3, 2]).concat().ends_with(" world"));
    assert!(encoder.stream().push(-1).is_err());
}

/// A part of a character, decoded.
const INCOMPLETE: char = '\u{fffd}';

/// The letter that GPT-2's tokenizer writes for a byte.
fn letter(byte: u8) -> char {
    let shows = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let place = (0..byte).filter(|byte| !shows(byte)).count() as u32;
    if shows(&byte) { char::from(byte) } else { char::from_u32(256 + place).unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every byte is a token.
    #[test]
    fn a_text_comes_out_as_it_is(text in "\\PC{0,12}".prop_filter("a part of a character", |text| !text.contains(INCOMPLETE))) {
        let tokens: Vec<String> =
            std::iter::once("<s>".to_owned()).chain((0..=255).map(|byte| letter(byte).to_string())).collect();
        let encoder = encoder("bytes", &tokens, json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}));
        let ids: Vec<i64> = text.bytes().map(|byte| i64::from(byte) + 1).collect();
        let pieces = pieces(&encoder, &ids);
        prop_assert_eq!(pieces.concat(), text.clone());
        prop_assert!(!pieces.iter().any(|piece| piece.contains(INCOMPLETE)));
    }
}
