use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    Error, Failure, Prompts, Result, Target,
    api::{self, Api, Ask, Dialect},
    http::{Client, addresses},
    request::{Reply, apart, once},
};

/// A server whose API is known.
#[derive(Clone)]
pub struct Server {
    pub(crate) target: Arc<Target>,
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) api: &'static dyn Api,
    pub(crate) dialect: Dialect,
    /// The model's name at the server.
    pub(crate) model: Option<String>,
    /// Whether answers come token by token.
    pub(crate) streams: bool,
    /// Whether the counts of tokens stand in the stream, or in whole answers alone.
    pub(crate) counts_in_stream: bool,
}

/// Options for finding a server.
#[derive(Clone, Debug)]
pub struct FindOptions {
    /// The API, by its name; otherwise the server is asked.
    pub api: Option<String>,
    /// The model's name at the server; otherwise the server is asked.
    pub model: Option<String>,
    /// Asks for whole answers, which have no time to the first token.
    pub whole: bool,
    /// The longest time that an answer takes; 60 s by default.
    pub timeout: Duration,
}

impl Default for FindOptions {
    fn default() -> Self {
        Self { api: None, model: None, whole: false, timeout: Duration::from_secs(60) }
    }
}

/// Statuses of servers that do not have a path.
const NO_SUCH_PATH: [u16; 3] = [404, 405, 501];

/// Statuses of servers that do not understand a request.
const NOT_UNDERSTOOD: [u16; 2] = [400, 422];

/// So often an API is tried at most.
const MOST_TRIES: usize = 3;

/// Tokens that a server is asked for to see how it answers.
const FEW: usize = 2;

impl Server {
    /// Finds the API that the server speaks by asking for two tokens in each.
    ///
    /// Blocks until it has answered: in an async program call it by `spawn_blocking`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if nothing answers; [`Error::Api`] if the server speaks none, with what it answered.
    pub fn find(target: Target, options: &FindOptions) -> Result<Self> {
        apart(|runtime| runtime.block_on(find(target, options)))
    }

    /// The name of its API.
    pub fn api(&self) -> &'static str {
        self.api.name()
    }

    /// The model's name at the server.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether it generates tokens; embeddings have none.
    pub fn generates(&self) -> bool {
        self.api.generates()
    }

    pub(crate) fn least_generated(&self) -> usize {
        usize::from(self.generates())
    }

    pub(crate) fn ask_for<'a>(
        &'a self,
        prompt: &'a str,
        generate: usize,
        streams: bool,
        shares_prefix: bool,
    ) -> Ask<'a> {
        Ask { model: self.model(), prompt, generate, dialect: self.dialect, streams, shares_prefix }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("target", &self.target).field("api", &self.api.name()).finish_non_exhaustive()
    }
}

async fn find(target: Target, options: &FindOptions) -> Result<Server> {
    let url = target.to_string();
    let unreachable = |reason: String| Error::Unreachable { url: url.clone(), reason };
    let addresses = addresses(&target).await.map_err(|error| unreachable(error.to_string()))?;
    let candidates = candidates(&target, options)?;
    let target = Arc::new(target);
    let mut client = Client::new(Arc::clone(&target), Arc::clone(&addresses));
    let model = match &options.model {
        Some(model) => Some(model.clone()),
        None => served_model(&mut client, &url, options.timeout).await?,
    };
    let mut answers: Vec<String> = Vec::new();
    for api in candidates {
        for &dialect in api.dialects() {
            let (target, addresses, model) = (Arc::clone(&target), Arc::clone(&addresses), model.clone());
            let streams = api.generates() && !options.whole;
            let server = Server { target, addresses, api, dialect, model, streams, counts_in_stream: streams };
            match try_often(&server, options.timeout).await {
                Ok(server) => return Ok(server),
                Err(Failure::Connect(reason)) => return Err(unreachable(reason)),
                Err(failure) => {
                    let answer = format!("{}: {failure}", api.path());
                    let is_understood =
                        !matches!(failure, Failure::Status(status, _) if NOT_UNDERSTOOD.contains(&status));
                    answers.retain(|known| !known.starts_with(api.path()));
                    answers.push(answer);
                    if is_understood {
                        break;
                    }
                }
            }
        }
    }
    Err(Error::Api { url, reason: no_api(answers) })
}

fn no_api(mut answers: Vec<String>) -> String {
    let is_lacking = |answer: &String| NO_SUCH_PATH.iter().any(|status| answer.contains(&format!("status {status}")));
    // The refusals of paths that are there tell more.
    if !answers.iter().all(is_lacking) {
        answers.retain(|answer| !is_lacking(answer));
    }
    format!("no known API answers ({})", answers.join("; "))
}

/// The APIs to try: the one that is asked for, or that the address names, or all.
fn candidates(target: &Target, options: &FindOptions) -> Result<Vec<&'static dyn Api>> {
    let Some(name) = &options.api else {
        let is_named = |api: &&dyn Api| target.named_path().is_none_or(|path| path == api.path());
        return Ok(api::ALL.into_iter().filter(is_named).collect());
    };
    let found = api::ALL.into_iter().find(|api| api.name() == name);
    found.map(|api| vec![api]).ok_or_else(|| {
        let names = api::ALL.map(Api::name);
        Error::Api { url: target.to_string(), reason: format!("`{name}` is no API; there are {}", names.join(", ")) }
    })
}

/// The name of the model that a server lists, if it lists one alone.
async fn served_model(client: &mut Client, url: &str, timeout: Duration) -> Result<Option<String>> {
    let answer = tokio::time::timeout(timeout, client.get("/v1/models")).await;
    let bytes = match answer {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(Failure::Connect(reason))) => return Err(Error::Unreachable { url: url.to_owned(), reason }),
        _ => return Ok(None),
    };
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    let listed = value.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = listed.iter().filter_map(|model| model.get("id")?.as_str()).collect();
    match names[..] {
        [] => Ok(None),
        [name] => Ok(Some(name.to_owned())),
        _ => {
            const MOST: usize = 8;
            let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > MOST { ", ..." } else { "" };
            let reason = format!("it serves several models ({shown}{more}): say which with FindOptions::model");
            Err(Error::Api { url: url.to_owned(), reason })
        }
    }
}

/// Tries again what may go better the next time.
async fn try_often(server: &Server, timeout: Duration) -> Result<Server, Failure> {
    let mut tries = 1;
    loop {
        match try_out(server.clone(), timeout).await {
            Err(failure) if tries < MOST_TRIES && failure.is_passing() => tries += 1,
            tried => return tried,
        }
    }
}

/// The server with what its answers show: whether they come token by token, and where the counts are.
async fn try_out(mut server: Server, timeout: Duration) -> Result<Server, Failure> {
    let prompts = Prompts::new(false).of_words(FEW);
    let generate = FEW * server.least_generated();
    let reply = once(&server, &prompts.next(), generate, server.streams, timeout).await?;
    server.streams &= reply.is_stream;
    if is_counted(&reply) {
        return Ok(server);
    }
    server.counts_in_stream = false;
    let reply = once(&server, &prompts.next(), generate, false, timeout).await?;
    if is_counted(&reply) { Ok(server) } else { Err(Failure::Malformed("it does not say how many tokens".into())) }
}

fn is_counted(reply: &Reply) -> bool {
    reply.part.prompt.is_some()
}
