//! A server of a test's own, on a free port of this machine.
#![allow(dead_code)] // each test takes what it needs

use std::{
    io::{BufRead, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use irene_predict::{Calibration, Load, Measured, Service, ServiceOptions};
use irene_requests::{Figures, RequestRow};
use irene_viz::{Limits, Options, Server};
use serde_json::Value;
use tokio::sync::oneshot;

pub(crate) struct Running {
    address: SocketAddr,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// Empty where the bytes are no text.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// A problem document with this in its one line.
    pub(crate) fn is_problem(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.kind, "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part) && !detail.contains('\n'), "{detail}");
    }
}

/// Fitted to a measured request, as the service has it.
pub(crate) fn calibrated(service: ServiceOptions) -> Options {
    let row = RequestRow {
        model: Some("Llama-3.1-8B".into()),
        device: Some("h100-sxm".into()),
        engine: Some("vllm-0.11".into()),
        load: Some(Load::Concurrency(32.0)),
        prompt: Some(512.0),
        generated: Some(256.0),
        figures: Figures { energy_per_token_j: Some(0.3), itl_s: Some(0.012), ..Figures::default() },
        ..RequestRow::default()
    };
    let measured = Measured::of("", &row, &Service::new(service)).unwrap();
    Options { calibrations: vec![Arc::new(Calibration::of(&[measured]).unwrap())], ..Options::default() }
}

impl Running {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::with(Options { limits, ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        let options = Options { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..options };
        let (told, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(options).await.unwrap();
                told.send(server.address().unwrap()).unwrap();
                server.run(async { drop(stopped.await) }).await;
            });
        });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        Self { address: address.recv().unwrap(), agent, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        answer(self.agent.get(self.url(path)).call().unwrap())
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.agent.get(self.url(path));
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).call().unwrap())
    }

    /// With a body of a type where there is one.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<(&str, &str)>) -> Answer {
        let request = ureq::http::Request::builder().method(method.to_uppercase().as_str()).uri(self.url(path));
        match body {
            Some((kind, text)) => {
                answer(self.agent.run(request.header("content-type", kind).body(text.to_owned()).unwrap()).unwrap())
            }
            None => answer(self.agent.run(request.body(()).unwrap()).unwrap()),
        }
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        answer(self.agent.post(self.url(path)).send(body).unwrap())
    }

    /// The first bytes of a file.
    pub(crate) fn post_bytes(&self, path: &str, bytes: &[u8]) -> Answer {
        answer(self.agent.post(self.url(path)).header("content-type", "application/octet-stream").send(bytes).unwrap())
    }

    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        answer(
            self.agent.post(self.url(path)).header("content-type", "application/json").send(body.to_string()).unwrap(),
        )
    }

    /// As of a page whose name leads here.
    pub(crate) fn post_json_to(&self, host: &str, path: &str, body: &Value) -> Answer {
        let request = self.agent.post(self.url(path)).header("host", host).header("content-type", "application/json");
        answer(request.send(body.to_string()).unwrap())
    }

    /// As of a page whose name leads here.
    pub(crate) fn send_to(&self, host: &str, method: &str, path: &str) -> Answer {
        let request = ureq::http::Request::builder().method(method).uri(self.url(path)).header("host", host);
        answer(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// A number that the server counts.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").text;
        let line = metrics.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        answer(self.agent.delete(self.url(path)).call().unwrap())
    }

    /// The status of an answer that is not read.
    pub(crate) fn status(&self, path: &str) -> u16 {
        self.agent.get(self.url(path)).call().unwrap().status().as_u16()
    }

    /// An answer that is read as it comes.
    pub(crate) fn follow(&self, path: &str) -> impl Iterator<Item = String> + use<> {
        let response = self.agent.get(self.url(path)).call().unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        std::io::BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap)
    }

    /// Lets it end as it does at Ctrl-C.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking());
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes, and reads all that comes back until the server closes.
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        // The server may close before it has read all.
        let _ = stream.write_all(request.as_bytes());
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let kind = headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap_or_default();
    Answer { status, kind, headers, bytes, text }
}

/// A text in a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// A small encoder's config.json.
pub(crate) fn config(layers: u64) -> String {
    serde_json::json!({"model_type": "bert", "hidden_size": 128, "num_hidden_layers": layers, "num_attention_heads": 2,
           "intermediate_size": 512, "vocab_size": 1000, "max_position_embeddings": 512})
    .to_string()
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
