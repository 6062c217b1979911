//! Texts through a tokenizer.json.

use irene_models::{Result, TextEncoder};
use irene_tree::Size;

use crate::support::Folder;

/// Words are tokens; the file asks for padding and truncation, which would change the input unsaid.
const TOKENIZER: &str = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"post_processor":null,"decoder":null,
    "truncation":{"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0},
    "padding":{"strategy":{"Fixed":9},"direction":"Right","pad_to_multiple_of":null,"pad_id":0,"pad_type_id":0,"pad_token":"[PAD]"},
    "pre_tokenizer":{"type":"Whitespace"},
    "model":{"type":"WordLevel","vocab":{"[UNK]":0,"the":1,"cat":2,"sat":3},"unk_token":"[UNK]"}}"#;

fn read(folder: &Folder, tokenizer: &str) -> Result<TextEncoder> {
    TextEncoder::read(folder.write("tokenizer.json", tokenizer).as_ref())
}

#[test]
fn a_tokenizer_whose_parts_do_not_fit_is_refused() {
    let folder = Folder::new("crafted");
    let refused = |from: &str, to: &str| {
        assert!(TOKENIZER.contains(from), "{from}");
        let encoder = read(&folder, &TOKENIZER.replace(from, to));
        encoder.and_then(|encoder| encoder.encode(&["the cat".into()], 0)).unwrap_err().to_string()
    };
    for (map, reason) in [
        ("", "`precompiled_charsmap` is cut short"),
        ("AAAA", "`precompiled_charsmap` is cut short"),
        ("/////w==", "`precompiled_charsmap` is cut short"),
        ("BAAAAAAAAAA=", "its tables lead nowhere"),
    ] {
        let part = format!(r#""normalizer":{{"type":"Precompiled","precompiled_charsmap":"{map}"}}"#);
        let error = refused(r#""normalizer":null"#, &part);
        assert!(error.contains("tokenizer.json: ") && error.contains(reason), "{map}: {error}");
    }
    for (piece, reason) in [
        (r#"{"SpecialToken":{"id":"zz","type_id":0}}"#, "`single` has zz, which `special_tokens` lacks"),
        (r#"{"Sequence":{"id":"B","type_id":0}}"#, "`single` asks for a second text"),
    ] {
        let part = format!(
            r#""post_processor":{{"type":"TemplateProcessing","single":[{piece}],"pair":[],"special_tokens":{{}}}}"#
        );
        let error = refused(r#""post_processor":null"#, &part);
        assert!(error.contains(reason), "{error}");
    }
    let error = refused(r#"{"type":"Whitespace"}"#, r#"{"type":"FixedLength","length":0}"#);
    assert!(error.contains("`length` is 0"), "{error}");
}

#[test]
fn texts_become_ids_padded_to_the_longest() {
    let folder = Folder::new("text");
    let encoder = read(&folder, TOKENIZER).unwrap();
    let encoded = encoder.encode(&["the cat sat".into(), "dog".into()], 7).unwrap();
    assert_eq!(encoded.size, Size::new(2, 3));
    assert_eq!(encoded.ids, [1, 2, 3, 0, 7, 7]);
    assert_eq!(encoded.mask, Some(vec![1, 1, 1, 1, 0, 0]));
    assert_eq!(encoder.encode(&["the cat".into(), "cat sat".into()], 7).unwrap().mask, None);
    let refused = |texts: &[String]| encoder.encode(texts, 0).unwrap_err().to_string();
    assert!(refused(&[]).contains("no text"));
    assert!(refused(&["the".into(), String::new()]).contains("text 2 has no tokens"));
    assert!(read(&folder, "{").unwrap_err().to_string().contains("tokenizer.json"));
}
