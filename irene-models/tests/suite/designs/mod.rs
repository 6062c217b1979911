//! FlexiBERT designs for the tests of all architectures.

/// A FlexiBERT design of one or more layers, its heads taken in turn from all kinds.
pub(crate) fn model_dict(layers: usize, heads: usize, width: usize, inner: usize) -> String {
    const KINDS: [&str; 6] = ["l_dft", "sa_wma", "c_5", "l_dct", "sa_sdp", "c_3"];
    let layer = |layer: usize| {
        // Every other layer has an odd unit that no head gets.
        let heads: Vec<_> =
            (0..heads).map(|head| format!("\"{}_{width}\"", KINDS[(layer + inner + head) % KINDS.len()])).collect();
        heads.join(",")
    };
    let list = |of: &dyn Fn(usize) -> String| (0..layers).map(of).collect::<Vec<_>>().join(",");
    let hidden = |layer: usize| (heads * width + if heads > 1 { layer % 2 } else { 0 }).to_string();
    let (o, h) = (list(&|index| format!("[{}]", layer(index))), list(&hidden));
    let f = list(&|index| if index % 2 == 0 { format!("[{inner},{}]", inner + 1) } else { format!("[{inner}]") });
    format!(r#"{{"l":{layers},"o":[{o}],"h":[{h}],"f":[{f}]}}"#)
}
