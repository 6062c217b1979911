//! Downloading a model's files into the local Hugging Face cache.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;

use crate::{Error, Result};

/// The file of a model in the cache, downloaded if it has to be; None if the hub says that the model has no such file.
///
/// It uses `HF_ENDPOINT` and `HF_TOKEN`, and with `HF_HUB_OFFLINE` does not ask the hub.
///
/// # Errors
/// [`Error::Files`] with the way out if the hub cannot be asked.
pub(crate) fn fetch(cache: &Path, id: &str, file: &str) -> Result<Option<PathBuf>> {
    let refuse = |reason: String| {
        let reason =
            format!("{reason}; `hf download {id} {file}` on a machine that can puts it into {}", cache.display());
        Err(Error::Files { what: format!("{id}/{file}"), reason })
    };
    if is_offline() {
        return refuse("not in the cache, and HF_HUB_OFFLINE is set".into());
    }
    let mut builder = ApiBuilder::from_env().with_cache_dir(cache.to_owned()).with_progress(false);
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let downloaded = builder.build().and_then(|api| api.model(id.to_owned()).download(file));
    match downloaded {
        Ok(path) => Ok(Some(path)),
        Err(error) => match error.to_string() {
            // The crate gives the status in its message alone.
            message if message.ends_with("status: 404") => Ok(None),
            message => refuse(format!("not in the cache, and downloading it failed: {message}")),
        },
    }
}

/// As huggingface_hub reads the variable.
fn is_offline() -> bool {
    let value = std::env::var("HF_HUB_OFFLINE").unwrap_or_default();
    ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str())
}
