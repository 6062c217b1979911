/// Why there is no meter, or why a setting of one is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight is no energy.
    #[error("the energy of a {of} must be from 0 to 1000 J, not {joules} J")]
    Weight {
        /// Its subject.
        of: &'static str,
        /// Its value.
        joules: f64,
    },
    /// Both weights are zero.
    #[error("the tokens of a prompt or those generated must have an energy")]
    NoWeight,
    /// The idle power is no power.
    #[error("the idle power must be 0 W or more, not {0} W")]
    IdlePower(f64),
    /// The system cannot start a thread.
    #[error("the meter's thread cannot start: {0}")]
    Thread(#[from] std::io::Error),
}
