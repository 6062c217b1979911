//! A chat template: a prompt, or one line that says why there is none.
#![no_main]

use irene_models::{ChatTemplate, Message};

irene_fuzz::fuzz_text!(|bytes| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let tokens = [("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())];
    let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    let messages = [message("system", "Be short."), message("user", " 日 \"x\" "), message("assistant", "y")];
    let made = ChatTemplate::new("template", source, tokens).and_then(|template| template.prompt(&messages));
    if let Err(error) = made {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
