use crate::Engine;

/// The faults of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An engine that is not known.
    #[error("unknown engine `{name}`; known are {}", engines())]
    Engine {
        /// The name.
        name: String,
    },
}

fn engines() -> String {
    Engine::all().iter().map(|engine| engine.name).collect::<Vec<_>>().join(", ")
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
