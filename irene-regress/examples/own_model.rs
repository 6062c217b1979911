//! A service that knows what its answers cost: it has a runtime of its own and a list of layers, and predicts the joules of a request
//! before it is run, by irene-tree, irene-features and irene-regress alone. `cargo run -p irene-regress --example own_model`.
#![allow(clippy::print_stdout)] // what it is for

use irene_regress::{DeviceProfile, kwh_per_million};
use irene_tree::{Format, Level, Mark, OpKind, Operand, Operation, Quantity, Shape, Size, Tree, TreeBuilder};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How this service writes its model down; no framework's types.
#[derive(Clone, Copy)]
enum Layer {
    Embed { vocabulary: usize },
    Attention { heads: usize },
    GatedMlp { width: usize },
    Classify { labels: usize },
}

/// The service: a model, and a predictor for the device that it runs on.
struct Service {
    hidden: usize,
    layers: Vec<Layer>,
    device: DeviceProfile,
}

/// A request: so many texts, padded to so many tokens.
struct Request {
    texts: usize,
    tokens: usize,
}

/// The expected cost of a request.
struct Price {
    joules: f64,
    /// 90% of nodes like it lie within.
    interval: [f64; 2],
    seconds: f64,
    /// Remarks on these figures: that the request is beyond the sizes that the predictor learned from, or has operations that
    /// it never saw.
    marks: Vec<&'static str>,
}

impl Service {
    fn price(&self, request: &Request) -> Result<Price> {
        let mut tree = self.tree(request)?;
        irene_features::annotate(&mut tree);
        self.device.predict(&mut tree)?;
        let root = tree.root();
        let known = |quantity| root.get(quantity).ok_or("the profile does not predict it");
        Ok(Price {
            joules: known(Quantity::PredictedEnergy)?,
            interval: [known(Quantity::PredictedLow)?, known(Quantity::PredictedHigh)?],
            seconds: known(Quantity::PredictedLatency)?,
            marks: root.marks.iter().map(Mark::name).collect(),
        })
    }

    /// The model at the size of a request.
    fn tree(&self, request: &Request) -> Result<Tree> {
        let mut model = Builder {
            tree: TreeBuilder::new("ticket-router", Size::new(request.texts, request.tokens)),
            batch: request.texts,
            tokens: request.tokens,
            hidden: self.hidden,
        };
        model.tree.enter("root", "TicketRouter", Level::Model);
        for (index, &layer) in self.layers.iter().enumerate() {
            model.layer(&index.to_string(), layer);
        }
        model.tree.leave();
        Ok(model.tree.finish()?)
    }
}

/// Layers to nodes.
struct Builder {
    tree: TreeBuilder,
    batch: usize,
    tokens: usize,
    hidden: usize,
}

impl Builder {
    fn layer(&mut self, name: &str, layer: Layer) {
        match layer {
            Layer::Embed { vocabulary } => {
                let ids = Operand::ids([self.batch, self.tokens]);
                let table = Operand::parameter([vocabulary, self.hidden], Format::F32);
                let embed = Operation::new(OpKind::Embedding, &[ids, table], self.activation(self.hidden));
                self.tree.leaf(name, "Embedding", Level::Ml, Some(embed));
            }
            Layer::Attention { heads } => self.attention(name, heads),
            Layer::GatedMlp { width } => self.gated_mlp(name, width),
            Layer::Classify { labels } => self.linear(name, activation([self.batch, self.hidden]), labels),
        }
    }

    fn attention(&mut self, name: &str, heads: usize) {
        let size = self.hidden / heads;
        let rows = activation([self.batch, heads, self.tokens, size]);
        let columns = activation([self.batch, heads, size, self.tokens]);
        let scores = activation([self.batch, heads, self.tokens, self.tokens]);
        self.tree.enter(name, "Attention", Level::Module);
        self.norm();
        for name in ["query", "key", "value"] {
            self.linear(name, self.activation(self.hidden), self.hidden);
        }
        self.primitive("scores", "MatMul", Operation::new(OpKind::MatMul, &[rows, columns], scores));
        self.primitive("softmax", "Softmax", Operation::new(OpKind::Softmax, &[scores], scores));
        self.primitive("context", "MatMul", Operation::new(OpKind::MatMul, &[scores, rows], rows));
        self.linear("output", self.activation(self.hidden), self.hidden);
        self.tree.leave();
    }

    fn gated_mlp(&mut self, name: &str, width: usize) {
        let inner = self.activation(width);
        self.tree.enter(name, "GatedMlp", Level::Module);
        self.norm();
        self.linear("gate", self.activation(self.hidden), width);
        self.linear("up", self.activation(self.hidden), width);
        self.tree.leaf("silu", "silu", Level::Math, Some(Operation::new(OpKind::Silu, &[inner], inner)));
        self.tree.leaf("mul", "mul", Level::Math, Some(Operation::new(OpKind::Mul, &[inner, inner], inner)));
        self.linear("down", inner, self.hidden);
        self.tree.leave();
    }

    fn linear(&mut self, name: &str, input: Operand, to: usize) {
        let (from, mut output) = (input.shape.last(), input);
        if let Some(last) = output.shape.dims_mut().last_mut() {
            *last = to;
        }
        let (weight, bias) = (Operand::parameter([to, from], Format::F32), Operand::parameter([to], Format::F32));
        self.primitive(name, "Linear", Operation::new(OpKind::Linear, &[input, weight, bias], output));
    }

    fn norm(&mut self) {
        let (x, weight) = (self.activation(self.hidden), Operand::parameter([self.hidden], Format::F32));
        self.primitive("norm", "RMSNorm", Operation::new(OpKind::RmsNorm, &[x, weight], x));
    }

    fn primitive(&mut self, name: &str, instance_type: &'static str, operation: Operation) {
        self.tree.leaf(name, instance_type, Level::Ml, Some(operation));
    }

    fn activation(&self, width: usize) -> Operand {
        activation([self.batch, self.tokens, width])
    }
}

fn activation(shape: impl Into<Shape>) -> Operand {
    Operand::activation(shape, Format::F32)
}

fn main() -> Result<()> {
    let mut layers = vec![Layer::Embed { vocabulary: 32_000 }];
    for _ in 0..6 {
        layers.extend([Layer::Attention { heads: 8 }, Layer::GatedMlp { width: 1536 }]);
    }
    layers.push(Layer::Classify { labels: 12 });
    let service = Service { hidden: 512, layers, device: DeviceProfile::bundled("gtx-1080-ti")? };
    println!("predicted on {}", service.device.provenance.device);
    for request in
        [Request { texts: 1, tokens: 64 }, Request { texts: 8, tokens: 128 }, Request { texts: 32, tokens: 256 }]
    {
        let Price { joules, interval: [low, high], seconds, marks } = service.price(&request)?;
        println!(
            "{:>2} texts of {:>3} tokens: {joules:.3} J ({low:.3} to {high:.3}), {:.1} ms; a million such requests {:.2} kWh; {}",
            request.texts,
            request.tokens,
            seconds * 1e3,
            kwh_per_million(joules),
            marks.join(", ")
        );
    }
    Ok(())
}
