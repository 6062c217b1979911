//! One connection to the server, over which one request runs at a time. It follows no redirect and knows no proxy.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};

use crate::{Failure, Target};

/// The addresses of the machine that was named.
pub(crate) async fn addresses(target: &Target) -> std::io::Result<Arc<[SocketAddr]>> {
    Ok(lookup_host((target.host(), target.port())).await?.collect())
}

pub(crate) struct Client {
    target: Arc<Target>,
    addresses: Arc<[SocketAddr]>,
    /// The connection, kept open between requests.
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// So much of a refusal's text is kept.
const MOST_TEXT: usize = 300;

/// An answer of more bytes is given up.
pub(crate) const MOST_BYTES: usize = 64 << 20;

impl Client {
    pub(crate) fn new(target: Arc<Target>, addresses: Arc<[SocketAddr]>) -> Self {
        Self { target, addresses, sender: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes, Failure> {
        let mut answer = self.send(Method::GET, path, String::new()).await?;
        whole(&mut answer).await
    }

    /// The answer to a request, if its status is a success.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> Result<Response<Incoming>, Failure> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.target.at(path))
            .header(HOST, self.target.authority())
            .header(USER_AGENT, concat!("irene/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(value) = self.target.authorization() {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body.into())).map_err(|error| Failure::Malformed(error.to_string()))?;
        let mut sender = self.connected().await?;
        let answer = match sender.try_send_request(request).await {
            Ok(answer) => answer,
            // The server has closed the connection meanwhile, and has not seen the request.
            Err(mut error) => {
                let unsent = error.take_message().ok_or(Failure::Disconnect)?;
                sender = self.connected().await?;
                sender.send_request(unsent).await.map_err(|_| Failure::Disconnect)?
            }
        };
        self.sender = Some(sender);
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refusal(answer).await)
    }

    /// The connection of the request before, if it still is one, or a new one.
    async fn connected(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let refuse = |error: &dyn std::fmt::Display| Failure::Connect(error.to_string());
        let stream = TcpStream::connect(&self.addresses[..]).await.map_err(|error| refuse(&error))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| refuse(&error))?;
        // It ends with its sender, or with the server's end; the requests say why.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}

async fn refusal(mut answer: Response<Incoming>) -> Failure {
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        return Failure::Redirect(to.unwrap_or("another address").to_owned());
    }
    let text = whole(&mut answer).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Failure::Status(status.as_u16(), words.chars().take(MOST_TEXT).collect())
}

/// All bytes of an answer.
pub(crate) async fn whole(answer: &mut Response<Incoming>) -> Result<Bytes, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|_| Failure::Disconnect)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > MOST_BYTES {
            return Err(Failure::Malformed("it is too long".into()));
        }
    }
    Ok(bytes.into())
}
