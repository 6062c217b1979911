use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The architecture of a FlexiBERT encoder, layer by layer: the published `model_dict`, which is also its form in JSON
/// (`{"l": layers, "o": heads, "h": hidden sizes, "f": feed-forward widths}`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ModelDict", into = "ModelDict")]
pub struct Design {
    layers: Vec<LayerDesign>,
}

/// One layer of a [`Design`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LayerDesign {
    /// The hidden size.
    pub hidden: usize,
    /// The kind of each attention head.
    pub heads: Vec<Head>,
    /// The widths of the stacked feed-forward linears, from first to last.
    pub feed_forward: Vec<usize>,
}

/// The kind of an attention head, in the published order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    /// Self-attention by scaled dot products, `sa_sdp`.
    ScaledDotProduct,
    /// Self-attention by weighted multiplication, (q W) k^T, `sa_wma`.
    Weighted,
    /// Mixing of tokens by the discrete Fourier transform, `l_dft`.
    Dft,
    /// Mixing of tokens by the discrete cosine transform, `l_dct`.
    Dct,
    /// Span-based dynamic convolution, ConvBERT's, with a kernel of this many tokens, `c_9`.
    Convolution(usize),
}

impl Design {
    /// The design of these layers.
    ///
    /// # Errors
    /// A line that names the layer and the field: no layers, heads or widths, sizes of zero, more heads than hidden units, an even kernel.
    pub fn new(layers: Vec<LayerDesign>) -> Result<Self, String> {
        if layers.is_empty() {
            return Err("field `l`: a design has at least one layer".into());
        }
        for (index, layer) in layers.iter().enumerate() {
            layer.check().map_err(|(field, reason)| format!("field `{field}`, layer {index}: {reason}"))?;
        }
        Ok(Self { layers })
    }

    /// The layers, from first to last.
    pub fn layers(&self) -> &[LayerDesign] {
        &self.layers
    }
}

impl LayerDesign {
    /// The width of a head: the hidden size divided by their number, rounded down.
    pub fn head_width(&self) -> usize {
        self.hidden / self.heads.len()
    }

    /// The width of all heads together, which is below the hidden size where their number does not divide it.
    pub(super) fn all_heads_width(&self) -> usize {
        self.head_width() * self.heads.len()
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        /// Far above any layer's, low enough that no product of sizes overflows.
        const WIDEST: usize = 1 << 20;
        const MOST_HEADS: usize = 1024;
        let width = |width: usize| (1..=WIDEST).contains(&width);
        if !width(self.hidden) {
            return Err(("h", format!("expected a hidden size from 1 to {WIDEST}, found {}", self.hidden)));
        }
        if self.heads.is_empty() || self.heads.len() > self.hidden.min(MOST_HEADS) {
            return Err(("o", format!("{} heads do not fit a hidden size of {}", self.heads.len(), self.hidden)));
        }
        if let Some(head) = self.heads.iter().find(|head| !head.is_sound()) {
            return Err(("o", format!("`{head}` has no odd kernel")));
        }
        match self.feed_forward.iter().find(|&&found| !width(found)) {
            Some(found) => Err(("f", format!("expected widths from 1 to {WIDEST}, found {found}"))),
            None if self.feed_forward.is_empty() => Err(("f", "expected at least one width".into())),
            None => Ok(()),
        }
    }
}

impl Head {
    pub(super) fn is_transform(self) -> bool {
        matches!(self, Self::Dft | Self::Dct)
    }

    fn is_sound(self) -> bool {
        !matches!(self, Self::Convolution(kernel) if kernel % 2 == 0 || kernel > 1 << 10)
    }
}

/// The published name, without the width: `sa_sdp`, `c_9`.
impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaledDotProduct => f.write_str("sa_sdp"),
            Self::Weighted => f.write_str("sa_wma"),
            Self::Dft => f.write_str("l_dft"),
            Self::Dct => f.write_str("l_dct"),
            Self::Convolution(kernel) => write!(f, "c_{kernel}"),
        }
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let kernel = |digits: &str| digits.parse().ok().map(Self::Convolution).filter(|head| head.is_sound());
        let head = match name {
            "sa_sdp" => Some(Self::ScaledDotProduct),
            "sa_wma" => Some(Self::Weighted),
            "l_dft" => Some(Self::Dft),
            "l_dct" => Some(Self::Dct),
            _ => name.strip_prefix("c_").and_then(kernel),
        };
        head.ok_or_else(|| {
            format!("`{name}` is no head; there are sa_sdp, sa_wma, l_dft, l_dct and c_ with an odd kernel")
        })
    }
}

/// A [`Design`] as it is published: a list a field, and each head with its width.
#[derive(Serialize, Deserialize)]
struct ModelDict {
    l: usize,
    o: Vec<Vec<String>>,
    h: Vec<usize>,
    f: Vec<Vec<usize>>,
}

impl TryFrom<ModelDict> for Design {
    type Error = String;

    fn try_from(dict: ModelDict) -> Result<Self, String> {
        for (field, found) in [("o", dict.o.len()), ("h", dict.h.len()), ("f", dict.f.len())] {
            if found != dict.l {
                return Err(format!("field `{field}` has {found} layers where `l` says {}", dict.l));
            }
        }
        let layer = |((hidden, names), feed_forward): ((usize, &Vec<String>), _)| {
            let heads = names.iter().map(|name| head_of_width(name)).collect::<Result<Vec<_>, _>>()?;
            let (heads, widths): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
            let layer = LayerDesign { hidden, heads, feed_forward };
            let other =
                names.iter().zip(widths).find(|(_, width)| *width != hidden.checked_div(names.len()).unwrap_or(0));
            match other {
                Some((name, _)) => Err(format!(
                    "`{name}` in field `o`: {} heads of a hidden size of {hidden} have a width of {}",
                    names.len(),
                    layer.head_width()
                )),
                None => Ok(layer),
            }
        };
        let layers = dict.h.iter().copied().zip(&dict.o).zip(dict.f).map(layer).collect::<Result<_, _>>()?;
        Self::new(layers)
    }
}

/// A head with its width, `sa_sdp_64`.
fn head_of_width(name: &str) -> Result<(Head, usize), String> {
    let parts = name.rsplit_once('_').and_then(|(head, width)| Some((head, width.parse().ok()?)));
    let (head, width) =
        parts.ok_or_else(|| format!("`{name}` in field `o` is no head with its width, such as sa_sdp_64"))?;
    Ok((head.parse()?, width))
}

impl From<Design> for ModelDict {
    fn from(design: Design) -> Self {
        let names =
            |layer: &LayerDesign| layer.heads.iter().map(|head| format!("{head}_{}", layer.head_width())).collect();
        Self {
            l: design.layers.len(),
            o: design.layers.iter().map(names).collect(),
            h: design.layers.iter().map(|layer| layer.hidden).collect(),
            f: design.layers.into_iter().map(|layer| layer.feed_forward).collect(),
        }
    }
}
