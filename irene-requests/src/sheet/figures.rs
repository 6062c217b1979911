/// A figure of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Figure {
    /// Joules of a request, on all GPUs.
    EnergyPerRequest,
    /// Joules a generated token, on all GPUs.
    EnergyPerToken,
    /// Mean power of all GPUs.
    Power,
    /// Time to the first token.
    Ttft,
    /// Median time between the tokens of a sequence.
    Itl,
    /// Time from start to last token: of the whole batch where there is a static one, otherwise of a request.
    Latency,
    /// Generated tokens a second, of all sequences and GPUs.
    TokensPerS,
}

impl Figure {
    /// All, in the order of the columns.
    pub const ALL: [Self; 7] = [
        Self::EnergyPerRequest,
        Self::EnergyPerToken,
        Self::Power,
        Self::Ttft,
        Self::Itl,
        Self::Latency,
        Self::TokensPerS,
    ];

    /// The title of its column, which ends in its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::EnergyPerRequest => "energy_per_request_j",
            Self::EnergyPerToken => "energy_per_token_j",
            Self::Power => "power_w",
            Self::Ttft => "ttft_s",
            Self::Itl => "itl_s",
            Self::Latency => "latency_s",
            Self::TokensPerS => "tokens_per_s",
        }
    }
}

/// The figures of a request, each absent where it is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// [`Figure::EnergyPerRequest`], J.
    pub energy_per_request_j: Option<f64>,
    /// [`Figure::EnergyPerToken`], J.
    pub energy_per_token_j: Option<f64>,
    /// [`Figure::Power`], W.
    pub power_w: Option<f64>,
    /// [`Figure::Ttft`], s.
    pub ttft_s: Option<f64>,
    /// [`Figure::Itl`], s.
    pub itl_s: Option<f64>,
    /// [`Figure::Latency`], s.
    pub latency_s: Option<f64>,
    /// [`Figure::TokensPerS`].
    pub tokens_per_s: Option<f64>,
}

impl Figures {
    /// A figure; None where it is unknown.
    pub fn get(&self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::EnergyPerRequest => self.energy_per_request_j,
            Figure::EnergyPerToken => self.energy_per_token_j,
            Figure::Power => self.power_w,
            Figure::Ttft => self.ttft_s,
            Figure::Itl => self.itl_s,
            Figure::Latency => self.latency_s,
            Figure::TokensPerS => self.tokens_per_s,
        }
    }

    /// Sets a figure.
    pub fn set(&mut self, figure: Figure, value: Option<f64>) {
        *match figure {
            Figure::EnergyPerRequest => &mut self.energy_per_request_j,
            Figure::EnergyPerToken => &mut self.energy_per_token_j,
            Figure::Power => &mut self.power_w,
            Figure::Ttft => &mut self.ttft_s,
            Figure::Itl => &mut self.itl_s,
            Figure::Latency => &mut self.latency_s,
            Figure::TokensPerS => &mut self.tokens_per_s,
        } = value;
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        Figure::ALL.iter().all(|&figure| self.get(figure).is_none())
    }
}
