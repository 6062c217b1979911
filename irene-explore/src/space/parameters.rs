use irene_models::flexibert::{Design, Head, LayerDesign};

/// Rows of the tables of words, of positions and of segments, and the two of a layer norm.
const EMBEDDED: u64 = 50_265 + 514 + 1 + 2;

/// Rows of a layer's table of relative positions, 2·514 - 1.
const DISTANCES: u64 = 1_027;

/// Parameters of a design's FlexiBERT encoder with the published vocabulary and positions: those of the embeddings, of the
/// layers, of a linear wherever the hidden size changes, and of the pooler. It is what the encoder's traced tree says, without
/// tracing.
pub fn parameters(design: &Design) -> u64 {
    let layers = design.layers();
    let hidden = |layer: Option<&LayerDesign>| layer.map_or(0, |layer| layer.hidden);
    let (first, last) = (hidden(layers.first()), hidden(layers.last()));
    let changes = layers.windows(2).map(|pair| (pair[0].hidden, pair[1].hidden)).filter(|(from, to)| from != to);
    let projections: u64 = changes.map(|(from, to)| linear(from, to)).sum();
    EMBEDDED * first as u64 + layers.iter().map(of_layer).sum::<u64>() + projections + linear(last, last)
}

/// Query, key and value of all heads together, the table of positions, each head's own, the output's linear, the feed-forward
/// linears, and two layer norms.
fn of_layer(layer: &LayerDesign) -> u64 {
    let (hidden, width, all_heads) = (layer.hidden, layer.head_width(), layer.all_heads_width());
    let attention = 3 * linear(hidden, all_heads) + DISTANCES * width as u64 + linear(all_heads, hidden);
    let heads: u64 = layer.heads.iter().map(|head| of_head(*head, width as u64)).sum();
    let ends = layer.feed_forward.iter().copied().chain([hidden]);
    let feed_forward: u64 = [hidden].into_iter().chain(ends.clone()).zip(ends).map(|(from, to)| linear(from, to)).sum();
    attention + heads + feed_forward + 4 * hidden as u64
}

fn of_head(head: Head, width: u64) -> u64 {
    match head {
        Head::Weighted => width * width,
        Head::Convolution(kernel) => 2 * width * kernel as u64 + 2 * width * width + 2 * width + kernel as u64,
        Head::ScaledDotProduct | Head::Dft | Head::Dct => 0,
    }
}

fn linear(from: usize, to: usize) -> u64 {
    from as u64 * to as u64 + to as u64
}
