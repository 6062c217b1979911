//! A server of language models that runs none: a [`Script`] says what time and energy a token takes, and which requests go wrong.
//!
//! It speaks the APIs of vLLM and its kin (`/v1/completions`, `/v1/chat/completions`, `/v1/embeddings`), of text-generation-inference
//! and of llama.cpp on a port of this machine. Its energy appears as a processor's counter in a tree of files like Linux's `/sys`:
//!
//! energy = prompt tokens × [`Script::joules_per_prompt_token`] + tokens × [`Script::joules_per_token`]
//! + steps × [`Script::joules_per_step`] + time × [`Script::idle_watts`]
//!
//! The powers are small beside what a meter believes (4 kW): on a busy machine the file may be late, and then rises fast.
//! A step gives each running sequence its next token, so that the energy of a token falls with the number that run.
//!
//! ```no_run
//! use irene_scripted_server::{Script, ScriptedServer};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = ScriptedServer::start(Script::default(), std::path::Path::new("/tmp/sys"))?;
//! println!("{}", server.url()); // with IRENE_SYS=/tmp/sys a command reads its energy
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answers;
mod counter;
mod engine;
mod routes;
mod script;
mod server;

pub use engine::Served;
pub use script::{Fault, Misdeed, Script};
pub use server::ScriptedServer;
